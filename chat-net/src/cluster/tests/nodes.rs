//! Whole nodes: three of them find each other, one is killed, one leaves.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use chat_core::base::limits::LinkLimits;
use chat_core::cluster::NodeName;
use chat_core::cluster::agent::{Event, PeerState, Settings};
use chat_core::cluster::discovery::{NodeAddr, Query, ResolveError};
use chat_core::cluster::handshake::{Secrets, Trust};
use chat_core::cluster::wire::{Kind, Role, Versions};

use crate::cluster::{
    Cluster, ClusterEnd, ClusterEvents, ClusterGone, ClusterHandle, ClusterSendError, LinkTls, Resolve,
    Resolved, Resolver, Then,
};
use crate::net::{Runtime, bind, block_on};
use crate::tls::Provider;

const PATIENCE: Duration = Duration::from_secs(30);
const SECRET: &[u8] = b"sixteen bytes or more";

/// What a node has heard, as text, with the times.
#[derive(Default)]
struct Heard {
    lines: Mutex<Vec<(Instant, String)>>,
    changed: Condvar,
}

struct Listen(Arc<Heard>);

impl Listen {
    fn push(&self, line: String) {
        self.0.lines.lock().unwrap().push((Instant::now(), line));
        self.0.changed.notify_all();
    }
}

impl ClusterEvents for Listen {
    fn on_event(&mut self, event: Event<'_>) {
        self.push(match event {
            Event::Frame { from, kind, body } => format!("{from} {kind:?} {}", String::from_utf8_lossy(body)),
            Event::PeerUp(node) => format!("up {}", node.name),
            Event::PeerDown { node, why } => format!("down {}: {why}", node.name),
            other => format!("{other:?}"),
        });
    }

    fn on_end(&mut self, end: &ClusterEnd) {
        self.push(format!("end: {end}"));
    }
}

struct Node {
    name: NodeName,
    handle: ClusterHandle,
    heard: Arc<Heard>,
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

impl Node {
    fn start(name: &str, listed: &[String], listener: TcpListener, runtime: Runtime, secret: &[u8]) -> Node {
        let name = NodeName::parse(name).unwrap();
        let settings = Settings {
            name: name.clone(),
            cluster: "test".into(),
            trust: Trust::Secrets(Secrets::new(secret, None).unwrap()),
            versions: Versions::OURS,
            listed: listed.iter().map(|n| NodeAddr::parse(n).unwrap()).collect(),
            dns: None,
            port: 0,
            peers_port: 4369,
            role: Role::Active,
            release: "test".into(),
            limits: LinkLimits::default(),
        };
        let heard: Arc<Heard> = Arc::default();
        let cluster = Cluster::new(settings, LinkTls::with_secret(Provider::AwsLcRs).unwrap());
        let cluster = cluster.listen(vec![listener]).resolver(Resolver::new(Names));
        let handle = cluster.start(runtime, Listen(heard.clone())).unwrap();
        Node { name, handle, heard }
    }

