//! The requests and their answers.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::response::{IntoResponse, Response};
use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE};

use super::{metrics as page, openapi as description};
use crate::admin::{DrainOrder, DrainStatus, NodeStatus, Problem, Status};
use crate::serve::drain::TooLate;
use crate::serve::operator::Operator;

/// Seconds in a day: neither a grace nor a deadline is longer.
const DAY: f64 = 86_400.0;
/// Sessions a second: faster than any node.
const RATE_MAX: u32 = 1_000_000;

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) title: &'static str,
    pub(super) detail: &'static str,
}

impl Refusal {
    const fn new(status: StatusCode, title: &'static str, detail: &'static str) -> Refusal {
        Refusal { status, title, detail }
    }

    pub(super) const UNAUTHORIZED: Refusal = Refusal::new(
        StatusCode::UNAUTHORIZED,
        "no or another token",
        "the backdoor wants its token as Authorization: Bearer TOKEN; it is the server's admin.token \
         (CHAT_ADMIN_TOKEN, CHAT_ADMIN_TOKEN_FILE)",
    );
    pub(super) const NOT_LOCAL: Refusal = Refusal::new(
        StatusCode::FORBIDDEN,
        "not from this machine",
        "the backdoor has no token, so it answers only requests from its own machine to localhost or an address; set \
         admin.token (CHAT_ADMIN_TOKEN, CHAT_ADMIN_TOKEN_FILE) for others",
    );
    pub(super) const FROM_A_PAGE: Refusal = Refusal::new(
        StatusCode::FORBIDDEN,
        "from a web page",
        "the backdoor does not answer pages in browsers (requests with Origin)",
    );
    pub(super) const NOT_FOUND: Refusal =
        Refusal::new(StatusCode::NOT_FOUND, "not found", "nothing is here; /openapi.json says what is where");
    pub(super) const WRONG_METHOD: Refusal = Refusal::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "another method",
        "this is asked for with another method; /openapi.json says which",
    );
    const TOO_LARGE: Refusal =
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "too large", "a request has 65536 bytes at most");
    const OUT_OF_RANGE: Refusal = Refusal::new(
        StatusCode::BAD_REQUEST,
        "out of range",
        "grace and deadline are seconds from 0 to 86400, and rate is 1 to 1000000",
    );
    const NO_DRAIN: Refusal = Refusal::new(StatusCode::CONFLICT, "no drain", "the node does not drain");
    const SIGNALLED: Refusal = Refusal::new(
        StatusCode::CONFLICT,
        "too late",
        "a signal asked for this drain: whoever sent it ends the process if it does not end by itself",
    );
    const DRAINS: Refusal = Refusal::new(
        StatusCode::CONFLICT,
        "it drains",
        "the node drains: call that off first, or turn to another",
    );
    const ALONE: Refusal =
        Refusal::new(StatusCode::CONFLICT, "nobody else", "no other node takes clients: promote one first");
    const BEGUN: Refusal =
        Refusal::new(StatusCode::CONFLICT, "too late", "the grace is over, and sessions have left already");
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        problem(self.status, self.title, self.detail)
    }
}

fn problem(status: StatusCode, title: &str, detail: &str) -> Response {
    let problem = Problem { title: title.to_owned(), status: status.as_u16(), detail: detail.to_owned() };
    let mut response = (status, Json(problem)).into_response();
    response
        .headers_mut()
        .insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("application/problem+json"));
    response
}

type Node = State<Arc<Operator>>;

/// The node and its cluster, as the node sees them
#[utoipa::path(get, path = crate::admin::STATUS, tag = "node", responses(
    (status = 200, description = "How things are", body = Status),
))]
pub(super) async fn status(State(operator): Node) -> Json<Status> {
    Json(operator.snapshot().await.status)
}

