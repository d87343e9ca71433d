//! Certificates with their keys: loading, checking and showing them.

use super::certificate;
use super::config::Provider;
use super::{CertificateSummary, ClientNames, TlsError};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, DnsName, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use zeroize::Zeroizing;

/// A chain of certificates, the server's own first, and the private key of the first: both in PEM form.
#[derive(Clone)]
pub struct Identity {
    chain_pem: Vec<u8>,
    key_pem: Zeroizing<Vec<u8>>,
    /// Where the two came from, for messages.
    chain_origin: String,
    key_origin: String,
}

impl Identity {
    /// From PEM text. Anything besides certificates in the chain, and besides a key (PKCS #8, PKCS #1 or SEC 1) in the
    /// other, is skipped, so that one text with both may be given twice. Checked by [`Tls`](super::Tls), not here.
    #[must_use]
    pub fn from_pem(chain: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Identity {
        Identity {
            chain_pem: chain.into(),
            key_pem: Zeroizing::new(key.into()),
            chain_origin: "the certificate text".to_owned(),
            key_origin: "the key text".to_owned(),
        }
    }

    /// From two PEM files, which may be the same one.
    ///
    /// # Errors
    /// [`TlsError::Read`] with the file's name. What is in the files is checked by [`Tls`](super::Tls).
    pub fn from_files(chain: &Path, key: &Path) -> Result<Identity, TlsError> {
        Ok(Identity {
            chain_pem: read(chain)?,
            key_pem: Zeroizing::new(read(key)?),
            chain_origin: chain.display().to_string(),
            key_origin: key.display().to_string(),
        })
    }

    /// What the server's own certificate says of itself.
    ///
    /// # Errors
    /// [`TlsError::NoCertificate`], [`TlsError::BadPem`].
    pub fn summary(&self) -> Result<CertificateSummary, TlsError> {
        Ok(summary(&certificates(&self.chain_pem, &self.chain_origin)?[0]))
    }

    /// The alternative names of the own certificate.
    pub(crate) fn names(&self) -> Result<ClientNames, TlsError> {
        Ok(certificate::names(&certificates(&self.chain_pem, &self.chain_origin)?[0]))
    }

    /// Decodes both, and checks that they belong together.
    pub(crate) fn certified_key(&self, provider: Provider) -> Result<Arc<CertifiedKey>, TlsError> {
        let chain = certificates(&self.chain_pem, &self.chain_origin)?;
        let key = private_key(&self.key_pem, &self.key_origin)?;
        let unusable = |origin: &str, reason: &rustls::Error| TlsError::Unusable {
            origin: origin.to_owned(),
            reason: reason.to_string(),
        };
        let signing_key = provider
            .crypto()?
            .key_provider
            .load_private_key(key)
            .map_err(|error| unusable(&self.key_origin, &error))?;
        let certified = CertifiedKey::new(chain, signing_key);
        match certified.keys_match() {
            // A provider that cannot tell is not a reason to refuse.
            Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {
                Ok(Arc::new(certified))
            }
            Err(rustls::Error::InconsistentKeys(_)) => Err(TlsError::KeyMismatch {
                certificate: self.chain_origin.clone(),
                key: self.key_origin.clone(),
            }),
            Err(error) => Err(unusable(&self.chain_origin, &error)),
        }
    }
}

/// The key never shows.
impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("chain", &self.chain_origin).field("key", &self.key_origin).finish()
    }
}

/// A file's bytes, or its name in the error.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Read { origin: path.display().to_string(), source })
}

/// The certificates in a PEM text: at least one.
pub(crate) fn certificates(text: &[u8], origin: &str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(text)
        .collect::<Result<_, _>>()
        .map_err(|error| bad_pem(origin, &error))?;
    if chain.is_empty() {
        let hint = if contains(text, b"PRIVATE KEY-----") {
            "; it holds a private key: are the two files swapped?"
        } else if text.iter().all(u8::is_ascii_whitespace) {
            "; it is empty"
        } else if text.first() == Some(&0x30) {
            "; it looks like DER: convert it to PEM"
        } else {
            ""
        };
        return Err(TlsError::NoCertificate { origin: origin.to_owned(), hint });
    }
    Ok(chain)
}

/// The first private key in a PEM text.
fn private_key(text: &[u8], origin: &str) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(text).map_err(|error| match error {
        pem::Error::NoItemsFound => {
            let hint = if contains(text, b"-----BEGIN ENCRYPTED PRIVATE KEY-----") {
                "; its key is encrypted with a passphrase, and nobody is there to type one: store it without"
            } else if contains(text, b"-----BEGIN CERTIFICATE-----") {
                "; it holds a certificate: are the two files swapped?"
            } else if text.iter().all(u8::is_ascii_whitespace) {
                "; it is empty"
            } else if text.first() == Some(&0x30) {
                "; it looks like DER: convert it to PEM"
            } else {
                ""
            };
            TlsError::NoKey { origin: origin.to_owned(), hint }
        }
        error => bad_pem(origin, &error),
    })
}

fn bad_pem(origin: &str, error: &pem::Error) -> TlsError {
    // The library's text for a block without end is a dump of bytes.
    let reason = match error {
        pem::Error::MissingSectionEnd { .. } => {
            "a block begins but does not end (is the file cut off?)".to_owned()
        }
        pem::Error::IllegalSectionStart { .. } => "a \"-----BEGIN\" line is damaged".to_owned(),
        error => error.to_string(),
    };
    TlsError::BadPem { origin: origin.to_owned(), reason }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// See [`Identity::summary`].
pub(super) fn summary(certificate: &CertificateDer<'_>) -> CertificateSummary {
    CertificateSummary {
        fingerprint: fingerprint(certificate),
        dns_names: certificate::names(certificate).dns_names,
        validity: certificate::validity(certificate),
    }
}

fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    let mut text = String::with_capacity(95);
    for byte in Sha256::digest(certificate) {
        let colon = if text.is_empty() { "" } else { ":" };
        write!(text, "{colon}{byte:02X}").expect("a String takes everything");
    }
    text
}

/// A domain as it stands in certificates and in TLS server names: ASCII, lower case, without a final dot; `*.` in front
/// of it stays.
pub(super) fn ascii_domain(domain: &str) -> Result<String, TlsError> {
    let (star, name) = if domain.starts_with("*.") { domain.split_at(2) } else { ("", domain) };
    match idna::domain_to_ascii(name.strip_suffix('.').unwrap_or(name)) {
        Ok(name) if DnsName::try_from(name.as_str()).is_ok() => Ok(format!("{star}{name}")),
        _ => Err(TlsError::BadDomain { domain: domain.to_owned() }),
    }
}
