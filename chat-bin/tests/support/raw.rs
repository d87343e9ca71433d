//! A client without a library or TLS, for servers that allow that: it writes text and looks for text.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::PATIENCE;

/// A connected client.
pub struct RawClient {
    stream: TcpStream,
    /// Received and not looked at yet.
    unread: String,
    domain: String,
    /// The stream features that arrived last, and what came before them.
    pub features: String,
}

impl RawClient {
    /// Connects and opens a stream to the domain; the stream features have arrived when this returns.
    pub fn connect(address: SocketAddr, domain: &str) -> RawClient {
        let stream = TcpStream::connect(address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("an option");
        let mut client =
            RawClient { stream, unread: String::new(), domain: domain.to_owned(), features: String::new() };
        client.open();
        client
    }

    /// Logs in with PLAIN and binds a resource.
    pub fn log_in(address: SocketAddr, jid: &str, password: &str, resource: &str) -> RawClient {
        let (user, domain) = jid.split_once('@').expect("a bare JID");
        let mut client = RawClient::connect(address, domain);
        let plain = STANDARD.encode(format!("\0{user}\0{password}"));
        client.send(&format!(
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{plain}</auth>"
        ));
        client.read_until("<success");
        client.open();
        client.send(&format!(
            "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>\
             <resource>{resource}</resource></bind></iq>"
        ));
        client.read_until("</iq>");
        client
    }

    fn open(&mut self) {
        let open = format!(
            "<stream:stream to='{}' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>",
            self.domain
        );
        self.send(&open);
        self.features = self.read_until("</stream:features>");
    }

    /// Sends text as it is.
    pub fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).expect("sent");
    }

    /// Reads until this text has arrived; returns everything up to its end.
    pub fn read_until(&mut self, end: &str) -> String {
        let begun = Instant::now();
        loop {
            if let Some(at) = self.unread.find(end) {
                let rest = self.unread.split_off(at + end.len());
                return std::mem::replace(&mut self.unread, rest);
            }
            assert!(begun.elapsed() < PATIENCE, "{end} does not come: {}", self.unread);
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer) {
                Ok(0) => panic!("closed before {end}: {}", self.unread),
                Ok(read) => self.unread.push_str(&String::from_utf8_lossy(&buffer[..read])),
                Err(error) => panic!("{error} before {end}: {}", self.unread),
            }
        }
    }

    /// Reads to the end of the connection.
    pub fn read_to_end(mut self) -> String {
        let mut rest = Vec::new();
        // A reset is an end as well.
        let _ = self.stream.read_to_end(&mut rest);
        self.unread + &String::from_utf8_lossy(&rest)
    }
}
