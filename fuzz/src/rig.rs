//! Two engines of one node with a driver around them, which does what a driver may do, in any order.
//!
//! Owns: engines, the connections of a driver, what is on its way between them.
//! Not here: which inputs come (`session`, `inputs`).

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use chat_core::base::{ConnId, HashKey, Key, Mono, Now, RequestId, Span, Utc, WorkerId};
use chat_core::effect::{
    AccountOp, AccountResult, Batch, Domain, Event, Output, Settings, StoreOp, StoreResult, TlsInfo,
};
use chat_core::engine::{Census, Command, Engine, Input};
use chat_core::sasl::client::{Binding, ScramClient};
use chat_core::sasl::{Mechanism, payload};
use chat_core::session::Listener;

use crate::client::Conn;
use crate::shelf::Shelf;

/// The engines and what is between them and the world.
pub(crate) struct Rig {
    pub engines: Vec<Engine>,
    pub shelf: Shelf,
    pub conns: Vec<Conn>,
    pub now: Now,
    /// Requests that are not answered yet, by the engine that asked.
    pub stores: VecDeque<(usize, RequestId, Arc<StoreOp>)>,
    pub accounts: VecDeque<(usize, RequestId, Box<AccountOp>)>,
    /// Batches on their way, in order for each pair.
    mails: BTreeMap<(usize, usize), VecDeque<Batch>>,
    /// Requests and mail wait for [`Rig::settle`].
    pub lazy: bool,
    pub stopped: usize,
    generations: Vec<u32>,
}

pub(crate) const HEADER: &[u8] = b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='x' version='1.0'>";
const ANONYMOUS: &[u8] = b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='y' version='1.0'>";

/// SASL PLAIN for an account of the shelf.
pub(crate) fn plain(user: &str) -> Vec<u8> {
    let data = payload::encode(format!("\0{user}\0p").as_bytes());
    format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{data}</auth>").into_bytes()
}

impl Rig {
    /// Engines with limits so small that a fuzzer reaches them.
    pub fn new(workers: u16, change: impl FnOnce(&mut Settings)) -> Self {
        let domain = Domain { plaintext: true, registration: true, ..Domain::new("x") };
        let mut anonymous = Domain { plaintext: true, ephemeral: true, ..Domain::new("y") };
        anonymous.mechanisms = vec![Mechanism::Anonymous];
        let mut settings = Settings::new(vec![domain, anonymous], HashKey { k0: 1, k1: 2 }, [7; 16]);
        settings.workers = workers;
        let limits = &mut settings.limits;
        limits.stanza_bytes_max = 2_048;
        limits.stanza_bytes_unauthenticated_max = 1_024;
        limits.outbox_bytes_max = 6_000;
        limits.rate_bytes_per_second = 1_000;
        limits.resources_per_user_max = 3;
        limits.roster_items_max = 4;
        limits.roster_requests_max = 2;
        limits.roster_bytes_max = 2_000;
        limits.blocked_max = 3;
        limits.spool_messages_per_user_max = 4;
        limits.unacked_stanzas_max = 8;
        limits.unacked_bytes_max = 4_000;
        limits.unsettled_stanzas_max = 4;
        limits.unsettled_bytes_max = 1_000;
        limits.loading_stanzas_max = 3;
        limits.loading_bytes_max = 1_500;
        limits.users_cached_max = 2;
        limits.storing_bytes_max = 2_000;
        limits.directed_presence_max = 2;
        limits.csi_stanzas_max = 3;
        limits.csi_bytes_max = 500;
        change(&mut settings);
        let engines = (0..workers).map(|w| {
            let settings = Settings { worker: WorkerId(w), ..settings.clone() };
            let extensions = chat_core::xep::standard(&settings);
            Engine::new(settings, [w as u8; 32], extensions)
        });
        Rig {
            engines: engines.collect(),
            shelf: Shelf::new(),
            conns: Vec::new(),
            now: Now { mono: Mono(1_000_000_000), utc: Utc(1_780_000_000_000) },
            stores: VecDeque::new(),
            accounts: VecDeque::new(),
            mails: BTreeMap::new(),
            lazy: false,
            stopped: 0,
            generations: Vec::new(),
        }
    }

