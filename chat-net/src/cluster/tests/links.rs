//! Two nodes on loopback, with real sockets, TLS and exporters; a relay between them that can be cut.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use chat_core::base::limits::LinkLimits;
use chat_core::base::{Mono, Now, Rng};
use chat_core::cluster::discovery::Peer;
use chat_core::cluster::handshake::{Myself, Secrets, Trust};
use chat_core::cluster::link::{LinkConn, LinkOutput, Links, LinksInput, LinksOutput};
use chat_core::cluster::wire::{Kind, Versions};
use chat_core::cluster::{BootId, Identity, Incarnation, NodeName};

use crate::cluster::{Authorities, LinkDriver, LinkEnd, LinkMachine, LinkRequest, LinkTls};
use crate::net::{Runtime, bind};
use crate::spawn::Spawner;
use crate::tls::{Identity as TlsIdentity, Provider};

const PATIENCE: Duration = Duration::from_secs(30);
const SECRET: &[u8] = b"sixteen bytes or more";

enum Order {
    Want(Peer, SocketAddr),
    Send(NodeName, String),
    Stop,
}

/// What a test and the machine of a node share.
#[derive(Default)]
struct Shared {
    orders: VecDeque<Order>,
    waker: Option<Waker>,
    told: Vec<String>,
    /// Bodies of frames, in order.
    frames: Vec<String>,
}

/// A node as the test sees it.
struct Node {
    name: NodeName,
    address: SocketAddr,
    shared: Arc<(Mutex<Shared>, Condvar)>,
    _spawner: Spawner,
}

struct Machine {
    links: Links,
    shared: Arc<(Mutex<Shared>, Condvar)>,
}

impl LinkMachine for Machine {
    fn handle(&mut self, now: Now, input: LinksInput<'_>) {
        self.links.handle(now.mono, input);
    }

    fn poll_request(&mut self, _now: Now) -> Option<LinkRequest> {
        let (shared, changed) = &*self.shared;
        while let Some(output) = self.links.poll_output() {
            let mut shared = shared.lock().unwrap();
            match output {
                LinksOutput::Dial { peer, address } => return Some(LinkRequest::Dial { peer, address }),
                LinksOutput::Close(conn) => return Some(LinkRequest::Close(conn)),
                LinksOutput::Link { output: LinkOutput::Frame { body, .. }, .. } => {
                    shared.frames.push(String::from_utf8_lossy(body).into_owned());
                }
                LinksOutput::Link { peer, output } => shared.told.push(format!("{peer}: {output:?}")),
                LinksOutput::Unfit { error, .. } => shared.told.push(error.to_string()),
                LinksOutput::Unbelieved { fault, .. } => shared.told.push(fault.to_string()),
                LinksOutput::Met { name, .. } => shared.told.push(format!("met {name}")),
            }
            changed.notify_all();
        }
        None
    }

    fn poll_timeout(&self) -> Option<Mono> {
        self.links.poll_timeout().map(|(at, _)| at)
    }

    fn poll_dirty(&mut self) -> Option<LinkConn> {
        self.links.poll_dirty()
    }

    fn outgoing<'a>(&'a self, conn: LinkConn, out: &mut [&'a [u8]]) -> usize {
        self.links.outgoing(conn, out)
    }

    fn sent(&mut self, now: Now, conn: LinkConn, n: usize) {
        self.links.sent(now.mono, conn, n);
    }

    fn rest(&mut self, _now: Now, _is_guest: bool, _cx: &mut Context<'_>) -> bool {
        true
    }

    fn poll_inbox(&mut self, now: Now, cx: &mut Context<'_>) -> Poll<LinkEnd> {
        let mut shared = self.shared.0.lock().unwrap();
        shared.waker = Some(cx.waker().clone());
        let orders = std::mem::take(&mut shared.orders);
        drop(shared);
        for order in orders {
            match order {
                Order::Want(peer, address) => {
                    self.links.handle(now.mono, LinksInput::Want { peer, addresses: &[address] });
                }
                Order::Send(peer, text) => {
                    self.links
                        .send(now.mono, &peer, Kind::Envelope, text.as_bytes())
                        .expect("the link has begun");
                }
                Order::Stop => return Poll::Ready(LinkEnd::AtOnce),
            }
        }
        Poll::Pending
    }
}

