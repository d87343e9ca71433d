//! From the first header to the request for a resource (RFC 6120 §4.3).

use super::bind::BadBind;
use super::sasl;
use super::{BindRequest, Phase, Session};
use crate::base::ConnId;
use crate::effect::{Cx, Domain, Event, Then, TlsInfo};
use crate::jid::BareJid;
use crate::sasl::{Mechanism, Secret};
use crate::stanza::{Condition, Head, IqType, Kind, StanzaError, ns, write_error};
use crate::stream::{
    Features, StreamCondition, StreamError, check_client_header, write_features, write_header,
};
use crate::xml::{Element, parse_header};

/// What only the engine can go on with.
#[derive(Debug)]
pub enum Ask {
    /// Nothing.
    Nothing,
    /// The stream is in order, and the client is known: it belongs to its user's home now.
    Authenticated,
    /// The client wants a resource.
    Bind(BindRequest),
    /// The client wants to go on with a session (XEP-0198 §5).
    Resume {
        /// The id of the session.
        previd: String,
        /// How many stanzas the client has received.
        h: u32,
    },
    /// Somebody wants an account (XEP-0077 §3.1).
    Register {
        /// The id of the iq.
        id: String,
        /// The account.
        user: BareJid,
        /// Its password.
        password: Secret,
    },
    /// The stream is at fault.
    Fail(StreamError),
    /// The client ends the stream before it is bound.
    End,
}

impl From<StreamError> for Ask {
    fn from(error: StreamError) -> Self {
        Ask::Fail(error)
    }
}

/// The domain a session is for.
pub(super) fn domain<'a>(session: &Session, cx: &'a Cx) -> &'a Domain {
    &cx.settings.domains[usize::from(session.domain)]
}

/// Mechanisms that can be used on this stream as it is now, in the order of preference.
pub(super) fn offered(session: &Session, cx: &Cx) -> Vec<Mechanism> {
    let domain = domain(session, cx);
    if !session.secure && !domain.plaintext {
        return Vec::new();
    }
    let tls = session.tls.as_deref();
    let exporter = tls.is_some_and(|t| t.exporter.is_some());
    let certificate = tls.is_some_and(|t| sasl::addresses(t, &domain.name).next().is_some());
    let usable = |m: &Mechanism| match m {
        Mechanism::External => certificate,
        m if m.is_plus() => exporter,
        _ => true,
    };
    domain.mechanisms.iter().copied().filter(usable).collect()
}

/// A stream header arrived (§4.2).
pub fn on_header(session: &mut Session, cx: &mut Cx, bytes: &[u8]) -> Ask {
    let header = match parse_header(bytes) {
        Ok(header) => header,
        Err(fault) => return StreamError::from(fault).into(),
    };
    let opening = match check_client_header(&header) {
        Ok(opening) => opening,
        Err(error) => return error.into(),
    };
    let Some(index) = cx.settings.domain_index(&opening.domain) else {
        return StreamError::new(StreamCondition::HostUnknown, "this domain is not served here").into();
    };
    // §4.3.3: after TLS or authentication the client talks to the same host.
    if session.identity.is_some() && session.domain != index {
        return StreamError::new(StreamCondition::HostUnknown, "you authenticated for another domain").into();
    }
    session.domain = index;
    session.ns = header.stream_ns;
    session.lang = opening.lang.map(Into::into);
    // §4.7.2: the address of the client goes back to it only where nobody else can read it.
    let to = opening.from.filter(|_| session.secure);
    open(session, cx, to.as_deref());
    if session.identity.is_some() {
        session.phase = Phase::Ready;
        let Cx { wires, stream_features, .. } = cx;
        let more = stream_features.get(usize::from(index)).map_or("", |features| features);
        write_features(&mut wires.sink(session.conn), &Features::Bind { more });
        return Ask::Nothing;
    }
    session.phase = Phase::Open;
    let list: Vec<&'static str> = offered(session, cx).into_iter().map(|m| m.name()).collect();
    let register = domain(session, cx).registration && (session.secure || domain(session, cx).plaintext);
    let exporter = session.tls.as_ref().is_some_and(|t| t.exporter.is_some());
    let features = match session.secure || !cx.settings.starttls {
        false => Features::Tls { mechanisms: &list, register },
        true => Features::Auth { mechanisms: &list, exporter, register },
    };
    write_features(&mut cx.wires.sink(session.conn), &features);
    Ask::Nothing
}

