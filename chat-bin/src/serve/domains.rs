//! Domains: who decides about logins to each, and what is allowed there.

use std::sync::Arc;

use chat_net::auth::http::{HttpAuthenticator, HttpOptions};
use chat_net::auth::jwt::{Algorithm, JwtAuthenticator, JwtOptions};
use chat_net::auth::{Authenticator, Chain, KeyPool, StoreAuthenticator};
use chat_net::server::Domain;
use chat_net::spawn::Spawner;
use chat_net::store::Accounts;

use crate::Failure;
use crate::config::{AuthMethod, DomainConfig, HttpAuth, Jwt, JwtKey};

/// What authenticators are made of.
pub(super) struct Parts {
    /// Of the store.
    pub accounts: Arc<dyn Accounts>,
    /// Where keys are derived.
    pub keys: KeyPool,
    /// Where services are asked.
    pub spawner: Spawner,
}

impl Parts {
    /// One domain as the configuration wants it.
    ///
    /// # Errors
    /// A key cannot be read or used.
    pub(super) fn domain(&self, name: &str, config: &DomainConfig) -> Result<Domain, Failure> {
        if config.auth.methods == [AuthMethod::Anonymous] {
            return Ok(Domain::anonymous(name).plaintext(config.allow_plaintext));
        }
        let stored = config.auth.methods.contains(&AuthMethod::Store);
        if config.registration_enabled && !stored {
            tracing::warn!(domain = name, "registration.enabled does nothing where auth.method is not store");
        }
        let mut links = Vec::new();
        for method in &config.auth.methods {
            links.push(self.authenticator(*method, name, config)?);
        }
        let authenticator = match <[_; 1]>::try_from(links) {
            Ok([one]) => one,
            Err(several) => Arc::new(Chain::new(several)),
        };
        Ok(Domain::new(name)
            .authenticator(authenticator)
            .plaintext(config.allow_plaintext)
            .registration(config.registration_enabled && stored)
            .account_management(stored))
    }

    fn authenticator(
        &self,
        method: AuthMethod,
        domain: &str,
        config: &DomainConfig,
    ) -> Result<Arc<dyn Authenticator>, Failure> {
        let failed = |message: String| Failure::new(format!("{domain}: {message}"));
        let missing = |what| failed(format!("auth.{what} is missing"));
        Ok(match method {
            AuthMethod::Store => Arc::new(
                StoreAuthenticator::new(domain, self.accounts.clone(), self.keys.clone())
                    .with_iterations(config.auth.scram_iterations),
            ),
            AuthMethod::Jwt => {
                let jwt = config.auth.jwt.as_ref().ok_or_else(|| missing("jwt_secret"))?;
                let options = jwt_options(jwt)?;
                let made = JwtAuthenticator::new(&options, self.keys.clone());
                Arc::new(made.map_err(|error| failed(format!("auth.method jwt: {error}")))?)
            }
            AuthMethod::Http => {
                let http = config.auth.http.as_ref().ok_or_else(|| missing("http_url"))?;
                let made = HttpAuthenticator::new(&http_options(http), &self.spawner);
                Arc::new(made.map_err(|error| failed(format!("auth.method http: {error}")))?)
            }
            // The configuration refuses it beside others.
            AuthMethod::Anonymous => {
                return Err(failed("anonymous cannot stand beside other methods".into()));
            }
        })
    }
}

fn jwt_options(jwt: &Jwt) -> Result<JwtOptions, Failure> {
    let algorithm = Algorithm::from_name(&jwt.algorithm)
        .ok_or_else(|| Failure::new(format!("auth.jwt_algorithm: {} is not supported", jwt.algorithm)))?;
    let key = match &jwt.key {
        JwtKey::Secret(secret) => secret.expose().as_bytes().to_vec(),
        JwtKey::File(path) => {
            let read = std::fs::read(path);
            let mut key = read.map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
            // An editor ends the line; a key of random bytes is not likely to.
            if jwt.algorithm.starts_with("HS") {
                while key.last().is_some_and(|byte| matches!(byte, b'\r' | b'\n')) {
                    key.pop();
                }
            }
            key
        }
    };
    Ok(JwtOptions { algorithm, key, audience: jwt.audience.clone(), issuer: jwt.issuer.clone() })
}

fn http_options(http: &HttpAuth) -> HttpOptions {
    HttpOptions { timeout: http.timeout, cache: http.cache, ..HttpOptions::new(http.url.expose()) }
}
