//! The stage: one node in memory, clients that speak raw XML, a store that answers at once.

mod pattern;
mod props;

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr};

use base64::Engine as _;
use chat_core::base::{ConnId, HashKey, Key, Mono, Now, Span, Utc, WorkerId};
use chat_core::effect::{Domain, Output, Settings};
use chat_core::engine::{Command, Engine, Input};
use chat_core::sasl::Mechanism;
use chat_core::session::Listener;
use chat_core::xml::{Element, FrameKind, Framer, Step, StreamNs};

use props::Props;

struct Client {
    worker: usize,
    conn: ConnId,
    open: bool,
    stalled: bool,
    framer: Framer,
    partial: Vec<u8>,
    received: VecDeque<String>,
}

pub struct Stage {
    engines: Vec<Engine>,
    settings: Settings,
    props: Props,
    clients: BTreeMap<String, Client>,
    names: BTreeMap<String, String>,
    now: Now,
    next: u32,
    cut: usize,
    seed: u8,
    stopped: usize,
}

impl Stage {
    pub fn play(name: &str, text: &str, cut: usize) {
        let mut settings = Settings::new(
            vec![domain("localhost"), domain("example.org")],
            HashKey { k0: 1, k1: 2 },
            [7; 16],
        );
        settings.limits.rate_bytes_per_second = 0;
        let mut stage = Stage {
            engines: Vec::new(),
            settings,
            props: Props::default(),
            clients: BTreeMap::new(),
            names: BTreeMap::new(),
            now: Now { mono: Mono(1_000_000_000), utc: Utc(1_780_000_000_000) },
            next: 0,
            cut,
            seed: 0,
            stopped: 0,
        };
        let mut lines = text.lines().enumerate().peekable();
        while let Some((number, line)) = lines.next() {
            let mut line = line.trim_end().to_owned();
            while let Some((_, more)) = lines.next_if(|(_, l)| l.starts_with([' ', '\t'])) {
                line.push_str(more.trim());
            }
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Err(problem) = stage.step(&line) {
                panic!("{name}.script line {} (cut {cut}): {problem}\n    {line}", number + 1);
            }
        }
    }

