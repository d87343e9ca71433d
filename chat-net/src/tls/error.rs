//! What can go wrong: in the settings ([`TlsError`]) and on a connection ([`TlsFault`]).

use std::io;

/// Why TLS settings cannot be used. Nothing of the running settings has changed.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file could not be read.
    #[error("cannot read {origin}: {source}")]
    Read {
        /// The file.
        origin: String,
        /// What the system said.
        source: io::Error,
    },
    /// There is no certificate where one belongs.
    #[error("{origin} holds no certificate (a block that begins with \"-----BEGIN CERTIFICATE-----\"){hint}")]
    NoCertificate {
        /// The file.
        origin: String,
        /// What it holds instead, if that says something; begins with `; `.
        hint: &'static str,
    },
    /// There is no usable private key where one belongs.
    #[error("{origin} holds no private key in PEM form{hint}")]
    NoKey {
        /// The file.
        origin: String,
        /// What it holds instead, if that says something; begins with `; `.
        hint: &'static str,
    },
    /// A PEM block that cannot be decoded.
    #[error("{origin} is not valid PEM: {reason}")]
    BadPem {
        /// The file.
        origin: String,
        /// What the decoder said.
        reason: String,
    },
    /// A certificate or key that is encoded well but cannot be used.
    #[error("{origin} cannot be used: {reason}")]
    Unusable {
        /// The file.
        origin: String,
        /// What the TLS library said.
        reason: String,
    },
    /// The key belongs to another certificate.
    #[error("the private key in {key} does not belong to the first certificate in {certificate}")]
    KeyMismatch {
        /// File of the certificates.
        certificate: String,
        /// File of the key.
        key: String,
    },
    /// A domain name that cannot stand in a certificate or a TLS server name.
    #[error("{domain:?} cannot be used as a domain name in TLS")]
    BadDomain {
        /// The name as given.
        domain: String,
    },
    /// The chosen provider of cryptography is not part of this build.
    #[error("this build has no {wanted}: enable the feature `aws-lc-rs` or `ring` of chat-net")]
    NoProvider {
        /// What was asked for.
        wanted: &'static str,
    },
    /// The TLS library or the system refused something that is nobody's setting.
    #[error("TLS cannot be set up: {0}")]
    Setup(String),
}

/// Why a connection's TLS ended. The pipe takes and gives nothing more; an alert for the peer may be waiting in
/// [`TlsPipe::write`](super::TlsPipe::write).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsFault {
    /// The first bytes are no TLS at all: a client that speaks in clear on a TLS port, or a scanner.
    #[error("the peer does not speak TLS")]
    NotTls,
    /// The peer broke the protocol, offered nothing acceptable, or its bytes were tampered with.
    #[error("{0}")]
    Peer(String),
    /// The peer gave up and said why: often that it does not trust the certificate.
    #[error("the peer ended TLS with the alert {0}")]
    Alert(String),
    /// More handshake bytes than any honest handshake needs.
    #[error("the peer sent an oversized handshake message")]
    Oversized,
    /// A fault on this side.
    #[error("TLS failed here: {0}")]
    Local(String),
}
