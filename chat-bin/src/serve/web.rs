//! The web port: `GET /health-check`, which tells a load balancer whether to send traffic.
//!
//! Decides nothing of the protocol; transports that come here later get bytes through and no more.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use crate::Failure;

/// What load balancers and `chat healthcheck` ask for.
pub const HEALTH_CHECK: &str = "/health-check";

/// Connections at a time; more wait in the backlog. Balancers hold one or two each; the rest is room for those who hold
/// connections open on purpose, which costs them one new connection in five seconds for each place.
const CONNECTIONS_MAX: usize = 1_024;
/// From the connection to the end of the answer. Nobody who asks for health takes longer.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);
/// For the head of the request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of a request's head; hyper allows no less.
const HEAD_BYTES_MAX: usize = 8 * 1024;
/// After the system had no descriptor for a connection.
const PAUSE: Duration = Duration::from_millis(250);

/// Whether traffic should come here.
pub(super) type Healthy = Arc<dyn Fn() -> bool + Send + Sync>;

/// The listening web port.
pub(super) struct Web {
    listeners: Vec<TcpListener>,
}

impl Web {
    /// Listens on these addresses; connections wait until [`Web::serve`].
    pub(super) fn listen(addresses: &[SocketAddr]) -> Result<Web, Failure> {
        let mut listeners = Vec::new();
        for address in addresses {
            listeners.push(TcpListener::from_std(chat_net::net::bind(*address)?)?);
        }
        Ok(Web { listeners })
    }

    /// What it listens on.
    pub(super) fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.listeners.iter().filter_map(|listener| listener.local_addr().ok())
    }

    /// Answers until the runtime ends.
    pub(super) fn serve(self, healthy: &Healthy) {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        for listener in self.listeners {
            tokio::spawn(accept(listener, places.clone(), healthy.clone()));
        }
    }
}

async fn accept(listener: TcpListener, places: Arc<Semaphore>, healthy: Healthy) {
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!(%error, "the web port cannot accept a connection");
                sleep(PAUSE).await;
                continue;
            }
        };
        let healthy = healthy.clone();
        tokio::spawn(async move {
            // Whoever is slower is no balancer.
            let _ = timeout(CONNECTION_TIMEOUT, connection(stream, &healthy)).await;
            drop(place);
        });
    }
}

async fn connection(stream: TcpStream, healthy: &Healthy) {
    let service = service_fn(|request: Request<Incoming>| {
        let answer = answer(request.method(), request.uri().path(), || healthy());
        async move { Ok::<_, Infallible>(answer) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        // One question each: so a connection never outlives its timeout, and none idles.
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection to the web port failed");
    }
}

fn answer(method: &Method, path: &str, healthy: impl Fn() -> bool) -> Response<Full<Bytes>> {
    let (status, text) = match (path, method) {
        (HEALTH_CHECK, &Method::GET | &Method::HEAD) => match healthy() {
            true => (StatusCode::OK, "ok\n"),
            false => (StatusCode::SERVICE_UNAVAILABLE, "unavailable\n"),
        },
        (HEALTH_CHECK, _) => (StatusCode::METHOD_NOT_ALLOWED, "GET or HEAD\n"),
        _ => (StatusCode::NOT_FOUND, "not found\n"),
    };
    let mut builder = Response::builder()
        .status(status)
        .header(CONTENT_TYPE, "text/plain; charset=utf-8")
        .header(CACHE_CONTROL, "no-store");
    if status == StatusCode::METHOD_NOT_ALLOWED {
        builder = builder.header(ALLOW, "GET, HEAD");
    }
    // The server leaves the body out of the answer to HEAD.
    builder.body(Full::from(text)).unwrap_or_else(|_| Response::new(Full::default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_health_check_is_there() {
        let status = |method: Method, path, healthy| answer(&method, path, || healthy).status().as_u16();
        assert_eq!(status(Method::GET, "/health-check", true), 200);
        assert_eq!(status(Method::HEAD, "/health-check", true), 200);
        assert_eq!(status(Method::GET, "/health-check", false), 503);
        assert_eq!(status(Method::POST, "/health-check", true), 405);
        for path in ["/", "/health-check/", "/Health-check", "/metrics", "*"] {
            assert_eq!(status(Method::GET, path, true), 404, "{path}");
        }
    }
}
