//! The authenticator against a small service on a real socket.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::super::testing::{ask, check, jid};
use super::*;

/// A service that answers each request with what `answer` makes of its head and body.
struct Service {
    address: String,
    requests: Arc<Mutex<Vec<(String, String)>>>,
    connections: Arc<AtomicUsize>,
}

impl Service {
    fn start(answer: impl Fn(&str) -> &'static str + Send + Sync + 'static) -> Service {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let (requests, connections) = (Arc::<Mutex<Vec<_>>>::default(), Arc::<AtomicUsize>::default());
        let (seen, count, answer) = (requests.clone(), connections.clone(), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                count.fetch_add(1, Ordering::Relaxed);
                let (seen, answer) = (seen.clone(), answer.clone());
                // A client that goes away ends its thread with an error that says nothing.
                std::thread::spawn(move || drop(stream.and_then(|stream| serve(stream, &seen, &*answer))));
            }
        });
        Service { address, requests, connections }
    }

    fn options(&self) -> HttpOptions {
        HttpOptions::new(format!("http://{}/check", self.address))
    }

    fn requests(&self) -> Vec<(String, String)> {
        self.requests.lock().expect("lock").clone()
    }
}

fn serve(
    stream: TcpStream,
    seen: &Mutex<Vec<(String, String)>>,
    answer: &dyn Fn(&str) -> &'static str,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    loop {
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let start = head.len();
            if reader.read_line(&mut head)? == 0 {
                return Ok(());
            }
            let line = head[start..].trim_end().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.parse().expect("a number");
            }
            if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let body = String::from_utf8(body).expect("text");
        let reply = answer(&body);
        seen.lock().expect("lock").push((head, body));
        stream.write_all(reply.as_bytes())?;
    }
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nyes\n";
const NO: &str = "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n";

fn authenticator(options: &HttpOptions) -> HttpAuthenticator {
    HttpAuthenticator::new(options, &Spawner::service()).expect("usable")
}

fn accepted(result: &AccountResult) -> bool {
    matches!(result, Ok(AccountDone::Accepted))
}

fn is(result: &AccountResult, error: AccountError) -> bool {
    matches!(result, Err(other) if *other == error)
}

