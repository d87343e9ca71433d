//! Settings, and the handle they live behind.

use super::authorities::Authorities;
use super::exporter::{ExporterLog, note};
use super::identity::{self, Identity};
use super::{CertificateSummary, TlsError};
use arc_swap::ArcSwap;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ProducesTickets, ResolvesServerCert, ServerConfig};
use rustls::sign::CertifiedKey;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// The ALPN name of XMPP from a client over direct TLS (XEP-0368 §3).
const ALPN_XMPP_CLIENT: &[u8] = b"xmpp-client";

/// Who does the cryptography. Always a choice of the embedder: a build may hold both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    /// aws-lc-rs (feature `aws-lc-rs`): the faster one, with post-quantum key exchange.
    AwsLcRs,
    /// ring (feature `ring`): the one that is easier to build.
    Ring,
}

impl Provider {
    /// The provider of this build; aws-lc-rs where both are there, none where neither is.
    #[must_use]
    pub fn built_in() -> Option<Provider> {
        if cfg!(feature = "aws-lc-rs") {
            Some(Provider::AwsLcRs)
        } else if cfg!(feature = "ring") {
            Some(Provider::Ring)
        } else {
            None
        }
    }

    pub(crate) fn crypto(self) -> Result<Arc<CryptoProvider>, TlsError> {
        match self {
            #[cfg(feature = "aws-lc-rs")]
            Provider::AwsLcRs => Ok(Arc::new(rustls::crypto::aws_lc_rs::default_provider())),
            #[cfg(not(feature = "aws-lc-rs"))]
            Provider::AwsLcRs => Err(TlsError::NoProvider { wanted: "aws-lc-rs" }),
            #[cfg(feature = "ring")]
            Provider::Ring => Ok(Arc::new(rustls::crypto::ring::default_provider())),
            #[cfg(not(feature = "ring"))]
            Provider::Ring => Err(TlsError::NoProvider { wanted: "ring" }),
        }
    }

    fn ticketer(self) -> Result<Arc<dyn ProducesTickets>, TlsError> {
        match self {
            #[cfg(feature = "aws-lc-rs")]
            Provider::AwsLcRs => {
                rustls::crypto::aws_lc_rs::Ticketer::new().map_err(|error| TlsError::Setup(error.to_string()))
            }
            #[cfg(not(feature = "aws-lc-rs"))]
            Provider::AwsLcRs => Err(TlsError::NoProvider { wanted: "aws-lc-rs" }),
            #[cfg(feature = "ring")]
            Provider::Ring => {
                rustls::crypto::ring::Ticketer::new().map_err(|error| TlsError::Setup(error.to_string()))
            }
            #[cfg(not(feature = "ring"))]
            Provider::Ring => Err(TlsError::NoProvider { wanted: "ring" }),
        }
    }
}

/// Settings of TLS towards clients: versions 1.2 and 1.3 with the provider's own choice of ciphers, resumption by
/// tickets, no early data.
#[derive(Debug, Clone)]
pub struct TlsConfig {
    identity: Identity,
    by_domain: Vec<(String, Identity)>,
    pub(super) client_ca: Option<ClientCa>,
    /// Instead of `client_ca`; `None`: no certificate is believed there.
    pub(super) client_ca_by_domain: Vec<(String, Option<ClientCa>)>,
    provider: Provider,
}

/// Authorities for clients: PEM text, and where it came from.
#[derive(Debug, Clone)]
pub(super) struct ClientCa {
    pub(super) pem: Vec<u8>,
    pub(super) origin: String,
}

impl ClientCa {
    fn text(pem: impl Into<Vec<u8>>) -> ClientCa {
        ClientCa { pem: pem.into(), origin: "the client CA text".to_owned() }
    }

    fn file(path: &Path) -> Result<ClientCa, TlsError> {
        Ok(ClientCa { pem: identity::read(path)?, origin: path.display().to_string() })
    }
}