/// Sends our header, with an id that nobody can guess (§4.7.3).
pub(super) fn open(session: &mut Session, cx: &mut Cx, to: Option<&str>) {
    let id = cx.rng.token();
    let settings = cx.settings.clone();
    let from = &settings.domains[usize::from(session.domain)].name;
    write_header(&mut cx.wires.sink(session.conn), from, to, &id);
    session.opened = true;
}

/// TLS is established: by STARTTLS (§5.4.3.3), or from the first byte (XEP-0368).
pub fn on_secured(session: &mut Session, tls: TlsInfo) {
    if matches!(session.phase, Phase::Securing) {
        session.secure = true;
        session.tls = Some(Box::new(tls));
        restart(session);
    }
}

/// The next thing on this connection is a new stream (§4.3.3).
pub(super) fn restart(session: &mut Session) {
    session.phase = Phase::Header;
    session.opened = false;
    session.inbox.restart();
}

/// An element arrived on a stream that has no resource yet.
pub fn on_element(session: &mut Session, cx: &mut Cx, bytes: &[u8]) -> Ask {
    let element = match Element::parse(bytes, &session.ns) {
        Ok(element) => element,
        Err(fault) => return StreamError::from(fault).into(),
    };
    match session.phase {
        Phase::Open | Phase::Sasl(_) => before_auth(session, cx, &element),
        Phase::Ready => before_bind(session, cx, &element),
        _ => Ask::Nothing,
    }
}

