//! The other side of the tests: a client, and the wire between.

use crate::tls::*;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CipherSuite, ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme,
    SupportedProtocolVersion,
};
use std::io::{Read, Write};
use std::sync::{Arc, LazyLock};

pub(super) fn identity(domains: &[&str]) -> Identity {
    self_signed(domains).unwrap().identity()
}

/// TLS for `capulet.example`.
pub(super) fn one_domain() -> Tls {
    Tls::new(&TlsConfig::new(identity(&["capulet.example"])).unwrap()).unwrap()
}

/// The same one every time.
pub(super) fn one_domain_cached() -> Tls {
    static TLS: LazyLock<Tls> = LazyLock::new(one_domain);
    TLS.clone()
}

pub(super) fn crypto() -> CryptoProvider {
    Arc::unwrap_or_clone(Provider::built_in().unwrap().crypto().unwrap())
}

/// What is special about a client.
pub(super) struct Options {
    pub(super) versions: Vec<&'static SupportedProtocolVersion>,
    pub(super) suite: Option<CipherSuite>,
    pub(super) fragment: Option<usize>,
    pub(super) server_name: &'static str,
    pub(super) alpn: Vec<&'static str>,
    pub(super) purpose: TlsPurpose,
    /// PEM of a chain and its key.
    pub(super) certificate: Option<(String, String)>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            versions: vec![&rustls::version::TLS13, &rustls::version::TLS12],
            suite: None,
            fragment: None,
            server_name: "capulet.example",
            alpn: Vec::new(),
            purpose: TlsPurpose::StartTls,
            certificate: None,
        }
    }
}

impl Options {
    fn client(self) -> Client {
        let mut crypto = crypto();
        crypto.cipher_suites.retain(|suite| self.suite.is_none_or(|wanted| wanted == suite.suite()));
        let builder = ClientConfig::builder_with_provider(Arc::new(crypto))
            .with_protocol_versions(&self.versions)
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(TrustAll));
        let mut config = match self.certificate {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => builder
                .with_client_auth_cert(
                    CertificateDer::pem_slice_iter(chain.as_bytes()).map(Result::unwrap).collect(),
                    PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
                )
                .unwrap(),
        };
        config.max_fragment_size = self.fragment;
        config.alpn_protocols = self.alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Client::new(Arc::new(config), self.server_name)
    }
}

/// Any certificate will do; the tests look at it themselves.
#[derive(Debug)]
struct TrustAll;

impl ServerCertVerifier for TrustAll {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = crypto().signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = crypto().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        crypto().signature_verification_algorithms.supported_schemes()
    }
}

/// A client, and what it read so far.
pub(super) struct Client {
    pub(super) config: Arc<ClientConfig>,
    pub(super) connection: ClientConnection,
    pub(super) received: Vec<u8>,
    /// The server said `close_notify`.
    pub(super) closed: bool,
    pub(super) error: Option<rustls::Error>,
}

impl Client {
    pub(super) fn new(config: Arc<ClientConfig>, server_name: &'static str) -> Client {
        let name = ServerName::try_from(server_name).unwrap();
        let connection = ClientConnection::new(config.clone(), name).unwrap();
        Client { config, connection, received: Vec::new(), closed: false, error: None }
    }

    pub(super) fn write(&mut self, plain: &[u8]) {
        self.connection.writer().write_all(plain).unwrap();
    }

    /// What it wants to send.
    pub(super) fn wire(&mut self) -> Vec<u8> {
        let mut wire = Vec::new();
        while self.connection.wants_write() {
            self.connection.write_tls(&mut wire).unwrap();
        }
        wire
    }

    /// Takes what the server sent.
    pub(super) fn take(&mut self, mut wire: &[u8]) {
        while !wire.is_empty() {
            self.connection.read_tls(&mut wire).unwrap();
            match self.connection.process_new_packets() {
                Ok(state) => {
                    self.closed |= state.peer_has_closed();
                    let mut plain = vec![0; state.plaintext_bytes_to_read()];
                    self.connection.reader().read_exact(&mut plain).unwrap();
                    self.received.extend(plain);
                    if self.closed {
                        return;
                    }
                }
                Err(error) => return self.error = Some(error),
            }
        }
    }

