//! What a connection's TLS tells the layers above.

use zeroize::Zeroizing;

/// The version of TLS that was agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2: without tls-exporter here, so without the -PLUS mechanisms.
    V1_2,
    /// TLS 1.3.
    V1_3,
}

/// What came of asking for a client certificate.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ClientCertificate {
    /// None was asked for, or none was given.
    #[default]
    Absent,
    /// One was given that does not verify: why, for the log. Its names are not believed and not told.
    Refused(String),
    /// One was given, the client has its key, and an authority of ours vouches for it: these of its names count.
    Verified(ClientNames),
}

/// The alternative names of a verified client certificate that count, as they stand in it: addresses for whose domain
/// its authority is trusted, and the others if it is trusted for all domains.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClientNames {
    /// id-on-xmppAddr (RFC 6120 §13.7.1.4): JIDs, not prepared.
    pub xmpp_addrs: Vec<String>,
    /// id-on-dnsSRV (RFC 4985): `_service.domain`.
    pub srv_names: Vec<String>,
    /// dNSName.
    pub dns_names: Vec<String>,
}

/// What a finished handshake tells.
#[derive(Clone, PartialEq, Eq)]
pub struct TlsInfo {
    /// The tls-exporter channel binding (RFC 9266), with TLS 1.3.
    pub exporter: Option<Zeroizing<[u8; 32]>>,
    /// The name that the client asked for, in lower case.
    pub server_name: Option<String>,
    /// The client's certificate.
    pub client: ClientCertificate,
    /// The version agreed on.
    pub version: TlsVersion,
    /// The protocol name agreed on (RFC 7301), where any was offered on a connection of direct TLS.
    pub alpn: Option<String>,
}

/// The channel binding never shows.
impl std::fmt::Debug for TlsInfo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsInfo")
            .field("exporter", &self.exporter.is_some())
            .field("server_name", &self.server_name)
            .field("client", &self.client)
            .field("version", &self.version)
            .field("alpn", &self.alpn)
            .finish()
    }
}

/// What [`TlsPipe::feed`](super::TlsPipe::feed) yields, in the order it happened on the wire.
#[derive(Debug, PartialEq, Eq)]
pub enum TlsEvent<'a> {
    /// The handshake is done; once, before any plaintext.
    Established(&'a TlsInfo),
    /// Plaintext: a piece of at most 16 KiB, never empty.
    Plain(&'a [u8]),
    /// The peer will send nothing more, and said so properly (`close_notify`); once. What it sends all the same is
    /// dropped (RFC 8446 §6.1). It can still be written to.
    Closed,
}

/// What an operator wants to know of the server's own certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateSummary {
    /// SHA-256 of the certificate in DER form: upper-case hexadecimal pairs with colons, as clients and
    /// `openssl x509 -fingerprint -sha256` show it.
    pub fingerprint: String,
    /// The domains it is for; `*.` begins a wildcard.
    pub dns_names: Vec<String>,
    /// From when to when it is valid, in seconds since 1970 (UTC), both included. `None`: no dates that make sense.
    pub validity: Option<(i64, i64)>,
}

impl CertificateSummary {
    /// Whether the certificate is for this domain, given in ASCII (RFC 6125 §6.4: without regard to case, a wildcard for
    /// exactly one label).
    #[must_use]
    pub fn covers(&self, domain: &str) -> bool {
        let under_wildcard = |name: &str| {
            let parent = name.strip_prefix("*.")?;
            domain.split_once('.').map(|(_, rest)| rest.eq_ignore_ascii_case(parent))
        };
        self.dns_names
            .iter()
            .any(|name| name.eq_ignore_ascii_case(domain) || under_wildcard(name).unwrap_or(false))
    }
}
