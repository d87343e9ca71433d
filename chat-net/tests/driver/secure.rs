//! TLS.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, LazyLock};

use chat_net::net::Runtime;
use chat_net::server::{Listener, ServerHandle};
use chat_net::tls::{Identity, Tls, TlsConfig, self_signed};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};

use crate::client::{Client, HEADER, address, builder, eventually, tcp};

fn identity() -> Identity {
    self_signed(&["localhost"]).expect("a certificate").identity()
}

/// TLS for a server; the same for all.
pub fn tls() -> Tls {
    static TLS: LazyLock<Tls> = LazyLock::new(new_tls);
    TLS.clone()
}

fn new_tls() -> Tls {
    Tls::new(&TlsConfig::new(identity()).expect("a provider")).expect("good settings")
}

/// Believes every certificate.
#[derive(Debug)]
struct Trusting;

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        default_provider().signature_verification_algorithms.supported_schemes()
    }
}

fn secured(stream: TcpStream) -> StreamOwned<ClientConnection, TcpStream> {
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Trusting))
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").expect("a name");
    StreamOwned::new(ClientConnection::new(Arc::new(config), name).expect("a client"), stream)
}

/// Asks for STARTTLS and does the handshake.
pub fn upgrade(mut stream: TcpStream) -> Client {
    let mut client = Client::new(stream.try_clone().expect("a descriptor"));
    let features = client.open();
    assert!(features.contains("<starttls"), "{features}");
    stream.write_all(b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>").expect("the server reads");
    client.expect("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    Client::new(secured(stream))
}

/// A connection after STARTTLS.
pub fn starttls(server: &ServerHandle) -> Client {
    upgrade(tcp(address(server)))
}

fn start(runtime: Runtime) -> ServerHandle {
    builder(runtime)
        .tls(tls())
        .listen(Listener::ClientsTls, "127.0.0.1:0".parse().expect("an address"))
        .start()
        .expect("it starts")
}

/// STARTTLS and direct TLS, with an end that both sides agree on.
pub fn both_ways_of_tls(runtime: Runtime) {
    let server = start(runtime);
    let direct = tcp(server.local_addr(Listener::ClientsTls).expect("it listens"));
    let (mut romeo, mut juliet) = (starttls(&server), Client::new(secured(direct)));
    romeo.login("romeo");
    juliet.login("juliet");
    let body = "long ".repeat(10_000);
    romeo.say("juliet", &body);
    let got = juliet.expect("</message>");
    assert!(got.contains(&body));
    for client in [&mut romeo, &mut juliet] {
        client.send("</stream:stream>");
        // An end without close_notify would be an error here.
        assert!(client.expect_end().ends_with("</stream:stream>"));
    }
    drop((romeo, juliet));
    eventually("both are gone", || server.stats().connections == 0);
    server.shutdown_blocking();
}

/// What stays inside the process counts as secured, whatever the network has to do first.
pub fn memory_needs_no_tls(runtime: Runtime) {
    let server = builder(runtime).domain("secret.localhost").tls(tls()).start().expect("it starts");
    let header = HEADER.replace("to='localhost'", "to='secret.localhost'");
    let (mut outside, mut inside) = (Client::connect(&server), Client::memory(&server));
    outside.send(&header);
    let features = outside.expect("</stream:features>");
    assert!(features.contains("<starttls") && !features.contains("<mechanism"), "{features}");
    inside.send(&header);
    let features = inside.expect("</stream:features>");
    assert!(
        features.contains("<mechanism>PLAIN</mechanism>") && !features.contains("<starttls"),
        "{features}"
    );
    inside.authenticate("romeo", "secret");
    inside.expect("<success");
    server.shutdown_blocking();
}

/// What is no TLS is told so, and closed.
pub fn garbage_instead_of_tls(runtime: Runtime) {
    let server = start(runtime);
    let mut stream = tcp(server.local_addr(Listener::ClientsTls).expect("it listens"));
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("the server reads");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    // An alert: content type 21.
    assert!(answer.is_empty() || answer[0] == 21, "{answer:?}");
    eventually("it is gone", || server.stats().connections == 0);
    drop(stream);
    server.shutdown_blocking();
}

/// What is said in clear after `<starttls/>` ends the connection: it must never look as if it came through TLS.
pub fn clear_bytes_after_starttls(runtime: Runtime) {
    let server = start(runtime);
    let mut client = Client::connect(&server);
    client.open();
    client.send(&format!("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>{HEADER}"));
    client.expect_any_end();
    eventually("it is gone", || server.stats().connections == 0);
    drop(client);
    server.shutdown_blocking();
}

/// A slow client under TLS gets everything in order: what did not fit into its socket waits.
pub fn a_tail_of_ciphertext(runtime: Runtime) {
    let server = start(runtime);
    let mut romeo = starttls(&server);
    romeo.login("romeo");
    let body = "w".repeat(30_000);
    for n in 0..60 {
        let stanza =
            format!("<message from='localhost' to='romeo@localhost/r'><body>{n} {body}</body></message>");
        server.send(stanza.into_bytes()).expect("it runs");
    }
    std::thread::sleep(std::time::Duration::from_millis(300));
    for n in 0..60 {
        romeo.expect(&format!("<body>{n} {body}</body>"));
    }
    drop(romeo);
    server.shutdown_blocking();
}

/// New certificates are for new connections; the old ones go on.
pub fn certificates_are_reloaded(runtime: Runtime) {
    let server = builder(runtime).tls(new_tls()).start().expect("it starts");
    let mut before = starttls(&server);
    before.login("romeo");
    let other = identity();
    server.reload_tls(&TlsConfig::new(other).expect("a provider")).expect("good settings");
    let mut after = starttls(&server);
    after.login("juliet");
    before.say("juliet", "hello");
    after.expect("<body>hello</body>");
    drop((before, after));
    server.shutdown_blocking();
}
