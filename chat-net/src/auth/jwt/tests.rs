//! Tokens made by the library's own other half, and by hand.

use base64::Engine as _;
use jsonwebtoken::{EncodingKey, Header, encode, get_current_timestamp};
use serde_json::{Value, json};

use super::super::testing::{ask, check, jid};
use super::*;

const SECRET: &[u8] = b"a secret of thirty-two bytes ...";

fn options(algorithm: Algorithm, key: &[u8]) -> JwtOptions {
    JwtOptions { algorithm, key: key.to_vec(), audience: None, issuer: None }
}

fn authenticator(options: &JwtOptions) -> JwtAuthenticator {
    JwtAuthenticator::new(options, KeyPool::with(1, 10).expect("a thread")).expect("usable")
}

fn hs256() -> JwtAuthenticator {
    authenticator(&options(Algorithm::Hs256, SECRET))
}

fn token(claims: &Value) -> String {
    token_with(Algorithm::Hs256, &EncodingKey::from_secret(SECRET), claims)
}

fn token_with(algorithm: Algorithm, key: &EncodingKey, claims: &Value) -> String {
    let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
    encode(&Header::new(algorithm.library()), claims, key).expect("signs")
}

fn later() -> u64 {
    get_current_timestamp() + 600
}

#[track_caller]
fn expect(authenticator: &JwtAuthenticator, token: &str, accepted: bool) {
    let result = check(authenticator, "juliet@example.org", token);
    match accepted {
        true => assert!(matches!(result, Ok(AccountDone::Accepted)), "{result:?}"),
        false => assert!(matches!(result, Err(AccountError::Refused)), "{result:?}"),
    }
}

#[test]
fn the_subject_is_the_user_exactly() {
    let authenticator = hs256();
    for (subject, accepted) in [
        ("juliet", true),
        ("juliet@example.org", true),
        ("Juliet", false),
        ("juliet@other.example", false),
        ("romeo", false),
        ("example.org", false),
        ("", false),
    ] {
        expect(&authenticator, &token(&json!({ "sub": subject, "exp": later() })), accepted);
    }
    expect(&authenticator, &token(&json!({ "exp": later() })), false);
    expect(&authenticator, &token(&json!({ "sub": ["juliet"], "exp": later() })), false);
    let domain =
        check(&authenticator, "example.org", &token(&json!({ "sub": "example.org", "exp": later() })));
    assert!(matches!(domain, Err(AccountError::Refused)), "a domain is nobody: {domain:?}");
}

#[test]
fn times_are_checked_with_some_leeway() {
    let (authenticator, now) = (hs256(), get_current_timestamp());
    for (claims, accepted) in [
        (json!({ "sub": "juliet", "exp": now - 20 }), true),
        (json!({ "sub": "juliet", "exp": now - 60 }), false),
        (json!({ "sub": "juliet" }), false),
        (json!({ "sub": "juliet", "exp": "never" }), false),
        (json!({ "sub": "juliet", "exp": later(), "nbf": now + 20 }), true),
        (json!({ "sub": "juliet", "exp": later(), "nbf": now + 60 }), false),
    ] {
        expect(&authenticator, &token(&claims), accepted);
    }
}

#[test]
fn audience_and_issuer_are_those_of_the_settings() {
    let open = hs256();
    expect(&open, &token(&json!({ "sub": "juliet", "exp": later(), "iss": "anybody" })), true);
    // RFC 7519 §4.1.3: meant for somebody else.
    expect(&open, &token(&json!({ "sub": "juliet", "exp": later(), "aud": "mail" })), false);

    let strict = authenticator(&JwtOptions {
        audience: Some("chat".to_owned()),
        issuer: Some("login.example".to_owned()),
        ..options(Algorithm::Hs256, SECRET)
    });
    for (audience, issuer, accepted) in [
        (json!("chat"), json!("login.example"), true),
        (json!(["mail", "chat"]), json!("login.example"), true),
        (json!("mail"), json!("login.example"), false),
        (json!("chat"), json!("evil.example"), false),
        (Value::Null, json!("login.example"), false),
        (json!("chat"), Value::Null, false),
    ] {
        let claims = json!({ "sub": "juliet", "exp": later(), "aud": audience, "iss": issuer });
        expect(&strict, &token(&claims), accepted);
    }
}

