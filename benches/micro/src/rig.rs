//! The rig: engines in memory with clients that are logged in, and nothing around them that costs anything.
//!
//! Owns: engines, their clients as numbers, and a store that knows everybody. In: what clients send. Out: how many
//! bytes they received.
//! Not here: what is measured on it (`work`).
//!
//! What drives the engines here neither allocates nor looks at bytes once clients are logged in, so that whoever counts
//! allocations or instructions counts the engine's. Time is virtual.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chat_core::base::{ConnId, HashKey, Key, Mono, Now, Span, Utc, WorkerId};
use chat_core::effect::{AccountDone, Domain, Loaded, Output, Settings, StoreDone, StoreOp, StoreResult};
use chat_core::engine::{Census, Engine, Input};
use chat_core::session::Listener;
use chat_core::user::roster::{Groups, Item, Roster, RosterMax};
use chat_core::user::subscription::Subscription;

const HEADER: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' \
    xmlns:stream='http://etherx.jabber.org/streams' to='localhost' version='1.0'>";

/// Clients of whom it is counted what they receive: the first. A count for each of a million would be memory that no
/// cache has, touched for each message, and none of the engine's.
const COUNTED: usize = 4096;

/// Engines and their clients.
pub struct Rig {
    engines: Vec<Engine>,
    /// The worker of each client. With one worker nobody asks, for the same reason.
    workers: Vec<u16>,
    /// Bytes that each of the first clients received.
    received: Vec<u64>,
    /// Bytes that all clients received.
    received_in_all: u64,
    now: Now,
    /// Who is in whose roster, by user; nobody's if there is none.
    roster: fn(&str) -> Vec<String>,
}

impl Rig {
    /// So many engines without clients; room for as many clients as will come.
    pub fn new(workers: u16, clients: usize) -> Rig {
        Rig::with_rosters(workers, clients, |_| Vec::new())
    }

    /// The same with users whose rosters hold these contacts, by the name before the `@`, both seeing each other.
    pub fn with_rosters(workers: u16, clients: usize, roster: fn(&str) -> Vec<String>) -> Rig {
        let domain = Domain { plaintext: true, ..Domain::new("localhost") };
        let mut settings = Settings::new(vec![domain], HashKey { k0: 1, k1: 2 }, [7; 16]);
        settings.workers = workers;
        settings.limits.rate_bytes_per_second = 0;
        let engine = |worker| {
            let settings = Settings { worker: WorkerId(worker), ..settings.clone() };
            let extensions = chat_core::xep::standard(&settings);
            Engine::new(settings, [worker as u8 + 1; 32], extensions)
        };
        Rig {
            engines: (0..workers).map(engine).collect(),
            workers: Vec::with_capacity(clients),
            received: vec![0; clients.min(COUNTED)],
            received_in_all: 0,
            now: Now { mono: Mono(1_000_000_000), utc: Utc(1_780_000_000_000) },
            roster,
        }
    }

    /// A client with a resource; it has not sent presence.
    pub fn login(&mut self, user: &str, resource: &str) -> usize {
        let c = self.workers.len();
        let worker = (c % self.engines.len()) as u16;
        self.workers.push(worker);
        if let Some(received) = self.received.get_mut(c) {
            *received = 0;
        }
        let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let input = Input::Accepted { conn: conn(c), listener: Listener::Clients, peer };
        self.engines[usize::from(worker)].handle(self.now, input);
        self.send(c, HEADER);
        let plain = STANDARD.encode(format!("\0{user}\0secret"));
        self.send(
            c,
            &format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{plain}</auth>"),
        );
        self.send(c, HEADER);
        let before = self.received_in_all;
        self.send(
            c,
            &format!(
                "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>\
                 <resource>{resource}</resource></bind></iq>"
            ),
        );
        assert!(self.received_in_all > before, "{user} got no resource");
        c
    }

    /// The same with initial presence.
    pub fn available(&mut self, user: &str, resource: &str) -> usize {
        let c = self.login(user, resource);
        self.send(c, "<presence/>");
        c
    }

