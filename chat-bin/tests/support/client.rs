//! A blocking XMPP client that keeps a ledger: plain TCP, PLAIN, stream management. Only what the tests of whole
//! processes need, written against the RFCs and not against our server.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use base64::Engine as _;
use chat_core::xml::{Element, FrameKind, Framer, Step, StreamNs};

/// Why a client could not go on: the connection is gone, or said something that ends it.
#[derive(Debug)]
pub struct Gone;

/// One client on one connection.
pub struct Client {
    socket: TcpStream,
    framer: Framer,
    partial: Vec<u8>,
    ns: StreamNs,
    /// Elements received and not taken yet.
    inbox: std::collections::VecDeque<Element>,
    /// Stanzas received since stream management was enabled.
    received: u32,
    /// Stanzas sent, in order, with the ids of those that are messages.
    sent: Vec<(Option<String>, String)>,
    /// How many of them the server has acknowledged.
    acked: usize,
    managed: bool,
    /// What the server calls the session, if it can be resumed.
    session: Option<String>,
    /// Who it is, to log in again: user, domain, password.
    who: [String; 3],
    /// Whether to answer `<r/>`.
    pub answers: bool,
    /// Ids of messages received.
    pub got: Vec<(String, bool)>,
    /// Ids of messages that came back as errors.
    refused: BTreeSet<String>,
    /// How many of `got` were acknowledged to the server.
    pub got_acked: usize,
}

impl Client {
    /// Connects and logs in.
    pub fn login(
        addr: SocketAddr,
        user: &str,
        domain: &str,
        password: &str,
        resource: &str,
    ) -> Result<Client, Gone> {
        let mut client = Client::authenticate(addr, [user, domain, password])?;
        client.send(&format!(
            "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>{resource}</resource></bind></iq>"
        ))?;
        client.expect("iq")?;
        Ok(client)
    }

    /// Goes on with the session on another connection, at whichever node; what the server had not acknowledged is sent again. Whether
    /// the server knows the session; if not, this client is no more.
    pub fn resume(&mut self, addr: SocketAddr) -> Result<bool, Gone> {
        let [user, domain, password] = &self.who;
        let again = Client::authenticate(addr, [user, domain, password])?;
        (self.socket, self.framer, self.ns) = (again.socket, again.framer, again.ns);
        self.partial.clear();
        self.inbox.clear();
        let session = self.session.clone().ok_or(Gone)?;
        let h = self.received;
        self.send(&format!("<resume xmlns='urn:xmpp:sm:3' previd='{session}' h='{h}'/>"))?;
        let answer = self.expect_any(&["resumed", "failed"])?;
        if answer.name == "failed" {
            return Ok(false);
        }
        self.acked = answer.attr("h").and_then(|h| h.parse().ok()).ok_or(Gone)?;
        for n in self.acked..self.sent.len() {
            let xml = self.sent[n].1.clone();
            self.send(&xml)?;
        }
        Ok(true)
    }

    /// The connection as it is now, for one who wants to see how it ends when the client has another.
    pub fn connection(&self) -> TcpStream {
        self.socket.try_clone().expect("a handle")
    }

    /// The connection breaks.
    pub fn cut(&mut self) {
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
    }

    fn authenticate(addr: SocketAddr, who: [&str; 3]) -> Result<Client, Gone> {
        let [user, domain, password] = who;
        let socket = TcpStream::connect_timeout(&addr, Duration::from_secs(5)).map_err(|_| Gone)?;
        socket.set_nodelay(true).map_err(|_| Gone)?;
        let mut client = Client {
            socket,
            framer: Framer::default(),
            partial: Vec::new(),
            ns: StreamNs::new([("", "jabber:client"), ("stream", "http://etherx.jabber.org/streams")])
                .map_err(|_| Gone)?,
            inbox: Default::default(),
            received: 0,
            sent: Vec::new(),
            acked: 0,
            managed: false,
            session: None,
            who: who.map(str::to_owned),
            answers: true,
            got: Vec::new(),
            refused: BTreeSet::new(),
            got_acked: 0,
        };
        let header = format!(
            "<?xml version='1.0'?><stream:stream xmlns='jabber:client' \
             xmlns:stream='http://etherx.jabber.org/streams' to='{domain}' version='1.0'>"
        );
        client.send(&header)?;
        client.expect("features")?;
        let plain = base64::engine::general_purpose::STANDARD.encode(format!("\0{user}\0{password}"));
        client.send(&format!(
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{plain}</auth>"
        ))?;
        client.expect("success")?;
        client.framer.restart();
        client.send(&header)?;
        client.expect("features")?;
        Ok(client)
    }

