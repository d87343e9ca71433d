//! No allocation for a message, through the whole server: sockets, TLS, the engine, mail between workers. 10,000
//! messages after a warm-up, one at a time, which is the worst case: nothing is shared between messages.
//!
//! Server and clients share one thread, whose allocator counts what the server's workers and the runtime ask for, and
//! looks away while a client runs. `SHOW=3` prints the stacks of the first three that should not be.

#![allow(missing_docs)]

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chat_bench::net::client_config;
use chat_core::base::{Limits, Span};
use chat_core::effect::{AccountDone, AccountOp};
use chat_core::sasl::Mechanism;
use chat_micro::meter::{self, Mark, Meter, aside};
use chat_net::auth::{AccountAnswer, Authenticator};
use chat_net::server::{Domain, Listener, Server, ServerHandle};
use chat_net::tls::{Tls, TlsConfig, self_signed};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

#[global_allocator]
static METER: Meter = Meter;

/// Messages that are counted.
const MESSAGES: u32 = 10_000;
/// Messages before that: what grows has grown by then.
const WARM_UP: u32 = 3_000;
/// What may be asked for once in a while: time is real here, and tables of timers may grow when one fires.
const RARE: u64 = 10;
/// The TLS library allocates once for each record that it reads and once for each that it writes, whatever is done (its
/// messages own their payload). Here each message is a record of its own in both directions.
const FOR_RECORDS: u64 = 2;

/// How clients are connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Memory,
    Tcp,
    Tls,
}

/// What is said, and how.
#[derive(Debug, Clone, Copy)]
struct Case {
    way: Way,
    workers: u16,
    /// Stream management on both sides (XEP-0198), with a request and an ack after each fifth message.
    managed: bool,
    /// Each has a second client, and all get copies (XEP-0280).
    carbons: bool,
    /// So many are written to in turn. Where there are several workers, some of them live elsewhere than the writer.
    readers: u32,
}

const PLAIN: Case = Case { way: Way::Tcp, workers: 1, managed: false, carbons: false, readers: 1 };

/// Lets everybody in.
struct Friendly;

impl Authenticator for Friendly {
    fn mechanisms(&self) -> Vec<Mechanism> {
        vec![Mechanism::Plain]
    }

    fn begin(&self, _: AccountOp, answer: AccountAnswer) {
        answer(Ok(AccountDone::Accepted));
    }
}

/// A future whose allocations are not counted.
struct Aside<F>(Pin<Box<F>>);

impl<F: Future> Future for Aside<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        aside(|| self.0.as_mut().poll(cx))
    }
}

/// Runs a case and returns the allocations of the messages that count.
fn allocations(case: Case) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let allocations = runtime.block_on(async {
        let server = start(case);
        let talk = Aside(Box::pin(talk(case, server.clone())));
        let allocations = pin!(talk).await;
        meter::show(0);
        server.shutdown().await;
        allocations
    });
    println!("{case:?}: {allocations} allocations for {MESSAGES} messages");
    allocations
}

fn start(case: Case) -> ServerHandle {
    let identity = self_signed(&["localhost"]).expect("a certificate").identity();
    let tls = Tls::new(&TlsConfig::new(identity).expect("a provider")).expect("good settings");
    Server::builder()
        .domain(Domain::new("localhost").plaintext(true))
        .authenticator(Arc::new(Friendly))
        // Rows of the spool are for clients that take long to acknowledge, not for a machine that is busy.
        .limits(Limits { rate_bytes_per_second: 0, spool_after: Span::secs(3600), ..Limits::default() })
        .tls(tls)
        .listen(Listener::Clients, "127.0.0.1:0".parse().expect("an address"))
        .listen(Listener::ClientsTls, "127.0.0.1:0".parse().expect("an address"))
        .on_current_runtime(case.workers)
        .expect("it starts")
}

async fn talk(case: Case, server: ServerHandle) -> u64 {
    let mut romeo = Client::login(case, &server, "romeo.montague", "orchard-7f3a").await;
    let mut readers = Vec::new();
    for i in 0..case.readers {
        readers.push(Client::login(case, &server, &format!("juliet.capulet.{i:02}"), "balcony-19c4").await);
    }
    let mut others = Vec::new();
    if case.carbons {
        others.push(Client::login(case, &server, "romeo.montague", "street-22b1").await);
        others.push(Client::login(case, &server, "juliet.capulet.00", "garden-0f0f").await);
    }
    let text = |i| {
        let body = "She speaks. O, speak again, bright angel! ".repeat(3);
        let to = format!("juliet.capulet.{i:02}@localhost/balcony-19c4");
        format!("<message to='{to}' type='chat' id='a1b2c3'><body>{body}</body></message>")
    };
    let texts: Vec<String> = (0..case.readers).map(text).collect();
    let mut mark = Mark::here();
    for i in 0..WARM_UP + MESSAGES {
        if i == WARM_UP {
            meter::show_some();
            mark = Mark::here();
        }
        let at = (i % case.readers) as usize;
        romeo.send(&texts[at]).await;
        readers[at].expect("</message>").await;
        for other in &mut others {
            other.expect("</message></forwarded>").await;
        }
        let h = i / case.readers + 1;
        if case.managed && h.is_multiple_of(5) {
            readers[at].send(&format!("<a xmlns='urn:xmpp:sm:3' h='{h}'/>")).await;
            romeo.send("<r xmlns='urn:xmpp:sm:3'/>").await;
            romeo.expect("<a xmlns='urn:xmpp:sm:3' ").await;
        }
    }
    mark.allocations()
}

