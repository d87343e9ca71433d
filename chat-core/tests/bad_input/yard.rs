//! The yard: one engine in virtual time, and clients that speak raw bytes and do what clients should not.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr};

use base64::Engine as _;
use chat_core::base::{ConnId, HashKey, Key, Limits, Mono, Now, Span, Utc};
use chat_core::effect::{Domain, Output, Settings};
use chat_core::engine::{Command, Engine, Input};
use chat_core::session::Listener;
use chat_core::xml::{FrameKind, Framer, Step};

use crate::meter::{Mark, aside};
use crate::shop::Shop;

pub const HEADER: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' \
    xmlns:stream='http://etherx.jabber.org/streams' to='localhost' version='1.0'>";

/// Frames that a client remembers.
const FRAMES_KEPT: usize = 2_000;

/// Bytes of one read of the driver (docs/ARCHITECTURE.md: one scratch of 64 KiB).
pub const READ: usize = 64 * 1024;

/// One client.
pub struct Client {
    conn: ConnId,
    /// The connection is there.
    pub open: bool,
    /// The server said that it is over.
    closed: bool,
    /// The driver reads from it.
    pub reading: bool,
    /// It reads what the server sends.
    pub listens: bool,
    /// It answers nothing, not even pings.
    pub mute: bool,
    /// It acknowledges, under stream management, whatever it gets.
    pub acks: bool,
    framer: Framer,
    partial: Vec<u8>,
    frames: VecDeque<String>,
    /// The `id` of each message received that is no error, in order.
    pub messages: Vec<u64>,
    /// The `id` of each message that came back as an error.
    pub bounced: Vec<u64>,
    /// Stanza errors by their condition.
    pub errors: BTreeMap<String, u64>,
    /// The highest `h` it was told.
    pub h: u32,
    handled: u32,
    owes: bool,
    /// Bytes received.
    pub bytes: u64,
    /// TLS was to start.
    pub starttls: bool,
}

/// What became of a flood.
#[derive(Debug, Clone, Copy)]
pub struct Poured {
    /// Bytes that the server took.
    pub taken: u64,
    /// How often reading had paused.
    pub pauses: u64,
    /// Virtual time that passed.
    pub time: Span,
    /// The most that the engine held beyond what it held before.
    pub peak: u64,
}

/// The yard.
pub struct Yard {
    engine: Engine,
    pub shop: Shop,
    pub clients: Vec<Client>,
    pub now: Now,
}

impl Yard {
    pub fn new() -> Self {
        Yard::with(|_| {})
    }

