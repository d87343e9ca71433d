//! All links of several nodes, greetings included, over a network without faults.

use core::net::SocketAddr;
use std::collections::BTreeMap;

use zeroize::Zeroizing;

use crate::base::limits::LinkLimits;
use crate::base::{Mono, Rng, Span};
use crate::cluster::discovery::Peer;
use crate::cluster::handshake::{Channel, Myself, Secrets, Trust};
use crate::cluster::identity::{BootId, Identity, Incarnation, NodeName};
use crate::cluster::link::{LinkConn, LinkOutput, Links, LinksInput, LinksOutput};
use crate::cluster::wire::{Kind, Versions};

/// Nodes, each at an address of its own: `192.0.2.N:4369`.
struct Net {
    now: Mono,
    nodes: Vec<Links>,
    told: Vec<Vec<String>>,
    /// From one end of a connection to the other.
    ends: BTreeMap<(usize, LinkConn), (usize, LinkConn)>,
    conns: u64,
}

fn name(i: usize) -> NodeName {
    NodeName::parse(&format!("chat@node-{i}")).unwrap()
}

fn address(i: usize) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, i as u8], 4369))
}

fn links(i: usize, secret: &[u8]) -> Links {
    let boot = BootId([i as u8 + 1; 16]);
    let me = Myself {
        identity: Identity { name: name(i), incarnation: Incarnation(1), boot },
        versions: Versions::OURS,
        cluster: "test".into(),
        trust: Trust::Secrets(Secrets::new(secret, None).unwrap()),
    };
    Links::new(me, LinkLimits::default(), Rng::from_u64(i as u64))
}

impl Net {
    fn new(secrets: &[&[u8]]) -> Net {
        let nodes: Vec<Links> = secrets.iter().enumerate().map(|(i, secret)| links(i, secret)).collect();
        let told = vec![Vec::new(); nodes.len()];
        Net { now: Mono(0), nodes, told, ends: BTreeMap::new(), conns: 0 }
    }

    fn input(&mut self, at: usize, input: LinksInput<'_>) {
        self.nodes[at].handle(self.now, input);
        self.drain(at);
    }

    fn want(&mut self, at: usize, peer: Peer, addresses: &[SocketAddr]) {
        self.input(at, LinksInput::Want { peer, addresses });
    }

    fn drain(&mut self, at: usize) {
        let mut requests = Vec::new();
        while let Some(output) = self.nodes[at].poll_output() {
            match output {
                LinksOutput::Dial { .. } | LinksOutput::Close(_) => requests.push(match output {
                    LinksOutput::Dial { peer, address } => Ok((peer, address)),
                    LinksOutput::Close(conn) => Err(conn),
                    _ => unreachable!("one of both was seen"),
                }),
                LinksOutput::Met { address, name } => self.told[at].push(format!("{name} at {address}")),
                LinksOutput::Unbelieved { .. } => unreachable!("there is no TLS here"),
                LinksOutput::Unfit { meant, claimed, error } => {
                    let claimed = claimed.map(|c| c.name);
                    self.told[at].push(format!("{meant:?} {claimed:?}: {error}"));
                }
                LinksOutput::Link { peer, output: LinkOutput::Frame { kind, body } } => {
                    self.told[at].push(format!("{peer}: {kind:?} {}", String::from_utf8_lossy(body)));
                }
                LinksOutput::Link { peer, output } => self.told[at].push(format!("{peer}: {output:?}")),
            }
        }
        for request in requests {
            match request {
                Ok((peer, address)) => self.dial(at, peer, address),
                Err(conn) => {
                    if let Some((other, conn)) = self.ends.remove(&(at, conn)) {
                        self.ends.remove(&(other, conn));
                        self.input(other, LinksInput::Closed(conn));
                    }
                }
            }
        }
    }

    fn dial(&mut self, at: usize, peer: Peer, address: SocketAddr) {
        let to = (0..self.nodes.len()).find(|i| address == self::address(*i));
        let Some(to) = to else { return self.input(at, LinksInput::DialFailed(peer)) };
        let (near, far) = (LinkConn(self.conns), LinkConn(self.conns + 1));
        self.conns += 2;
        self.ends.insert((at, near), (to, far));
        self.ends.insert((to, far), (at, near));
        let exporter = Zeroizing::new([near.0 as u8; 32]);
        let channel = Channel { exporter, certified: Vec::new() };
        self.input(to, LinksInput::Accepted { conn: far, channel: channel.clone() });
        self.input(at, LinksInput::Dialled { conn: near, peer, address, channel });
    }