impl TlsConfig {
    /// One certificate for every domain, and the [built-in](Provider::built_in) provider.
    ///
    /// # Errors
    /// [`TlsError::NoProvider`] in a build without cryptography.
    pub fn new(identity: Identity) -> Result<TlsConfig, TlsError> {
        let provider =
            Provider::built_in().ok_or(TlsError::NoProvider { wanted: "provider of cryptography" })?;
        Ok(TlsConfig {
            identity,
            by_domain: Vec::new(),
            client_ca: None,
            client_ca_by_domain: Vec::new(),
            provider,
        })
    }

    /// Another provider.
    #[must_use]
    pub fn with_provider(mut self, provider: Provider) -> TlsConfig {
        self.provider = provider;
        self
    }

    /// Another certificate for clients that ask for this domain by name; the last one given for a domain counts.
    /// `*.domain` stands for every name one level below it, where that has none of its own.
    #[must_use]
    pub fn with_domain(mut self, domain: impl Into<String>, identity: Identity) -> TlsConfig {
        self.by_domain.push((domain.into(), identity));
        self
    }

    /// Asks clients for a certificate, and verifies it against these authorities (PEM). A client without one, or with
    /// one that does not verify, is connected all the same: it only cannot log in with it.
    #[must_use]
    pub fn with_client_ca(mut self, pem: impl Into<Vec<u8>>) -> TlsConfig {
        self.client_ca = Some(ClientCa::text(pem));
        self
    }

    /// The same from a file.
    ///
    /// # Errors
    /// [`TlsError::Read`] with the file's name.
    pub fn with_client_ca_file(mut self, path: &Path) -> Result<TlsConfig, TlsError> {
        self.client_ca = Some(ClientCa::file(path)?);
        Ok(self)
    }

    /// Other authorities for the addresses of one domain, instead of those for all; the last ones given for a domain
    /// count. Which domain a client is for shows too late to ask only some: as soon as any domain has authorities, all
    /// clients are asked for a certificate, and told the names of all authorities.
    #[must_use]
    pub fn with_domain_client_ca(mut self, domain: impl Into<String>, pem: impl Into<Vec<u8>>) -> TlsConfig {
        self.client_ca_by_domain.push((domain.into(), Some(ClientCa::text(pem))));
        self
    }

    /// The same from a file.
    ///
    /// # Errors
    /// [`TlsError::Read`] with the file's name.
    pub fn with_domain_client_ca_file(
        mut self,
        domain: impl Into<String>,
        path: &Path,
    ) -> Result<TlsConfig, TlsError> {
        self.client_ca_by_domain.push((domain.into(), Some(ClientCa::file(path)?)));
        Ok(self)
    }

    /// No authority for the addresses of one domain: nobody logs in there with a certificate.
    #[must_use]
    pub fn without_domain_client_ca(mut self, domain: impl Into<String>) -> TlsConfig {
        self.client_ca_by_domain.push((domain.into(), None));
        self
    }
}

/// What a connection's TLS is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsPurpose {
    /// After `<starttls/>`. Whatever protocol names (ALPN) a client offers there are ignored.
    StartTls,
    /// From the first byte (XEP-0368): a client that offers protocol names must offer `xmpp-client`; one that offers
    /// none is welcome too.
    Direct,
}

/// The handle of TLS: connections are made from it, and it can be given new settings while they run. Clones share the
/// settings.
#[derive(Clone)]
pub struct Tls {
    loaded: Arc<ArcSwap<Loaded>>,
}

/// Settings made ready. Connections hold on to theirs until their handshake is done.
pub(super) struct Loaded {
    starttls: Arc<ServerConfig>,
    direct: Arc<ServerConfig>,
    /// Judge client certificates after the handshake.
    pub(super) authorities: Option<Authorities>,
    summary: CertificateSummary,
    provider: Provider,
}

impl Tls {
    /// Checks and loads.
    ///
    /// # Errors
    /// The first thing that is wrong with the settings, with the file it was found in.
    pub fn new(config: &TlsConfig) -> Result<Tls, TlsError> {
        let loaded = Loaded::new(config, config.provider.ticketer()?)?;
        Ok(Tls { loaded: Arc::new(ArcSwap::from_pointee(loaded)) })
    }