/// Drain the node
///
/// From now on the health check says 503. After the grace the listeners close and the sessions leave; then the process
/// ends. Whoever asks while the node drains joins the same drain, and what is said anew counts.
#[utoipa::path(post, path = crate::admin::DRAIN, tag = "node",
    request_body(content = Option<DrainOrder>, description = "How; what is left out is as configured"),
    responses(
        (status = 202, description = "It drains", body = DrainStatus),
        (status = 400, description = "The order cannot be read", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn drain(State(operator): Node, body: Result<Bytes, BytesRejection>) -> Response {
    let Ok(body) = body else { return Refusal::TOO_LARGE.into_response() };
    let order = match body.trim_ascii() {
        b"" => DrainOrder::default(),
        // A list of numbers would be read as well.
        [b'[', ..] => return problem(StatusCode::BAD_REQUEST, "not understood", "an order is an object"),
        text => match serde_json::from_slice(text) {
            Ok(order) => order,
            Err(error) => return problem(StatusCode::BAD_REQUEST, "not understood", &error.to_string()),
        },
    };
    let DrainOrder { grace, rate, deadline } = order;
    let in_range = |seconds: Option<f64>| seconds.is_none_or(|seconds| (0.0..=DAY).contains(&seconds));
    if !in_range(grace) || !in_range(deadline) || rate.is_some_and(|rate| !(1..=RATE_MAX).contains(&rate)) {
        return Refusal::OUT_OF_RANGE.into_response();
    }
    (StatusCode::ACCEPTED, Json(operator.drain(order).await)).into_response()
}

/// Call a drain off
///
/// Possible during the grace of a drain that no signal asked for.
#[utoipa::path(delete, path = crate::admin::DRAIN, tag = "node", responses(
    (status = 200, description = "The node stays", body = NodeStatus),
    (status = 409, description = "There is no drain, or no way back", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn stay(State(operator): Node) -> Response {
    match operator.stay() {
        Ok(()) => Json(operator.snapshot().await.status.node).into_response(),
        Err(TooLate::NoDrain) => Refusal::NO_DRAIN.into_response(),
        Err(TooLate::Signalled) => Refusal::SIGNALLED.into_response(),
        Err(TooLate::Begun) => Refusal::BEGUN.into_response(),
    }
}

/// Make a standby node active
///
/// It takes clients from now on. A node that steps back stays. Nothing happens to a node that is active.
#[utoipa::path(post, path = crate::admin::PROMOTE, tag = "node", responses(
    (status = 200, description = "It is active", body = NodeStatus),
    (status = 409, description = "It drains", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn promote(State(operator): Node) -> Response {
    if operator.drain.is_on() {
        return Refusal::DRAINS.into_response();
    }
    operator.promote().await;
    Json(operator.snapshot().await.status.node).into_response()
}

/// Make an active node a standby node
///
/// The health check says 503 from now on. After the grace the sessions leave as in a drain; then it waits until it is needed.
/// Nothing happens to a node that is on standby.
#[utoipa::path(post, path = crate::admin::STEP_BACK, tag = "node", responses(
    (status = 202, description = "It steps back", body = NodeStatus),
    (status = 409, description = "It drains, or no other node takes clients", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn step_back(State(operator): Node) -> Response {
    if operator.drain.is_on() {
        return Refusal::DRAINS.into_response();
    }
    if !operator.has_takers().await {
        return Refusal::ALONE.into_response();
    }
    operator.step_back().await;
    (StatusCode::ACCEPTED, Json(operator.snapshot().await.status.node)).into_response()
}

/// Numbers in the text format of Prometheus
#[utoipa::path(get, path = crate::admin::METRICS, tag = "observation", responses(
    (status = 200, description = "The numbers", body = String, content_type = "text/plain; version=0.0.4"),
))]
pub(super) async fn metrics(State(operator): Node) -> Response {
    let text = page::write(&operator.snapshot().await);
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8"), (CACHE_CONTROL, "no-store")], text)
        .into_response()
}

/// This description
#[utoipa::path(get, path = crate::admin::OPENAPI, tag = "observation", responses(
    (status = 200, description = "An OpenAPI document"),
))]
pub(super) async fn openapi() -> Response {
    Json(description::document()).into_response()
}
