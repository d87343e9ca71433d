//! The backdoor: the port for operators and backend services.
//!
//! Owns: who may ask ([`guard`]), which requests there are and their answers ([`routes`]), their description for
//! machines ([`openapi`]), and the numbers for Prometheus ([`metrics`]).
//! In: requests. Out: the documents of [`admin`](crate::admin), problems in the form of RFC 9457, numbers.
//! Invariants: nobody is answered anything but a problem who has not shown the token or, where there is none, is not on this
//! machine; a request is bounded in bytes, time and number; no answer holds a secret.
//! Not here: what the answers are made of (`operator`), and the documents (`admin`).

mod guard;
mod metrics;
mod openapi;
mod routes;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse as _;
use axum::routing::{get, post};
use hyper::Request;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;

use self::guard::{Door, Peer};
use super::http::{Bounds, Port};
use super::operator::Operator;
use crate::admin::{DRAIN, METRICS, OPENAPI, PROMOTE, STATUS, STEP_BACK};
use crate::config::Secret;

/// Operators and the systems that watch a node are few, and their questions are short.
pub(super) const BOUNDS: Bounds = Bounds {
    connections_max: 64,
    connection_timeout: Duration::from_secs(20),
    head_timeout: Duration::from_secs(5),
};
/// Bytes of the body of a request.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// Says so if the port can be reached by some who are refused for want of a token.
pub(super) fn warn(port: &Port, token: Option<&Secret>) {
    for address in port.addresses() {
        if token.is_none() && !address.ip().is_loopback() {
            tracing::warn!(
                %address,
                "the backdoor has no token: it answers this machine only, and whoever else asks is refused \
                 (admin.token sets one)"
            );
        }
    }
}

/// Answers on the backdoor until the runtime ends.
pub(super) fn serve(port: Port, operator: Arc<Operator>, token: Option<Secret>) {
    let router = router(operator, token);
    port.serve(move |request, peer| {
        let router = TowerToHyperService::new(router.clone());
        async move {
            let mut request: Request<Body> = request.map(Body::new);
            request.extensions_mut().insert(Peer(peer));
            match router.call(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            }
        }
    });
}

fn router(operator: Arc<Operator>, token: Option<Secret>) -> Router {
    Router::new()
        .route(STATUS, get(routes::status))
        .route(DRAIN, post(routes::drain).delete(routes::stay))
        .route(PROMOTE, post(routes::promote))
        .route(STEP_BACK, post(routes::step_back))
        .route(METRICS, get(routes::metrics))
        .route(OPENAPI, get(routes::openapi))
        .fallback(|| async { routes::Refusal::NOT_FOUND.into_response() })
        .method_not_allowed_fallback(|| async { routes::Refusal::WRONG_METHOD.into_response() })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(from_fn_with_state(Arc::new(Door { token }), guard::guard))
        .with_state(operator)
}

/// Who asks, for messages.
fn name_of(peer: SocketAddr) -> String {
    peer.ip().to_canonical().to_string()
}
