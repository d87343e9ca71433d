//! The HTTP client: one request, one status.

use std::sync::Arc;

use base64::Engine as _;
use chat_core::sasl::Secret;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::{Request, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Builder, Client as Pooled};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use serde::Serialize;

use super::{HttpError, HttpOptions};

/// Bytes of an answer's body that are read so that the connection can be used again; longer ones cost it.
const BODY_BYTES_MAX: usize = 16 * 1024;

/// Asks one address; keeps connections open between questions.
pub(super) struct Client {
    http: Http,
    uri: Uri,
    authorization: Option<HeaderValue>,
}

enum Http {
    Plain(Pooled<HttpConnector, Full<Bytes>>),
    Tls(Pooled<HttpsConnector<HttpConnector>, Full<Bytes>>),
}

/// What the service is asked.
#[derive(Serialize)]
struct Question<'a> {
    user: &'a str,
    domain: &'a str,
    password: &'a str,
}

impl Client {
    pub(super) fn new(options: &HttpOptions) -> Result<Client, HttpError> {
        let (uri, authorization) = read_url(&options.url)?;
        let mut builder = Pooled::builder(TokioExecutor::new());
        builder.pool_timer(TokioTimer::new());
        let http = match uri.scheme_str() {
            Some("http") => Http::Plain(builder.build_http()),
            _ => Http::Tls(over_tls(&builder, options)?),
        };
        Ok(Client { http, uri, authorization })
    }

    /// The status of the answer; none if there was no answer.
    pub(super) async fn ask(&self, user: &str, domain: &str, password: &Secret) -> Option<u16> {
        let question = Question { user, domain, password: password.expose() };
        let body = Full::new(Bytes::from(serde_json::to_vec(&question).ok()?));
        let mut request = Request::post(self.uri.clone()).header(CONTENT_TYPE, "application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let request = request.body(body).ok()?;
        let answer = match &self.http {
            Http::Plain(http) => http.request(request).await,
            Http::Tls(http) => http.request(request).await,
        };
        let answer = answer.ok()?;
        let status = answer.status().as_u16();
        // A body that is cut off or too long says nothing about the status.
        let _ = Limited::new(answer.into_body(), BODY_BYTES_MAX).collect().await;
        Some(status)
    }
}

fn over_tls(
    builder: &Builder,
    options: &HttpOptions,
) -> Result<Pooled<HttpsConnector<HttpConnector>, Full<Bytes>>, HttpError> {
    let failed = |error: &dyn std::fmt::Display| HttpError::Tls(error.to_string());
    let provider = options.provider.ok_or_else(|| failed(&"this build has no cryptography"))?;
    let provider = provider.crypto().map_err(|error| failed(&error))?;
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(&error))?
        .with_root_certificates(Arc::new(authorities(options)?))
        .with_no_client_auth();
    let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_only().enable_http1().build();
    Ok(builder.build(connector))
}

fn authorities(options: &HttpOptions) -> Result<RootCertStore, HttpError> {
    let mut roots = RootCertStore::empty();
    match &options.authorities {
        Some(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate =
                    certificate.map_err(|error| HttpError::Tls(format!("authorities: {error}")))?;
                roots.add(certificate).map_err(|error| HttpError::Tls(format!("authorities: {error}")))?;
            }
        }
        None => {
            // A system has some that are too odd to be used; the others do.
            let _ = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if roots.is_empty() {
        return Err(HttpError::Tls("there are no certificate authorities".to_owned()));
    }
    Ok(roots)
}

/// The address without what may not stand in a request, and that as a header.
fn read_url(url: &str) -> Result<(Uri, Option<HeaderValue>), HttpError> {
    // Never the URL itself: it may have a password.
    let bad = |reason: &str| HttpError::BadUrl(reason.to_owned());
    let uri: Uri = url.parse().map_err(|error: hyper::http::uri::InvalidUri| bad(&error.to_string()))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(bad("it begins with neither http:// nor https://"));
    }
    let authority = uri.authority().ok_or_else(|| bad("it names no host"))?.as_str();
    let Some((credentials, host)) = authority.rsplit_once('@') else { return Ok((uri, None)) };
    let credentials =
        percent_decode(credentials).ok_or_else(|| bad("the user or password is not encoded well"))?;
    let basic = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(credentials));
    let mut header = HeaderValue::try_from(basic).map_err(|error| bad(&error.to_string()))?;
    header.set_sensitive(true);
    let host = host.parse().map_err(|error: hyper::http::uri::InvalidUri| bad(&error.to_string()))?;
    let mut parts = uri.into_parts();
    parts.authority = Some(host);
    let uri = Uri::from_parts(parts).map_err(|error| bad(&error.to_string()))?;
    Ok((uri, Some(header)))
}

/// Undoes `%41` (RFC 3986 §2.1).
fn percent_decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let digits = [bytes.next()?, bytes.next()?].map(|digit| char::from(digit).to_digit(16));
        decoded.push(u8::try_from(digits[0]? * 16 + digits[1]?).ok()?);
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_leave_the_address() {
        let read = |url| {
            let (uri, header) = read_url(url).expect("an address");
            (uri.to_string(), header.map(|header| header.to_str().expect("text").to_owned()))
        };
        assert_eq!(read("https://auth.example/check?x=1"), ("https://auth.example/check?x=1".into(), None));
        // RFC 7617 §2: Aladdin and his password.
        let header = "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==".to_owned();
        assert_eq!(
            read("http://Aladdin:open%20sesame@auth.example:8080/"),
            ("http://auth.example:8080/".into(), Some(header))
        );
    }

    #[test]
    fn a_bad_address_is_refused_without_showing_it() {
        for url in
            ["", "auth.example", "/check", "ftp://u:hunter2@auth.example", "http://u:%zz@auth.example/"]
        {
            let error = read_url(url).expect_err(url).to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