    fn settle(&mut self) {
        loop {
            let mut quiet = true;
            for at in 0..self.nodes.len() {
                while let Some(conn) = self.nodes[at].poll_dirty() {
                    let mut out = [&[][..]; 8];
                    let n = self.nodes[at].outgoing(conn, &mut out);
                    let bytes = out[..n].concat();
                    let end = self.ends.get(&(at, conn)).copied();
                    self.nodes[at].sent(self.now, conn, bytes.len());
                    // What was sent before the end of a connection arrives before it.
                    if let Some((other, conn)) = end {
                        self.input(other, LinksInput::Received { conn, bytes: &bytes });
                    }
                    self.drain(at);
                    quiet = false;
                }
            }
            if quiet {
                return;
            }
        }
    }

    fn live(&mut self, span: Span) {
        let end = self.now + span;
        while self.now < end {
            self.now = self.now + Span::millis(25);
            for at in 0..self.nodes.len() {
                self.input(at, LinksInput::Timer);
            }
            self.settle();
        }
    }

    fn told(&mut self, at: usize) -> Vec<String> {
        std::mem::take(&mut self.told[at])
    }
}

const SECRET: &[u8] = b"sixteen bytes or more";

#[test]
fn nodes_that_dial_each_other_have_one_connection_for_each_pair() {
    let mut net = Net::new(&[SECRET; 4]);
    for at in 0..4 {
        for other in 0..4 {
            // A list names all members, this node included.
            net.want(at, Peer::Named(name(other)), &[address(other)]);
        }
    }
    net.live(Span::secs(30));
    assert_eq!(net.ends.len(), 2 * 6, "one connection for each pair");
    for at in 0..4 {
        let told = net.told(at);
        assert_eq!(told.iter().filter(|t| t.contains("Fresh")).count(), 3, "{told:#?}");
        assert!(net.nodes[at].iter().all(|(_, link)| link.state().connected));
    }
    net.nodes[0].send(net.now, &name(3), Kind::Poke, b"you").unwrap();
    net.nodes[0].send(net.now, &name(2), Kind::Poke, b"and you").unwrap();
    net.settle();
    assert_eq!(net.told(3), ["chat@node-0: Poke you"]);
    assert_eq!(net.told(2), ["chat@node-0: Poke and you"]);
    let stranger = NodeName::parse("chat@nowhere").unwrap();
    assert!(net.nodes[0].send(net.now, &stranger, Kind::Poke, b"").is_err());
    net.input(0, LinksInput::Leave);
    net.live(Span::secs(2));
    assert_eq!(net.ends.len(), 2 * 3);
    assert!(net.told(1).contains(&"chat@node-0: Down(Bye(Leaving))".to_owned()));
}

#[test]
fn whoever_lives_at_an_address_gets_a_name() {
    let mut net = Net::new(&[SECRET; 2]);
    for i in [0, 1, 9] {
        net.want(0, Peer::Address(address(i)), &[address(i)]);
    }
    net.settle();
    let told = net.told(0);
    assert!(told.contains(&"chat@node-0 at 192.0.2.0:4369".to_owned()), "{told:#?}");
    assert!(told.contains(&"chat@node-1 at 192.0.2.1:4369".to_owned()), "{told:#?}");
    assert!(told.contains(&"chat@node-1: Up { version: 2 }".to_owned()), "{told:#?}");
    // Discovery files it under its name; the connection stands.
    net.want(0, Peer::Named(name(1)), &[address(1)]);
    for i in [0, 1] {
        net.input(0, LinksInput::Forget(Peer::Address(address(i))));
    }
    let before = net.conns;
    net.live(Span::secs(20));
    assert_eq!((net.conns, net.told(0)), (before, Vec::new()));
    // The address that nobody answers is dialled on.
    assert!(net.nodes[0].poll_timeout().is_some());
}

#[test]
fn a_node_with_a_wrong_secret_is_told_so_and_nothing_else_breaks() {
    let mut net = Net::new(&[SECRET, SECRET, b"another secret altogether"]);
    for (at, to) in [(0, 1), (2, 0)] {
        net.want(at, Peer::Named(name(to)), &[address(to)]);
    }
    net.live(Span::secs(10));
    let (at_0, at_2) = (net.told(0), net.told(2));
    let refused = "None Some(chat@node-2): this node refuses the other: the secrets of the cluster differ";
    assert!(at_0.contains(&refused.to_owned()), "{at_0:#?}");
    let refused = "Some(Named(chat@node-0)) Some(chat@node-0): the other node refuses this one: the secrets of \
                   the cluster differ";
    assert!(at_2.contains(&refused.to_owned()), "{at_2:#?}");
    assert!(at_2.len() > 3 && at_2.len() < 15, "it is tried again, but not all the time: {}", at_2.len());
    assert_eq!(net.ends.len(), 2);
    assert!(net.nodes[0].get(&name(1)).unwrap().state().connected);
    assert!(net.nodes[2].get(&name(0)).is_some_and(|link| !link.state().connected));
}

