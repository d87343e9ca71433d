//! What all cases need: a server to talk to, and a client to talk with.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chat_core::base::{Limits, Span};
use chat_core::effect::{AccountDone, AccountError, AccountOp};
use chat_core::sasl::Mechanism;
use chat_net::auth::{AccountAnswer, Authenticator};
use chat_net::net::{MemoryStream, Runtime};
use chat_net::server::{Domain, Listener, Server, ServerBuilder, ServerHandle};

/// How long anything may take that should take no time.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub const HEADER: &str = "<?xml version='1.0'?><stream:stream to='localhost' version='1.0' \
    xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";

/// Lets everybody in whose password is "secret". Panics, in the middle of the worker's turn, about one user.
pub struct Friendly;

impl Authenticator for Friendly {
    fn mechanisms(&self) -> Vec<Mechanism> {
        vec![Mechanism::Plain]
    }

    fn begin(&self, op: AccountOp, answer: AccountAnswer) {
        assert!(!op.user().as_str().starts_with("panic@"), "as the test wants");
        answer(match op {
            AccountOp::Check { password, .. } if password.expose() == "secret" => Ok(AccountDone::Accepted),
            AccountOp::Check { .. } => Err(AccountError::Refused),
            _ => Err(AccountError::Unsupported),
        });
    }
}

/// No limit of rates, and a short patience with clients that do not close their streams.
pub fn limits() -> Limits {
    Limits { rate_bytes_per_second: 0, close_timeout: Span::millis(200), ..Limits::default() }
}

/// A server on the loopback, without TLS.
pub fn builder(runtime: Runtime) -> ServerBuilder {
    Server::builder()
        .runtime(runtime)
        .domain(Domain::new("localhost").plaintext(true))
        .authenticator(Arc::new(Friendly))
        .limits(limits())
        .listen(Listener::Clients, "127.0.0.1:0".parse().expect("an address"))
}

pub fn start(runtime: Runtime) -> ServerHandle {
    builder(runtime).start().expect("it starts")
}

pub fn address(server: &ServerHandle) -> SocketAddr {
    server.local_addr(Listener::Clients).expect("it listens")
}

/// Waits until something is so.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub trait Wire: Read + Write + Send {}

impl<T: Read + Write + Send> Wire for T {}

/// A client that blocks.
pub struct Client {
    pub wire: Box<dyn Wire>,
    seen: Vec<u8>,
}

pub fn tcp(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("somebody listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("an option");
    stream.set_nodelay(true).expect("an option");
    stream
}

impl Client {
    pub fn new(wire: impl Wire + 'static) -> Client {
        Client { wire: Box::new(wire), seen: Vec::new() }
    }

    pub fn connect(server: &ServerHandle) -> Client {
        Client::new(tcp(address(server)))
    }

    pub fn memory(server: &ServerHandle) -> Client {
        let mut stream: MemoryStream = server.connect_memory().expect("it runs");
        stream.set_read_timeout(Some(PATIENCE));
        Client::new(stream)
    }

    pub fn send(&mut self, text: &str) {
        self.wire.write_all(text.as_bytes()).expect("the server reads");
    }

    /// Reads until `text` has come, and returns everything up to its end.
    pub fn expect(&mut self, text: &str) -> String {
        loop {
            let found = self.seen.windows(text.len()).position(|window| window == text.as_bytes());
            if let Some(start) = found {
                let rest = self.seen.split_off(start + text.len());
                let all = std::mem::replace(&mut self.seen, rest);
                return String::from_utf8(all).expect("text");
            }
            let mut bytes = [0; 4096];
            let n = self.wire.read(&mut bytes).unwrap_or_else(|error| {
                panic!("waiting for {text:?}, having {:?}: {error}", String::from_utf8_lossy(&self.seen))
            });
            let seen = String::from_utf8_lossy(&self.seen);
            assert!(n > 0, "the end came instead of {text:?}, after {seen:?}");
            self.seen.extend_from_slice(&bytes[..n]);
        }
    }

    /// Reads until `text` has come, and takes out nothing but it: what else comes, comes in an order that the test does
    /// not know.
    pub fn expect_somewhere(&mut self, text: &str) {
        let before = self.expect(text);
        let others = before.len() - text.len();
        self.seen.splice(..0, before.into_bytes().drain(..others));
    }

    /// Reads to the end, which must be a proper one.
    pub fn expect_end(&mut self) -> String {
        self.wire.read_to_end(&mut self.seen).unwrap_or_else(|error| {
            panic!("no proper end after {:?}: {error}", String::from_utf8_lossy(&self.seen))
        });
        String::from_utf8(std::mem::take(&mut self.seen)).expect("text")
    }

    /// Reads to whatever end.
    pub fn expect_any_end(&mut self) {
        if let Err(error) = self.wire.read_to_end(&mut self.seen) {
            let timeout = matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock);
            assert!(!timeout, "the connection stays open");
        }
    }

    /// Opens a stream; returns the features.
    pub fn open(&mut self) -> String {
        self.send(HEADER);
        self.expect("</stream:features>")
    }

    /// Logs in and binds the resource "r".
    pub fn login(&mut self, user: &str) {
        self.open();
        self.authenticate(user, "secret");
        self.expect("<success");
        self.open();
        self.send(
            "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>\
             <resource>r</resource></bind></iq>",
        );
        self.expect(&format!("<jid>{user}@localhost/r</jid>"));
        self.expect("</iq>");
    }

    pub fn authenticate(&mut self, user: &str, password: &str) {
        let response = STANDARD.encode(format!("\0{user}\0{password}"));
        self.send(&format!(
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{response}</auth>"
        ));
    }

    pub fn say(&mut self, to: &str, body: &str) {
        self.send(&format!("<message type='chat' to='{to}@localhost/r'><body>{body}</body></message>"));
    }
}