    /// Takes new settings for the connections to come; those that exist, even in the middle of a handshake, go on with
    /// theirs. Tickets given out before stay good.
    ///
    /// # Errors
    /// As [`Tls::new`]; the settings in force stay.
    pub fn reload(&self, config: &TlsConfig) -> Result<(), TlsError> {
        let now = self.loaded.load();
        let ticketer = if now.provider == config.provider {
            now.starttls.ticketer.clone()
        } else {
            config.provider.ticketer()?
        };
        self.loaded.store(Arc::new(Loaded::new(config, ticketer)?));
        Ok(())
    }

    /// What the certificate for all domains says of itself: its fingerprint, names and dates.
    #[must_use]
    pub fn summary(&self) -> CertificateSummary {
        self.loaded.load().summary.clone()
    }

    pub(super) fn loaded(&self) -> Arc<Loaded> {
        self.loaded.load_full()
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("certificate", &self.summary()).finish_non_exhaustive()
    }
}

impl Loaded {
    fn new(config: &TlsConfig, ticketer: Arc<dyn ProducesTickets>) -> Result<Loaded, TlsError> {
        let crypto = config.provider.crypto()?;
        let certificates = Certificates::new(config)?;
        let summary = identity::summary(&certificates.default.cert[0]);
        let authorities = Authorities::new(config, &crypto)?;
        let builder = ServerConfig::builder_with_provider(crypto)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(|error| TlsError::Setup(error.to_string()))?;
        let mut starttls = match authorities.as_ref().and_then(Authorities::ask) {
            Some(ask) => builder.with_client_cert_verifier(ask),
            None => builder.with_no_client_auth(),
        }
        .with_cert_resolver(Arc::new(certificates));
        starttls.ticketer = ticketer;
        // A chat client holds one connection and resumes seldom: one ticket is enough.
        starttls.send_tls13_tickets = 1;
        starttls.key_log = Arc::new(ExporterLog);
        let mut direct = starttls.clone();
        direct.alpn_protocols = vec![ALPN_XMPP_CLIENT.to_vec()];
        Ok(Loaded {
            starttls: Arc::new(starttls),
            direct: Arc::new(direct),
            authorities,
            summary,
            provider: config.provider,
        })
    }

    pub(super) fn server_config(&self, purpose: TlsPurpose) -> Arc<ServerConfig> {
        match purpose {
            TlsPurpose::StartTls => self.starttls.clone(),
            TlsPurpose::Direct => self.direct.clone(),
        }
    }
}

/// Picks the certificate by the name the client asks for.
#[derive(Debug)]
struct Certificates {
    default: Arc<CertifiedKey>,
    /// By ASCII domain in lower case; a wildcard stands under `*.` and the rest.
    by_domain: BTreeMap<String, Arc<CertifiedKey>>,
}

impl Certificates {
    fn new(config: &TlsConfig) -> Result<Certificates, TlsError> {
        let mut by_domain = BTreeMap::new();
        for (domain, identity) in &config.by_domain {
            by_domain.insert(identity::ascii_domain(domain)?, identity.certified_key(config.provider)?);
        }
        Ok(Certificates { default: config.identity.certified_key(config.provider)?, by_domain })
    }

    fn pick(&self, server_name: Option<&str>) -> &Arc<CertifiedKey> {
        let Some(name) = server_name.filter(|_| !self.by_domain.is_empty()) else { return &self.default };
        let name = name.to_ascii_lowercase();
        let wildcard = || {
            let (_, parent) = name.split_once('.')?;
            self.by_domain.get(&format!("*.{parent}"))
        };
        self.by_domain.get(&name).or_else(wildcard).unwrap_or(&self.default)
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let server_name = hello.server_name();
        note(|notes| notes.server_name = server_name.map(str::to_ascii_lowercase));
        Some(self.pick(server_name).clone())
    }
}
