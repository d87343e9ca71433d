//! Certificates that change under a running server, as a client sees them.

mod support;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, OtherNameValue, SanType,
};
use rustix::process::Signal;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};
use support::{PATIENCE, TestServer, eventually, put};

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
    let answer = open(connection, "localhost");
    assert!(answer.contains("SCRAM-SHA-256-PLUS"), "{answer}");
}

/// Opens a stream to the domain; returns what comes up to the end of the stream features.
fn open(connection: &mut Tls, domain: &str) -> String {
    let open = format!(
        "<stream:stream to='{domain}' version='1.0' xmlns='jabber:client' \
         xmlns:stream='http://etherx.jabber.org/streams'>"
    );
    ask(connection, &open, "</stream:features>")
}

/// Sends this and reads until that has come.
fn ask(connection: &mut Tls, text: &str, end: &str) -> String {
    connection.write_all(text.as_bytes()).expect("sent");
    let mut answer = String::new();
    while !answer.contains(end) {
        let mut buffer = [0; 1024];
        let read = connection.read(&mut buffer).expect("an answer");
        assert!(read > 0, "closed after {answer}");
        answer.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
    answer
}

/// RFC 6120 §13.7, XEP-0178 §2: EXTERNAL is offered, and works, for a domain whose authority vouches for the certificate.
#[test]
fn client_certificates_count_where_their_authority_does() {
    let directory = tempfile::tempdir().expect("a directory");
    let [a, b] = ["a", "b"].map(|name| {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let authority = CertifiedIssuer::self_signed(params, key).expect("signed");
        put(&directory.path().join(format!("{name}.pem")), &authority.pem());
        authority
    });
    let server = TestServer::start_in(
        directory,
        &[
            ("domains", "a.example b.example c.example"),
            ("auth.client_ca", "b.pem"),
            ("domain.\"a.example\".auth.client_ca", "a.pem"),
            ("domain.\"c.example\".auth.client_ca", ""),
        ],
    );
    for (authority, accepting) in [(&a, ["a.example"]), (&b, ["b.example"])] {
        let certificate = client_certificate(authority, ["a.example", "b.example", "c.example"]);
        for domain in ["a.example", "b.example", "c.example"] {
            let mut connection = connect_as(&server, domain, Some(&certificate));
            let offered = open(&mut connection, domain).contains("<mechanism>EXTERNAL</mechanism>");
            assert_eq!(offered, accepting.contains(&domain), "{domain}");
            let auth = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>";
            let answer = ask(&mut connection, auth, "xmpp-sasl");
            assert_eq!(answer.contains("<success"), offered, "{domain}: {answer}");
        }
    }
}

/// Names juliet in each of these domains.
fn client_certificate(
    issuer: &Issuer<'_, KeyPair>,
    domains: [&str; 3],
) -> (CertificateDer<'static>, Vec<u8>) {
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    for domain in domains {
        let address = OtherNameValue::Utf8String(format!("juliet@{domain}"));
        // id-on-xmppAddr.
        params.subject_alt_names.push(SanType::OtherName((vec![1, 3, 6, 1, 5, 5, 7, 8, 5], address)));
    }
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate().expect("a key");
    let certificate = params.signed_by(&key, issuer).expect("signed");
    (certificate.der().clone(), key.serialize_der())
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
    connect_as(server, name, None)
}

/// The same with a certificate of the client's, and its key.
fn connect_as(server: &TestServer, name: &str, own: Option<&(CertificateDer<'static>, Vec<u8>)>) -> Tls {
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anything(aws_lc_rs::default_provider())));
    let config = match own {
        None => config.with_no_client_auth(),
        Some((certificate, key)) => {
            let key = PrivatePkcs8KeyDer::from(key.clone()).into();
            config.with_client_auth_cert(vec![certificate.clone()], key).expect("a certificate")
        }
    };
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
