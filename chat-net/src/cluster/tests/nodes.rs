//! Servers that are nodes of a cluster: three of them find each other, one is cut off at once, one ends in good order.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chat_core::base::RequestId;
use chat_core::cluster::NodeName;
use chat_core::cluster::agent::{Down, PeerState, Settings};
use chat_core::cluster::discovery::{NodeAddr, Query, ResolveError};
use chat_core::cluster::handshake::{Secrets, Trust};
use chat_core::cluster::wire::Role;
use chat_core::effect::StoreOp;

use crate::cluster::{
    Cluster, ClusterEnd, ClusterGone, LinkTls, Resolve, Resolved, Resolver, Standing, Then,
};
use crate::net::{MemoryStream, Runtime, bind, block_on};
use crate::server::{Domain, Events, Server, ServerEvent, ServerHandle};
use crate::store::{Memory, Store, StoreSink};
use crate::tls::Provider;

const PATIENCE: Duration = Duration::from_secs(30);
const SECRET: &[u8] = b"sixteen bytes or more";

/// A store that several servers share, so that none of them closes it. A worker that asks it for tybalt panics.
struct Common(Arc<Memory>);

impl Store for Common {
    fn submit(&self, id: RequestId, op: Arc<StoreOp>, sink: &Arc<dyn StoreSink>) {
        assert!(!op.user().as_str().starts_with("tybalt@"), "as the test wants");
        self.0.submit(id, op, sink);
    }
}

struct Node {
    name: NodeName,
    handle: ServerHandle,
    events: Events,
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

impl Node {
    fn start(name: &str, listed: &[String], listener: TcpListener, runtime: Runtime, secret: &[u8]) -> Node {
        Node::start_on(&Arc::default(), name, listed, listener, runtime, secret)
    }

    fn start_on(
        store: &Arc<Memory>,
        name: &str,
        listed: &[String],
        listener: TcpListener,
        runtime: Runtime,
        secret: &[u8],
    ) -> Node {
        let name = NodeName::parse(name).unwrap();
        let settings = Settings {
            cluster: "test".into(),
            listed: listed.iter().map(|n| NodeAddr::parse(n).unwrap()).collect(),
            release: "test".into(),
            ..Settings::new(name.clone(), Trust::Secrets(Secrets::new(secret, None).unwrap()))
        };
        let cluster = Cluster::new(settings, LinkTls::with_secret(Provider::AwsLcRs).unwrap());
        let handle = Server::builder()
            .domain(Domain::new("localhost"))
            .store(Arc::new(Common(store.clone())))
            .accounts(store.clone())
            .account("juliet@localhost", "secret")
            .account("romeo@localhost", "secret")
            .account("tybalt@localhost", "secret")
            .cluster(cluster.listen(vec![listener]).resolver(Resolver::new(Names)))
            .workers(if listed.is_empty() { 1 } else { 2 })
            .runtime(runtime)
            .start()
            .unwrap();
        let events = handle.events();
        Node { name, handle, events }
    }