    /// With other settings. The rate is off unless the test is about it: floods arrive as fast as they can.
    pub fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let domain = Domain { plaintext: true, ..Domain::new("localhost") };
        let mut settings = Settings::new(vec![domain], HashKey { k0: 1, k1: 2 }, [7; 16]);
        settings.limits.rate_bytes_per_second = 0;
        change(&mut settings);
        let extensions = chat_core::xep::standard(&settings);
        Yard {
            engine: Engine::new(settings, [3; 32], extensions),
            shop: Shop::new(),
            clients: Vec::new(),
            now: Now { mono: Mono(1_000_000_000), utc: Utc(1_780_000_000_000) },
        }
    }

    pub fn limits(&self) -> Limits {
        self.engine.settings().limits.clone()
    }

    pub fn census(&self) -> chat_core::engine::Census {
        self.engine.census()
    }

    // ---- clients ----

    pub fn connect(&mut self) -> usize {
        self.connect_from(IpAddr::V4(Ipv4Addr::LOCALHOST))
    }

    pub fn connect_from(&mut self, peer: IpAddr) -> usize {
        let index = self.clients.len();
        let conn = ConnId(Key { index: index as u32, generation: 1 });
        let client = Client {
            conn,
            open: true,
            closed: false,
            reading: true,
            listens: true,
            mute: false,
            acks: false,
            framer: Framer::default(),
            partial: Vec::new(),
            frames: VecDeque::new(),
            messages: Vec::new(),
            bounced: Vec::new(),
            errors: BTreeMap::new(),
            h: 0,
            handled: 0,
            owes: false,
            bytes: 0,
            starttls: false,
        };
        aside(|| self.clients.push(client));
        self.input(Input::Accepted { conn, listener: Listener::Clients, peer });
        index
    }

    /// A connection whose stream is open, not authenticated.
    pub fn opened(&mut self) -> usize {
        let c = self.connect();
        self.send(c, HEADER);
        self.forget(c);
        c
    }

    /// A connection that is authenticated, with the new stream open and no resource.
    pub fn authenticated(&mut self, user: &str) -> usize {
        let c = self.opened();
        self.send(c, &plain(user, "secret"));
        self.clients[c].framer.restart();
        self.send(c, HEADER);
        self.forget(c);
        c
    }

    /// A client with a resource. The account is made if there is none.
    pub fn login(&mut self, user: &str, resource: &str) -> usize {
        self.shop.account(user);
        let c = self.authenticated(user);
        self.send(c, &bind(resource));
        assert!(self.take(c).contains("<bind"), "{user} got no resource");
        c
    }

    /// The same with stream management; returns the id of the session, too.
    pub fn login_sm(&mut self, user: &str, resource: &str) -> (usize, String) {
        let c = self.login(user, resource);
        self.send(c, "<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
        let enabled = self.take(c);
        let id = enabled.split("id='").nth(1).and_then(|r| r.split('\'').next()).expect("an id").to_owned();
        (c, id)
    }

    /// Initial presence; whatever comes with it is forgotten.
    pub fn available(&mut self, c: usize) {
        self.send(c, "<presence/>");
        self.forget(c);
    }

    /// Everything received and not taken yet, as text.
    pub fn take(&mut self, c: usize) -> String {
        self.clients[c].frames.drain(..).collect()
    }

    pub fn forget(&mut self, c: usize) {
        aside(|| self.clients[c].frames.clear());
    }

    /// Sends, whether or not the driver would read; in one read.
    pub fn send(&mut self, c: usize, xml: &str) {
        self.send_bytes(c, xml.as_bytes());
    }

    pub fn send_bytes(&mut self, c: usize, bytes: &[u8]) {
        let conn = self.clients[c].conn;
        if self.clients[c].open {
            self.input(Input::Received { conn, bytes });
        }
    }

    /// Asserts that the stream was ended by exactly this error, and that the connection was closed.
    pub fn assert_ended(&mut self, c: usize, condition: &str, what: &str) {
        let got = self.take(c);
        let wanted = format!("<stream:error><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>");
        assert!(got.contains(&wanted), "{what}: no <{condition}/>: {got}");
        assert_eq!(got.matches("<stream:error>").count(), 1, "{what}: {got}");
        assert!(got.ends_with("</stream:error></stream:stream>"), "{what}: {got}");
        assert!(!self.clients[c].open, "{what}: the connection is open");
    }

    /// The connection breaks.
    pub fn cut(&mut self, c: usize) {
        self.clients[c].open = false;
        let conn = self.clients[c].conn;
        self.input(Input::Closed { conn });
    }

    pub fn command(&mut self, command: Command) {
        self.input(Input::Command(command));
    }

    // ---- floods ----

    /// Offers `total` bytes, made by `fill`, as a driver would read them: not while reading is paused. Ends early if
    /// the connection does.
    pub fn pour(&mut self, c: usize, total: u64, mut fill: impl FnMut(&mut Vec<u8>)) -> Poured {
        let (began, mark) = (self.now.mono, Mark::here());
        let (mut taken, mut pauses) = (0, 0);
        let mut chunk = aside(|| Vec::with_capacity(2 * READ));
        'flood: while taken < total {
            aside(|| {
                chunk.clear();
                while chunk.len() < READ / 4 {
                    fill(&mut chunk);
                }
            });
            for read in chunk.chunks(READ) {
                if !self.clients[c].reading {
                    pauses += 1;
                }
                while self.clients[c].open && !self.clients[c].reading {
                    assert!(self.step(), "reading is paused, and nothing will ever change that");
                }
                if !self.clients[c].open {
                    break 'flood;
                }
                self.send_bytes(c, read);
                taken += read.len() as u64;
            }
        }
        aside(|| drop(chunk));
        Poured { taken, pauses, time: self.now.mono.since(began), peak: mark.peak() }
    }

    /// The same with one pattern, over and over.
    pub fn pour_repeated(&mut self, c: usize, total: u64, pattern: &str) -> Poured {
        self.pour(c, total, |out| out.extend_from_slice(pattern.as_bytes()))
    }

    // ---- time ----

    pub fn pass(&mut self, span: Span) {
        let end = self.now.mono + span;
        loop {
            let next = self.engine.poll_timeout().map(|t| t.0);
            self.advance(next.filter(|at| *at <= end).unwrap_or(end));
            if self.now.mono >= end && self.engine.poll_timeout().is_none_or(|n| n.0 > end) {
                return;
            }
        }
    }

    /// So much time and some seconds more.
    pub fn pass_beyond(&mut self, span: Span, seconds: u64) {
        self.pass(span);
        self.pass(Span::secs(seconds));
    }

    /// To the engine's next deadline; false if there is none.
    pub fn step(&mut self) -> bool {
        let Some((at, _)) = self.engine.poll_timeout() else { return false };
        self.advance(at);
        true
    }

    fn advance(&mut self, to: Mono) {
        let to = to.max(self.now.mono);
        self.now.utc.0 += to.since(self.now.mono).as_millis() as i64;
        self.now.mono = to;
        self.input(Input::Tick);
    }

    // ---- the driver ----

    fn input(&mut self, input: Input<'_>) {
        self.engine.handle(self.now, input);
        self.settle();
    }

    fn settle(&mut self) {
        while self.turn() {}
    }

    fn turn(&mut self) -> bool {
        let mut busy = false;
        while let Some(conn) = self.engine.poll_dirty() {
            busy = true;
            while self.flush(conn) {}
        }
        while let Some(output) = self.engine.poll_output() {
            busy = true;
            match output {
                Output::Store { id, op } => {
                    if let Some(result) = self.shop.store(&op) {
                        self.engine.handle(self.now, Input::Stored { id, result });
                    }
                }
                Output::Account { id, op } => {
                    let result = self.shop.check(&op);
                    self.engine.handle(self.now, Input::Account { id, result });
                }
                Output::Close { conn } => {
                    let client = &mut self.clients[conn.0.index as usize];
                    client.open = false;
                    assert!(!std::mem::replace(&mut client.closed, true), "closed twice");
                }
                Output::Reading { conn, on } => self.clients[conn.0.index as usize].reading = on,
                Output::StartTls { conn } => self.clients[conn.0.index as usize].starttls = true,
                Output::Mail { .. } | Output::HandOver { .. } | Output::Cluster(_) => {
                    panic!("there is one worker")
                }
                Output::Stopped | Output::Event(_) => {}
            }
        }
        self.answer() || busy
    }

    /// Writes what a connection has to send, if its client reads; says whether that was anything.
    fn flush(&mut self, conn: ConnId) -> bool {
        let client = &mut self.clients[conn.0.index as usize];
        let mut slices: [&[u8]; 64] = [&[]; 64];
        let n = self.engine.outgoing(conn, &mut slices);
        let mut sent = 0;
        if client.listens {
            for slice in &slices[..n] {
                sent += slice.len();
                aside(|| client.hear(slice));
            }
        }
        self.engine.sent(self.now, conn, sent);
        sent > 0
    }

    /// What polite clients say unasked: an answer to a ping, an ack.
    fn answer(&mut self) -> bool {
        let Some(c) = self.clients.iter().position(|c| c.owes && c.open) else { return false };
        let client = &mut self.clients[c];
        client.owes = false;
        let (conn, h) = (client.conn, client.handled);
        let bytes = if client.acks { format!("<a xmlns='urn:xmpp:sm:3' h='{h}'/>") } else { " ".to_owned() };
        self.engine.handle(self.now, Input::Received { conn, bytes: bytes.as_bytes() });
        true
    }
}

