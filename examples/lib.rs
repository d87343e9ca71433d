//! A client that can do just what the examples show, over anything that reads and writes. Yours will use a library of
//! its own: see `bot.rs`.

use std::io::{Error, Read, Result, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A client that is logged in and available.
pub struct Client<S> {
    stream: S,
    /// What has come and was not waited for yet.
    seen: String,
}

impl<S: Read + Write> Client<S> {
    /// Logs in with SASL PLAIN and becomes available.
    ///
    /// # Errors
    /// The login was refused, or the connection broke.
    pub fn login(stream: S, user: &str, domain: &str, password: &str) -> Result<Client<S>> {
        let mut client = Client { stream, seen: String::new() };
        client.open(domain)?;
        let response = STANDARD.encode(format!("\0{user}\0{password}"));
        client.send(&format!(
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{response}</auth>"
        ))?;
        // `<success …></success>` or `<failure …><condition/></failure>`.
        let answer = client.wait_for("</")?;
        if !answer.contains("<success") {
            let condition = answer.trim_end_matches("/></").rsplit('<').next().unwrap_or_default();
            return Err(Error::other(format!("the login was refused: {condition}")));
        }
        client.open(domain)?;
        client.send("<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>")?;
        client.wait_for("</iq>")?;
        client.send("<presence/>")?;
        client.wait_for("<presence")?;
        Ok(client)
    }

    fn open(&mut self, domain: &str) -> Result<()> {
        self.send(&format!(
            "<stream:stream to='{domain}' version='1.0' xmlns='jabber:client' \
             xmlns:stream='http://etherx.jabber.org/streams'>"
        ))?;
        self.wait_for("</stream:features>").map(drop)
    }

    /// Sends this.
    ///
    /// # Errors
    /// The connection broke.
    pub fn send(&mut self, xml: &str) -> Result<()> {
        self.stream.write_all(xml.as_bytes())
    }

    /// Sends a chat message; the text may hold no XML.
    ///
    /// # Errors
    /// The connection broke.
    pub fn say(&mut self, to: &str, text: &str) -> Result<()> {
        self.send(&format!("<message type='chat' to='{to}'><body>{text}</body></message>"))
    }

    /// Waits for the next message and returns its text.
    ///
    /// # Errors
    /// The connection broke.
    pub fn hear(&mut self) -> Result<String> {
        self.wait_for("<body>")?;
        let text = self.wait_for("</body>")?;
        self.wait_for("</message>")?;
        Ok(text.trim_end_matches("</body>").to_owned())
    }

    /// Closes the stream, and waits until the server has, too.
    ///
    /// # Errors
    /// The connection broke.
    pub fn close(mut self) -> Result<()> {
        self.send("</stream:stream>")?;
        self.wait_for("</stream:stream>").map(drop)
    }

    /// Waits until this has come, and returns what came, up to its end.
    ///
    /// # Errors
    /// The connection broke.
    pub fn wait_for(&mut self, text: &str) -> Result<String> {
        loop {
            if let Some(start) = self.seen.find(text) {
                let rest = self.seen.split_off(start + text.len());
                return Ok(std::mem::replace(&mut self.seen, rest));
            }
            let mut bytes = [0; 4096];
            let n = self.stream.read(&mut bytes)?;
            if n == 0 {
                return Err(Error::other(format!("the stream ended: {}", self.seen)));
            }
            self.seen.push_str(&String::from_utf8_lossy(&bytes[..n]));
        }
    }
}
