//! What the driver tells of a TLS handshake.

/// The facts of an established TLS connection that the protocol needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsInfo {
    /// The `tls-exporter` channel binding (RFC 9266); none below TLS 1.3.
    pub exporter: Option<[u8; 32]>,
    /// The name the client asked for (SNI, RFC 6066 §3).
    pub server_name: Option<String>,
    /// Addresses that the client's certificate names (id-on-xmppAddr, RFC 6120 §13.7.1.4), each only if an authority
    /// vouches for the certificate that is trusted for the domain of this address.
    pub client_addresses: Vec<String>,
}