    /// Waits until the status says so of a node.
    fn wait(&self, other: &NodeName, state: PeerState) {
        let by = Instant::now() + PATIENCE;
        loop {
            let status = block_on(self.handle.cluster_status()).unwrap();
            if status.peers.iter().any(|peer| peer.name == *other && peer.state == state) {
                return;
            }
            assert!(Instant::now() < by, "{} waited in vain for {other} {state:?}: {status:?}", self.name);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until it is told that a node is down.
    fn wait_until_down(&mut self, other: &NodeName) -> Down {
        loop {
            match self.events.recv_blocking().expect("it lives") {
                ServerEvent::NodeDown { node, why } if node.name == *other => return why,
                _ => {}
            }
        }
    }

    /// A client of it, available.
    fn client(&self, user: &str) -> Client {
        let mut client = self.authenticated(user);
        client.read_until("</iq>");
        client
    }

    /// One that has asked for a resource and to be available.
    fn authenticated(&self, user: &str) -> Client {
        let stream = self.handle.connect_memory().unwrap();
        let mut client = Client { stream, unread: String::new() };
        client.open();
        let plain = match user {
            "juliet" => "AGp1bGlldABzZWNyZXQ=",
            "romeo" => "AHJvbWVvAHNlY3JldA==",
            _ => "AHR5YmFsdABzZWNyZXQ=",
        };
        client.send(&format!(
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{plain}</auth>"
        ));
        client.read_until("<success");
        client.open();
        client.send("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq><presence/>");
        client
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.handle.shutdown_blocking();
    }
}

struct Client {
    stream: MemoryStream,
    unread: String,
}

impl Client {
    fn open(&mut self) {
        self.send(
            "<stream:stream to='localhost' version='1.0' xmlns='jabber:client' \
             xmlns:stream='http://etherx.jabber.org/streams'>",
        );
        self.read_until("</stream:features>");
    }

    fn send(&mut self, xml: &str) {
        self.stream.write_all(xml.as_bytes()).unwrap();
    }

    fn read_until(&mut self, part: &str) {
        let mut buffer = [0; 4096];
        loop {
            if let Some(at) = self.unread.find(part) {
                self.unread.drain(..at + part.len());
                return;
            }
            let n = self.stream.read(&mut buffer).unwrap();
            assert!(n > 0, "the stream ended before {part}: {}", self.unread);
            self.unread.push_str(std::str::from_utf8(&buffer[..n]).unwrap());
        }
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
    let store = Arc::default();
    let b = Node::start_on(&store, "chat@node-2", &listed, listener().0, runtime, SECRET);
    let c = Node::start_on(&store, "chat@node-3", &listed, listener().0, runtime, SECRET);
    let a = Node::start_on(&store, "chat@node-1", &[], first, runtime, SECRET);
    for node in [&a, &b, &c] {
        for other in [&a, &b, &c].iter().filter(|other| other.name != node.name) {
            node.wait(&other.name, PeerState::Up);
        }
    }
    [a, b, c]
}

#[test]
fn three_nodes_find_each_other_and_know_within_three_seconds_who_is_gone() {
    for runtime in Runtime::ALL {
        let [mut a, mut b, c] = three(*runtime);
        // Between those, too, who were told of each other by a third.
        let (mut juliet, mut romeo) = (b.client("juliet"), c.client("romeo"));
        juliet.send("<message type='chat' to='romeo@localhost'><body>from b to c</body></message>");
        romeo.read_until("from b to c");
        romeo.send("<message type='chat' to='juliet@localhost'><body>from c to b</body></message>");
        juliet.read_until("from c to b");

        let status = block_on(a.handle.cluster_status()).unwrap();
        assert_eq!(status.identity.name, a.name);
        let peers: Vec<_> = status.peers.iter().map(|p| (p.name.as_str(), p.state, p.is_connected)).collect();
        assert_eq!(peers, [("chat@node-2", PeerState::Up, true), ("chat@node-3", PeerState::Up, true)]);

        let cut = Instant::now();
        c.handle.cluster().unwrap().stop();
        for node in [&mut a, &mut b] {
            assert_eq!(node.wait_until_down(&c.name), Down::Silent);
            let after = cut.elapsed();
            println!("{runtime:?}: {} knows after {} ms", node.name, after.as_millis());
            assert!(after < Duration::from_secs(3), "{after:?}");
        }
        // A server whose part in the cluster has ended ends.
        block_on(c.handle.closed());
        assert_eq!(c.handle.cluster().unwrap().ended(), Some(ClusterEnd::Stopped));
        assert_eq!(block_on(c.handle.cluster_status()), Err(ClusterGone));

        juliet.send("<message type='chat' to='romeo@localhost'><body>later</body></message>");
        let left = Instant::now();
        b.handle.shutdown_blocking();
        assert_eq!(a.wait_until_down(&b.name), Down::Left);
        assert!(left.elapsed() < Duration::from_secs(5), "{:?}", left.elapsed());
        assert_eq!(b.handle.cluster().unwrap().ended(), Some(ClusterEnd::Left));
        assert_eq!(a.handle.cluster().unwrap().ended(), None);
    }
}

#[test]
fn a_worker_that_panics_begins_anew_with_the_other_nodes_too() {
    let runtime = Runtime::Threads;
    let (first, address) = listener();
    let listed = [format!("chat@node-1:{}", address.port())];
    let store = Arc::default();
    let a = Node::start_on(&store, "chat@node-1", &[], first, runtime, SECRET);
    let b = Node::start_on(&store, "chat@node-2", &listed, listener().0, runtime, SECRET);
    b.wait(&a.name, PeerState::Up);
    a.wait(&b.name, PeerState::Up);
    let (mut juliet, mut romeo) = (b.client("juliet"), a.client("romeo"));
    for life in 0..3 {
        juliet.send(&format!("<message type='chat' to='romeo@localhost'><body>{life} to a</body></message>"));
        romeo.read_until(&format!("{life} to a"));
        romeo.send(&format!("<message type='chat' to='juliet@localhost'><body>{life} to b</body></message>"));
        juliet.read_until(&format!("{life} to b"));
        let _culprit = a.authenticated("tybalt");
        // His only worker begins anew.
        let mut rest = Vec::new();
        let _ = romeo.stream.read_to_end(&mut rest);
        assert_eq!(a.handle.stats().panics, life + 1);
        romeo = a.client("romeo");
    }
}

#[test]
fn a_worker_that_begins_anew_goes_on_draining() {
    let a = Node::start("chat@node-1", &[], listener().0, Runtime::Threads, SECRET);
    let panic = |times| {
        let text =
            "<message from='romeo@localhost' to='tybalt@localhost' type='chat'><body>x</body></message>";
        a.handle.send(text).unwrap();
        let by = Instant::now() + PATIENCE;
        while a.handle.stats().panics < times {
            assert!(Instant::now() < by);
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    let is_refused = || {
        let mut late = a.handle.connect_memory().unwrap();
        let _ = late.write_all(b"<stream:stream to='localhost' version='1.0' xmlns='jabber:client' ");
        let _ = late.write_all(b"xmlns:stream='http://etherx.jabber.org/streams'>");
        assert!(!matches!(late.read(&mut [0; 16]), Ok(1..)), "a stream begins");
    };
    a.handle.drain(1, Duration::from_secs(60), false);
    is_refused();
    panic(1);
    is_refused();
    a.handle.stay();
    a.client("romeo");
    panic(2);
    a.client("romeo");
}

#[test]
fn what_the_operator_changes_reaches_all() {
    let runtime = Runtime::Threads;
    let (first, first_address) = listener();
    let a = Node::start("chat@node-1", &[], first, runtime, SECRET);
    let b = Node::start("chat@node-2", &[], listener().0, runtime, SECRET);
    let list = NodeAddr::parse(&format!("chat@node-1:{}", first_address.port())).unwrap();
    let cluster = b.handle.cluster().unwrap();
    cluster.set_listed(vec![list]).unwrap();
    a.wait(&b.name, PeerState::Up);
    b.wait(&a.name, PeerState::Up);
    let seen_so = |role, is_draining, is_ailing| {
        let by = Instant::now() + PATIENCE;
        loop {
            let status = block_on(a.handle.cluster_status()).unwrap();
            if status
                .peers
                .iter()
                .filter(|p| (&p.name, p.role) == (&b.name, Some(role)))
                .any(|p| (p.is_draining, p.is_ailing) == (is_draining, is_ailing))
            {
                return;
            }
            assert!(Instant::now() < by, "{status:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    let seen = |role, is_draining| seen_so(role, is_draining, false);
    cluster.set_ailing(true).unwrap();
    seen_so(Role::Active, false, true);
    cluster.set_ailing(false).unwrap();
    seen(Role::Active, false);
    let standing = cluster.standing();
    assert!(standing.takes_clients());
    cluster.step_back().unwrap();
    let standing = block_on(cluster.standing_after(standing)).unwrap();
    assert_eq!(standing, Standing { role: Role::Active, steps_back: true });
    seen(Role::Active, true);
    cluster.stepped_back().unwrap();
    let standing = block_on(cluster.standing_after(standing)).unwrap();
    assert_eq!(standing, Standing { role: Role::Standby, steps_back: false });
    seen(Role::Standby, false);
    cluster.set_draining(true).unwrap();
    seen(Role::Standby, true);
    cluster.set_draining(false).unwrap();
    cluster.promote().unwrap();
    assert!(block_on(cluster.standing_after(standing)).unwrap().takes_clients());
    seen(Role::Active, false);
    cluster.stop();
    assert_eq!(block_on(cluster.standing_after(cluster.standing())), Err(ClusterGone));
}

#[test]
fn of_two_nodes_with_one_name_the_later_stops_and_says_why() {
    let runtime = Runtime::Threads;
    let (first, address) = listener();
    let listed = [format!("chat@node-1:{}", address.port())];
    let a = Node::start("chat@node-1", &[], first, runtime, SECRET);
    let b = Node::start("chat@node-2", &listed, listener().0, runtime, SECRET);
    b.wait(&a.name, PeerState::Up);
    let again = Node::start("chat@node-2", &listed, listener().0, runtime, SECRET);
    block_on(again.handle.closed());
    let end = again.handle.cluster().unwrap().ended();
    let Some(ClusterEnd::Fatal(why)) = end else { panic!("it ended by {end:?}") };
    assert!(why.to_string().starts_with("another live node of the cluster is called chat@node-2"), "{why}");
    a.wait(&b.name, PeerState::Up);
    b.wait(&a.name, PeerState::Up);
}

#[test]
fn nodes_of_different_secrets_stay_apart() {
    let runtime = Runtime::Threads;
    let (first, address) = listener();
    let listed = [format!("chat@node-1:{}", address.port())];
    let a = Node::start("chat@node-1", &[], first, runtime, SECRET);
    let b = Node::start("chat@node-2", &listed, listener().0, runtime, b"another secret altogether");
    let c = Node::start("chat@node-3", &listed, listener().0, runtime, SECRET);
    a.wait(&c.name, PeerState::Up);
    c.wait(&a.name, PeerState::Up);
    std::thread::sleep(Duration::from_millis(500));
    let states = |node: &Node| {
        let peers = block_on(node.handle.cluster_status()).unwrap().peers;
        peers.iter().filter(|peer| peer.is_connected).map(|peer| peer.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!((states(&a), states(&b)), (vec!["chat@node-3".to_owned()], Vec::new()));
}