    /// Waits until a line like this was heard, and says when.
    fn wait(&self, part: &str) -> Instant {
        let by = Instant::now() + PATIENCE;
        let mut lines = self.heard.lines.lock().unwrap();
        loop {
            if let Some((at, _)) = lines.iter().find(|(_, line)| line.contains(part)) {
                return *at;
            }
            let left = by.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{} waited in vain for {part}; it heard {lines:#?}", self.name);
            lines = self.heard.changed.wait_timeout(lines, left).unwrap().0;
        }
    }

    fn heard(&self, part: &str) -> usize {
        self.heard.lines.lock().unwrap().iter().filter(|(_, line)| line.contains(part)).count()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.handle.stop();
    }
}

/// The test's own DNS: everybody is here, and nobody else is anywhere.
struct Names;

impl Resolve for Names {
    fn ask(&self, query: Query, then: Then) {
        then(match query {
            Query::Addresses(host) if host.starts_with("node-") => Ok(Resolved::Addresses {
                ips: vec!["127.0.0.1".parse().unwrap()],
                ttl: Duration::from_secs(30),
            }),
            _ => Err(ResolveError::NotFound),
        });
    }
}

/// Three nodes of which the second and the third know only the first.
fn three(runtime: Runtime) -> [Node; 3] {
    let (first, address) = listener();
    let listed = [format!("chat@node-1:{}", address.port())];
    let b = Node::start("chat@node-2", &listed, listener().0, runtime, SECRET);
    let c = Node::start("chat@node-3", &listed, listener().0, runtime, SECRET);
    let a = Node::start("chat@node-1", &[], first, runtime, SECRET);
    for node in [&a, &b, &c] {
        for other in [&a, &b, &c].iter().filter(|other| other.name != node.name) {
            node.wait(&format!("up {}", other.name));
        }
    }
    [a, b, c]
}

#[test]
fn three_nodes_find_each_other_and_know_within_three_seconds_who_is_gone() {
    for runtime in Runtime::ALL {
        let [a, b, c] = three(*runtime);
        // Frames go both ways between those who were told of each other by a third.
        b.handle.send(&c.name, Kind::Envelope, b"from b to c".to_vec()).unwrap();
        c.handle.send(&b.name, Kind::Envelope, b"from c to b".to_vec()).unwrap();
        c.wait("chat@node-2 Envelope from b to c");
        b.wait("chat@node-3 Envelope from c to b");

        let status = a.handle.status_blocking().unwrap();
        assert_eq!(status.identity.name, a.name);
        let peers: Vec<_> = status.peers.iter().map(|p| (p.name.as_str(), p.state, p.is_connected)).collect();
        assert_eq!(peers, [("chat@node-2", PeerState::Up, true), ("chat@node-3", PeerState::Up, true)]);

        let killed = Instant::now();
        c.handle.stop();
        for node in [&a, &b] {
            let after = node.wait("down chat@node-3").duration_since(killed);
            println!("{runtime:?}: {} knows after {} ms", node.name, after.as_millis());
            assert!(after < Duration::from_secs(3), "{after:?}");
        }
        assert_eq!(block_on(c.handle.wait()), ClusterEnd::Stopped);
        assert_eq!(c.handle.status_blocking(), Err(ClusterGone));
        let sent = c.handle.send(&a.name, Kind::Envelope, Vec::new());
        assert_eq!(sent, Err(ClusterSendError::Gone));

        let left = Instant::now();
        b.handle.send(&a.name, Kind::Envelope, b"last words".to_vec()).unwrap();
        b.handle.leave();
        let after = a.wait("down chat@node-2: it has left").duration_since(left);
        assert!(after < Duration::from_secs(2), "{after:?}");
        assert_eq!(a.heard("chat@node-2 Envelope last words"), 1);
        assert_eq!(block_on(b.handle.wait()), ClusterEnd::Left);
        b.wait("end: this node has left the cluster");
        assert_eq!(a.handle.ended(), None);
    }
}

#[test]
fn what_the_operator_changes_reaches_all() {
    let runtime = Runtime::Threads;
    let (first, first_address) = listener();
    let a = Node::start("chat@node-1", &[], first, runtime, SECRET);
    let b = Node::start("chat@node-2", &[], listener().0, runtime, SECRET);
    let list = NodeAddr::parse(&format!("chat@node-1:{}", first_address.port())).unwrap();
    b.handle.set_listed(vec![list]).unwrap();
    a.wait("up chat@node-2");
    b.wait("up chat@node-1");
    b.handle.set_role(Role::Standby).unwrap();
    b.handle.set_draining(true).unwrap();
    a.wait("role: Standby, is_draining: true");
}

#[test]
fn of_two_nodes_with_one_name_the_later_stops_and_says_why() {
    let runtime = Runtime::Threads;
    let (first, address) = listener();
    let listed = [format!("chat@node-1:{}", address.port())];
    let a = Node::start("chat@node-1", &[], first, runtime, SECRET);
    let b = Node::start("chat@node-2", &listed, listener().0, runtime, SECRET);
    b.wait("up chat@node-1");
    let again = Node::start("chat@node-2", &listed, listener().0, runtime, SECRET);
    let ClusterEnd::Fatal(why) = block_on(again.handle.wait()) else { panic!("it goes on") };
    assert!(why.to_string().starts_with("another live node of the cluster is called chat@node-2"), "{why}");
    again.wait("end: another live node");
    assert_eq!((a.heard("down"), b.heard("down")), (0, 0));
}

#[test]
fn nodes_of_different_secrets_stay_apart() {
    let runtime = Runtime::Threads;
    let (first, address) = listener();
    let listed = [format!("chat@node-1:{}", address.port())];
    let a = Node::start("chat@node-1", &[], first, runtime, SECRET);
    let b = Node::start("chat@node-2", &listed, listener().0, runtime, b"another secret altogether");
    let c = Node::start("chat@node-3", &listed, listener().0, runtime, SECRET);
    a.wait("up chat@node-3");
    c.wait("up chat@node-1");
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!((a.heard("chat@node-2"), b.heard("chat@")), (0, 0));
}
