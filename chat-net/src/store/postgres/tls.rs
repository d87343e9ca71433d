//! TLS towards the database.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::url::Tls;
use crate::tls::{AnyName, Provider};

/// None if no TLS is wanted.
pub(super) fn connector(tls: &Tls, provider: Option<Provider>) -> Result<Option<MakeRustlsConnect>, String> {
    let authorities = match tls {
        Tls::Off => return Ok(None),
        // Without cryptography in this build, plain connections are what is possible.
        Tls::IfPossible if provider.is_none() => return Ok(None),
        Tls::IfPossible => None,
        Tls::Verified(file) => Some(authorities(file.as_deref())?),
    };
    let provider = provider.ok_or("this build has no cryptography for sslmode=require")?;
    let provider = provider.crypto().map_err(|error| error.to_string())?;
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let config = match authorities {
        Some(roots) => builder.with_root_certificates(Arc::new(roots)).with_no_client_auth(),
        None => {
            // Who would take a plain connection as well takes any certificate.
            let anybody = Arc::new(AnyName { crypto: provider, authority: None });
            builder.dangerous().with_custom_certificate_verifier(anybody).with_no_client_auth()
        }
    };
    Ok(Some(MakeRustlsConnect::new(config)))
}

fn authorities(file: Option<&Path>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    match file {
        Some(path) => {
            let failed = |error: &dyn std::fmt::Display| format!("sslrootcert {}: {error}", path.display());
            let pem = std::fs::read(path).map_err(|error| failed(&error))?;
            for certificate in CertificateDer::pem_slice_iter(&pem) {
                let certificate = certificate.map_err(|error| failed(&error))?;
                roots.add(certificate).map_err(|error| failed(&error))?;
            }
            if roots.is_empty() {
                return Err(failed(&"it holds no certificate"));
            }
        }
        None => {
            // A system has some that are too odd to be used; the others do.
            let _ = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                return Err(
                    "the system has no certificate authorities: name one, sslrootcert=FILE".to_owned()
                );
            }
        }
    }
    Ok(roots)
}
