//! Which authorities vouch for the certificates of clients, for each domain.

use super::certificate;
use super::config::ClientCa;
use super::identity;
use super::info::{ClientCertificate, ClientNames};
use super::{TlsConfig, TlsError};
use chat_core::jid::BareJid;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Domains with authorities of their own that one certificate is judged for: each costs a check of signatures, and the
/// client chooses what it names.
const JUDGED_DOMAINS_MAX: usize = 16;

type Verifier = Arc<dyn ClientCertVerifier>;

/// Judges client certificates after the handshake, see [`AskOnly`].
pub(super) struct Authorities {
    /// For domains without a choice of their own, and for names that are no XMPP addresses.
    default: Option<Verifier>,
    /// By ASCII domain in lower case; `None`: no certificate is believed there.
    by_domain: BTreeMap<String, Option<Verifier>>,
}

impl Authorities {
    /// Those of the settings; `None` if there are none, so that nobody need be asked for a certificate.
    pub(super) fn new(
        config: &TlsConfig,
        crypto: &Arc<CryptoProvider>,
    ) -> Result<Option<Authorities>, TlsError> {
        let load = |ca: &Option<ClientCa>| ca.as_ref().map(|ca| verifier(ca, crypto)).transpose();
        let mut by_domain = BTreeMap::new();
        for (domain, ca) in &config.client_ca_by_domain {
            by_domain.insert(identity::ascii_domain(domain)?, load(ca)?);
        }
        let authorities = Authorities { default: load(&config.client_ca)?, by_domain };
        let any = authorities.all().next().is_some();
        Ok(any.then_some(authorities))
    }

    fn all(&self) -> impl Iterator<Item = &Verifier> {
        self.default.iter().chain(self.by_domain.values().flatten())
    }

    /// What the handshake asks clients for.
    pub(super) fn ask(&self) -> Option<Arc<dyn ClientCertVerifier>> {
        let mut hints: Vec<DistinguishedName> = Vec::new();
        for hint in self.all().flat_map(|verifier| verifier.root_hint_subjects()) {
            if !hints.iter().any(|other| other.as_ref() == hint.as_ref()) {
                hints.push(hint.clone());
            }
        }
        let signatures = self.all().next()?.clone();
        Some(Arc::new(AskOnly { hints, signatures }))
    }

    /// What a certificate is worth whose key the client has. An address counts only if the authorities of its domain
    /// vouch for the certificate (RFC 6120 §13.7.1.4): those of another domain have no say in it.
    pub(super) fn judge(
        &self,
        own: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
    ) -> ClientCertificate {
        let now = UnixTime::now();
        let verify = |verifier: &Option<Verifier>| match verifier {
            Some(verifier) => {
                verifier.verify_client_cert(own, intermediates, now).map(drop).map_err(|e| e.to_string())
            }
            None => Err("no authority is trusted for the domains that it names".to_owned()),
        };
        let general = verify(&self.default);
        let mut special: BTreeMap<String, Result<(), String>> = BTreeMap::new();
        let ClientNames { mut xmpp_addrs, srv_names, dns_names } = certificate::names(own);
        xmpp_addrs.retain(|address| {
            let jid = BareJid::parse(address).ok();
            let domain = jid.and_then(|jid| identity::ascii_domain(jid.domain()).ok());
            let Some((domain, verifier)) = domain.and_then(|d| self.by_domain.get_key_value(&d)) else {
                return general.is_ok();
            };
            if !special.contains_key(domain) {
                if special.len() == JUDGED_DOMAINS_MAX {
                    return false;
                }
                special.insert(domain.clone(), verify(verifier));
            }
            special[domain].is_ok()
        });
        match general {
            Ok(()) => ClientCertificate::Verified(ClientNames { xmpp_addrs, srv_names, dns_names }),
            Err(_) if !xmpp_addrs.is_empty() => {
                ClientCertificate::Verified(ClientNames { xmpp_addrs, ..ClientNames::default() })
            }
            // What the domains that it names have to say comes before what all others have.
            Err(reason) => {
                let first = special.into_values().find_map(Result::err);
                ClientCertificate::Refused(first.unwrap_or(reason))
            }
        }
    }
}

fn verifier(ca: &ClientCa, crypto: &Arc<CryptoProvider>) -> Result<Verifier, TlsError> {
    let unusable = |reason: String| TlsError::Unusable { origin: ca.origin.clone(), reason };
    let mut roots = RootCertStore::empty();
    for certificate in identity::certificates(&ca.pem, &ca.origin)? {
        roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), crypto.clone())
        .allow_unauthenticated()
        .build()
        .map(|verifier| verifier as Verifier)
        .map_err(|error| unusable(error.to_string()))
}

/// Asks for a client certificate and checks that the client has its key, but leaves to the end of the handshake whether
/// an authority of ours vouches for it. A client with an expired certificate, or one for somebody else, may still log
/// in with its password (XEP-0178 §2 has the certificate decide about SASL EXTERNAL, not about the connection); and the same
/// check then covers certificates that come out of a resumed session's ticket, against the settings of today.
#[derive(Debug)]
struct AskOnly {
    /// The names of all authorities: which domain the client wants is not certain yet.
    hints: Vec<DistinguishedName>,
    /// Any of the verifiers: how signatures are checked depends on the provider only.
    signatures: Verifier,
}

impl ClientCertVerifier for AskOnly {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.signatures.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.signatures.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.signatures.supported_verify_schemes()
    }
}