    // ---- what may happen ----

    /// A new connection. Ids are used again, as soon as they are free.
    pub fn accept(&mut self, worker: usize, listener: Listener, peer: u8) -> usize {
        let id = self.new_id();
        self.conns.push(Conn::new(worker, id, listener == Listener::ClientsTls));
        let peer = IpAddr::V4(Ipv4Addr::new(192, 0, 2, peer));
        self.input(worker, Input::Accepted { conn: id, listener, peer });
        self.conns.len() - 1
    }

    fn new_id(&mut self) -> ConnId {
        let used = |index| self.conns.iter().any(|c| c.id.0.index == index && !c.gone);
        let index = (0..).find(|i| !used(*i)).expect("there are enough numbers");
        if self.generations.len() <= index as usize {
            self.generations.push(0);
        }
        let generation = &mut self.generations[index as usize];
        *generation += 1;
        ConnId(Key { index, generation: *generation })
    }

    /// Bytes from a client, as far as the driver reads them.
    pub fn receive(&mut self, c: usize, bytes: &[u8]) {
        let (worker, conn, gone) = (self.conns[c].worker, self.conns[c].id, self.conns[c].gone);
        if !gone && self.conns[c].reading {
            self.input(worker, Input::Received { conn, bytes });
        }
    }

    pub fn secure(&mut self, c: usize, tls: TlsInfo) {
        let (worker, conn, gone) = (self.conns[c].worker, self.conns[c].id, self.conns[c].gone);
        if !gone {
            // Elsewhere it means nothing.
            if std::mem::take(&mut self.conns[c].secures) {
                self.conns[c].framer.restart();
            }
            // Who has the certificate is who it names.
            self.shelf.admitted.extend(tls.client_addresses.iter().cloned());
            self.input(worker, Input::Secured { conn, tls });
        }
    }

    /// The connection breaks.
    pub fn cut(&mut self, c: usize) {
        let (worker, conn) = (self.conns[c].worker, self.conns[c].id);
        if !self.conns[c].gone {
            self.input(worker, Input::Closed { conn });
            assert!(self.conns[c].gone, "a connection that is gone is closed");
        }
    }

    pub fn command(&mut self, command: &Command) {
        for worker in 0..self.engines.len() {
            self.input(worker, Input::Command(command.clone()));
        }
    }

    pub fn pass(&mut self, span: Span) {
        self.now.mono = self.now.mono + span;
        self.now.utc.0 += span.as_millis() as i64;
        for worker in 0..self.engines.len() {
            self.input(worker, Input::Tick);
        }
    }

    /// Answers a request, not necessarily in a way that makes sense.
    pub fn stored(&mut self, worker: usize, id: RequestId, result: StoreResult) {
        self.input(worker, Input::Stored { id, result });
    }

    pub fn checked(&mut self, worker: usize, id: RequestId, result: AccountResult) {
        self.input(worker, Input::Account { id, result });
    }

    /// Carries the oldest batch of a pair; whether there was one.
    pub fn carry(&mut self, from: usize, to: usize) -> bool {
        let Some(mut batch) = self.mails.get_mut(&(from, to)).and_then(VecDeque::pop_front) else {
            return false;
        };
        self.input(to, Input::Mail { from: WorkerId(from as u16), batch: &mut batch });
        true
    }

    /// Logs in an account of the shelf, with everything answered at once.
    pub fn login(&mut self, c: usize, user: &'static str, resource: &str, sm: bool) {
        self.authenticate(c, HEADER, &plain(user));
        self.conns[c].user = Some(user);
        self.bind(c, HEADER, resource, sm);
    }

