//! Certificates that change under a running server, as a client sees them.

mod support;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use rustix::process::Signal;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};
use support::{PATIENCE, TestServer, eventually};

#[test]
fn certificates_are_reloaded_under_running_connections() {
    let directory = tempfile::tempdir().expect("a directory");
    let (cert, key) = ("cert.pem", "key.pem");
    let first = make(directory.path(), cert, key, "localhost");
    let other = make(directory.path(), "own.pem", "own.key", "b.example");
    let mut server = TestServer::start_in(
        directory,
        &[
            ("domains", "localhost b.example"),
            ("tls.cert", cert),
            ("tls.key", key),
            ("domain.\"b.example\".tls.cert", "own.pem"),
            ("domain.\"b.example\".tls.key", "own.key"),
        ],
    );
    let mut old = connect(&server, "localhost");
    assert_eq!(certificate(&old), first);
    assert_eq!(certificate(&connect(&server, "b.example")), other);

    let second = make(server.directory.path(), cert, key, "localhost");
    let mut new = eventually("the new certificate", || {
        let connection = connect(&server, "localhost");
        (certificate(&connection) == second).then_some(connection)
    });
    // The connection made before goes on.
    speak(&mut old);
    speak(&mut new);

    // What is no certificate is not taken, and a signal does not change that.
    fs::write(server.directory.path().join(cert), "no certificate").expect("written");
    server.signal(Signal::HUP);
    server.wait_for_log("the new certificates are not used");
    assert_eq!(certificate(&connect(&server, "localhost")), second);
    assert_eq!(server.health(), Some(200));
}

type Tls = StreamOwned<ClientConnection, TcpStream>;

fn speak(connection: &mut Tls) {
    let open = "<stream:stream to='localhost' version='1.0' xmlns='jabber:client' \
                xmlns:stream='http://etherx.jabber.org/streams'>";
    connection.write_all(open.as_bytes()).expect("sent");
    let mut answer = String::new();
    while !answer.contains("</stream:features>") {
        let mut buffer = [0; 1024];
        let read = connection.read(&mut buffer).expect("an answer");
        assert!(read > 0, "closed after {answer}");
        answer.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
    assert!(answer.contains("SCRAM-SHA-256-PLUS"), "{answer}");
}

/// Makes a self-signed certificate in two files, each put in place at once as good tools do.
fn make(directory: &Path, cert: &str, key: &str, name: &str) -> Vec<u8> {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).expect("made");
    for (file, text) in [(key, made.signing_key.serialize_pem()), (cert, made.cert.pem())] {
        let new = directory.join(format!("{file}.new"));
        fs::write(&new, text).expect("written");
        fs::rename(new, directory.join(file)).expect("renamed");
    }
    made.cert.der().to_vec()
}

/// Connects with direct TLS; the handshake is done.
fn connect(server: &TestServer, name: &str) -> Tls {
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anything(aws_lc_rs::default_provider())))
        .with_no_client_auth();
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let connection = ClientConnection::new(Arc::new(config), name).expect("settings");
    let socket = TcpStream::connect(server.c2s_tls).expect("it listens");
    socket.set_read_timeout(Some(PATIENCE)).expect("an option");
    let mut tls = StreamOwned::new(connection, socket);
    tls.conn.complete_io(&mut tls.sock).expect("a handshake");
    tls
}

fn certificate(connection: &Tls) -> Vec<u8> {
    connection.conn.peer_certificates().expect("some")[0].to_vec()
}

/// Takes any certificate: which one it is, is what these tests look at.
#[derive(Debug)]
struct Anything(CryptoProvider);

impl ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
