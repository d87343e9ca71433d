//! TLS between nodes: version 1.3 only, without early data, without resumption.

use std::io;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::client::{ClientConfig, Resumption};
use rustls::pki_types::ServerName;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ServerConfig, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::TLS13;
use rustls::{
    AlertDescription, CertificateError, ClientConnection, Connection, RootCertStore, ServerConnection,
};

use chat_core::cluster::NodeName;
use chat_core::cluster::handshake::{CertificateFault, Doubt};

use crate::tls::{AnyName, ClientNames, Identity, Provider, TlsError, self_signed};

/// The protocol of links, so that nobody who means something else gets as far as a greeting.
const ALPN: &[u8] = b"chat-link";
/// The name that dialling nodes ask for. Who answers is found out by other means.
const SERVER_NAME: &str = "chat-link";

/// Those who vouch for the names of nodes: certificates in PEM form. Anything besides them is skipped.
#[derive(Clone, Debug)]
pub struct Authorities {
    pem: Vec<u8>,
    /// Where it came from, for messages.
    origin: String,
}

impl Authorities {
    /// From a text, which is looked at when it is used.
    #[must_use]
    pub fn from_pem(pem: impl Into<Vec<u8>>) -> Authorities {
        Authorities { pem: pem.into(), origin: "the text of the cluster's authorities".to_owned() }
    }

    /// From a file.
    ///
    /// # Errors
    /// [`TlsError::Read`]. What is in it is looked at when it is used.
    pub fn from_file(path: &Path) -> Result<Authorities, TlsError> {
        let origin = path.display().to_string();
        match std::fs::read(path) {
            Ok(pem) => Ok(Authorities { pem, origin }),
            Err(source) => Err(TlsError::Read { origin, source }),
        }
    }
}

/// What a node needs for TLS with other nodes. Cheap to clone; clones are the same.
#[derive(Clone)]
pub struct LinkTls {
    sides: Arc<RwLock<Sides>>,
    certified: bool,
}

/// What both ends of a connection need.
#[derive(Clone)]
struct Sides {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

impl LinkTls {
    /// For a cluster with a secret: certificates are made on the spot and believed unseen. The proofs of the secret are
    /// bound to the connection, so nobody can stand between two nodes.
    ///
    /// # Errors
    /// [`TlsError::NoProvider`] in a build without this provider.
    pub fn with_secret(provider: Provider) -> Result<LinkTls, TlsError> {
        let identity = self_signed(&[SERVER_NAME])?.identity();
        Ok(LinkTls::of(Sides::new(&identity, provider, None)?, false))
    }

    /// For a cluster with an authority: both sides show a certificate that one of these authorities
    /// has signed. It names the node: as XMPP address (`id-on-xmppAddr`) its whole name, or as DNS name its host, which
    /// stands for `chat@` that host. Its extended key usages, if it has any, allow clients and servers.
    ///
    /// # Errors
    /// The certificates cannot be read, or the key does not belong to the certificate.
    pub fn with_authority(
        identity: &Identity,
        authorities: &Authorities,
        provider: Provider,
    ) -> Result<LinkTls, TlsError> {
        Ok(LinkTls::of(Sides::certified(identity, authorities, provider)?, true))
    }

    /// Other certificates, for connections that are made from now on; those that stand go on. Only after
    /// [`LinkTls::with_authority`]: a cluster that goes from one kind of trust to the other starts anew.
    ///
    /// # Errors
    /// The certificates cannot be read, or the key does not belong to the certificate. Nothing has changed.
    ///
    /// # Panics
    /// If the cluster has a secret.
    pub fn reload(
        &self,
        identity: &Identity,
        authorities: &Authorities,
        provider: Provider,
    ) -> Result<(), TlsError> {
        assert!(self.certified, "the cluster has a secret, no authority");
        let sides = Sides::certified(identity, authorities, provider)?;
        *self.sides.write().unwrap_or_else(PoisonError::into_inner) = sides;
        Ok(())
    }

    /// The nodes that a certificate is for, as [`LinkTls::with_authority`] has it.
    ///
    /// # Errors
    /// The certificate cannot be read.
    pub fn names(identity: &Identity) -> Result<Vec<NodeName>, TlsError> {
        Ok(nodes(&identity.names()?))
    }

    fn of(sides: Sides, certified: bool) -> LinkTls {
        LinkTls { sides: Arc::new(RwLock::new(sides)), certified }
    }

