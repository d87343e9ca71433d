//! SASL on a client stream (RFC 6120 §6).

use core::net::IpAddr;

use super::negotiate::{Ask, domain, offered, restart};
use super::{Identity, Phase, Session};
use crate::base::Span;
use crate::effect::{AccountDone, AccountError, AccountOp, AccountResult, Cx, Event, TlsInfo, Wait};
use crate::jid::{self, BareJid};
use crate::sasl::{Context, Exchange, Failure, Mechanism, Step, payload};
use crate::stream::{StreamCondition, StreamError};
use crate::xml::{Element, Sink};

/// Attempts that would have to wait longer than this are refused, so that waiting is never a way to keep
/// connections open.
const DELAY_MAX: Span = Span::secs(10);

/// The account of a user name: a localpart, or a whole bare JID of the same domain, which some clients send.
pub(super) fn account(username: &str, domain: &str) -> Option<BareJid> {
    let local = username.strip_suffix(domain).and_then(|u| u.strip_suffix('@')).unwrap_or(username);
    let local = jid::prepare_local(local).ok()?;
    BareJid::parse(&format!("{local}@{domain}")).ok().filter(|j| j.local().is_some())
}

/// An element of the SASL namespace arrived.
pub(super) fn on_element(session: &mut Session, cx: &mut Cx, element: &Element) -> Ask {
    let text = element.text();
    match element.name.as_str() {
        "auth" => {
            // §6.4.2: a new attempt ends the one under way, which so has failed. Its answer may have cost a look-up.
            if matches!(session.phase, Phase::Sasl(_)) {
                session.failures = session.failures.saturating_add(1);
                if let Some(error) = too_many(session, cx) {
                    return error.into();
                }
            }
            // It need not be for the same account.
            session.claimed = None;
            let offer = offered(session, cx);
            let mechanism = element.attr("mechanism").and_then(Mechanism::from_name);
            let Some(mechanism) = mechanism.filter(|m| offer.contains(m)) else {
                // §6.5.4, §6.5.7: the mechanism may exist, but not here and now.
                let failure =
                    if offer.is_empty() { Failure::EncryptionRequired } else { Failure::InvalidMechanism };
                return failed(session, cx, failure);
            };
            let mut nonce = [0; 24];
            cx.rng.fill(&mut nonce);
            let context = Context {
                exporter: session.tls.as_ref().and_then(|t| t.exporter),
                plus_offered: offer.iter().any(|m| m.is_plus()),
                tls: session.secure || domain(session, cx).plaintext,
                nonce,
                fake_salt_key: cx.settings.fake_salt_key,
            };
            let mut exchange = Exchange::start(mechanism, &context);
            let step = match payload::decode_initial(&text) {
                Ok(initial) => exchange.begin(initial.as_deref()),
                Err(fault) => Step::Failure(fault.failure()),
            };
            session.phase = Phase::Sasl(Box::new(exchange));
            go_on(session, cx, step)
        }
        "response" => {
            let Phase::Sasl(exchange) = &mut session.phase else {
                return failed(session, cx, Failure::MalformedRequest);
            };
            let step = match payload::decode(&text) {
                Ok(data) => exchange.respond(&data),
                Err(fault) => Step::Failure(fault.failure()),
            };
            go_on(session, cx, step)
        }
        "abort" => failed(session, cx, Failure::Aborted),
        _ => StreamError::new(StreamCondition::UnsupportedFeature, "unknown SASL element").into(),
    }
}

fn go_on(session: &mut Session, cx: &mut Cx, step: Step) -> Ask {
    let name = domain(session, cx).name.clone();
    match step {
        Step::Challenge(data) => {
            let text = payload::encode(&data);
            tell(session, cx, "challenge", &text);
            Ask::Nothing
        }
        Step::NeedKeys { username, hash } => match account(&username, &name) {
            Some(user) => {
                if let Phase::Sasl(exchange) = &mut session.phase {
                    exchange.known_as(user.as_str());
                }
                ask(session, cx, AccountOp::Keys { user, hash })
            }
            None => with_keys(session, cx, None),
        },
        Step::CheckPassword { username, password, authzid } => match account(&username, &name) {
            Some(user) if authzid_fits(authzid.as_deref(), &user) => {
                ask(session, cx, AccountOp::Check { user, password })
            }
            Some(_) => failed(session, cx, Failure::InvalidAuthzid),
            None => failed(session, cx, Failure::NotAuthorized),
        },
        Step::Anonymous { .. } => {
            // RFC 4505: somebody nobody has been before.
            let local = cx.rng.token().to_lowercase();
            match account(&local, &name) {
                Some(user) => succeeded(session, cx, user, None),
                None => failed(session, cx, Failure::TemporaryAuthFailure),
            }
        }
        Step::External { authzid } => external(session, cx, authzid.as_deref(), &name),
        Step::Success { username, authzid, data } => match account(&username, &name) {
            Some(user) if authzid_fits(authzid.as_deref(), &user) => {
                succeeded(session, cx, user, data.as_deref())
            }
            _ => failed(session, cx, Failure::InvalidAuthzid),
        },
        Step::Failure(failure) => failed(session, cx, failure),
    }
}

/// §6.3.8: a user may act as itself only.
fn authzid_fits(authzid: Option<&str>, user: &BareJid) -> bool {
    match authzid {
        None | Some("") => true,
        Some(authzid) => BareJid::parse(authzid).is_ok_and(|a| &a == user),
    }
}

/// The accounts of this domain that the client's certificate names.
pub(super) fn addresses<'a>(tls: &'a TlsInfo, domain: &'a str) -> impl Iterator<Item = BareJid> + 'a {
    let parsed = tls.client_addresses.iter().filter_map(|address| BareJid::parse(address).ok());
    parsed.filter(move |address| address.domain() == domain && address.local().is_some())
}