trait Wire: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Wire for T {}

struct Client {
    wire: Box<dyn Wire>,
    seen: Vec<u8>,
}

impl Client {
    async fn login(case: Case, server: &ServerHandle, user: &str, resource: &str) -> Client {
        let mut client = Client { wire: connect(case.way, server).await, seen: Vec::new() };
        client.open().await;
        let plain = STANDARD.encode(format!("\0{user}\0secret"));
        client
            .send(&format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{plain}</auth>"))
            .await;
        client.expect("<success").await;
        client.open().await;
        let bind = "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>";
        client
            .send(&format!("<iq type='set' id='b'>{bind}<resource>{resource}</resource></bind></iq>"))
            .await;
        client.expect("</iq>").await;
        client.send("<presence/>").await;
        client.expect("<presence").await;
        if case.carbons {
            client.send("<iq type='set' id='c'><enable xmlns='urn:xmpp:carbons:2'/></iq>").await;
            client.expect("id='c'").await;
        }
        if case.managed {
            client.send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>").await;
            client.expect("<enabled").await;
        }
        client
    }

    async fn open(&mut self) {
        let header = "<?xml version='1.0'?><stream:stream to='localhost' version='1.0' xmlns='jabber:client' \
                      xmlns:stream='http://etherx.jabber.org/streams'>";
        self.send(header).await;
        self.expect("</stream:features>").await;
    }

    async fn send(&mut self, text: &str) {
        self.wire.write_all(text.as_bytes()).await.expect("the server reads");
        self.wire.flush().await.expect("the server reads");
    }

    /// Reads until this text has come, and forgets everything up to it.
    async fn expect(&mut self, text: &str) {
        loop {
            let found = self.seen.windows(text.len()).position(|window| window == text.as_bytes());
            if let Some(start) = found {
                self.seen.drain(..start + text.len());
                return;
            }
            let mut bytes = [0; 4096];
            let n = self.wire.read(&mut bytes).await.expect("the server writes");
            assert!(n > 0, "the end instead of {text:?}, after {:?}", String::from_utf8_lossy(&self.seen));
            self.seen.extend_from_slice(&bytes[..n]);
        }
    }
}

async fn connect(way: Way, server: &ServerHandle) -> Box<dyn Wire> {
    let tcp = async |listener| {
        let address = server.local_addr(listener).expect("it listens");
        let stream = TcpStream::connect(address).await.expect("somebody listens");
        stream.set_nodelay(true).expect("an option");
        stream
    };
    match way {
        Way::Memory => Box::new(server.connect_memory().expect("it runs")),
        Way::Tcp => Box::new(tcp(Listener::Clients).await),
        Way::Tls => {
            let name = ServerName::try_from("localhost").expect("a name");
            let stream = tcp(Listener::ClientsTls).await;
            Box::new(TlsConnector::from(client_config()).connect(name, stream).await.expect("a handshake"))
        }
    }
}

#[test]
fn plain() {
    assert!(allocations(PLAIN) <= RARE);
}

#[test]
fn plain_in_memory() {
    assert!(allocations(Case { way: Way::Memory, ..PLAIN }) <= RARE);
}

#[test]
fn managed() {
    assert!(allocations(Case { managed: true, ..PLAIN }) <= RARE);
}

#[test]
fn carbons() {
    assert!(allocations(Case { carbons: true, ..PLAIN }) <= RARE);
}

#[test]
fn tls() {
    assert!(allocations(Case { way: Way::Tls, ..PLAIN }) <= u64::from(MESSAGES) * FOR_RECORDS + RARE);
}

#[test]
fn across_workers() {
    assert!(allocations(Case { workers: 2, readers: 20, ..PLAIN }) <= RARE);
}

#[test]
fn across_workers_managed() {
    assert!(allocations(Case { workers: 2, readers: 20, managed: true, ..PLAIN }) <= RARE);
}
