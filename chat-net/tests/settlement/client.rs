//! A client that looks at what has come, element by element, and never waits longer than it is told.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chat_core::xml::{Element, FrameKind, Framer, Step, StreamNs};
use chat_net::net::MemoryStream;
use chat_net::server::ServerHandle;

use crate::stage::PATIENCE;

const HEADER: &str = "<?xml version='1.0'?><stream:stream to='localhost' version='1.0' \
    xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";

pub struct Client {
    stream: MemoryStream,
    framer: Framer,
    partial: Vec<u8>,
    received: VecDeque<String>,
    /// Stanzas that came since stream management was enabled: what this client may acknowledge.
    handled: u32,
    managed: bool,
    ended: bool,
}

impl Client {
    /// Logs in and binds a resource.
    pub fn login(server: &ServerHandle, user: &str, resource: &str) -> Client {
        let mut client = Client {
            stream: server.connect_memory().expect("it runs"),
            framer: Framer::default(),
            partial: Vec::new(),
            received: VecDeque::new(),
            handled: 0,
            managed: false,
            ended: false,
        };
        client.send(HEADER);
        client.expect("<stream:features");
        let response = STANDARD.encode(format!("\0{user}\0secret"));
        client.send(&format!(
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{response}</auth>"
        ));
        client.expect("<success");
        client.send(HEADER);
        client.expect("<stream:features");
        client.send(&format!(
            "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>\
             <resource>{resource}</resource></bind></iq>"
        ));
        let bound = client.expect("<iq");
        assert!(bound.contains(&format!("<jid>{user}@localhost/{resource}</jid>")), "{bound}");
        client
    }

    /// Enables stream management with resumption.
    pub fn managed(mut self) -> Client {
        self.send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
        self.expect("<enabled");
        self.managed = true;
        self
    }

    /// Becomes available; forgets what comes of it, which is its own presence.
    pub fn available(mut self) -> Client {
        self.send("<presence/>");
        self.expect("<presence");
        self
    }

    pub fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).expect("the server reads");
    }

    /// The next element, if one comes in time.
    pub fn poll(&mut self, patience: Duration) -> Option<String> {
        let deadline = Instant::now() + patience;
        while self.received.is_empty() && !self.ended {
            let left = deadline.saturating_duration_since(Instant::now());
            self.stream.set_read_timeout(Some(left));
            let mut bytes = [0; 4096];
            match self.stream.read(&mut bytes) {
                Ok(0) => self.ended = true,
                Ok(n) => self.take(&bytes[..n]),
                Err(_) => return None,
            }
        }
        self.received.pop_front()
    }

    /// The next element that begins so; what comes before it is dropped.
    pub fn expect(&mut self, start: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut others = Vec::new();
        while let Some(element) = self.poll(deadline.saturating_duration_since(Instant::now())) {
            if element.starts_with(start) {
                return element;
            }
            others.push(element);
        }
        panic!("no {start:?} came, but {others:?}");
    }

    /// Everything that was on its way: until the server has answered a ping.
    pub fn drain(&mut self) -> Vec<String> {
        self.send("<iq type='get' id='drain' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>");
        let mut all = Vec::new();
        loop {
            let element = self.poll(PATIENCE).unwrap_or_else(|| panic!("no pong came, but {all:?}"));
            if element.starts_with("<iq") && attr(&element, "id").as_deref() == Some("drain") {
                return all;
            }
            all.push(element);
        }
    }

    /// Acknowledges everything it got (XEP-0198 §4).
    pub fn acknowledge(&mut self) {
        let h = self.handled;
        self.send(&format!("<a xmlns='urn:xmpp:sm:3' h='{h}'/>"));
    }

    /// Ends its session properly.
    pub fn close(mut self) {
        self.send("</stream:stream>");
        self.expect("</stream");
    }

    fn take(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (kind, end) = match self.framer.push(bytes).expect("the server writes XML") {
                Step::Need => return self.partial.extend_from_slice(bytes),
                Step::Frame { kind, end } => (kind, end),
            };
            self.partial.extend_from_slice(&bytes[..end]);
            bytes = &bytes[end..];
            let text = String::from_utf8(std::mem::take(&mut self.partial)).expect("text");
            match kind {
                FrameKind::Space | FrameKind::Header => continue,
                FrameKind::End => self.received.push_back("</stream:stream>".to_owned()),
                FrameKind::Element => {
                    if text.starts_with("<success") {
                        self.framer.restart();
                    }
                    if self.managed && ["<message", "<iq", "<presence"].iter().any(|s| text.starts_with(s)) {
                        self.handled += 1;
                    }
                    self.received.push_back(text);
                }
            }
        }
    }
}

fn parse(element: &str) -> Element {
    Element::parse(element.as_bytes(), &StreamNs::client()).unwrap_or_else(|e| panic!("{element}: {e}"))
}

/// An attribute of an element.
pub fn attr(element: &str, name: &str) -> Option<String> {
    parse(element).attr(name).map(str::to_owned)
}

/// The text in the body of a message that is no error.
pub fn body(element: &str) -> Option<String> {
    let element = parse(element);
    if !element.is("message", "jabber:client") || element.attr("type") == Some("error") {
        return None;
    }
    element.child("body", "jabber:client").map(|body| body.text().into_owned())
}

/// The type and the condition of a stanza error (RFC 6120 §8.3).
pub fn error(element: &str) -> Option<(String, String)> {
    let element = parse(element);
    let error = element.child("error", "jabber:client").filter(|_| element.attr("type") == Some("error"))?;
    let condition = error.children().next()?;
    Some((error.attr("type")?.to_owned(), condition.name.to_string()))
}