impl Client {
    fn hear(&mut self, mut bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        while !bytes.is_empty() {
            match self.framer.push(bytes).expect("the server writes XML") {
                Step::Need => return self.partial.extend_from_slice(bytes),
                Step::Frame { kind, end } => {
                    self.partial.extend_from_slice(&bytes[..end]);
                    bytes = &bytes[end..];
                    let frame = std::mem::take(&mut self.partial);
                    self.on_frame(kind, String::from_utf8(frame).expect("the server writes UTF-8"));
                }
            }
        }
    }

    fn on_frame(&mut self, kind: FrameKind, text: String) {
        if kind == FrameKind::Element {
            self.on_element(&text);
        }
        if self.frames.len() < FRAMES_KEPT {
            self.frames.push_back(text);
        }
    }

    fn on_element(&mut self, text: &str) {
        if text.starts_with("<success") || text.starts_with("<proceed") {
            self.framer.restart();
        }
        let stanza = ["<message", "<presence", "<iq"].iter().any(|s| text.starts_with(s));
        self.handled = self.handled.wrapping_add(u32::from(stanza));
        if text.starts_with("<message") {
            let error = text.contains(" type='error'");
            let ids = if error { &mut self.bounced } else { &mut self.messages };
            ids.extend(id_of(text.as_bytes()));
        }
        if stanza && let Some(at) = text.find(" xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'") {
            let name = text[..at].rsplit('<').next().unwrap_or_default().to_owned();
            *self.errors.entry(name).or_default() += 1;
        }
        if let Some(h) = text.strip_prefix("<a xmlns='urn:xmpp:sm:3' h='") {
            self.h = h.split('\'').next().and_then(|h| h.parse().ok()).unwrap_or(self.h);
        }
        let asked = text.starts_with("<r ") || text.contains("urn:xmpp:ping");
        self.owes |= asked && !self.mute;
    }

    /// How often a stanza error came.
    pub fn errors(&self, condition: &str) -> u64 {
        self.errors.get(condition).copied().unwrap_or_default()
    }
}

/// The `id` of a stanza, if it is a number.
pub fn id_of(stanza: &[u8]) -> Option<u64> {
    let head = &stanza[..stanza.iter().position(|b| *b == b'>')?];
    let text = std::str::from_utf8(head).ok()?;
    text.split(" id='").nth(1)?.split('\'').next()?.parse().ok()
}

/// SASL PLAIN with an initial response.
pub fn plain(user: &str, password: &str) -> String {
    let data = base64::engine::general_purpose::STANDARD.encode(format!("\0{user}\0{password}"));
    format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{data}</auth>")
}

/// The request for a resource.
pub fn bind(resource: &str) -> String {
    format!(
        "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>\
         <resource>{resource}</resource></bind></iq>"
    )
}

/// A chat message with a body of so many bytes.
pub fn message(out: &mut Vec<u8>, to: &str, id: u64, body: usize) {
    out.extend_from_slice(format!("<message type='chat' to='{to}' id='{id}'><body>").as_bytes());
    out.resize(out.len() + body, b'x');
    out.extend_from_slice(b"</body></message>");
}
