//! Certificates made on the spot, for tries and tests.

use super::TlsError;
use super::identity::{Identity, ascii_domain};
use zeroize::Zeroizing;

/// A certificate that nobody but its maker has signed, and its key.
pub struct SelfSigned {
    /// The certificate, PEM.
    pub certificate_pem: String,
    /// Its private key (PKCS #8), PEM.
    pub key_pem: Zeroizing<String>,
}

impl SelfSigned {
    /// To be used in a [`TlsConfig`](super::TlsConfig).
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity::from_pem(self.certificate_pem.as_bytes(), self.key_pem.as_bytes())
    }
}

/// The key never shows.
impl std::fmt::Debug for SelfSigned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SelfSigned").field("certificate_pem", &self.certificate_pem).finish_non_exhaustive()
    }
}

/// Makes a self-signed certificate (ECDSA P-256) for these domains, for tries and tests: clients will ask whether to
/// trust it. IP addresses may be among the names.
///
/// # Errors
/// [`TlsError::BadDomain`]; [`TlsError::NoProvider`] in a build without cryptography.
pub fn self_signed<S: AsRef<str>>(domains: &[S]) -> Result<SelfSigned, TlsError> {
    let names = domains.iter().map(|domain| {
        let domain = domain.as_ref();
        if domain.parse::<std::net::IpAddr>().is_ok() { Ok(domain.to_owned()) } else { ascii_domain(domain) }
    });
    make::self_signed(names.collect::<Result<Vec<_>, _>>()?)
}

#[cfg(any(feature = "aws-lc-rs", feature = "ring"))]
mod make {
    use super::{SelfSigned, TlsError};
    use std::time::{Duration, SystemTime};
    use zeroize::Zeroizing;

    /// Ten years. Whoever trusts one does so by its fingerprint, and a server that stops on an anniversary helps nobody.
    const VALIDITY: Duration = Duration::from_secs(10 * 365 * 86_400);
    /// Backwards, for clients whose clocks are behind.
    const GRACE: Duration = Duration::from_secs(86_400);

    pub(super) fn self_signed(names: Vec<String>) -> Result<SelfSigned, TlsError> {
        let setup = |error: rcgen::Error| TlsError::Setup(error.to_string());
        let common_name = names.first().cloned().unwrap_or_else(|| "localhost".to_owned());
        let mut params = rcgen::CertificateParams::new(names).map_err(setup)?;
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, common_name);
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
        let now = SystemTime::now();
        params.not_before = (now - GRACE).into();
        params.not_after = (now + VALIDITY).into();
        let key = rcgen::KeyPair::generate().map_err(setup)?;
        let certificate = params.self_signed(&key).map_err(setup)?;
        Ok(SelfSigned { certificate_pem: certificate.pem(), key_pem: Zeroizing::new(key.serialize_pem()) })
    }
}

#[cfg(not(any(feature = "aws-lc-rs", feature = "ring")))]
mod make {
    use super::{SelfSigned, TlsError};

    pub(super) fn self_signed(_names: Vec<String>) -> Result<SelfSigned, TlsError> {
        Err(TlsError::NoProvider { wanted: "provider of cryptography" })
    }
}
