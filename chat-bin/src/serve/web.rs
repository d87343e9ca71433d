//! The web port: `GET /health-check`, which tells a load balancer whether to send traffic.
//!
//! Decides nothing of the protocol; transports that come here later get bytes through and no more.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use hyper::{Method, Response, StatusCode};

use super::http::{Bounds, Port};

/// What load balancers and `chat healthcheck` ask for.
pub const HEALTH_CHECK: &str = "/health-check";

/// Balancers hold one or two connections each; the rest is room for those who hold connections open on purpose, which costs
/// them one new connection in five seconds for each place. Nobody who asks for health takes longer than the timeouts.
pub(super) const BOUNDS: Bounds = Bounds {
    connections_max: 1_024,
    connection_timeout: Duration::from_secs(10),
    head_timeout: Duration::from_secs(5),
};

/// Whether traffic should come here.
pub(super) type Healthy = Arc<dyn Fn() -> bool + Send + Sync>;

/// Answers on the web port until the runtime ends.
pub(super) fn serve(port: Port, healthy: &Healthy) {
    let healthy = healthy.clone();
    port.serve(move |request, _| {
        let answer = answer(request.method(), request.uri().path(), || healthy());
        async move { answer }
    });
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
