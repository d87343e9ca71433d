//! TLS as a pipe: ciphertext goes in and plaintext comes out, and the other way round. There is no socket here, so
//! STARTTLS is a state of a connection and not another type of stream.
//!
//! Owns: the settings and their loading ([`TlsConfig`], [`Identity`], [`self_signed`]), the handle that connections
//! are made from and that can be reloaded under them ([`Tls`]), one server connection ([`TlsPipe`]), and what a
//! finished handshake tells the layers above ([`TlsInfo`]): the tls-exporter channel binding and the names in a
//! verified client certificate.
//! In: received bytes, plaintext to send. Out: [`TlsEvent`]s in order, ciphertext to send.
//! Invariants: received bytes are always taken whole; no plaintext is delivered before [`TlsEvent::Established`] or
//! after [`TlsEvent::Closed`]; an idle connection owns no buffer; a faulted pipe stays faulted; no type of the TLS
//! library is seen outside of this folder.
//! Not here: sockets and readiness (the worker), who may log in by which names (`chat-core`'s SASL EXTERNAL), links
//! between nodes (`cluster`).
//! Follows RFC 8446, RFC 5246, RFC 9266 (tls-exporter), RFC 6066 §3 (server names), RFC 6120 §13.7.1.4 (XMPP
//! addresses in certificates), XEP-0368 (direct TLS).

mod any_name;
mod authorities;
mod certificate;
mod config;
mod error;
mod exporter;
mod identity;
mod info;
mod pipe;
mod record;
mod self_signed;

pub(crate) use any_name::AnyName;
pub(crate) use certificate::names as certificate_names;
pub use config::{Provider, Tls, TlsConfig, TlsPurpose};
pub use error::{TlsError, TlsFault};
pub use identity::Identity;
pub(crate) use identity::certificates;
pub use info::{CertificateSummary, ClientCertificate, ClientNames, TlsEvent, TlsInfo, TlsVersion};
pub use pipe::TlsPipe;
pub use self_signed::{SelfSigned, self_signed};

#[cfg(test)]
mod tests;
