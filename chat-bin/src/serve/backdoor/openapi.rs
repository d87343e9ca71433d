//! The description of the API for machines.

use utoipa::OpenApi;
use utoipa::openapi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};

use super::routes;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "chat: the backdoor",
        description = "Administration of one node. Without a token it answers requests from its own machine only.",
    ),
    paths(
        routes::status,
        routes::drain,
        routes::stay,
        routes::promote,
        routes::step_back,
        routes::metrics,
        routes::openapi,
    )
)]
struct Api;

/// The document.
pub(super) fn document() -> openapi::OpenApi {
    let mut document = Api::openapi();
    let bearer = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
    document.components.get_or_insert_default().add_security_scheme("token", bearer);
    // Or nothing, for a node without a token.
    let none: [&str; 0] = [];
    document.security = Some(vec![SecurityRequirement::new("token", none), SecurityRequirement::default()]);
    document
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin;

    #[test]
    fn everything_is_described_where_it_is() {
        let document = serde_json::to_value(document()).expect("JSON");
        for (path, methods) in [
            (admin::STATUS, &["get"][..]),
            (admin::DRAIN, &["delete", "post"]),
            (admin::PROMOTE, &["post"]),
            (admin::STEP_BACK, &["post"]),
            (admin::METRICS, &["get"]),
            (admin::OPENAPI, &["get"]),
        ] {
            let described = document["paths"][path].as_object().expect(path);
            assert_eq!(described.keys().map(String::as_str).collect::<Vec<_>>(), methods, "{path}");
        }
        let schemas = document["components"]["schemas"].as_object().expect("schemas");
        for name in
            ["Status", "NodeStatus", "PeerStatus", "DomainStatus", "DrainOrder", "DrainStatus", "Problem"]
        {
            assert!(schemas.contains_key(name), "{name}");
        }
        assert_eq!(document["components"]["securitySchemes"]["token"]["scheme"], "bearer");
    }
}
