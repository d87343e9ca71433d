//! Two nodes of one cluster in memory, each with clients that are logged in, and the link between them.
//!
//! Owns: the nodes, their clients as numbers, the bytes between them, time. In: what clients send. Out: how many bytes they
//! received.
//! Not here: TLS and sockets of the link, which are the driver's; engines that are not parts of a cluster (`rig`).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chat_core::base::{ConnId, HashKey, Mono, Now, Span, Utc};
use chat_core::cluster::NodeName;
use chat_core::cluster::agent::{self, Input as ClusterInput};
use chat_core::cluster::discovery::Peer;
use chat_core::cluster::handshake::{Channel, EXPORTER_BYTES, Secrets, Trust};
use chat_core::cluster::link::{LinkConn, LinksInput};
use chat_core::effect::{AccountDone, Domain, Loaded, Output, Settings, StoreDone, StoreOp};
use chat_core::engine::Input;
use chat_core::node::Node;
use chat_core::session::Listener;

use crate::rig::conn;

const HEADER: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' \
    xmlns:stream='http://etherx.jabber.org/streams' to='localhost' version='1.0'>";
const LINK: LinkConn = LinkConn(1);

/// The two.
pub struct Twins {
    nodes: [Node; 2],
    /// Of each client its node.
    clients: Vec<usize>,
    received: Vec<usize>,
    now: Now,
    /// What is on its way over the link.
    wire: Vec<u8>,
}

impl Twins {
    /// Two nodes of one worker each that know each other, without clients.
    #[allow(clippy::new_without_default, reason = "it is a whole little world")]
    pub fn new() -> Twins {
        let now = Now { mono: Mono(1_000_000_000), utc: Utc(1_780_000_000_000) };
        let node = |i: u8| {
            let domain = Domain { plaintext: true, ..Domain::new("localhost") };
            let mut settings = Settings::new(vec![domain], HashKey { k0: 1, k1: 2 }, [7; 16]);
            settings.limits.rate_bytes_per_second = 0;
            let name = NodeName::parse(["chat@north", "chat@south"][usize::from(i)]).expect("a name");
            let trust =
                Trust::Secrets(Secrets::new(b"sixteen bytes or more", None).expect("it is long enough"));
            let cluster = agent::Settings::new(name, trust);
            Node::in_cluster(now, &settings, 1, cluster, [i + 1; 32], chat_core::xep::standard)
        };
        let (clients, received, wire) = (Vec::new(), Vec::new(), Vec::new());
        let mut twins = Twins { nodes: [node(0), node(1)], clients, received, now, wire };
        let channel = || Channel { exporter: [7; EXPORTER_BYTES].into(), certified: Vec::new() };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let peer = Peer::Address(address);
        let dialled = LinksInput::Dialled { conn: LINK, peer, address, channel: channel() };
        twins.nodes[0].handle_cluster(now, ClusterInput::Connection(dialled));
        let accepted = LinksInput::Accepted { conn: LINK, channel: channel() };
        twins.nodes[1].handle_cluster(now, ClusterInput::Connection(accepted));
        twins.settle();
        twins.pass(Span::secs(3));
        twins
    }

    /// A client with initial presence at one of the nodes.
    pub fn available(&mut self, node: usize, user: &str, resource: &str) -> usize {
        let c = self.clients.len();
        self.clients.push(node);
        self.received.push(0);
        let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let input = Input::Accepted { conn: conn(c), listener: Listener::Clients, peer };
        self.nodes[node].handle(self.now, input);
        self.send(c, HEADER);
        let plain = STANDARD.encode(format!("\0{user}\0secret"));
        let auth = format!(
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{plain}</auth>{HEADER}"
        );
        self.send(c, &auth);
        let bind = format!(
            "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>\
             <resource>{resource}</resource></bind></iq><presence/>"
        );
        let before = self.received[c];
        self.send(c, &bind);
        assert!(self.received[c] > before, "{user} got no resource");
        c
    }

    /// The client manages its stream from here on (XEP-0198).
    pub fn manage(&mut self, c: usize) {
        self.send(c, "<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
    }

    /// A client sends, in one read; everything that follows from it at once happens.
    pub fn send(&mut self, c: usize, xml: &str) {
        self.nodes[self.clients[c]]
            .handle(self.now, Input::Received { conn: conn(c), bytes: xml.as_bytes() });
        self.settle();
    }

    /// So much time passes, a millisecond at a time.
    pub fn pass(&mut self, span: Span) {
        for _ in 0..span.as_millis() {
            self.now.mono = self.now.mono + Span::millis(1);
            self.now.utc.0 += 1;
            for node in &mut self.nodes {
                if node.poll_timeout().is_some_and(|(at, _)| at <= self.now.mono) {
                    node.handle(self.now, Input::Tick);
                }
            }
            self.settle();
        }
    }

    /// Bytes that a client has received.
    pub fn received(&self, c: usize) -> usize {
        self.received[c]
    }

    /// Stanzas that went from one node to the other and have no result yet.
    pub fn underway(&self) -> usize {
        self.nodes.iter().flat_map(Node::engines).map(|engine| engine.parcels_underway()).sum()
    }

    fn settle(&mut self) {
        while (0..2).any(|n| self.turn(n)) {}
    }

    /// Carries out what one node wants; says whether that was anything.
    fn turn(&mut self, n: usize) -> bool {
        let mut busy = false;
        while let Some(output) = self.nodes[n].poll_output() {
            busy = true;
            self.carry_out(n, output);
        }
        while self.nodes[n].poll_cluster().is_some() {}
        while let Some(ConnId(key)) = self.nodes[n].poll_dirty() {
            busy = true;
            let mut slices: [&[u8]; 16] = [&[]; 16];
            let count = self.nodes[n].outgoing(ConnId(key), &mut slices);
            let sent = slices[..count].iter().map(|s| s.len()).sum();
            self.nodes[n].sent(self.now, ConnId(key), sent);
            self.received[key.index as usize] += sent;
        }
        while let Some(link) = self.nodes[n].poll_dirty_link() {
            busy = true;
            self.carry(n, link);
        }
        busy
    }

    /// Takes what one node has for the other there.
    fn carry(&mut self, n: usize, link: LinkConn) {
        loop {
            let mut slices: [&[u8]; 16] = [&[]; 16];
            let count = self.nodes[n].outgoing_link(link, &mut slices);
            self.wire.clear();
            slices[..count].iter().for_each(|slice| self.wire.extend_from_slice(slice));
            if self.wire.is_empty() {
                return;
            }
            self.nodes[n].sent_link(self.now, link, self.wire.len());
            let received = LinksInput::Received { conn: link, bytes: &self.wire };
            self.nodes[1 - n].handle_cluster(self.now, ClusterInput::Connection(received));
        }
    }

    fn carry_out(&mut self, n: usize, output: Output) {
        match output {
            Output::Store { id, op } => {
                let done = match *op {
                    StoreOp::LoadUser { .. } => StoreDone::User(Loaded { exists: true, ..Loaded::default() }),
                    StoreOp::SpoolRead { .. } => StoreDone::Spool(Vec::new()),
                    StoreOp::SpoolWaiting { .. } => StoreDone::Waiting(Vec::new()),
                    _ => StoreDone::Done,
                };
                self.nodes[n].handle(self.now, Input::Stored { id, result: Ok(done) });
            }
            Output::Account { id, .. } => {
                let result = Ok(AccountDone::Accepted);
                self.nodes[n].handle(self.now, Input::Account { id, result });
            }
            _ => {}
        }
    }
}
