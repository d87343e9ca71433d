//! Signed tokens as passwords (JSON Web Tokens, RFC 7519).
//!
//! The client sends its token with SASL PLAIN. The token must be signed with the one algorithm and key of the settings
//! (RFC 8725 §3.1: the token has no say in that), must not have expired, and its subject must be the user, exactly:
//! the localpart or the whole bare JID. Names that differ only in case are different subjects, since two people may
//! have them where the tokens are made.

use std::fmt;
use std::sync::Arc;

use chat_core::effect::{AccountDone, AccountError, AccountOp};
use chat_core::jid::BareJid;
use chat_core::sasl::{Mechanism, Secret};
use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;

use super::{AccountAnswer, Authenticator, KeyPool, Promise};

/// Clocks may differ by this many seconds.
const LEEWAY_SECONDS: u64 = 30;

/// The longest token that is looked at, in bytes.
const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// How tokens are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC with SHA-256 (RFC 7518 §3.2).
    Hs256,
    /// HMAC with SHA-384.
    Hs384,
    /// HMAC with SHA-512.
    Hs512,
    /// RSA, PKCS #1 v1.5, with SHA-256 (RFC 7518 §3.3).
    Rs256,
    /// ECDSA on P-256 with SHA-256 (RFC 7518 §3.4).
    Es256,
    /// Ed25519 (RFC 8037 §3.1).
    EdDsa,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Algorithm; 6] = [
        Algorithm::Hs256,
        Algorithm::Hs384,
        Algorithm::Hs512,
        Algorithm::Rs256,
        Algorithm::Es256,
        Algorithm::EdDsa,
    ];

    /// The registered name.
    pub const fn name(self) -> &'static str {
        match self {
            Algorithm::Hs256 => "HS256",
            Algorithm::Hs384 => "HS384",
            Algorithm::Hs512 => "HS512",
            Algorithm::Rs256 => "RS256",
            Algorithm::Es256 => "ES256",
            Algorithm::EdDsa => "EdDSA",
        }
    }

    /// The algorithm of that name.
    pub fn from_name(name: &str) -> Option<Algorithm> {
        Algorithm::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    fn library(self) -> jsonwebtoken::Algorithm {
        match self {
            Algorithm::Hs256 => jsonwebtoken::Algorithm::HS256,
            Algorithm::Hs384 => jsonwebtoken::Algorithm::HS384,
            Algorithm::Hs512 => jsonwebtoken::Algorithm::HS512,
            Algorithm::Rs256 => jsonwebtoken::Algorithm::RS256,
            Algorithm::Es256 => jsonwebtoken::Algorithm::ES256,
            Algorithm::EdDsa => jsonwebtoken::Algorithm::EdDSA,
        }
    }

    fn key(self, key: &[u8]) -> jsonwebtoken::errors::Result<DecodingKey> {
        match self {
            Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => Ok(DecodingKey::from_secret(key)),
            Algorithm::Rs256 => DecodingKey::from_rsa_pem(key),
            Algorithm::Es256 => DecodingKey::from_ec_pem(key),
            Algorithm::EdDsa => DecodingKey::from_ed_pem(key),
        }
    }
}

/// What makes a token valid.
#[derive(Clone)]
pub struct JwtOptions {
    /// The one algorithm.
    pub algorithm: Algorithm,
    /// The shared secret of an HMAC algorithm, or the public key in PEM.
    pub key: Vec<u8>,
    /// The audience that tokens must name. Without one, tokens that name any are refused (RFC 7519 §4.1.3).
    pub audience: Option<String>,
    /// The issuer that tokens must name.
    pub issuer: Option<String>,
}

impl fmt::Debug for JwtOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtOptions").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

/// Why tokens cannot be verified at all.
#[derive(Debug, thiserror::Error)]
pub enum JwtError {
    /// There is no secret.
    #[error("the secret of {0} is empty")]
    Empty(&'static str),
    /// The key is not of the algorithm.
    #[error("this is no public key for {algorithm} in PEM form: {reason}")]
    BadKey {
        /// The algorithm.
        algorithm: &'static str,
        /// What the library says.
        reason: String,
    },
}

/// Decides by the signature of a token.
pub struct JwtAuthenticator {
    verifier: Arc<Verifier>,
    pool: KeyPool,
}

struct Verifier {
    key: DecodingKey,
    validation: Validation,
}

impl JwtAuthenticator {
    /// Verifies on the threads of `pool`.
    ///
    /// # Errors
    /// When the key cannot be used.
    pub fn new(options: &JwtOptions, pool: KeyPool) -> Result<JwtAuthenticator, JwtError> {
        // Without a choice the library panics in builds where something else has switched on its other provider. An
        // earlier choice of the embedder's stays.
        let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
        let algorithm = options.algorithm;
        if options.key.is_empty() {
            return Err(JwtError::Empty(algorithm.name()));
        }
        let bad = |error: jsonwebtoken::errors::Error| JwtError::BadKey {
            algorithm: algorithm.name(),
            reason: error.to_string(),
        };
        let key = algorithm.key(&options.key).map_err(bad)?;
        let mut validation = Validation::new(algorithm.library());
        validation.leeway = LEEWAY_SECONDS;
        validation.validate_nbf = true;
        let mut required = vec!["exp", "sub"];
        if let Some(audience) = &options.audience {
            validation.set_audience(&[audience]);
            required.push("aud");
        }
        if let Some(issuer) = &options.issuer {
            validation.set_issuer(&[issuer]);
            required.push("iss");
        }
        validation.set_required_spec_claims(&required);
        Ok(JwtAuthenticator { verifier: Arc::new(Verifier { key, validation }), pool })
    }
}

impl Authenticator for JwtAuthenticator {
    fn mechanisms(&self) -> Vec<Mechanism> {
        vec![Mechanism::Plain]
    }

    fn begin(&self, op: AccountOp, answer: AccountAnswer) {
        let AccountOp::Check { user, password } = op else { return answer(Err(AccountError::Unsupported)) };
        let (verifier, promise) = (self.verifier.clone(), Promise::new(answer));
        self.pool.submit(move || {
            let valid = verifier.is_valid(&user, &password);
            promise.keep(if valid { Ok(AccountDone::Accepted) } else { Err(AccountError::Refused) });
        });
    }
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
}

impl Verifier {
    fn is_valid(&self, user: &BareJid, token: &Secret) -> bool {
        let token = token.expose();
        if token.len() > TOKEN_BYTES_MAX {
            return false;
        }
        let Some(local) = user.local() else { return false };
        // RFC 7515 §4.1.11: none of the extensions that must be understood is.
        let understood = decode_header(token).is_ok_and(|header| header.crit.is_none());
        let claims = decode::<Claims>(token, &self.key, &self.validation);
        let subject = claims.map(|token| token.claims.sub);
        understood && subject.is_ok_and(|subject| subject == local || subject == user.as_str())
    }
}

#[cfg(test)]
mod tests;
