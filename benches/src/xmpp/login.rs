//! The way from a connection to a bound session: what to answer to what the server says (RFC 6120 §4 to §7).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::frame::{Stanza, Token};
use super::plan::{Plan, Security, User, escape};
use super::scram::Scram;

/// What is to be done after a token, beside sending what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Wait for more.
    Wait,
    /// Begin TLS now, then call [`Login::open`].
    StartTls,
    /// The session is there.
    Done,
    /// The session goes on: the server has handled so many stanzas of it. What it sends again follows at once.
    Resumed(u32),
}

/// A session that is to go on (XEP-0198 §5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resumption {
    /// What the server called it.
    pub id: String,
    /// How many stanzas the client has handled.
    pub handled: u32,
}

/// One login under way.
#[derive(Debug)]
pub struct Login {
    user: User,
    stage: Stage,
    secure: bool,
    authenticated: bool,
    registered: bool,
    jid: String,
    resumption: Option<Resumption>,
    /// It cannot go on; how much of it was handled, if the server knows.
    refused: Option<Option<u32>>,
    managed: Option<String>,
}

#[derive(Debug)]
enum Stage {
    Features,
    Proceed,
    Register,
    Plain,
    Scram(Box<Scram>),
    Resume,
    Bind,
    Enable,
    Roster,
    /// So many answers to additions are due.
    Contacts(u32),
    Ready,
}

const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
const SM: &str = "urn:xmpp:sm:3";

impl Login {
    /// Of this user.
    #[must_use]
    pub fn new(user: User, plan: &Plan) -> Login {
        let secure = plan.security == Security::Direct;
        Login {
            user,
            stage: Stage::Features,
            secure,
            authenticated: false,
            registered: false,
            jid: String::new(),
            resumption: None,
            refused: None,
            managed: None,
        }
    }

    /// Tries to go on with this session first.
    #[must_use]
    pub fn resuming(mut self, resumption: Option<Resumption>) -> Login {
        self.resumption = resumption;
        self
    }

    /// Whether the server has refused to go on with the session; and how much of that it had handled, if it said so.
    #[must_use]
    pub fn refused(&self) -> Option<Option<u32>> {
        self.refused
    }

    /// What the server calls the new session for whoever wants to resume it.
    #[must_use]
    pub fn managed(&self) -> Option<&str> {
        self.managed.as_deref()
    }

    /// Who.
    #[must_use]
    pub fn user(&self) -> User {
        self.user
    }

    /// The full JID that the server gave it.
    #[must_use]
    pub fn into_jid(self) -> String {
        self.jid
    }

    /// Opens the stream: at first, and when TLS has begun.
    pub fn open(&mut self, plan: &Plan, out: &mut Vec<u8>) {
        self.stage = Stage::Features;
        put(
            out,
            &format!(
                "<?xml version='1.0'?><stream:stream to='{}' version='1.0' xml:lang='en' xmlns='jabber:client' \
                 xmlns:stream='http://etherx.jabber.org/streams'>",
                plan.domain
            ),
        );
    }