/// EXTERNAL (XEP-0178 §2): an address in the certificate, of the domain asked for.
fn external(session: &mut Session, cx: &mut Cx, authzid: Option<&str>, domain: &str) -> Ask {
    let named: Vec<BareJid> = session.tls.iter().flat_map(|tls| addresses(tls, domain)).collect();
    let chosen = match authzid {
        Some(wish) if !wish.is_empty() => {
            BareJid::parse(wish).ok().filter(|w| named.contains(w)).ok_or(Failure::InvalidAuthzid)
        }
        // XEP-0178 §2, step 11: with several addresses the client must choose.
        _ if named.len() == 1 => Ok(named[0].clone()),
        _ if named.is_empty() => Err(Failure::NotAuthorized),
        _ => Err(Failure::InvalidAuthzid),
    };
    match chosen {
        Ok(user) => succeeded(session, cx, user, None),
        Err(failure) => failed(session, cx, failure),
    }
}

/// Names under which failures are counted: the client's address (IPv6: its /64) and the account.
fn names(session: &Session) -> [String; 2] {
    let address = match session.peer {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    };
    [address, session.claimed.as_ref().map(|user| user.to_string()).unwrap_or_default()]
}

/// Asks the authenticator; later, if this address or this account has failed too often lately. An address that would
/// have to wait long is refused. An account never is: else a stranger could keep its owner out.
fn ask(session: &mut Session, cx: &mut Cx, op: AccountOp) -> Ask {
    session.holds.answer = true;
    session.claimed = Some(Box::new(op.user().clone()));
    let now = cx.now.mono;
    let [address, account] = names(session).map(|n| cx.throttle.delay(&n, now));
    if address > DELAY_MAX {
        let text = "too many failed logins, try again later";
        return StreamError::new(StreamCondition::PolicyViolation, text).into();
    }
    let delay = address.max(account.min(DELAY_MAX));
    if delay.0 > 0 {
        session.delayed = Some(Box::new((now + delay, op)));
    } else {
        cx.account(op, Wait::Sasl(session.conn));
    }
    Ask::Nothing
}

/// The delay of an attempt to log in is over.
pub fn ask_delayed(session: &mut Session, cx: &mut Cx) {
    if let Some(delayed) = session.delayed.take_if(|d| d.0 <= cx.now.mono) {
        cx.account(delayed.1, Wait::Sasl(session.conn));
    }
}

fn with_keys(session: &mut Session, cx: &mut Cx, keys: Option<crate::sasl::ScramKeys>) -> Ask {
    let Phase::Sasl(exchange) = &mut session.phase else { return Ask::Nothing };
    let step = exchange.keys(keys);
    go_on(session, cx, step)
}

/// The authenticator answered, or did not in time.
pub fn on_account_answer(session: &mut Session, cx: &mut Cx, result: AccountResult) -> Ask {
    session.holds.answer = false;
    if !matches!(session.phase, Phase::Sasl(_)) {
        return Ask::Nothing;
    }
    match result {
        Ok(AccountDone::Keys(keys)) => with_keys(session, cx, keys),
        Ok(AccountDone::Accepted) => match session.claimed.clone() {
            Some(user) => succeeded(session, cx, *user, None),
            None => failed(session, cx, Failure::TemporaryAuthFailure),
        },
        Ok(AccountDone::Done) => failed(session, cx, Failure::TemporaryAuthFailure),
        Err(AccountError::Refused) => failed(session, cx, Failure::NotAuthorized),
        Err(AccountError::Disabled) => failed(session, cx, Failure::AccountDisabled),
        Err(_) => failed(session, cx, Failure::TemporaryAuthFailure),
    }
}

fn succeeded(session: &mut Session, cx: &mut Cx, user: BareJid, data: Option<&[u8]>) -> Ask {
    let text = payload::encode_optional(data);
    tell(session, cx, "success", &text);
    session.identity = Some(Box::new(Identity { user }));
    session.on_identified(cx);
    if let Some(user) = session.claimed.take() {
        cx.throttle.succeeded(user.as_str());
    }
    // The channel binding has served; nothing of the handshake is kept longer than needed.
    session.tls = None;
    restart(session);
    Ask::Authenticated
}

/// The attempt failed; the client may try again a few times (§6.4.5).
fn failed(session: &mut Session, cx: &mut Cx, failure: Failure) -> Ask {
    session.phase = Phase::Open;
    let condition = failure.condition();
    let conn = session.conn;
    let mut sink = cx.wires.sink(conn);
    sink.put(b"<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><");
    sink.put(condition.as_bytes());
    sink.put(b"/></failure>");
    let peer = session.peer;
    cx.event(Event::LoginFailed { peer, condition });
    session.failures = session.failures.saturating_add(1);
    if failure == Failure::NotAuthorized {
        for name in names(session).iter().filter(|n| !n.is_empty()) {
            cx.throttle.failed(name, cx.now.mono);
        }
    }
    session.claimed = None;
    too_many(session, cx).map_or(Ask::Nothing, Ask::from)
}

/// §6.4.5.
fn too_many(session: &Session, cx: &Cx) -> Option<StreamError> {
    let enough = session.failures >= cx.settings.limits_of(session.domain).auth_attempts_max;
    enough.then(|| StreamError::new(StreamCondition::PolicyViolation, "too many failed logins"))
}

fn tell(session: &Session, cx: &mut Cx, name: &str, text: &str) {
    let mut sink = cx.wires.sink(session.conn);
    sink.put(b"<");
    sink.put(name.as_bytes());
    sink.put(b" xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>");
    sink.put(text.as_bytes());
    sink.put(b"</");
    sink.put(name.as_bytes());
    sink.put(b">");
}
