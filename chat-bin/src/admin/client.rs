//! The client: asks the backdoor of one node one thing at a time.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Problem;
use crate::config::Secret;

/// From the connection to the end of the answer. A node that is stuck answers within a few seconds that it is.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of an answer. A status has some hundred bytes for each node and each domain.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The port of the backdoor, where an address names none.
const PORT: u16 = 8000;

/// Asks the backdoor of one node.
#[derive(Debug)]
pub struct Client {
    /// With the port.
    authority: String,
    token: Option<Secret>,
}

/// Why there is no good answer. Each is a sentence for the operator.
#[derive(Debug)]
pub enum ClientError {
    /// Nobody answers there.
    Unreachable {
        /// The node's address.
        url: String,
        /// What happened instead.
        reason: String,
    },
    /// The node answers that it will not.
    Refused {
        /// The status of the answer.
        status: u16,
        /// Its own words.
        reason: String,
    },
    /// What answers is no backdoor of a node, or one of another release.
    Strange {
        /// The node's address.
        url: String,
        /// What is odd.
        reason: String,
    },
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientError::Unreachable { url, reason } => write!(
                f,
                "{url}: {reason}: does the server run, and is this an address of its listen.admin? (--url names another)"
            ),
            ClientError::Refused { reason, .. } => f.write_str(reason),
            ClientError::Strange { url, reason } => {
                write!(f, "what answers at {url} is not the backdoor of a server of this release: {reason}")
            }
        }
    }
}

impl std::error::Error for ClientError {}

impl Client {
    /// For the node that listens here.
    pub fn at(address: SocketAddr, token: Option<Secret>) -> Client {
        Client { authority: address.to_string(), token }
    }

    /// For the node at `http://HOST[:PORT]`. `None` if it is written in another way.
    pub fn parse(url: &str, token: Option<Secret>) -> Option<Client> {
        let uri: Uri = url.parse().ok()?;
        let authority = uri.authority()?;
        let plain = uri.scheme_str() == Some("http") && uri.path() == "/" && uri.query().is_none();
        if !plain || authority.host().is_empty() || authority.as_str().contains('@') {
            return None;
        }
        let port = authority.port_u16().unwrap_or(PORT);
        Some(Client { authority: format!("{}:{port}", authority.host()), token })
    }

    /// Where it asks.
    pub fn url(&self) -> String {
        format!("http://{}", self.authority)
    }

    /// Asks, and reads the answer as a document.
    ///
    /// # Errors
    /// There is no good answer.
    pub async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<T, ClientError> {
        let (status, answer) = timeout(TIMEOUT, self.exchange(method, path, body))
            .await
            .map_err(|_| self.unreachable(&"nobody answered in time"))??;
        if !status.is_success() {
            return Err(match serde_json::from_slice::<Problem>(&answer) {
                Ok(problem) => ClientError::Refused { status: status.as_u16(), reason: problem.detail },
                Err(_) => self.strange(&format!("it says {status}")),
            });
        }
        serde_json::from_slice(&answer).map_err(|error| self.strange(&error))
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<(StatusCode, Bytes), ClientError> {
        let stream =
            TcpStream::connect(&self.authority).await.map_err(|e| self.unreachable(&connecting(&e)))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| self.unreachable(&error))?;
        let driver = tokio::spawn(connection);
        let mut request = Request::builder().method(method).uri(path).header(HOST, &self.authority);
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {}", token.expose()));
        }
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request
            .body(Full::<Bytes>::from(body.unwrap_or_default()))
            .map_err(|_| self.unreachable(&"the token cannot be sent: it holds control characters"))?;
        let answer = sender.send_request(request).await.map_err(|error| self.strange(&error))?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| self.strange(&error))?.to_bytes();
        driver.abort();
        Ok((status, body))
    }

    fn unreachable(&self, reason: &dyn fmt::Display) -> ClientError {
        ClientError::Unreachable { url: self.url(), reason: reason.to_string() }
    }

    fn strange(&self, reason: &dyn fmt::Display) -> ClientError {
        ClientError::Strange { url: self.url(), reason: reason.to_string() }
    }
}

/// The system's words end in a number that means nothing to most.
fn connecting(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "nobody listens there".to_owned(),
        io::ErrorKind::TimedOut => "nobody answered in time".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_plain_http() {
        let read = |url| Client::parse(url, None).map(|client| client.url());
        for (url, whole) in [
            ("http://localhost", "http://localhost:8000"),
            ("http://127.0.0.1:9", "http://127.0.0.1:9"),
            ("http://[::1]:8000/", "http://[::1]:8000"),
            ("http://[::1]", "http://[::1]:8000"),
        ] {
            assert_eq!(read(url).as_deref(), Some(whole));
        }
        for wrong in
            ["", "localhost:8000", "https://localhost", "http://", "http://a/x", "http://a@b", "http://a/?x"]
        {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