    /// Takes one token and writes what is to be said to it.
    ///
    /// # Errors
    /// The login has failed, and why.
    pub fn on_token(
        &mut self,
        plan: &mut Plan,
        token: &Token<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Step, String> {
        let stanza = match token {
            Token::Header => return Ok(Step::Wait),
            Token::End => return Err("the server has closed the stream".to_owned()),
            Token::Stanza(stanza) => stanza,
        };
        match stanza.name {
            b"error" => return Err(shown("a stream error", stanza)),
            b"failure" => return Err(shown("the login was refused", stanza)),
            _ => {}
        }
        match &mut self.stage {
            Stage::Features if stanza.name == b"features" => self.on_features(plan, stanza, out)?,
            Stage::Proceed if stanza.name == b"proceed" => {
                self.secure = true;
                return Ok(Step::StartTls);
            }
            Stage::Register if is_answer(stanza, "register") => {
                let conflict = stanza.child("error").is_some_and(|e| e.child("conflict").is_some());
                if stanza.is_error() && !conflict {
                    return Err(shown("the registration was refused", stanza));
                }
                self.authenticate(plan, out);
            }
            Stage::Plain if stanza.name == b"success" => self.on_success(plan, out),
            Stage::Scram(_) if matches!(stanza.name, b"challenge" | b"success") => {
                self.on_scram(plan, stanza, out)?;
            }
            Stage::Resume if stanza.name == b"resumed" => {
                return handled(stanza).map(Step::Resumed).ok_or_else(|| shown("no count", stanza));
            }
            Stage::Resume if stanza.name == b"failed" => {
                self.refused = Some(handled(stanza));
                self.bind(plan, out);
            }
            Stage::Bind if is_answer(stanza, "bind") => return self.on_bound(plan, stanza, out),
            Stage::Enable if stanza.name == b"enabled" => {
                self.managed = stanza.attribute("id").map(|id| String::from_utf8_lossy(id).into_owned());
                return Ok(self.on_session(plan, out));
            }
            Stage::Enable if stanza.name == b"failed" => return Err(shown("no stream management", stanza)),
            Stage::Roster if is_answer(stanza, "roster") => self.on_roster(plan, stanza, out)?,
            Stage::Contacts(due) if is_answer(stanza, "contact") => {
                if stanza.is_error() {
                    return Err(shown("a contact was refused", stanza));
                }
                *due -= 1;
                if *due == 0 {
                    self.become_available(out);
                }
            }
            // The error of a server without pings is an answer, too.
            Stage::Ready if is_answer(stanza, "ready") => return Ok(Step::Done),
            // Pushes, presence, and whatever else a server says unasked.
            _ => {}
        }
        Ok(Step::Wait)
    }

    fn on_features(&mut self, plan: &Plan, features: &Stanza<'_>, out: &mut Vec<u8>) -> Result<(), String> {
        if self.authenticated {
            if let Some(Resumption { id, handled }) = &self.resumption {
                put(out, &format!("<resume xmlns='{SM}' h='{handled}' previd='{}'/>", escape(id)));
                self.stage = Stage::Resume;
            } else {
                self.bind(plan, out);
            }
        } else if plan.security == Security::Starttls && !self.secure {
            if features.child("starttls").is_none() {
                return Err(shown("no STARTTLS is offered", features));
            }
            put(out, "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
            self.stage = Stage::Proceed;
        } else if plan.register && !self.registered {
            self.registered = true;
            let register = format!(
                "<iq type='set' id='register'><query xmlns='jabber:iq:register'><username>{}</username>\
                 <password>{}</password></query></iq>",
                escape(&plan.name(self.user)),
                escape(&plan.password)
            );
            put(out, &register);
            self.stage = Stage::Register;
        } else {
            let wanted = plan.mechanism.name();
            let offered = |m: &Stanza<'_>| m.children().any(|m| m.inner == wanted.as_bytes());
            if !features.child("mechanisms").is_some_and(|m| offered(&m)) {
                return Err(shown(&format!("{wanted} is not offered"), features));
            }
            self.authenticate(plan, out);
        }
        Ok(())
    }

    fn bind(&mut self, plan: &Plan, out: &mut Vec<u8>) {
        let bind = format!(
            "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>{}</resource>\
             </bind></iq>",
            escape(&plan.resource)
        );
        put(out, &bind);
        self.stage = Stage::Bind;
    }

    fn authenticate(&mut self, plan: &Plan, out: &mut Vec<u8>) {
        let name = plan.name(self.user);
        let first;
        if let Some(hash) = plan.mechanism.hash() {
            // Unique is enough here: nobody is to be protected from a load tool.
            let scram = Scram::new(hash, &name, format!("{:08x}.{}", plan.run, self.user.0));
            first = scram.first();
            self.stage = Stage::Scram(Box::new(scram));
        } else {
            first = format!("\0{name}\0{}", plan.password);
            self.stage = Stage::Plain;
        }
        let mechanism = plan.mechanism.name();
        put(out, &format!("<auth xmlns='{SASL}' mechanism='{mechanism}'>{}</auth>", STANDARD.encode(first)));
    }

    fn on_scram(&mut self, plan: &mut Plan, stanza: &Stanza<'_>, out: &mut Vec<u8>) -> Result<(), String> {
        let Stage::Scram(scram) = &mut self.stage else { return Ok(()) };
        let decoded = STANDARD.decode(stanza.inner.trim_ascii()).map_err(|e| format!("no base64: {e}"))?;
        let said = String::from_utf8(decoded).map_err(|e| format!("no text: {e}"))?;
        if stanza.name == b"success" {
            if !scram.is_proof(&said) {
                return Err("the server does not know the password".to_owned());
            }
            self.on_success(plan, out);
        } else if scram.is_proof(&said) {
            // Some servers put their proof into one challenge more.
            put(out, &format!("<response xmlns='{SASL}'/>"));
            self.stage = Stage::Plain;
        } else {
            let mut known = plan.keys.remove(&self.user);
            let answer = scram.answer(&said, &plan.password, &mut known)?;
            plan.keys.extend(known.map(|k| (self.user, k)));
            put(out, &format!("<response xmlns='{SASL}'>{}</response>", STANDARD.encode(answer)));
        }
        Ok(())
    }

    fn on_success(&mut self, plan: &Plan, out: &mut Vec<u8>) {
        self.authenticated = true;
        self.open(plan, out);
    }

    fn on_bound(&mut self, plan: &Plan, iq: &Stanza<'_>, out: &mut Vec<u8>) -> Result<Step, String> {
        let jid = iq.child("bind").and_then(|b| b.child("jid"));
        let Some(jid) = jid else { return Err(shown("no resource was bound", iq)) };
        self.jid = String::from_utf8_lossy(jid.inner).into_owned();
        if plan.manage {
            put(out, &format!("<enable xmlns='{SM}' resume='true'/>"));
            self.stage = Stage::Enable;
            return Ok(Step::Wait);
        }
        Ok(self.on_session(plan, out))
    }

    fn on_session(&mut self, plan: &Plan, out: &mut Vec<u8>) -> Step {
        if !plan.presence && plan.roster == 0 {
            return Step::Done;
        }
        put(out, "<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>");
        self.stage = Stage::Roster;
        Step::Wait
    }

    fn on_roster(&mut self, plan: &Plan, iq: &Stanza<'_>, out: &mut Vec<u8>) -> Result<(), String> {
        if iq.is_error() {
            return Err(shown("no roster", iq));
        }
        let there = iq.child("query").map_or(0, |q| q.children().count());
        let there = u32::try_from(there).unwrap_or(u32::MAX);
        if there >= plan.roster {
            self.become_available(out);
            return Ok(());
        }
        for n in there..plan.roster {
            let item = format!(
                "<iq type='set' id='contact'><query xmlns='jabber:iq:roster'><item jid='contact{n}@{}' \
                 name='Contact {n}'/></query></iq>",
                plan.domain
            );
            put(out, &item);
        }
        self.stage = Stage::Contacts(plan.roster - there);
        Ok(())
    }

    /// The ping comes behind the presence, so its answer says that the server has seen both.
    fn become_available(&mut self, out: &mut Vec<u8>) {
        put(out, "<presence/><iq type='get' id='ready'><ping xmlns='urn:xmpp:ping'/></iq>");
        self.stage = Stage::Ready;
    }
}

/// The count of an answer of stream management.
fn handled(stanza: &Stanza<'_>) -> Option<u32> {
    std::str::from_utf8(stanza.attribute("h")?).ok()?.parse().ok()
}

fn put(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

fn is_answer(stanza: &Stanza<'_>, id: &str) -> bool {
    stanza.name == b"iq"
        && stanza.attribute("id") == Some(id.as_bytes())
        && matches!(stanza.attribute("type"), Some(b"result" | b"error"))
}

fn shown(what: &str, stanza: &Stanza<'_>) -> String {
    format!("{what}: {}", String::from_utf8_lossy(stanza.bytes))
}