    pub(super) fn exporter(&self) -> [u8; 32] {
        self.connection.export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(b"")).unwrap()
    }

    /// The fingerprint of the server's certificate.
    pub(super) fn server_fingerprint(&self) -> String {
        identity::summary(&self.connection.peer_certificates().unwrap()[0]).fingerprint
    }
}

/// An event that owns its bytes; pieces of plaintext that follow each other are put together.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    Established,
    Plain(Vec<u8>),
    Closed,
}

pub(super) struct Pair {
    pub(super) pipe: TlsPipe,
    pub(super) client: Client,
    pub(super) events: Vec<Event>,
    /// Bytes of each delivery to the server; 0: whatever there is.
    pub(super) chunk: usize,
    /// Or these, in turn.
    pub(super) cuts: Vec<usize>,
    info: Option<TlsInfo>,
}

pub(super) fn pair(tls: &Tls, options: Options) -> Pair {
    let purpose = options.purpose;
    Pair::new(tls, options.client(), purpose)
}

impl Pair {
    pub(super) fn new(tls: &Tls, client: Client, purpose: TlsPurpose) -> Pair {
        let pipe = TlsPipe::new(tls, purpose);
        Pair { pipe, client, events: Vec::new(), chunk: 0, cuts: Vec::new(), info: None }
    }

    /// What the handshake told.
    pub(super) fn info(&self) -> TlsInfo {
        self.info.clone().expect("the handshake is done")
    }

    /// Gives the server bytes, in the chunks set.
    pub(super) fn feed(&mut self, wire: &[u8]) -> Result<(), TlsFault> {
        let mut rest = wire;
        let mut turn = 0;
        while !rest.is_empty() {
            let chunk = if self.cuts.is_empty() { self.chunk } else { self.cuts[turn % self.cuts.len()] };
            turn += 1;
            let n = if chunk == 0 { rest.len() } else { chunk.min(rest.len()) };
            let mut now = rest[..n].to_vec();
            rest = &rest[n..];
            let (events, info) = (&mut self.events, &mut self.info);
            self.pipe.feed(&mut now, &mut |event| match event {
                TlsEvent::Established(told) => {
                    events.push(Event::Established);
                    *info = Some(told.clone());
                }
                TlsEvent::Plain(bytes) => match events.last_mut() {
                    Some(Event::Plain(before)) => before.extend(bytes),
                    _ => events.push(Event::Plain(bytes.to_vec())),
                },
                TlsEvent::Closed => events.push(Event::Closed),
            })?;
        }
        Ok(())
    }

    /// One exchange: what the client has to send, then what the server has, even after a fault.
    pub(super) fn turn(&mut self) -> Result<(), TlsFault> {
        let wire = self.client.wire();
        let result = self.feed(&wire);
        let mut out = Vec::new();
        if result.is_ok() {
            assert_eq!(self.pipe.write(&[], &mut out), Ok(0));
        } else {
            let _ = self.pipe.write(&[], &mut out);
        }
        self.client.take(&out);
        result
    }

    /// Until both are done.
    pub(super) fn handshake(&mut self) -> Result<(), TlsFault> {
        for _ in 0..6 {
            self.turn()?;
        }
        assert!(self.info.is_some() && !self.client.connection.is_handshaking(), "{:?}", self.client.error);
        Ok(())
    }

    pub(super) fn say(&mut self, plain: &[u8]) -> Result<(), TlsFault> {
        self.client.write(plain);
        self.turn()
    }

    /// The server writes, in one record.
    pub(super) fn answer(&mut self, plain: &[&[u8]]) {
        let mut out = Vec::new();
        let length = plain.iter().map(|part| part.len()).sum();
        assert_eq!(self.pipe.write(plain, &mut out), Ok(length));
        self.client.take(&out);
    }

    /// All plaintext so far.
    pub(super) fn plain(&self) -> Vec<u8> {
        let parts = self.events.iter().filter_map(|event| match event {
            Event::Plain(bytes) => Some(bytes.as_slice()),
            _ => None,
        });
        parts.collect::<Vec<_>>().concat()
    }
}
