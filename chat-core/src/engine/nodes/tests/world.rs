//! A few nodes in one thread, with perfect pipes between them in place of agents, one store, and clients that write XML.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr};

use crate::base::{ConnId, HashKey, Key, Mono, NodeId, Now, Span, Utc, WorkerId};
use crate::effect::{
    AccountDone, Change, Domain, NodeMail, NodeTold, Output, ReferenceStore, Settings, StoreError, StoreOp,
};
use crate::engine::{Command, Engine, Input};
use crate::sasl::payload;
use crate::session::Listener;
use crate::xml::Framer;

use super::client::{Client, body};

/// One life of a node.
pub struct Node {
    pub engines: Vec<Engine>,
    /// What its agent would keep, to tell nodes that come later.
    own: BTreeMap<(String, String), NodeMail>,
    /// How it counts the others.
    pub numbers: BTreeMap<usize, NodeId>,
    next_number: u16,
}

type Pipe = VecDeque<NodeMail>;

pub struct World {
    pub nodes: Vec<Option<Node>>,
    pub clients: Vec<Client>,
    pub store: ReferenceStore,
    /// The store fails.
    pub down: bool,
    /// Writes into spools are carried out some time later.
    pub slow: bool,
    /// Rows of spools are read some time later.
    pub stuck_reads: bool,
    late: VecDeque<(usize, usize, crate::base::RequestId, std::sync::Arc<StoreOp>)>,
    pub now: Now,
    pipes: BTreeMap<(usize, usize), Pipe>,
    /// Pipes that carry nothing for now.
    pub held: Vec<(usize, usize)>,
    /// Pipes that lose what they are told of sessions.
    pub muted: Vec<(usize, usize)>,
    /// What nodes say to each other and to the store is said aloud, for one who looks for a reason.
    pub loud: bool,
    /// How many stanzas went from node to node.
    pub parcels: usize,
    /// The newest version of the protocol between nodes that each speaks from its next link on.
    pub versions: Vec<u16>,
    settings: Settings,
    lives: u8,
    conns: u32,
}

impl World {
    /// Nodes of so many workers each.
    pub fn new(workers: &[u16]) -> World {
        World::with(workers, |_| {})
    }

    /// The same, with other settings.
    pub fn with(workers: &[u16], change: impl FnOnce(&mut Settings)) -> World {
        let domain = |name| Domain { plaintext: true, ..Domain::new(name) };
        let mut settings = Settings::new(vec![domain("h")], HashKey { k0: 1, k1: 2 }, [7; 16]);
        settings.limits.rate_bytes_per_second = 0;
        change(&mut settings);
        let mut world = World {
            nodes: Vec::new(),
            clients: Vec::new(),
            store: ReferenceStore::new(),
            down: false,
            slow: false,
            stuck_reads: false,
            late: VecDeque::new(),
            now: Now { mono: Mono(1_000_000_000), utc: Utc(1_780_000_000_000) },
            pipes: BTreeMap::new(),
            held: Vec::new(),
            muted: Vec::new(),
            loud: false,
            parcels: 0,
            versions: vec![2; workers.len()],
            settings,
            lives: 0,
            conns: 0,
        };
        world.nodes.resize_with(workers.len(), || None);
        for (i, workers) in workers.iter().enumerate() {
            world.start(i, *workers);
        }
        // What each has to do because the others have come.
        world.wait(1_500);
        world
    }

    /// A node begins to live; the others and it are told of each other.
    pub fn start(&mut self, i: usize, workers: u16) {
        self.lives += 1;
        let engine = |w| {
            let key = HashKey { k0: i as u64, k1: 9 };
            let (worker, cluster) = (WorkerId(w), Some(format!("chat@n{i}")));
            let settings = Settings { worker, workers, home_key: key, cluster, ..self.settings.clone() };
            let extensions = crate::xep::standard(&settings);
            Engine::new(settings, [self.lives.wrapping_mul(8) + w as u8; 32], extensions)
        };
        let engines = (0..workers).map(engine).collect();
        let (own, numbers) = (BTreeMap::new(), BTreeMap::new());
        self.nodes[i] = Some(Node { engines, own, numbers, next_number: 1 });
        for other in (0..self.nodes.len()).filter(|o| *o != i && self.nodes[*o].is_some()).collect::<Vec<_>>()
        {
            self.link(i, other);
        }
        self.settle();
    }