    /// The client manages its stream from here on (XEP-0198).
    pub fn manage(&mut self, c: usize) {
        self.send(c, "<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
    }

    /// The client gets copies (XEP-0280).
    pub fn carbons(&mut self, c: usize) {
        self.send(c, "<iq type='set' id='c'><enable xmlns='urn:xmpp:carbons:2'/></iq>");
    }

    /// The client asks for its roster, as clients do.
    pub fn ask_roster(&mut self, c: usize) {
        self.send(c, "<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>");
    }

    /// A client's connection breaks.
    pub fn cut(&mut self, c: usize) {
        let worker = self.worker(c);
        self.engines[worker].handle(self.now, Input::Closed { conn: conn(c) });
        self.settle();
    }

    /// The last client to come, which is gone, never was: the next gets its place.
    pub fn forget(&mut self, c: usize) {
        assert_eq!(c + 1, self.workers.len(), "only the last client is forgotten");
        self.workers.pop();
    }

    /// A client sends, in one read; everything that follows from it happens.
    pub fn send(&mut self, c: usize, xml: &str) {
        let worker = self.worker(c);
        self.engines[worker].handle(self.now, Input::Received { conn: conn(c), bytes: xml.as_bytes() });
        self.settle();
    }

    /// So much time passes, with a tick at its end.
    pub fn pass(&mut self, span: Span) {
        self.now.mono = self.now.mono + span;
        self.now.utc.0 += span.as_millis() as i64;
        for engine in &mut self.engines {
            if engine.poll_timeout().is_some_and(|(at, _)| at <= self.now.mono) {
                engine.handle(self.now, Input::Tick);
            }
        }
        self.settle();
    }

    /// Bytes that a client has received: one of the first 4,096.
    pub fn received(&self, c: usize) -> u64 {
        self.received[c]
    }

    fn worker(&self, c: usize) -> usize {
        if self.engines.len() == 1 { 0 } else { usize::from(self.workers[c]) }
    }

    /// Of the engine of worker 0.
    pub fn census(&self) -> Census {
        self.engines[0].census()
    }

    /// The worker that is the home of this user.
    pub fn home(&self, user: &str) -> u16 {
        self.engines[0].settings().home(&format!("{user}@localhost")).0
    }

    /// The engines, for whoever drives them from here on, and what time it is.
    pub fn into_engines(self) -> (Vec<Engine>, Now) {
        (self.engines, self.now)
    }

    fn settle(&mut self) {
        while (0..self.engines.len()).any(|worker| self.turn(worker)) {}
    }

    /// Carries out what one engine wants; says whether that was anything.
    fn turn(&mut self, worker: usize) -> bool {
        let mut busy = false;
        while let Some(output) = self.engines[worker].poll_output() {
            busy = true;
            self.carry_out(worker, output);
        }
        while let Some(conn) = self.engines[worker].poll_dirty() {
            busy = true;
            let mut slices: [&[u8]; 16] = [&[]; 16];
            let engine = &mut self.engines[worker];
            let n = engine.outgoing(conn, &mut slices);
            let sent = slices[..n].iter().map(|s| s.len()).sum();
            engine.sent(self.now, conn, sent);
            self.received_in_all += sent as u64;
            if let Some(received) = self.received.get_mut(conn.0.index as usize) {
                *received += sent as u64;
            }
        }
        busy
    }

    fn carry_out(&mut self, worker: usize, output: Output) {
        match output {
            Output::Store { id, op } => {
                let result = self.store(&op);
                self.engines[worker].handle(self.now, Input::Stored { id, result });
            }
            Output::Account { id, .. } => {
                let result = Ok(AccountDone::Accepted);
                self.engines[worker].handle(self.now, Input::Account { id, result });
            }
            Output::HandOver { conn, worker: home } => {
                let state = self.engines[worker].take(conn).expect("nothing came between");
                self.workers[conn.0.index as usize] = home.0;
                self.engines[usize::from(home.0)].handle(self.now, Input::Adopt { conn, state });
            }
            Output::Mail { worker: to, mut batch } => {
                let from = WorkerId(worker as u16);
                self.engines[usize::from(to.0)].handle(self.now, Input::Mail { from, batch: &mut batch });
                self.engines[worker].reuse(batch);
            }
            Output::Close { .. }
            | Output::Reading { .. }
            | Output::StartTls { .. }
            | Output::Stopped
            | Output::Cluster(_)
            | Output::Event(_) => {}
        }
    }

    fn store(&mut self, op: &StoreOp) -> StoreResult {
        match op {
            StoreOp::LoadUser { user } => {
                let contacts = (self.roster)(user.as_str().split('@').next().unwrap_or_default());
                let roster = match contacts.is_empty() {
                    true => Default::default(),
                    false => (1, packed(&contacts)),
                };
                Ok(StoreDone::User(Loaded { exists: true, roster, ..Loaded::default() }))
            }
            StoreOp::SpoolRead { .. } => Ok(StoreDone::Spool(Vec::new())),
            StoreOp::SpoolWaiting { .. } => Ok(StoreDone::Waiting(Vec::new())),
            _ => Ok(StoreDone::Done),
        }
    }
}

/// The connection of a client.
pub fn conn(c: usize) -> ConnId {
    ConnId(Key { index: c as u32, generation: 1 })
}

/// The name of one of many users: of the same length for up to a million of them.
pub fn name(i: usize) -> String {
    format!("user-{i:06}")
}

/// Ten neighbours of a user who has such a name: everybody is in the rosters of those in whose rosters they are.
pub fn neighbours(user: &str) -> Vec<String> {
    let i: usize = user.trim_start_matches("user-").parse().expect("a number");
    let group = i / 11 * 11;
    (group..group + 11).filter(|n| *n != i).map(name).collect()
}

/// A stored roster in which everybody sees everybody.
fn packed(contacts: &[String]) -> Arc<[u8]> {
    let max = RosterMax { items: u32::MAX, requests: 0, bytes: u32::MAX };
    let mut roster = Roster::new();
    roster.set_version(1);
    for contact in contacts {
        let jid = format!("{contact}@localhost");
        let groups = Groups::list(&["Friends"]);
        let item = Item { jid: &jid, name: contact, subscription: Subscription::BOTH, request: b"", groups };
        roster.put(item, max).expect("there is no limit");
    }
    roster.as_bytes().into()
}
