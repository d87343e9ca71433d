//! Ways to log in besides passwords in the store, as configured.

mod support;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{EncodingKey, Header};
use support::TestServer;
use support::raw::RawClient;

const PLAINTEXT: (&str, &str) = ("c2s.allow_plaintext", "true");

#[test]
fn a_token_is_a_password() {
    let secret = "0123456789abcdef0123456789abcdef";
    let server = TestServer::start(&[
        PLAINTEXT,
        ("auth.method", "jwt store"),
        ("auth.jwt_secret", secret),
        ("auth.jwt_issuer", "door"),
    ]);
    let token = |subject: &str, issuer: &str| {
        let expires = SystemTime::now() + Duration::from_secs(60);
        let expires = expires.duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        let claims = serde_json::json!({"sub": subject, "iss": issuer, "exp": expires});
        let key = EncodingKey::from_secret(secret.as_bytes());
        jsonwebtoken::encode(&Header::default(), &claims, &key).expect("signed")
    };
    // Nobody has made this account: the token is enough.
    RawClient::log_in(server.c2s, "tybalt@localhost", &token("tybalt", "door"), "square");
    refused(&server, "tybalt", &token("mercutio", "door"));
    refused(&server, "tybalt", &token("tybalt", "window"));
    // The store is asked next.
    let (romeo, password) = server.accounts[0].clone();
    RawClient::log_in(server.c2s, &romeo, &password, "balcony");
    assert!(!server.log().contains(secret), "the log holds no key");
}

#[test]
fn a_service_is_asked() {
    let url = format!("http://{}/check", service());
    let server = TestServer::start(&[PLAINTEXT, ("auth.method", "http"), ("auth.http_url", &url)]);
    assert!(server.accounts.is_empty(), "the demo accounts are the store's");
    RawClient::log_in(server.c2s, "tybalt@localhost", "sword", "square");
    refused(&server, "tybalt", "dagger");
}

/// Tries to log in with PLAIN, in vain.
fn refused(server: &TestServer, user: &str, password: &str) {
    let mut client = RawClient::connect(server.c2s, "localhost");
    let plain = STANDARD.encode(format!("\0{user}\0{password}"));
    client.send(&format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{plain}</auth>"));
    let answer = client.read_until("</failure>");
    assert!(answer.contains("<not-authorized"), "{answer}");
}

/// A service that knows one password.
fn service() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.expect("a connection"));
            let mut length = 0;
            let mut line = String::new();
            while stream.read_line(&mut line).expect("a head") > 2 {
                if let Some((name, value)) = line.split_once(':')
                    && name.eq_ignore_ascii_case("content-length")
                {
                    length = value.trim().parse().expect("a number");
                }
                line.clear();
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).expect("a body");
            let right = serde_json::json!({"user": "tybalt", "domain": "localhost", "password": "sword"});
            let is_right =
                serde_json::from_slice::<serde_json::Value>(&body).is_ok_and(|asked| asked == right);
            let status = if is_right { "200 OK" } else { "401 Unauthorized" };
            write!(stream.get_mut(), "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
                .expect("sent");
        }
    });
    address
}