#[test]
fn the_service_decides() {
    let service = Service::start(|body| if body.contains("\"s\\\"ecret\"") { OK } else { NO });
    let url = format!("http://chat:open%20sesame@{}/check?v=1", service.address);
    let authenticator = authenticator(&HttpOptions { url, ..service.options() });
    assert_eq!(authenticator.mechanisms(), [Mechanism::Plain]);
    assert!(accepted(&check(&authenticator, "ювліана@example.org", "s\"ecret")));
    assert!(is(&check(&authenticator, "ювліана@example.org", "wrong"), AccountError::Refused));
    assert!(is(&check(&authenticator, "example.org", "s\"ecret"), AccountError::Refused), "no user at all");

    let requests = service.requests();
    assert_eq!(requests.len(), 2);
    let (head, body) = &requests[0];
    assert!(head.starts_with("POST /check?v=1 HTTP/1.1\r\n"), "{head}");
    let head = head.to_ascii_lowercase();
    assert!(head.contains("content-type: application/json\r\n"), "{head}");
    assert!(head.contains("authorization: basic y2hhddpvcgvuihnlc2ftzq==\r\n"), "{head}");
    assert!(head.contains(&format!("host: {}\r\n", service.address)), "{head}");
    assert_eq!(body, r#"{"user":"ювліана","domain":"example.org","password":"s\"ecret"}"#);
    assert_eq!(service.connections.load(Ordering::Relaxed), 1, "the connection is kept");
}

#[test]
fn only_a_clear_answer_decides() {
    let service = Service::start(|body| match body {
        _ if body.contains("u403") => "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n",
        _ if body.contains("u404") => "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
        _ if body.contains("u204") => "HTTP/1.1 204 No Content\r\n\r\n",
        _ if body.contains("u302") => "HTTP/1.1 302 Found\r\nlocation: /ok\r\ncontent-length: 0\r\n\r\n",
        _ if body.contains("u500") => "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n",
        _ => "what?\r\n\r\n",
    });
    let authenticator = authenticator(&service.options());
    for (user, error) in [
        ("u403", AccountError::Refused),
        ("u404", AccountError::Refused),
        ("u204", AccountError::Unavailable),
        ("u302", AccountError::Unavailable),
        ("u500", AccountError::Unavailable),
        ("nonsense", AccountError::Unavailable),
    ] {
        let result = check(&authenticator, &format!("{user}@example.org"), "x");
        assert!(is(&result, error), "{user}: {result:?}");
    }
    assert_eq!(service.requests().len(), 6, "no redirect was followed");
    let remove = ask(&authenticator, AccountOp::Remove { user: jid("juliet@example.org") });
    assert!(is(&remove, AccountError::Unsupported));
}

#[test]
fn silence_and_absence_are_unavailable() {
    let service = Service::start(|_| {
        std::thread::sleep(Duration::from_secs(5));
        OK
    });
    let slow = authenticator(&HttpOptions { timeout: Duration::from_millis(100), ..service.options() });
    let begun = Instant::now();
    assert!(is(&check(&slow, "juliet@example.org", "x"), AccountError::Unavailable));
    assert!(begun.elapsed() < Duration::from_secs(4));

    let closed = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    let nobody = authenticator(&HttpOptions::new(format!("http://{closed}/")));
    assert!(is(&check(&nobody, "juliet@example.org", "x"), AccountError::Unavailable));
}

#[test]
fn a_yes_is_believed_for_a_while_and_a_no_is_not() {
    let service = Service::start(|body| if body.contains("secret") { OK } else { NO });
    let cached = authenticator(&HttpOptions { cache: Duration::from_secs(600), ..service.options() });
    for _ in 0..3 {
        assert!(accepted(&check(&cached, "juliet@example.org", "secret")));
        assert!(is(&check(&cached, "juliet@example.org", "wrong"), AccountError::Refused));
    }
    assert_eq!(service.requests().len(), 4, "one yes, three times no");
    let fresh = authenticator(&service.options());
    for _ in 0..3 {
        assert!(accepted(&check(&fresh, "juliet@example.org", "secret")));
    }
    assert_eq!(service.requests().len(), 7);
}

#[test]
fn tls_needs_an_authority_and_a_provider() {
    let https = || HttpOptions::new("https://localhost:1/");
    let error = HttpAuthenticator::new(
        &HttpOptions { authorities: Some(b"no PEM".to_vec()), ..https() },
        &Spawner::service(),
    );
    assert!(matches!(error, Err(HttpError::Tls(_))));
    let error = HttpAuthenticator::new(&HttpOptions { provider: None, ..https() }, &Spawner::service());
    assert!(matches!(error, Err(HttpError::Tls(_))));
    let error = HttpAuthenticator::new(&HttpOptions::new("localhost"), &Spawner::service());
    assert!(matches!(error, Err(HttpError::BadUrl(_))));
}

#[cfg(any(feature = "aws-lc-rs", feature = "ring"))]
#[test]
fn https_asks_who_is_there() {
    use rcgen::{CertificateParams, KeyPair};
    use rustls::pki_types::PrivateKeyDer;

    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    let certificate = params.self_signed(&key).expect("a certificate");
    let provider = Provider::built_in().expect("a provider").crypto().expect("built in");
    let server = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).expect("a key"),
        )
        .expect("usable");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let server = Arc::new(server);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = rustls::ServerConnection::new(server.clone()).expect("a connection");
            let mut stream = rustls::StreamOwned::new(connection, stream.expect("accepts"));
            let mut received = Vec::new();
            let mut chunk = [0; 4096];
            // The question is short and ends with a brace; a client that does not trust us sends none.
            while !received.ends_with(b"}") {
                match stream.read(&mut chunk) {
                    Ok(read) if read > 0 => received.extend_from_slice(&chunk[..read]),
                    _ => break,
                }
            }
            let _ = stream.write_all(OK.as_bytes());
        }
    });

    let url = format!("https://localhost:{port}/check");
    let trusting =
        HttpOptions { authorities: Some(certificate.pem().into_bytes()), ..HttpOptions::new(&url) };
    assert!(accepted(&check(&authenticator(&trusting), "juliet@example.org", "x")));

    let other = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    let other = other.self_signed(&KeyPair::generate().expect("a key")).expect("a certificate");
    let distrusting = HttpOptions { authorities: Some(other.pem().into_bytes()), ..HttpOptions::new(&url) };
    let result = check(&authenticator(&distrusting), "juliet@example.org", "x");
    assert!(is(&result, AccountError::Unavailable), "{result:?}");
}