fn before_auth(session: &mut Session, cx: &mut Cx, element: &Element) -> Ask {
    let starttls = cx.settings.starttls && !session.secure;
    if element.is("starttls", ns::TLS) && starttls && matches!(session.phase, Phase::Open) {
        cx.wires.write(session.conn, b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
        session.phase = Phase::Securing;
        cx.wires.then(session.conn, Then::StartTls, &mut cx.outputs);
        return Ask::Nothing;
    }
    if element.ns == ns::SASL {
        return sasl::on_element(session, cx, element);
    }
    if element.is("iq", ns::CLIENT)
        && domain(session, cx).registration
        && let Some(ask) = registration(session, cx, element)
    {
        return ask;
    }
    StreamError::new(StreamCondition::NotAuthorized, "log in first").into()
}

/// In-band registration (XEP-0077 §3.1); `None` if that is not what is asked.
fn registration(session: &Session, cx: &mut Cx, iq: &Element) -> Option<Ask> {
    let query = iq.child("query", "jabber:iq:register")?;
    let kind = match iq.attr("type") {
        Some("get") => IqType::Get,
        Some("set") => IqType::Set,
        _ => return None,
    };
    let id = iq.attr("id").unwrap_or_default();
    let domain_name = domain(session, cx).name.clone();
    let protected = session.secure || domain(session, cx).plaintext;
    let head = Head { from: Some(&domain_name), to: None, id: Some(id) };
    let mut refuse = |kind, error: StanzaError| {
        write_error(&mut cx.wires.sink(session.conn), Kind::Iq(kind), &head, &error);
        Some(Ask::Nothing)
    };
    if !protected {
        return refuse(kind, Condition::NotAllowed.into());
    }
    if kind == IqType::Get {
        let form = b"<query xmlns='jabber:iq:register'><instructions>Choose a user name and a password.\
            </instructions><username/><password/></query>";
        crate::stanza::write_result(&mut cx.wires.sink(session.conn), &head, form);
        return Some(Ask::Nothing);
    }
    let field = |name| query.child(name, "jabber:iq:register").map(|e| e.text().into_owned());
    let (Some(name), Some(password)) = (field("username"), field("password")) else {
        return refuse(kind, Condition::NotAcceptable.into());
    };
    let user = sasl::account(&name, &domain_name);
    match user {
        Some(user) if !password.is_empty() => {
            Some(Ask::Register { id: id.to_owned(), user, password: Secret::new(password) })
        }
        _ => refuse(kind, Condition::NotAcceptable.into()),
    }
}

fn before_bind(session: &mut Session, cx: &mut Cx, element: &Element) -> Ask {
    if element.is("resume", ns::SM) {
        let h = element.attr("h").and_then(|h| h.parse().ok());
        let (Some(previd), Some(h)) = (element.attr("previd"), h) else {
            return StreamError::new(StreamCondition::InvalidXml, "<resume/> has a 'previd' and an 'h'")
                .into();
        };
        return Ask::Resume { previd: previd.to_owned(), h };
    }
    if element.is("enable", ns::SM) {
        // XEP-0198 §3: only a bound session can be managed.
        let failed = b"<failed xmlns='urn:xmpp:sm:3'><unexpected-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>";
        cx.wires.write(session.conn, failed);
        return Ask::Nothing;
    }
    match BindRequest::read(element) {
        Ok(request) => Ask::Bind(request),
        Err((BadBind::BadResource, id)) => {
            refuse_bind(session.conn, cx, &id, &Condition::BadRequest.into());
            Ask::Nothing
        }
        Err((BadBind::NotBind, _)) => {
            StreamError::new(StreamCondition::NotAuthorized, "bind a resource first").into()
        }
    }
}

/// A request for a resource is refused (§7.6.2.1, §7.7.2).
pub fn refuse_bind(conn: ConnId, cx: &mut Cx, id: &str, error: &StanzaError) {
    let head = Head { from: None, to: None, id: Some(id) };
    write_error(&mut cx.wires.sink(conn), Kind::Iq(IqType::Set), &head, error);
}

/// Ends the stream with an error (§4.9.1.1: after a header of ours, and with the end tag).
pub fn fail(session: &mut Session, cx: &mut Cx, error: &StreamError) {
    if matches!(session.phase, Phase::Closing) {
        return;
    }
    // While TLS is being set up there is no stream to say anything on; on one whose session goes on elsewhere nothing is said.
    if matches!(session.phase, Phase::Parting) {
        return close(session, cx);
    }
    if !matches!(session.phase, Phase::Securing) {
        if !session.opened {
            open(session, cx, None);
        }
        error.write(&mut cx.wires.sink(session.conn));
    }
    cx.event(Event::StreamError {
        peer: session.peer,
        condition: error.condition.as_str(),
        text: error.text.clone().into_owned(),
    });
    close(session, cx);
}

/// Ends our side of the stream in peace (§4.4).
pub fn end(session: &mut Session, cx: &mut Cx) {
    if !matches!(session.phase, Phase::Closing) {
        if session.opened {
            cx.wires.write(session.conn, crate::stream::CLOSE);
        }
        close(session, cx);
    }
}

/// The session is to go on at another node (XEP-0198 §5): nothing more is read, and the stream waits for [`part`]; not for long.
pub fn part_soon(session: &mut Session, cx: &mut Cx) {
    session.phase = Phase::Parting;
    session.since = cx.now.mono;
    session.holds.answer = true;
    session.inbox.clear(cx.wires.pool());
    session.set_reading(cx);
    session.arm(cx);
}

/// Ends the stream without a word, once all that was written is sent.
pub fn part(session: &mut Session, cx: &mut Cx) {
    if !matches!(session.phase, Phase::Closing) {
        close(session, cx);
    }
}

fn close(session: &mut Session, cx: &mut Cx) {
    session.phase = Phase::Closing;
    session.since = cx.now.mono;
    session.delayed = None;
    session.inbox.clear(cx.wires.pool());
    cx.wires.then(session.conn, Then::Close, &mut cx.outputs);
}