    /// Two nodes begin to see each other.
    pub fn link(&mut self, a: usize, b: usize) {
        for (me, other) in [(a, b), (b, a)] {
            let node = self.nodes[me].as_mut().expect("it lives");
            let number = NodeId(node.next_number);
            node.next_number += 1;
            node.numbers.insert(other, number);
            self.pipes.insert((me, other), Pipe::new());
            let name = format!("chat@n{other}");
            let version = self.versions[me].min(self.versions[other]);
            self.tell_all(me, &NodeTold::Up { node: number, name: &name, version });
        }
        for (me, other) in [(a, b), (b, a)] {
            let mut own: Vec<NodeMail> = self.node(me).own.values().cloned().collect();
            let mut whole = NodeMail::default();
            whole.put(&NodeTold::Whole { node: NodeId(0) });
            own.push(whole);
            self.pipes.entry((me, other)).or_default().extend(own);
        }
    }

    /// Two nodes do not see each other any more: what was on its way is lost.
    pub fn unlink(&mut self, a: usize, b: usize) {
        for (me, other) in [(a, b), (b, a)] {
            self.pipes.remove(&(me, other));
            self.held.retain(|pipe| *pipe != (me, other));
            let Some(node) = self.nodes[me].as_mut() else { continue };
            if let Some(number) = node.numbers.remove(&other) {
                self.tell_all(me, &NodeTold::Down { node: number });
            }
        }
        self.settle();
    }

    /// The link between two nodes starts over: what was on its way is lost, and both are told anew who is where.
    pub fn relink(&mut self, a: usize, b: usize) {
        for (me, other) in [(a, b), (b, a)] {
            self.held.retain(|pipe| *pipe != (me, other));
            let number = self.node(me).numbers[&other];
            self.pipes.remove(&(me, other));
            self.tell_all(me, &NodeTold::Down { node: number });
        }
        self.link(a, b);
        self.settle();
    }

    /// Stanzas that are on their way from one node to another are lost, and only they.
    pub fn lose_parcels(&mut self, from: usize, to: usize) {
        if let Some(pipe) = self.pipes.get_mut(&(from, to)) {
            pipe.retain(|mail| !mail.iter().any(|told| matches!(told, NodeTold::Parcel { .. })));
        }
    }

    /// A node is told to stop.
    pub fn shut_down(&mut self, i: usize) {
        self.command(i, &Command::Shutdown);
    }

    /// A node hears that another one takes sessions, or takes none.
    pub fn takes(&mut self, i: usize, other: usize, takes: bool) {
        let node = self.node(i).numbers[&other];
        self.tell_all(i, &NodeTold::Takes { node, takes });
        self.settle();
    }

    /// All workers of a node are told something.
    pub fn command(&mut self, i: usize, command: &Command) {
        for w in 0..self.node(i).engines.len() {
            self.input(i, w, Input::Command(command.clone()));
        }
        self.settle();
    }

    /// A node dies, and the others know it at once.
    pub fn kill(&mut self, i: usize) {
        self.nodes[i] = None;
        self.late.retain(|(node, ..)| *node != i);
        self.clients.iter_mut().filter(|c| c.node == i).for_each(|c| c.open = false);
        (0..self.nodes.len()).filter(|other| *other != i).for_each(|other| self.unlink(other, i));
    }

    pub fn node(&mut self, i: usize) -> &mut Node {
        self.nodes[i].as_mut().expect("the node lives")
    }

    fn tell_all(&mut self, i: usize, told: &NodeTold<'_>) {
        let now = self.now;
        for engine in &mut self.node(i).engines {
            let mut mail = NodeMail::default();
            mail.put(told);
            engine.handle(now, Input::Cluster { mail: &mut mail });
        }
    }

    fn input(&mut self, node: usize, worker: usize, input: Input<'_>) {
        let now = self.now;
        self.node(node).engines[worker].handle(now, input);
    }

