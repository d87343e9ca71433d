//! The canned half of a login: everybody is welcome, whatever they say.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::xmpp::{Stanza, Token};

/// How far a connection is.
#[derive(Debug, Default)]
pub struct Greeting {
    /// The number at the end of the user's name.
    pub user: Option<u32>,
}

/// What a token asks for beside its answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// More of the login.
    Go,
    /// From here on bytes are forwarded.
    Forward,
    /// The client leaves.
    Close,
}

impl Greeting {
    /// Answers a token of the login.
    pub fn on_token(&mut self, token: &Token<'_>, out: &mut Vec<u8>) -> Next {
        match token {
            Token::Header => self.open(out),
            Token::End => {
                put(out, "</stream:stream>");
                return Next::Close;
            }
            Token::Stanza(stanza) => match stanza.name {
                b"auth" => self.on_auth(stanza, out),
                b"iq" => return self.on_iq(stanza, out),
                _ => {}
            },
        }
        Next::Go
    }

    fn open(&self, out: &mut Vec<u8>) {
        let feature = match self.user {
            None => {
                "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms>"
            }
            Some(_) => "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>",
        };
        put(
            out,
            &format!(
                "<?xml version='1.0'?><stream:stream from='relay' id='r' version='1.0' xmlns='jabber:client' \
                 xmlns:stream='http://etherx.jabber.org/streams'><stream:features>{feature}</stream:features>"
            ),
        );
    }

    fn on_auth(&mut self, auth: &Stanza<'_>, out: &mut Vec<u8>) {
        let decoded = STANDARD.decode(auth.inner).unwrap_or_default();
        let name = decoded.split(|b| *b == 0).nth(1).unwrap_or_default();
        let digits = name.iter().rev().take_while(|b| b.is_ascii_digit()).count();
        let number = std::str::from_utf8(&name[name.len() - digits..]).ok().and_then(|d| d.parse().ok());
        self.user = Some(number.unwrap_or(0));
        put(out, "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
    }

    fn on_iq(&mut self, iq: &Stanza<'_>, out: &mut Vec<u8>) -> Next {
        let id = String::from_utf8_lossy(iq.attribute("id").unwrap_or_default());
        let inner = match (iq.child("bind"), self.user) {
            (Some(_), Some(user)) => {
                format!(
                    "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>user{user}@localhost/relay</jid></bind>"
                )
            }
            _ => String::new(),
        };
        put(out, &format!("<iq type='result' id='{id}'>{inner}</iq>"));
        if id == "ready" { Next::Forward } else { Next::Go }
    }
}

fn put(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}