    /// The TLS of a connection that this node dialled, or that another did.
    pub(super) fn connection(&self, dialled: bool) -> Result<Connection, rustls::Error> {
        let sides = self.sides.read().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(if dialled {
            let name = ServerName::try_from(SERVER_NAME).expect("the name is a host name");
            Connection::Client(ClientConnection::new(sides.client, name)?)
        } else {
            Connection::Server(ServerConnection::new(sides.server)?)
        })
    }

    /// The names that the cluster's authority vouches for on this connection; none if the cluster has a secret instead.
    pub(super) fn certified(&self, connection: &Connection) -> Vec<NodeName> {
        let own = connection.peer_certificates().and_then(|chain| chain.first());
        let Some(own) = own.filter(|_| self.certified) else { return Vec::new() };
        nodes(&crate::tls::certificate_names(own))
    }
}

fn nodes(names: &ClientNames) -> Vec<NodeName> {
    let addresses = names.xmpp_addrs.iter().filter_map(|address| NodeName::parse(address).ok());
    let hosts = names.dns_names.iter().filter_map(|host| NodeName::new("chat", host).ok());
    addresses.chain(hosts).collect()
}

/// Whose certificate is not believed, and why, if that is what ended a connection. Alerts: RFC 8446 §6.2.
pub(super) fn certificate_fault(error: &io::Error) -> Option<CertificateFault> {
    match error.get_ref()?.downcast_ref::<rustls::Error>()? {
        rustls::Error::NoCertificatesPresented => Some(CertificateFault::Theirs(Doubt::Missing)),
        rustls::Error::InvalidCertificate(error) => Some(CertificateFault::Theirs(match error {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Doubt::Authority,
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => Doubt::Dates,
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => Doubt::Usage,
            _ => Doubt::Other,
        })),
        rustls::Error::AlertReceived(alert) => Some(CertificateFault::Ours(match alert {
            AlertDescription::CertificateRequired => Doubt::Missing,
            // The second says that a signature is not of the authority that the certificate names.
            AlertDescription::UnknownCA | AlertDescription::DecryptError => Doubt::Authority,
            AlertDescription::CertificateExpired => Doubt::Dates,
            AlertDescription::UnsupportedCertificate => Doubt::Usage,
            AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateRevoked => Doubt::Other,
            _ => return None,
        })),
        _ => None,
    }
}

impl Sides {
    fn certified(
        identity: &Identity,
        authorities: &Authorities,
        provider: Provider,
    ) -> Result<Sides, TlsError> {
        let origin = &authorities.origin;
        let unusable = |reason: String| TlsError::Unusable { origin: origin.clone(), reason };
        let mut roots = RootCertStore::empty();
        for certificate in crate::tls::certificates(&authorities.pem, origin)? {
            roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.crypto()?)
            .build()
            .map_err(|error| unusable(error.to_string()))?;
        Sides::new(identity, provider, Some(verifier))
    }

    fn new(
        identity: &Identity,
        provider: Provider,
        authority: Option<Arc<dyn ClientCertVerifier>>,
    ) -> Result<Sides, TlsError> {
        let setup = |error: rustls::Error| TlsError::Setup(error.to_string());
        let crypto = provider.crypto()?;
        let key: Arc<CertifiedKey> = identity.certified_key(provider)?;
        let own = Arc::new(SingleCertAndKey::from(key));
        let server = ServerConfig::builder_with_provider(crypto.clone())
            .with_protocol_versions(&[&TLS13])
            .map_err(setup)?;
        let mut server = match &authority {
            Some(verifier) => server.with_client_cert_verifier(verifier.clone()),
            None => server.with_no_client_auth(),
        }
        .with_cert_resolver(own.clone());
        server.alpn_protocols = vec![ALPN.to_vec()];
        // No tickets: each connection has a handshake, and an exporter, of its own.
        server.send_tls13_tickets = 0;
        let certified = authority.is_some();
        // The names in the certificate are looked at later.
        let verifier = Arc::new(AnyName { crypto: crypto.clone(), authority });
        let client = ClientConfig::builder_with_provider(crypto)
            .with_protocol_versions(&[&TLS13])
            .map_err(setup)?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut client =
            if certified { client.with_client_cert_resolver(own) } else { client.with_no_client_auth() };
        client.alpn_protocols = vec![ALPN.to_vec()];
        client.resumption = Resumption::disabled();
        client.enable_early_data = false;
        Ok(Sides { server: Arc::new(server), client: Arc::new(client) })
    }
}

impl std::fmt::Debug for LinkTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LinkTls").field("certified", &self.certified).finish_non_exhaustive()
    }
}