    /// A client gets a resource, and says that it is available.
    pub fn login(&mut self, node: usize, jid: &str, managed: bool) -> usize {
        let c = self.bind(node, jid, managed);
        self.send(c, "<presence/>");
        self.clients[c].received.clear();
        self.clients[c].before = 1;
        c
    }

    fn connect(&mut self, node: usize) -> usize {
        self.conns += 1;
        let conn = ConnId(Key { index: self.conns, generation: 1 });
        let worker = self.conns as usize % self.node(node).engines.len();
        let client = Client {
            node,
            worker,
            conn,
            open: true,
            stalled: false,
            framer: Framer::default(),
            partial: Vec::new(),
            received: VecDeque::new(),
            h: 0,
            acked: 0,
            before: 0,
            managed: false,
            sm: String::new(),
        };
        self.clients.push(client);
        let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
        self.input(node, worker, Input::Accepted { conn, listener: Listener::Clients, peer });
        self.settle();
        self.clients.len() - 1
    }

    fn authenticate(&mut self, c: usize, user: &str) {
        let header = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' \
                      to='h' version='1.0'>";
        let plain = payload::encode(format!("\0{user}\0p").as_bytes());
        self.send(c, header);
        self.send(
            c,
            &format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{plain}</auth>"),
        );
        self.clients[c].framer.restart();
        self.send(c, header);
    }

