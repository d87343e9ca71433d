//! Who may ask.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Extension, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use hyper::header::{AUTHORIZATION, HOST, HeaderMap, HeaderValue, ORIGIN, WWW_AUTHENTICATE};

use super::name_of;
use super::routes::Refusal;
use crate::config::Secret;

/// Where a request comes from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub(super) SocketAddr);

/// What opens the door.
pub(super) struct Door {
    /// Without one, to be on this machine.
    pub(super) token: Option<Secret>,
}

/// Lets in who may come in.
pub(super) async fn guard(
    State(door): State<Arc<Door>>,
    Extension(Peer(peer)): Extension<Peer>,
    request: Request,
    next: Next,
) -> Response {
    match door.refuses(peer, request.headers()) {
        None => next.run(request).await,
        Some(refusal) => {
            tracing::warn!(peer = name_of(peer), reason = refusal.title, "the backdoor refuses a request");
            let mut response = refusal.into_response();
            if refusal == Refusal::UNAUTHORIZED {
                response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            response
        }
    }
}

impl Door {
    /// Why this request is not answered.
    fn refuses(&self, peer: SocketAddr, headers: &HeaderMap) -> Option<Refusal> {
        // A page in a browser of this machine reaches the port, too. No operator's tool says where it was loaded from.
        if headers.contains_key(ORIGIN) {
            return Some(Refusal::FROM_A_PAGE);
        }
        let Some(token) = &self.token else {
            let here = peer.ip().to_canonical().is_loopback();
            // A name of somebody's own that leads here is how pages get around the above.
            return match here && names_this_machine(headers) {
                true => None,
                false => Some(Refusal::NOT_LOCAL),
            };
        };
        let shown = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(bearer);
        match shown {
            // In constant time.
            Some(shown) if Secret::new(shown) == *token => None,
            _ => Some(Refusal::UNAUTHORIZED),
        }
    }
}

/// RFC 6750 §2.1; the scheme in either case (RFC 9110 §11.1).
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// Whether the host that the request names is an address, or the name that every machine has for itself.
fn names_this_machine(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(HOST).and_then(|host| host.to_str().ok()) else { return false };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    name.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(door: &Door, peer: &str, headers: &[(&'static str, &'static str)]) -> Option<Refusal> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, HeaderValue::from_static(value));
        }
        door.refuses(SocketAddr::new(peer.parse().expect("an address"), 40_000), &map)
    }

    #[test]
    fn without_a_token_this_machine_alone_is_answered() {
        let door = Door { token: None };
        let host = ("host", "localhost:8000");
        for here in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(ask(&door, here, &[host]), None, "{here}");
        }
        for elsewhere in ["192.0.2.1", "10.0.0.1", "2001:db8::1", "::ffff:192.0.2.1"] {
            assert_eq!(ask(&door, elsewhere, &[host]), Some(Refusal::NOT_LOCAL), "{elsewhere}");
        }
        for (host, fine) in [
            ("127.0.0.1:8000", true),
            ("[::1]:8000", true),
            ("LOCALHOST", true),
            ("evil.example:8000", false),
            ("localhost.evil.example", false),
            ("", false),
        ] {
            let refused = ask(&door, "127.0.0.1", &[("host", host)]).is_some();
            assert_eq!(refused, !fine, "{host}");
        }
        assert!(ask(&door, "127.0.0.1", &[]).is_some(), "HTTP/1.0 without a host");
    }

    #[test]
    fn the_token_opens_from_everywhere_and_nothing_else_does() {
        let door = Door { token: Some(Secret::new("sesame")) };
        for (value, fine) in [
            ("Bearer sesame", true),
            ("bearer sesame", true),
            ("Bearer Sesame", false),
            ("Bearer sesam", false),
            ("Bearer sesame2", false),
            ("Bearer ", false),
            ("Bearer", false),
            ("sesame", false),
            ("Basic sesame", false),
        ] {
            for peer in ["127.0.0.1", "192.0.2.1"] {
                let refused = ask(&door, peer, &[("host", "chat.example"), ("authorization", value)]);
                assert_eq!(refused, (!fine).then_some(Refusal::UNAUTHORIZED), "{value}");
            }
        }
        assert_eq!(ask(&door, "127.0.0.1", &[("host", "localhost")]), Some(Refusal::UNAUTHORIZED));
    }

    #[test]
    fn pages_are_never_answered() {
        let origin = ("origin", "https://evil.example");
        let open = Door { token: None };
        assert_eq!(ask(&open, "127.0.0.1", &[("host", "localhost"), origin]), Some(Refusal::FROM_A_PAGE));
        let locked = Door { token: Some(Secret::new("sesame")) };
        let token = ("authorization", "Bearer sesame");
        assert_eq!(ask(&locked, "127.0.0.1", &[token, origin]), Some(Refusal::FROM_A_PAGE));
    }
}