    fn step(&mut self, line: &str) -> Result<(), String> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let rest = rest.trim();
        if word != "option" && self.engines.is_empty() {
            self.start();
        }
        match word {
            "option" => self.option(rest),
            "account" => {
                let (user, password) = rest.split_once(' ').unwrap_or((rest, "secret"));
                let domain = if user.contains('@') { "" } else { "@localhost" };
                self.props.account(&format!("{user}{domain}"), password);
            }
            "connect" => self.connect(rest),
            "login" => return self.login(rest),
            "available" => {
                self.send(rest, "<presence/>")?;
                self.client(rest)?.received.clear();
            }
            "forget" => self.client(rest)?.received.clear(),
            "cut" => {
                let client = self.client(rest)?;
                client.open = false;
                let (worker, conn) = (client.worker, client.conn);
                self.input(worker, Input::Closed { conn });
            }
            "stall" => self.client(rest)?.stalled = true,
            "wait" => self.wait(rest.parse().map_err(|_| "how many milliseconds?")?),
            "store" => self.store(rest)?,
            "crash" => self.crash(),
            "kick" => self.command(Command::Kick {
                user: rest.parse().map_err(|_| "no bare JID")?,
                reason: chat_core::engine::KickReason::Operator,
            }),
            "inject" => self.command(Command::Send { stanza: rest.as_bytes().into() }),
            "drain" => {
                let (rate, seconds) = rest.split_once(' ').ok_or("drain 2 10")?;
                let rate = rate.parse().map_err(|_| "how many in a second?")?;
                let within = Span::secs(seconds.parse().map_err(|_| "how many seconds?")?);
                self.command(Command::Drain { rate, within });
            }
            "stay" => self.command(Command::Stay),
            "shutdown" => {
                self.command(Command::Shutdown);
                if self.stopped != self.engines.len() {
                    return Err(format!("{} of {} engines stopped", self.stopped, self.engines.len()));
                }
            }
            name => return self.talk(name, rest),
        }
        Ok(())
    }

    fn talk(&mut self, name: &str, rest: &str) -> Result<(), String> {
        let (sign, xml) = rest.split_once(' ').unwrap_or((rest, ""));
        match sign {
            ">" => self.send(name, &self.fill(xml)),
            "." => match self.client(name)?.received.front() {
                None => Ok(()),
                Some(more) => Err(format!("received: {more}")),
            },
            "x" if self.client(name)?.open => Err("the connection is open".into()),
            "x" => Ok(()),
            "<" | "<*" => {
                let mut names = std::mem::take(&mut self.names);
                let received = &mut self.client(name)?.received;
                let found = if sign == "<" {
                    (!received.is_empty()).then_some(0)
                } else {
                    received.iter().position(|r| pattern::matches(xml, r, &mut names.clone()).is_ok())
                };
                let result = match found.and_then(|i| received.remove(i)) {
                    None => Err(format!("not received; there is: {received:?}")),
                    Some(got) => pattern::matches(xml, &got, &mut names)
                        .map_err(|e| format!("{e}\n    received: {got}")),
                };
                self.names = names;
                result
            }
            _ => Err("what is this?".into()),
        }
    }

    fn store(&mut self, rest: &str) -> Result<(), String> {
        match rest.split_once(' ').unwrap_or((rest, "")) {
            ("down", _) => self.props.down = true,
            ("up", _) => (self.props.down, self.props.loses) = (false, false),
            ("loses", _) => self.props.loses = true,
            ("refuses", n) => self.props.refuses = n.parse().map_err(|_| "how many writes?")?,
            _ => return Err("what does it do?".into()),
        }
        Ok(())
    }

    fn fill(&self, xml: &str) -> String {
        self.names.iter().fold(xml.to_owned(), |x, (k, v)| x.replace(&format!("{{{k}}}"), v))
    }

    fn option(&mut self, rest: &str) {
        let (place, rest) = match rest.split_once(' ') {
            Some(("example.org", rest)) => (1, rest),
            _ => (0, rest),
        };
        let Settings { domains, limits, workers, .. } = &mut self.settings;
        let domain = &mut domains[place];
        let limits = if place == 0 { limits } else { domain.limits.get_or_insert_with(|| limits.clone()) };
        match rest.split_once('=').unwrap_or((rest, "")) {
            ("workers", n) => *workers = n.parse().unwrap(),
            ("registration", _) => domain.registration = true,
            ("tls", _) => domain.plaintext = false,
            ("anonymous", _) => {
                domain.ephemeral = true;
                domain.mechanisms = vec![Mechanism::Anonymous];
            }
            ("resume", seconds) => limits.resume_timeout_max = Span::secs(seconds.parse().unwrap()),
            ("resources", n) => limits.resources_per_user_max = n.parse().unwrap(),
            ("spool", n) => limits.spool_messages_per_user_max = n.parse().unwrap(),
            ("stanza", n) => limits.stanza_bytes_max = n.parse().unwrap(),
            ("roster", n) => limits.roster_items_max = n.parse().unwrap(),
            ("blocked", n) => limits.blocked_max = n.parse().unwrap(),
            ("directed", n) => limits.directed_presence_max = n.parse().unwrap(),
            ("held", n) => limits.csi_stanzas_max = n.parse().unwrap(),
            ("idle", seconds) => limits.idle_timeout = Span::secs(seconds.parse().unwrap()),
            ("outbox", n) => limits.outbox_bytes_max = n.parse().unwrap(),
            ("unacked", n) => limits.unacked_stanzas_max = n.parse().unwrap(),
            ("unsettled", n) => limits.unsettled_stanzas_max = n.parse().unwrap(),
            ("rate", n) => limits.rate_bytes_per_second = n.parse().unwrap(),
            ("attempts", n) => limits.auth_attempts_max = n.parse().unwrap(),
            ("without", names) => {
                domain.extensions_disabled = Some(names.split(',').map(str::to_owned).collect());
            }
            (other, _) => panic!("no option {other}"),
        }
    }

    fn start(&mut self) {
        self.seed += 1;
        self.engines = (0..self.settings.workers)
            .map(|w| {
                let settings = Settings { worker: WorkerId(w), ..self.settings.clone() };
                let extensions = chat_core::xep::standard(&settings);
                Engine::new(settings, [self.seed.wrapping_add(w as u8); 32], extensions)
            })
            .collect();
    }

    fn crash(&mut self) {
        for client in self.clients.values_mut() {
            client.open = false;
        }
        self.start();
    }

    fn client(&mut self, name: &str) -> Result<&mut Client, String> {
        self.clients.get_mut(name).ok_or(format!("nobody is called {name}"))
    }

    fn connect(&mut self, name: &str) {
        self.next += 1;
        let conn = ConnId(Key { index: self.next, generation: 1 });
        let worker = self.next as usize % self.engines.len();
        let client = Client {
            worker,
            conn,
            open: true,
            stalled: false,
            framer: Framer::default(),
            partial: Vec::new(),
            received: VecDeque::new(),
        };
        self.clients.insert(name.to_owned(), client);
        let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
        self.input(worker, Input::Accepted { conn, listener: Listener::Clients, peer });
    }

    fn login(&mut self, rest: &str) -> Result<(), String> {
        let (jid, options) = rest.split_once(' ').unwrap_or((rest, ""));
        let (user, rest) = jid.split_once('@').ok_or("login romeo@localhost/orchard")?;
        let (domain, resource) = rest.split_once('/').ok_or("login romeo@localhost/orchard")?;
        // One name per client: the user's, or user/resource for a second one.
        let name = if self.clients.get(user).is_some_and(|c| c.open) { resource } else { user };
        self.connect(name);
        let header = format!(
            "<?xml version='1.0'?><stream:stream xmlns='jabber:client' \
             xmlns:stream='http://etherx.jabber.org/streams' to='{domain}' version='1.0'>"
        );
        self.send(name, &header)?;
        let password = self.props.password(&format!("{user}@{domain}")).unwrap_or_default();
        let plain = base64::engine::general_purpose::STANDARD.encode(format!("\0{user}\0{password}"));
        let auth = format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{plain}</auth>");
        self.send(name, &auth)?;
        let received = &mut self.client(name)?.received;
        if !received.back().is_some_and(|r| r.starts_with("<success")) {
            return Err(format!("login failed: {received:?}"));
        }
        self.client(name)?.framer.restart();
        self.send(name, &header)?;
        let bind = format!(
            "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>\
             <resource>{resource}</resource></bind></iq>"
        );
        self.send(name, &bind)?;
        if options.contains("sm") {
            self.send(name, "<enable xmlns='urn:xmpp:sm:3' resume='true'/>")?;
            let enabled = self.client(name)?.received.back().cloned().unwrap_or_default();
            let element =
                Element::parse(enabled.as_bytes(), &StreamNs::client()).map_err(|e| e.to_string())?;
            let id = element.attr("id").ok_or("stream management was not enabled")?.to_owned();
            self.names.insert(format!("{name}-sm"), id);
        }
        self.client(name)?.received.clear();
        Ok(())
    }

    fn send(&mut self, name: &str, xml: &str) -> Result<(), String> {
        if !self.client(name)?.open {
            return Err(format!("{name} is not connected"));
        }
        for bytes in xml.as_bytes().chunks(self.cut) {
            let client = self.client(name)?;
            if !client.open {
                break;
            }
            let (worker, conn) = (client.worker, client.conn);
            self.input(worker, Input::Received { conn, bytes });
        }
        Ok(())
    }

    fn command(&mut self, command: Command) {
        for worker in 0..self.engines.len() {
            self.input(worker, Input::Command(command.clone()));
        }
    }

    fn wait(&mut self, ms: u64) {
        let end = self.now.mono + Span::millis(ms);
        loop {
            let next = self.engines.iter().filter_map(|e| e.poll_timeout()).map(|t| t.0).min();
            let at = next.filter(|at| *at <= end).unwrap_or(end).max(self.now.mono);
            let passed = at.since(self.now.mono);
            self.now.mono = at;
            self.now.utc.0 += passed.as_millis() as i64;
            for worker in 0..self.engines.len() {
                self.input(worker, Input::Tick);
            }
            if at >= end && next.is_none_or(|n| n > end) {
                break;
            }
        }
    }

    fn input(&mut self, worker: usize, input: Input<'_>) {
        self.engines[worker].handle(self.now, input);
        while (0..self.engines.len()).any(|w| self.turn(w)) {}
    }

    /// Carries out what one engine wants; says whether there was anything.
    fn turn(&mut self, worker: usize) -> bool {
        let mut busy = false;
        while let Some(conn) = self.engines[worker].poll_dirty() {
            if self.clients.values().any(|c| c.conn == conn && c.worker == worker && c.stalled) {
                self.engines[worker].sent(self.now, conn, 0);
                continue;
            }
            busy = true;
            let mut slices: [&[u8]; 64] = [&[]; 64];
            let n = self.engines[worker].outgoing(conn, &mut slices);
            let bytes = slices[..n].concat();
            if let Some(client) = self.clients.values_mut().find(|c| c.conn == conn && c.worker == worker) {
                client.take(&bytes);
            }
            self.engines[worker].sent(self.now, conn, bytes.len());
        }
        while let Some(output) = self.engines[worker].poll_output() {
            busy = true;
            match output {
                Output::Store { id, op } => {
                    if let Some(result) = self.props.store(&op) {
                        self.engines[worker].handle(self.now, Input::Stored { id, result });
                    }
                }
                Output::Account { id, op } => {
                    let result = self.props.check(&op);
                    self.engines[worker].handle(self.now, Input::Account { id, result });
                }
                Output::Close { conn } => {
                    if let Some(client) =
                        self.clients.values_mut().find(|c| c.conn == conn && c.worker == worker)
                    {
                        client.open = false;
                    }
                }
                Output::Mail { worker: to, mut batch } => {
                    let from = WorkerId(worker as u16);
                    self.engines[usize::from(to.0)].handle(self.now, Input::Mail { from, batch: &mut batch });
                }
                Output::HandOver { conn, worker: to } => {
                    let state = self.engines[worker].take(conn).expect("nothing came between");
                    let to = usize::from(to.0);
                    if let Some(client) =
                        self.clients.values_mut().find(|c| c.conn == conn && c.worker == worker)
                    {
                        client.worker = to;
                    }
                    self.engines[to].handle(self.now, Input::Adopt { conn, state });
                }
                Output::Stopped => self.stopped += 1,
                Output::StartTls { .. } | Output::Reading { .. } | Output::Event(_) => {}
                Output::Cluster(_) => unreachable!("the node is alone"),
            }
        }
        busy
    }
}

impl Client {
    fn take(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match self.framer.push(bytes).expect("the server writes XML") {
                Step::Need => {
                    self.partial.extend_from_slice(bytes);
                    return;
                }
                Step::Frame { kind, end } => {
                    self.partial.extend_from_slice(&bytes[..end]);
                    bytes = &bytes[end..];
                    let text = String::from_utf8(std::mem::take(&mut self.partial))
                        .expect("the server writes UTF-8");
                    match kind {
                        FrameKind::Space => {}
                        FrameKind::Header => self.received.push_back("<stream>".into()),
                        FrameKind::End => self.received.push_back("</stream>".into()),
                        FrameKind::Element => {
                            // After these, the next thing is a new stream.
                            if text.starts_with("<success") || text.starts_with("<proceed") {
                                self.framer.restart();
                            }
                            self.received.push_back(text);
                        }
                    }
                }
            }
        }
    }
}

fn domain(name: &str) -> Domain {
    Domain { plaintext: true, ..Domain::new(name) }
}