#[test]
fn addresses_are_tried_in_turn() {
    let mut net = Net::new(&[SECRET; 2]);
    net.want(0, Peer::Named(name(1)), &[address(8), address(9), address(1)]);
    net.live(Span::secs(1));
    let told = net.told(0);
    assert!(told.contains(&"chat@node-1: Up { version: 2 }".to_owned()), "{told:#?}");
}

#[test]
fn another_node_than_the_one_dialled_is_refused() {
    let mut net = Net::new(&[SECRET; 2]);
    net.want(0, Peer::Named(name(7)), &[address(1)]);
    net.settle();
    assert_eq!(net.ends.len(), 0);
    let told = net.told(0);
    assert!(told[0].contains("another name than was dialled"), "{told:#?}");
    let told = net.told(1);
    assert!(told.iter().any(|t| t.contains("RefusedUs(Name)")), "{told:#?}");
}

#[test]
fn strangers_who_say_nothing_are_few_and_go() {
    let mut net = Net::new(&[SECRET]);
    let limit = LinkLimits::default().greetings_max as u64;
    for conn in 0..limit + 3 {
        let channel = Channel { exporter: Zeroizing::new([0; 32]), certified: Vec::new() };
        net.input(0, LinksInput::Accepted { conn: LinkConn(conn), channel });
    }
    assert_eq!(net.told(0).iter().filter(|t| t.contains("too many connections")).count(), 3);
    net.live(Span::secs(7));
    assert_eq!(net.told(0).len() as u64, limit, "they took too long");
    net.input(0, LinksInput::Timer);
    assert_eq!(net.nodes[0].poll_timeout(), None, "nothing is left");
}

#[test]
fn few_links_are_remembered_that_nobody_wants() {
    let mut net = Net::new(&[SECRET]);
    for i in 0..600 {
        net.want(0, Peer::Named(name(i + 10)), &[address(200)]);
        net.input(0, LinksInput::Forget(Peer::Named(name(i + 10))));
    }
    assert_eq!(net.nodes[0].iter().count(), 512);
}

#[test]
fn a_peer_that_is_forgotten_before_it_was_dialled_is_not_dialled() {
    let mut links = links(0, SECRET);
    let peer = Peer::Named(name(1));
    links.handle(Mono(0), LinksInput::Want { peer: peer.clone(), addresses: &[address(1)] });
    links.handle(Mono(0), LinksInput::Forget(peer.clone()));
    assert_eq!(links.poll_timeout(), None);
    assert_eq!(links.poll_output(), None);
    links.handle(Mono(0), LinksInput::Want { peer: peer.clone(), addresses: &[address(1)] });
    assert_eq!(links.poll_output(), Some(LinksOutput::Dial { peer, address: address(1) }));
}

#[test]
fn a_node_that_leaves_dials_no_strangers_and_does_not_wait_to() {
    let mut links = links(0, SECRET);
    links.handle(Mono(0), LinksInput::Leave);
    links.handle(Mono(0), LinksInput::Want { peer: Peer::Address(address(1)), addresses: &[address(1)] });
    assert_eq!(links.poll_timeout(), None);
    assert_eq!(links.poll_output(), None);
}

#[test]
fn another_life_begins_with_new_connections() {
    let mut net = Net::new(&[SECRET; 2]);
    net.want(0, Peer::Named(name(1)), &[address(1)]);
    net.settle();
    net.nodes[0].send(net.now, &name(1), Kind::Poke, b"of the first life").unwrap();
    net.nodes[0].begin_life(net.now, Incarnation(2), BootId([9; 16]));
    net.told[0].clear();
    net.drain(0);
    assert_eq!((net.ends.len(), net.told(0)), (2, Vec::new()), "it dials again at once, and tells nothing");
    net.told[1].clear();
    net.live(Span::secs(2));
    assert_eq!(
        net.told(0),
        [
            "chat@node-1 at 192.0.2.1:4369",
            "chat@node-1: Fresh { peer: chat@node-1/i1/b02020202, version: 2 }",
            "chat@node-1: Up { version: 2 }"
        ]
    );
    let told = net.told(1);
    assert_eq!(told[0], "chat@node-0: Fresh { peer: chat@node-0/i2/b09090909, version: 2 }", "{told:?}");
    assert!(!told.iter().any(|t| t.contains("Poke")));
}