    /// Enables stream management; from now on everything is counted.
    pub fn manage(&mut self) -> Result<(), Gone> {
        self.send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")?;
        let enabled = self.expect("enabled")?;
        self.session = enabled.attr("id").map(str::to_owned);
        self.managed = true;
        Ok(())
    }

    /// Sends a stanza that is no message.
    pub fn stanza(&mut self, xml: &str) -> Result<(), Gone> {
        self.sent.push((None, xml.to_owned()));
        self.send(xml)
    }

    /// Sends a chat message and writes it down.
    pub fn message(&mut self, to: &str, id: &str) -> Result<(), Gone> {
        let xml = format!("<message type='chat' to='{to}' id='{id}'><body>{id}</body></message>");
        self.sent.push((Some(id.to_owned()), xml.clone()));
        self.send(&xml)
    }

    /// Asks the server for its `h`.
    pub fn request(&mut self) -> Result<(), Gone> {
        self.send("<r xmlns='urn:xmpp:sm:3'/>")
    }

    /// Tells the server what has been received.
    pub fn acknowledge(&mut self) -> Result<(), Gone> {
        let h = self.received;
        self.send(&format!("<a xmlns='urn:xmpp:sm:3' h='{h}'/>"))?;
        self.got_acked = self.got.len();
        Ok(())
    }

    /// Ids of the messages that the server has acknowledged and not refused.
    pub fn acknowledged(&self) -> BTreeSet<String> {
        let ids = self.sent[..self.acked].iter().filter_map(|(id, _)| id.as_ref());
        ids.filter(|id| !self.refused.contains(*id)).cloned().collect()
    }

    /// Messages sent and not acknowledged.
    pub fn unacknowledged(&self) -> usize {
        self.sent.len() - self.acked
    }

    fn send(&mut self, xml: &str) -> Result<(), Gone> {
        self.socket.write_all(xml.as_bytes()).map_err(|_| Gone)
    }

    /// Waits for an element of this name, handling what comes before it.
    pub fn expect(&mut self, name: &str) -> Result<Element, Gone> {
        self.expect_any(&[name])
    }

    fn expect_any(&mut self, names: &[&str]) -> Result<Element, Gone> {
        let end = Instant::now() + Duration::from_secs(10);
        while Instant::now() < end {
            while let Some(element) = self.inbox.pop_front() {
                if names.contains(&element.name.as_str()) {
                    return Ok(element);
                }
                if matches!(element.name.as_str(), "failure" | "error") {
                    return Err(Gone);
                }
            }
            self.read(Duration::from_millis(50))?;
        }
        Err(Gone)
    }

    /// Reads for a while and keeps the books.
    pub fn read(&mut self, patience: Duration) -> Result<(), Gone> {
        let mut buffer = [0; 16 * 1024];
        self.socket.set_read_timeout(Some(patience.max(Duration::from_millis(1)))).map_err(|_| Gone)?;
        let n = match self.socket.read(&mut buffer) {
            Ok(0) => return Err(Gone),
            Ok(n) => n,
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return Ok(()),
            Err(_) => return Err(Gone),
        };
        let mut bytes = &buffer[..n];
        while !bytes.is_empty() {
            match self.framer.push(bytes).map_err(|_| Gone)? {
                Step::Need => {
                    self.partial.extend_from_slice(bytes);
                    bytes = &[];
                }
                Step::Frame { kind, end } => {
                    self.partial.extend_from_slice(&bytes[..end]);
                    bytes = &bytes[end..];
                    let frame = std::mem::take(&mut self.partial);
                    match kind {
                        FrameKind::Element => self.on_element(&frame)?,
                        FrameKind::End => return Err(Gone),
                        _ => {}
                    }
                }
            }
        }
        Ok(())
    }

    fn on_element(&mut self, frame: &[u8]) -> Result<(), Gone> {
        let element = Element::parse(frame, &self.ns).map_err(|_| Gone)?;
        match element.name.as_str() {
            "r" if self.managed => {
                if self.answers {
                    self.acknowledge()?;
                }
            }
            "a" if self.managed => {
                let h: usize = element.attr("h").and_then(|h| h.parse().ok()).ok_or(Gone)?;
                assert!(
                    h >= self.acked && h <= self.sent.len(),
                    "h={h} of {} after {}",
                    self.sent.len(),
                    self.acked
                );
                self.acked = h;
            }
            "message" | "presence" | "iq" => {
                if self.managed {
                    self.received += 1;
                }
                let id = element.attr("id").unwrap_or_default().to_owned();
                if element.name == "message" && element.attr("type") == Some("error") {
                    self.refused.insert(id);
                } else if element.name == "message" {
                    self.got.push((id, element.has_child("delay", "urn:xmpp:delay")));
                }
                self.inbox.push_back(element);
            }
            _ => self.inbox.push_back(element),
        }
        Ok(())
    }
}