impl Node {
    fn start(i: u8, runtime: Runtime, trust: Trust, tls: LinkTls) -> Node {
        let name = NodeName::parse(&format!("chat@node-{i}")).unwrap();
        let identity = Identity { name: name.clone(), incarnation: Incarnation(1), boot: BootId([i; 16]) };
        let me = Myself { identity, versions: Versions::OURS, cluster: "test".into(), trust };
        let shared: Arc<(Mutex<Shared>, Condvar)> = Arc::default();
        let links = Links::new(me, LinkLimits::default(), Rng::from_u64(i.into()));
        let machine = Box::new(Machine { links, shared: shared.clone() });
        let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let spawner = match runtime {
            Runtime::Threads => Spawner::new(|task| {
                Runtime::Threads.run_on_thread("links".into(), task, |_| {}).unwrap();
            }),
            #[cfg(feature = "tokio")]
            Runtime::Tokio => Spawner::service(),
            #[cfg(feature = "async-std")]
            Runtime::AsyncStd => Spawner::new(|task| drop(async_std::task::spawn(task))),
        };
        spawner.spawn(LinkDriver::new(machine, tls, vec![listener]));
        Node { name, address, shared, _spawner: spawner }
    }

    fn with_secret(i: u8, runtime: Runtime, secret: &[u8]) -> Node {
        let trust = Trust::Secrets(Secrets::new(secret, None).unwrap());
        Node::start(i, runtime, trust, LinkTls::with_secret(Provider::AwsLcRs).unwrap())
    }

    fn order(&self, order: Order) {
        let mut shared = self.shared.0.lock().unwrap();
        shared.orders.push_back(order);
        if let Some(waker) = &shared.waker {
            waker.wake_by_ref();
        }
    }

    fn want(&self, other: &Node, address: SocketAddr) {
        self.order(Order::Want(Peer::Named(other.name.clone()), address));
    }

    /// Waits until something is so.
    fn wait(&self, what: &str, is_so: impl Fn(&Shared) -> bool) {
        let (shared, changed) = &*self.shared;
        let by = Instant::now() + PATIENCE;
        let mut shared = shared.lock().unwrap();
        while !is_so(&shared) {
            let left = by.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "{} waited in vain for: {what}; it was told {:#?}",
                self.name,
                shared.told
            );
            shared = changed.wait_timeout(shared, left).unwrap().0;
        }
    }

    fn wait_told(&self, part: &str) {
        self.wait(part, |shared| shared.told.iter().any(|t| t.contains(part)));
    }

    fn told(&self, part: &str) -> usize {
        self.shared.0.lock().unwrap().told.iter().filter(|t| t.contains(part)).count()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.order(Order::Stop);
    }
}

/// Passes bytes on until it is cut; then it takes new connections.
struct Relay {
    address: SocketAddr,
    streams: Arc<Mutex<Vec<TcpStream>>>,
}