#[test]
fn what_is_not_signed_right_is_refused() {
    let authenticator = hs256();
    let claims = json!({ "sub": "juliet", "exp": later() });
    let good = token(&claims);
    expect(&authenticator, &good, true);
    let cut = good.rsplit_once('.').expect("three parts").0.to_owned();
    let other = token(&json!({ "sub": "romeo", "exp": later() }));
    let mixed = format!("{cut}.{}", other.rsplit_once('.').expect("three parts").1);
    let foreign =
        token_with(Algorithm::Hs256, &EncodingKey::from_secret(b"another secret of some 32 bytes."), &claims);
    let stronger = token_with(Algorithm::Hs512, &EncodingKey::from_secret(SECRET), &claims);
    let long = "x".repeat(TOKEN_BYTES_MAX + 1);
    for bad in ["", ".", "..", "secret", &cut, &format!("{cut}."), &mixed, &foreign, &stronger, &long] {
        expect(&authenticator, bad, false);
    }

    let part = |value: &Value| {
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(serde_json::to_vec(value).expect("JSON"))
    };
    let unsigned = format!("{}.{}.", part(&json!({ "alg": "none", "typ": "JWT" })), part(&claims));
    expect(&authenticator, &unsigned, false);
    let mut header = Header::new(jsonwebtoken::Algorithm::HS256);
    header.crit = Some(vec!["exp".to_owned()]);
    let critical = encode(&header, &claims, &EncodingKey::from_secret(SECRET)).expect("signs");
    expect(&authenticator, &critical, false);
}

#[test]
fn every_algorithm_verifies_its_own_and_no_other() {
    use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PKCS_RSA_SHA256};
    let claims = json!({ "sub": "juliet", "exp": later() });
    let pair = |algorithm| KeyPair::generate_for(algorithm).expect("a key");
    let (rsa, ec, ed) = (pair(&PKCS_RSA_SHA256), pair(&PKCS_ECDSA_P256_SHA256), pair(&PKCS_ED25519));
    let pem = |pair: &KeyPair| pair.public_key_pem().into_bytes();
    let private = |pair: &KeyPair| pair.serialize_pem().into_bytes();
    let secret = EncodingKey::from_secret(SECRET);
    let keys = [
        (Algorithm::Hs256, SECRET.to_vec(), secret.clone()),
        (Algorithm::Hs384, SECRET.to_vec(), secret.clone()),
        (Algorithm::Hs512, SECRET.to_vec(), secret),
        (Algorithm::Rs256, pem(&rsa), EncodingKey::from_rsa_pem(&private(&rsa)).expect("a key")),
        (Algorithm::Es256, pem(&ec), EncodingKey::from_ec_pem(&private(&ec)).expect("a key")),
        (Algorithm::EdDsa, pem(&ed), EncodingKey::from_ed_pem(&private(&ed)).expect("a key")),
    ];
    let tokens: Vec<_> =
        keys.iter().map(|(algorithm, _, key)| (*algorithm, token_with(*algorithm, key, &claims))).collect();
    for (algorithm, public, _) in &keys {
        let authenticator = authenticator(&options(*algorithm, public));
        for (other, token) in &tokens {
            expect(&authenticator, token, algorithm == other);
        }
        // The trick with a public key as a shared secret (RFC 8725 §2.1).
        let forged = token_with(Algorithm::Hs256, &EncodingKey::from_secret(public), &claims);
        expect(&authenticator, &forged, *algorithm == Algorithm::Hs256);
    }
}

#[test]
fn a_key_must_fit_its_algorithm() {
    let pool = || KeyPool::with(1, 1).expect("a thread");
    let empty = JwtAuthenticator::new(&options(Algorithm::Hs256, b""), pool());
    assert!(matches!(empty, Err(JwtError::Empty("HS256"))));
    let ec = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key").public_key_pem();
    for (algorithm, key) in [
        (Algorithm::Rs256, SECRET),
        (Algorithm::Es256, SECRET),
        (Algorithm::EdDsa, SECRET),
        (Algorithm::Rs256, ec.as_bytes()),
        (Algorithm::EdDsa, ec.as_bytes()),
    ] {
        let error = JwtAuthenticator::new(&options(algorithm, key), pool());
        assert!(matches!(error, Err(JwtError::BadKey { .. })), "{algorithm:?}");
    }
}

#[test]
fn tokens_check_and_nothing_else() {
    let authenticator = hs256();
    assert_eq!(authenticator.mechanisms(), [Mechanism::Plain]);
    let user = jid("juliet@example.org");
    for op in [
        AccountOp::Keys { user: user.clone(), hash: chat_core::sasl::Hash::Sha1 },
        AccountOp::Register { user: user.clone(), password: "x".into() },
        AccountOp::SetPassword { user: user.clone(), password: "x".into() },
        AccountOp::Remove { user },
    ] {
        let result = ask(&authenticator, op);
        assert!(matches!(result, Err(AccountError::Unsupported)), "{result:?}");
    }
    for algorithm in Algorithm::ALL {
        assert_eq!(Algorithm::from_name(algorithm.name()), Some(algorithm));
    }
    assert_eq!(Algorithm::from_name("none"), None);
}