    /// The same without showing the password; each proves to the other that it knows it.
    pub fn login_scram(&mut self, c: usize, user: &'static str, resource: &str, sm: bool) {
        let mut client = ScramClient::new(Mechanism::ScramSha256, user, "p", Binding::Unsupported, [5; 24])
            .expect("it is a mechanism for which there are clients");
        let auth = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-256'>";
        let first = payload::encode(&client.first());
        self.authenticate(c, HEADER, format!("{auth}{first}</auth>").as_bytes());
        // The server may not want to, and the client may not read.
        let Some(Ok(proof)) = self.conns[c].said.take().map(|challenge| client.respond(&challenge)) else {
            return;
        };
        let proof = payload::encode(&proof);
        let response = "<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>";
        self.receive(c, format!("{response}{proof}</response>").as_bytes());
        let Some(answer) = self.conns[c].said.take() else { return };
        assert_eq!(client.finish(&answer), Ok(()), "the server knows the password, too");
        self.conns[c].user = Some(user);
        self.bind(c, HEADER, resource, sm);
    }

    /// The same for somebody of the domain where everybody is new.
    pub fn login_anonymous(&mut self, c: usize, resource: &str, sm: bool) {
        let auth = b"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='ANONYMOUS'/>";
        self.authenticate(c, ANONYMOUS, auth);
        self.bind(c, ANONYMOUS, resource, sm);
    }

    fn authenticate(&mut self, c: usize, header: &[u8], auth: &[u8]) {
        let lazy = std::mem::replace(&mut self.lazy, false);
        self.settle();
        self.receive(c, header);
        self.receive(c, auth);
        self.lazy = lazy;
    }