impl Relay {
    fn to(target: SocketAddr) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let streams: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
        let kept = streams.clone();
        thread::spawn(move || {
            for near in listener.incoming() {
                let (Ok(near), Ok(far)) = (near, TcpStream::connect(target)) else { return };
                let clone = |stream: &TcpStream| stream.try_clone().expect("a descriptor");
                kept.lock().unwrap().extend([clone(&near), clone(&far)]);
                let (near_too, far_too) = (clone(&near), clone(&far));
                thread::spawn(move || pass(near, far));
                thread::spawn(move || pass(far_too, near_too));
            }
        });
        Relay { address, streams }
    }

    fn cut(&self) {
        for stream in self.streams.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = [0; 1000];
    while let Ok(n @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..n]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

#[test]
fn frames_survive_cut_connections() {
    for runtime in Runtime::ALL {
        let a = Node::with_secret(1, *runtime, SECRET);
        let b = Node::with_secret(2, *runtime, SECRET);
        let relay = Relay::to(b.address);
        a.want(&b, relay.address);
        for node in [&a, &b] {
            node.wait_told("Up");
        }
        for round in 0..4 {
            for i in 0..250 {
                // Some are longer than a TLS record, and all together than what sockets hold.
                let long = if i % 50 == 0 { "x".repeat(30_000) } else { String::new() };
                a.order(Order::Send(b.name.clone(), format!("{} {long}", round * 250 + i)));
                b.order(Order::Send(a.name.clone(), format!("{} {long}", round * 250 + i)));
            }
            if round < 3 {
                a.wait("some of them", |shared| shared.frames.len() > round * 250 + 50);
                relay.cut();
            }
        }
        for node in [&a, &b] {
            node.wait("all of them", |shared| shared.frames.len() == 1000);
            let shared = node.shared.0.lock().unwrap();
            let numbers = shared.frames.iter().map(|f| f.split(' ').next().unwrap().parse::<u32>().unwrap());
            assert!(numbers.eq(0..1000), "{}: in order, each once", node.name);
            drop(shared);
            assert_eq!(node.told("Fresh"), 1, "nobody had to start over");
            assert!(node.told("Down") >= 1, "there were cuts");
        }
    }
}

#[test]
fn a_wrong_secret_is_a_clear_error_on_both_sides() {
    for runtime in Runtime::ALL {
        let a = Node::with_secret(1, *runtime, SECRET);
        let b = Node::with_secret(2, *runtime, b"another secret altogether");
        a.want(&b, b.address);
        a.wait_told("the other node refuses this one: the secrets of the cluster differ");
        b.wait_told("this node refuses the other: the secrets of the cluster differ");
        assert_eq!((a.told("Up"), b.told("Up")), (0, 0));
    }
}

#[test]
fn who_stands_between_two_nodes_with_tls_of_his_own_gets_nowhere() {
    // Two TLS connections, one to each node; what they say is passed on word for word.
    let runtime = Runtime::Threads;
    let a = Node::with_secret(1, runtime, SECRET);
    let b = Node::with_secret(2, runtime, SECRET);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (between, target) = (listener.local_addr().unwrap(), b.address);
    thread::spawn(move || {
        let tls = LinkTls::with_secret(Provider::AwsLcRs).unwrap();
        let mut near = listener.accept().unwrap().0;
        let mut far = TcpStream::connect(target).unwrap();
        let (mut listens, mut dials) = (tls.connection(false).unwrap(), tls.connection(true).unwrap());
        listens.complete_io(&mut near).unwrap();
        dials.complete_io(&mut far).unwrap();
        for stream in [&near, &far] {
            stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        }
        let mut buffer = [0; 4096];
        for _ in 0..200 {
            relay_once(&mut listens, &mut near, &mut dials, &mut far, &mut buffer);
            relay_once(&mut dials, &mut far, &mut listens, &mut near, &mut buffer);
        }
    });
    a.want(&b, between);
    b.wait_told("this node refuses the other: the secrets of the cluster differ");
    a.wait_told("the other node refuses this one: the secrets of the cluster differ");
    assert_eq!((a.told("Up"), b.told("Up")), (0, 0));
}

fn relay_once(
    from: &mut rustls::Connection,
    from_socket: &mut TcpStream,
    to: &mut rustls::Connection,
    to_socket: &mut TcpStream,
    buffer: &mut [u8],
) {
    // Something may have come together with the end of the TLS handshake.
    let _ = from.read_tls(from_socket);
    let _ = from.process_new_packets();
    if let Ok(n @ 1..) = from.reader().read(buffer) {
        let _ = to.writer().write_all(&buffer[..n]);
        while to.wants_write() && to.write_tls(to_socket).is_ok() {}
    }
}

/// An authority, and what it signs.
struct Authority {
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Authority {
        let mut params = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Authority { issuer: rcgen::Issuer::new(params, key), pem }
    }

    fn pem(&self) -> Authorities {
        Authorities::from_pem(self.pem.clone())
    }

    fn tls(&self, host: &str) -> LinkTls {
        LinkTls::with_authority(&self.identity(host), &self.pem(), Provider::AwsLcRs).unwrap()
    }

    fn identity(&self, host: &str) -> TlsIdentity {
        self.identity_with(host, |_| {})
    }

    fn identity_with(&self, host: &str, change: fn(&mut rcgen::CertificateParams)) -> TlsIdentity {
        let mut params = rcgen::CertificateParams::new(vec![host.to_owned()]).unwrap();
        change(&mut params);
        let key = rcgen::KeyPair::generate().unwrap();
        let pem = params.signed_by(&key, &self.issuer).unwrap().pem();
        TlsIdentity::from_pem(pem, key.serialize_pem())
    }
}

#[test]
fn certificates_of_the_clusters_authority_will_do() {
    let (ours, other) = (Authority::new(), Authority::new());
    let node = |i, tls| Node::start(i, Runtime::Threads, Trust::Certificates, tls);
    let (a, b) = (node(1, ours.tls("node-1")), node(2, ours.tls("node-2")));
    a.want(&b, b.address);
    a.wait_told("Up");
    b.wait_told("Up");
    // A certificate for another node.
    let c = node(3, ours.tls("node-4"));
    c.want(&a, a.address);
    c.wait_told("the other node refuses this one: the node has another name");
    a.wait_told("this node refuses the other: the node has another name");
    // One of another authority, and one whose bearer would have believed this cluster.
    let alien = LinkTls::with_authority(&other.identity("node-6"), &ours.pem(), Provider::AwsLcRs);
    let (d, e) = (node(5, other.tls("node-5")), node(6, alien.unwrap()));
    d.want(&b, b.address);
    d.wait_told("this node does not believe the other's certificate: none of the authorities");
    b.wait_told("the other node does not believe this one's certificate: none of the authorities");
    assert_eq!(b.told("this node does not believe"), 0);
    e.want(&b, b.address);
    e.wait_told("the other node does not believe this one's certificate: none of the authorities");
    b.wait_told("this node does not believe the other's certificate: none of the authorities");
    // One that knows a secret instead.
    let f = Node::with_secret(7, Runtime::Threads, SECRET);
    f.want(&b, b.address);
    f.wait_told("the other node goes by certificates, and this one shows none");
    b.wait_told("this node goes by certificates, and the other shows none");
    for stranger in [&c, &d, &e, &f] {
        assert_eq!(stranger.told("Up") + stranger.told("met"), 0, "{}", stranger.name);
    }
    assert_eq!((a.told("Down"), b.told("Down")), (0, 0), "nothing else breaks");
}

#[test]
fn expired_certificates_and_those_of_clients_alone_are_told_apart() {
    let ours = Authority::new();
    let node = |i, tls| Node::start(i, Runtime::Threads, Trust::Certificates, tls);
    let of = |host: &str, change: fn(&mut rcgen::CertificateParams)| {
        let identity = ours.identity_with(host, change);
        LinkTls::with_authority(&identity, &ours.pem(), Provider::AwsLcRs).unwrap()
    };
    let b = node(2, ours.tls("node-2"));
    let expired = node(3, of("node-3", |params| params.not_after = rcgen::date_time_ymd(2020, 1, 1)));
    expired.want(&b, b.address);
    expired.wait_told("the other node does not believe this one's certificate: it has expired");
    b.wait_told("this node does not believe the other's certificate: it has expired");
    let server = node(
        4,
        of("node-4", |params| {
            params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
        }),
    );
    server.want(&b, b.address);
    server.wait_told("the other node does not believe this one's certificate: its extended key usage");
    b.wait_told("this node does not believe the other's certificate: its extended key usage");
}

#[test]
fn certificates_are_replaced_while_nodes_run() {
    let (old, new) = (Authority::new(), Authority::new());
    let node = |i, tls| Node::start(i, Runtime::Threads, Trust::Certificates, tls);
    let tls = old.tls("node-1");
    let (a, b) = (node(1, tls.clone()), node(2, new.tls("node-2")));
    a.want(&b, b.address);
    thread::sleep(Duration::from_millis(300));
    assert_eq!(a.told("Up") + b.told("Up"), 0, "they trust different authorities");
    let damaged = tls.reload(&TlsIdentity::from_pem("no certificate", ""), &new.pem(), Provider::AwsLcRs);
    assert!(damaged.is_err());
    let damaged = tls.reload(&new.identity("node-1"), &Authorities::from_pem("nobody"), Provider::AwsLcRs);
    assert!(damaged.unwrap_err().to_string().starts_with("the text of the cluster's authorities holds no"));
    tls.reload(&new.identity("node-1"), &new.pem(), Provider::AwsLcRs).unwrap();
    a.wait_told("Up");
    b.wait_told("Up");
}