    /// A client gets a resource.
    pub fn bind(&mut self, node: usize, jid: &str, managed: bool) -> usize {
        let (user, resource) = jid.split_once('/').expect("user/resource");
        let c = self.connect(node);
        self.authenticate(c, user);
        self.send(
            c,
            &format!(
                "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>{resource}\
                 </resource></bind></iq>"
            ),
        );
        if managed {
            self.send(c, "<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
            let enabled = self.clients[c].received.back().expect("an answer").clone();
            assert!(enabled.starts_with("<enabled"), "{enabled}");
            self.clients[c].sm = enabled.split('\'').nth(3).expect("an id").to_owned();
            (self.clients[c].managed, self.clients[c].h) = (true, 0);
        }
        // Messages to its full JID may have come already.
        self.clients[c].received.retain(|text| text.starts_with("<message"));
        c
    }

    /// A client loses its connection and goes on with its session on another, at the same node.
    pub fn resume(&mut self, c: usize, user: &str) -> usize {
        self.cut(c);
        self.resume_at(self.clients[c].node, c, user)
    }

    /// A client goes on with its session on another connection, perhaps at another node, while the old one may be there.
    pub fn resume_at(&mut self, node: usize, c: usize, user: &str) -> usize {
        let Client { h, before, .. } = self.clients[c];
        let sm = self.clients[c].sm.clone();
        let d = self.connect(node);
        self.authenticate(d, user);
        self.clients[d].received.clear();
        (self.clients[d].managed, self.clients[d].h, self.clients[d].before) = (true, h, before);
        self.clients[d].sm.clone_from(&sm);
        self.send(d, &format!("<resume xmlns='urn:xmpp:sm:3' previd='{sm}' h='{h}'/>"));
        d
    }

    /// The connection of a client is gone.
    pub fn cut(&mut self, c: usize) {
        let Client { node, worker, conn, open, .. } = &mut self.clients[c];
        if std::mem::replace(open, false) {
            let (node, worker, conn) = (*node, *worker, *conn);
            self.input(node, worker, Input::Closed { conn });
            self.settle();
        }
    }

    /// A client writes.
    pub fn send(&mut self, c: usize, xml: &str) {
        let Client { node, worker, conn, open, .. } = self.clients[c];
        if open && self.nodes[node].is_some() {
            self.input(node, worker, Input::Received { conn, bytes: xml.as_bytes() });
            self.settle();
        }
    }

    /// A client acknowledges all that it got.
    pub fn ack(&mut self, c: usize) {
        self.send(c, &format!("<a xmlns='urn:xmpp:sm:3' h='{}'/>", self.clients[c].h));
    }

    /// How many of the stanzas that a client sent since it logged in are safe, as the server says.
    pub fn safe(&mut self, c: usize) -> u32 {
        self.send(c, "<r xmlns='urn:xmpp:sm:3'/>");
        self.clients[c].acked - self.clients[c].before
    }

    /// What a client got since this was asked, without stream management.
    pub fn got(&mut self, c: usize) -> Vec<String> {
        let got: Vec<String> = self.clients[c].received.drain(..).collect();
        got.into_iter().filter(|text| !text.contains("urn:xmpp:sm:3")).collect()
    }

    /// The bodies of the messages among it; `~` before one that came late.
    pub fn bodies(&mut self, c: usize) -> Vec<String> {
        self.got(c).iter().filter_map(|text| body(text)).collect()
    }

    /// Time passes.
    pub fn wait(&mut self, ms: u64) {
        let end = self.now.mono + Span::millis(ms);
        loop {
            let engines = self.nodes.iter().flatten().flat_map(|n| &n.engines);
            let next = engines.filter_map(Engine::poll_timeout).map(|t| t.0).min();
            let at = next.filter(|at| *at <= end).unwrap_or(end).max(self.now.mono);
            self.now.utc.0 += at.since(self.now.mono).as_millis() as i64;
            self.now.mono = at;
            for i in 0..self.nodes.len() {
                let workers = self.nodes[i].as_ref().map_or(0, |n| n.engines.len());
                (0..workers).for_each(|w| self.input(i, w, Input::Tick));
            }
            self.settle();
            if at >= end && next.is_none_or(|n| n > end) {
                return;
            }
        }
    }

    /// Everything comes to rest that need not wait for time.
    pub fn settle(&mut self) {
        loop {
            let mut busy = false;
            for i in 0..self.nodes.len() {
                for w in 0..self.nodes[i].as_ref().map_or(0, |n| n.engines.len()) {
                    busy |= self.turn(i, w);
                }
            }
            if !busy && !self.carry() {
                return;
            }
        }
    }

    /// What the store was slow to do is done.
    pub fn catch_up(&mut self) {
        self.slow = false;
        while let Some((node, worker, id, op)) = self.late.pop_front() {
            let result = self.store.apply(&op);
            self.input(node, worker, Input::Stored { id, result });
            self.settle();
        }
    }

    /// One piece goes from one node to another.
    fn carry(&mut self) -> bool {
        let held = &self.held;
        let Some((&(from, to), pipe)) =
            self.pipes.iter_mut().find(|(way, pipe)| !pipe.is_empty() && !held.contains(way))
        else {
            return false;
        };
        let mail = pipe.pop_front().expect("it is not empty");
        let Some(node) = self.nodes[to].as_mut() else { return true };
        let Some(number) = node.numbers.get(&from).copied() else { return true };
        for told in mail.iter() {
            let settings = node.engines[0].settings();
            if let NodeTold::Whole { .. } = told {
                self.tell_all(to, &NodeTold::Whole { node: number });
                return true;
            }
            let told = super::way::readdressed(&told, number);
            let worker = super::way::worker(&told, settings);
            let mut one = NodeMail::default();
            one.put(&told);
            node.engines[usize::from(worker.0)].handle(self.now, Input::Cluster { mail: &mut one });
        }
        true
    }

    /// What a worker has to say to other nodes goes into the pipes.
    fn post(&mut self, i: usize, mail: &NodeMail) {
        for told in mail.iter() {
            if self.loud {
                println!("            {i} says {told:?}");
            }
            let mut one = NodeMail::default();
            one.put(&told);
            match told {
                NodeTold::Change { change, .. } => {
                    let node = self.node(i);
                    match change {
                        Change::Put(r) => {
                            drop(node.own.insert((r.user.into(), r.resource.into()), one.clone()))
                        }
                        Change::Remove { user, resource } => {
                            drop(node.own.remove(&(user.into(), resource.into())))
                        }
                    }
                    let muted = &self.muted;
                    let to_all = |(way, _): &(&(usize, usize), &mut Pipe)| way.0 == i && !muted.contains(way);
                    for (_, pipe) in self.pipes.iter_mut().filter(to_all) {
                        pipe.push_back(one.clone());
                    }
                }
                NodeTold::UserChanged { .. } => {
                    let to_all = |(way, _): &(&(usize, usize), &mut Pipe)| way.0 == i;
                    self.pipes.iter_mut().filter(to_all).for_each(|(_, pipe)| pipe.push_back(one.clone()));
                }
                NodeTold::Up { .. }
                | NodeTold::Down { .. }
                | NodeTold::Whole { .. }
                | NodeTold::Takes { .. } => {
                    panic!("no worker says that")
                }
                told => {
                    let node = super::way::node(&told);
                    let numbers = &self.node(i).numbers;
                    let to = numbers.iter().find(|(_, number)| **number == node).map(|(other, _)| *other);
                    let to = to.expect("nothing is said to a node that is not there");
                    self.parcels += usize::from(matches!(told, NodeTold::Parcel { .. }));
                    self.pipes.entry((i, to)).or_default().push_back(one);
                }
            }
        }
    }

    /// Carries out what one engine wants; says whether there was anything.
    fn turn(&mut self, i: usize, w: usize) -> bool {
        let mut busy = false;
        while let Some(conn) = self.node(i).engines[w].poll_dirty() {
            let client =
                self.clients.iter_mut().find(|c| (c.node, c.worker, c.conn) == (i, w, conn) && c.open);
            let now = self.now;
            let engine = &mut self.nodes[i].as_mut().expect("it lives").engines[w];
            if client.as_ref().is_some_and(|c| c.stalled) {
                engine.sent(now, conn, 0);
                continue;
            }
            busy = true;
            let mut slices: [&[u8]; 64] = [&[]; 64];
            let n = engine.outgoing(conn, &mut slices);
            let bytes = slices[..n].concat();
            if let Some(client) = client {
                client.take(&bytes);
            }
            engine.sent(now, conn, bytes.len());
        }
        while let Some(output) = self.node(i).engines[w].poll_output() {
            busy = true;
            self.carry_out(i, w, output);
        }
        busy
    }

    fn carry_out(&mut self, i: usize, w: usize, output: Output) {
        match output {
            Output::Store { id, op } => {
                let late = match *op {
                    StoreOp::SpoolPut { .. } => self.slow,
                    StoreOp::SpoolRead { .. } => self.stuck_reads,
                    _ => false,
                };
                if late {
                    return self.late.push_back((i, w, id, op));
                }
                if self.loud {
                    println!("            {i} asks {}", super::way::store(&op));
                }
                let result = if self.down { Err(StoreError::Unavailable) } else { self.store.apply(&op) };
                self.input(i, w, Input::Stored { id, result });
            }
            Output::Account { id, .. } => {
                self.input(i, w, Input::Account { id, result: Ok(AccountDone::Accepted) });
            }
            Output::Close { conn } => {
                let client = self.clients.iter_mut().find(|c| (c.node, c.worker, c.conn) == (i, w, conn));
                client.expect("it has an end").open = false;
            }
            Output::Mail { worker, mut batch } => {
                let from = WorkerId(w as u16);
                self.input(i, worker.0.into(), Input::Mail { from, batch: &mut batch });
            }
            Output::HandOver { conn, worker } => {
                let state = self.node(i).engines[w].take(conn).expect("nothing came between");
                let client = self.clients.iter_mut().find(|c| (c.node, c.worker, c.conn) == (i, w, conn));
                client.expect("it has an end").worker = worker.0.into();
                self.input(i, worker.0.into(), Input::Adopt { conn, state });
            }
            Output::Cluster(mail) => {
                self.post(i, &mail);
                self.node(i).engines[w].reuse_node_mail(mail);
            }
            Output::StartTls { .. } | Output::Reading { .. } | Output::Event(_) | Output::Stopped => {}
        }
    }

    /// The messages in the spool of a user.
    pub fn spool(&self, user: &str) -> Vec<String> {
        let user = format!("{user}@h");
        let rows = self.store.spool(&user);
        rows.filter_map(|row| body(&String::from_utf8_lossy(&row.stanza))).collect()
    }
}