    fn bind(&mut self, c: usize, header: &[u8], resource: &str, sm: bool) {
        let lazy = std::mem::replace(&mut self.lazy, false);
        let bind = format!(
            "<iq type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>{resource}</resource></bind></iq>"
        );
        self.receive(c, header);
        self.receive(c, bind.as_bytes());
        if sm {
            self.receive(c, b"<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
        }
        self.lazy = lazy;
    }

    /// Acknowledges what the client got, but for the last `less`.
    pub fn acknowledge(&mut self, c: usize, less: u32) {
        if let Some(sm) = &self.conns[c].sm {
            let h = sm.heard.wrapping_sub(less);
            self.receive(c, format!("<a xmlns='urn:xmpp:sm:3' h='{h}'/>").as_bytes());
        }
    }

    /// Goes on with the session of `c`, whether that has ended or not, on a new connection; the last `less` stanzas were
    /// lost. Returns the connection.
    pub fn resume(&mut self, c: usize, worker: usize, less: u32) -> Option<usize> {
        let (user, mut sm) = (self.conns[c].user?, self.conns[c].sm.clone()?);
        let new = self.accept(worker, Listener::Clients, 1);
        self.authenticate(new, HEADER, &plain(user));
        sm.heard = sm.heard.wrapping_sub(less);
        let resume = format!("<resume xmlns='urn:xmpp:sm:3' previd='{}' h='{}'/>", sm.id, sm.heard);
        (self.conns[new].user, self.conns[new].resuming) = (Some(user), Some(sm));
        self.receive(new, HEADER);
        self.receive(new, resume.as_bytes());
        Some(new)
    }

    /// Everything that waits is answered and carried.
    pub fn settle(&mut self) {
        loop {
            if let Some((worker, id, op)) = self.stores.pop_front() {
                let result = self.shelf.store(&op);
                self.stored(worker, id, result);
            } else if let Some((worker, id, op)) = self.accounts.pop_front() {
                let result = self.shelf.check(&op);
                self.checked(worker, id, result);
            } else {
                let pairs: Vec<_> = self.mails.keys().copied().collect();
                if !pairs.into_iter().any(|(from, to)| self.carry(from, to)) {
                    return;
                }
            }
        }
    }

    // ---- the driver ----

    fn input(&mut self, worker: usize, input: Input<'_>) {
        self.engines[worker].handle(self.now, input);
        self.turn(worker);
        if !self.lazy {
            self.settle();
        }
        #[cfg(feature = "sim")]
        for engine in &self.engines {
            engine.audit().unwrap_or_else(|what| panic!("over a limit: {what}"));
        }
    }

    fn turn(&mut self, worker: usize) {
        loop {
            let mut busy = false;
            while let Some(conn) = self.engines[worker].poll_dirty() {
                busy = true;
                self.flush(worker, conn);
            }
            while let Some(output) = self.engines[worker].poll_output() {
                busy = true;
                self.on_output(worker, output);
            }
            if !busy {
                return;
            }
        }
    }

    fn find(&mut self, worker: usize, id: ConnId) -> &mut Conn {
        let found = self.conns.iter_mut().find(|c| c.worker == worker && c.id == id && !c.gone);
        found.unwrap_or_else(|| panic!("{id:?} on worker {worker} is gone, or never was"))
    }

    /// Writes what a connection has to send, if its client reads.
    pub fn flush(&mut self, worker: usize, id: ConnId) {
        loop {
            let mut slices: [&[u8]; 8] = [&[]; 8];
            let n = self.engines[worker].outgoing(id, &mut slices);
            let bytes = slices[..n].concat();
            let client = self.find(worker, id);
            let sent = if client.listens { bytes.len() } else { 0 };
            client.hear(&bytes[..sent]);
            self.engines[worker].sent(self.now, id, sent);
            if sent == 0 || self.engines[worker].outgoing(id, &mut [&[]]) == 0 {
                return;
            }
        }
    }

    /// Sends so many bytes at most, as a slow connection would.
    pub fn trickle(&mut self, c: usize, n: usize) {
        let (worker, id, gone) = (self.conns[c].worker, self.conns[c].id, self.conns[c].gone);
        if gone {
            return;
        }
        let mut slices: [&[u8]; 8] = [&[]; 8];
        let filled = self.engines[worker].outgoing(id, &mut slices);
        let mut bytes = slices[..filled].concat();
        bytes.truncate(n);
        self.conns[c].hear(&bytes);
        self.engines[worker].sent(self.now, id, bytes.len());
        self.turn(worker);
    }

    fn on_output(&mut self, worker: usize, output: Output) {
        match output {
            Output::Close { conn } => self.find(worker, conn).gone = true,
            Output::Reading { conn, on } => self.find(worker, conn).reading = on,
            Output::StartTls { conn } => self.find(worker, conn).secures = true,
            Output::HandOver { conn, worker: to } => {
                let state = self.engines[worker].take(conn).expect("nothing came between");
                self.find(worker, conn).gone = true;
                let id = self.new_id();
                let to = usize::from(to.0);
                let c =
                    self.conns.iter().position(|c| c.worker == worker && c.id == conn).expect("it was found");
                let client = &mut self.conns[c];
                (client.worker, client.id, client.gone, client.reading) = (to, id, false, true);
                self.input(to, Input::Adopt { conn: id, state });
            }
            Output::Store { id, op } => {
                // A request that is repeated is still the same one.
                if !self.stores.iter().any(|(w, i, _)| (*w, *i) == (worker, id)) {
                    self.stores.push_back((worker, id, op));
                }
            }
            Output::Account { id, op } => self.accounts.push_back((worker, id, op)),
            Output::Mail { worker: to, batch } => {
                self.mails.entry((worker, usize::from(to.0))).or_default().push_back(batch);
            }
            Output::Cluster(_) => unreachable!("the node is alone"),
            Output::Event(event) => self.on_event(&event),
            Output::Stopped => self.stopped += 1,
        }
    }

    fn on_event(&self, event: &Event) {
        if let Event::Bound { jid, .. } | Event::Resumed { jid } = event {
            let bare = jid.to_bare().to_string();
            assert!(jid.domain() == "y" || self.shelf.admitted.contains(&bare), "{bare} never logged in");
        }
    }

    // ---- the end ----

    /// Everything is answered, all connections break, and the longest timeouts pass: nothing is left.
    pub fn finish(&mut self) {
        self.lazy = false;
        self.settle();
        for c in 0..self.conns.len() {
            self.cut(c);
        }
        for _ in 0..4 {
            self.settle();
            self.pass(Span::secs(700));
        }
        for (worker, engine) in self.engines.iter().enumerate() {
            assert_eq!(engine.census(), Census::default(), "worker {worker}");
        }
    }
}
