//! The client's side of SCRAM, for the simulator and the tests. It may be told to use channel binding in ways that
//! a sound client would not, so that the server's refusals can be tried.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use subtle::ConstantTimeEq;

use super::CHANNEL_BINDING;
use super::crypto::{digest, hmac, salted_password, xor};
use super::fault::Fault;
use super::mechanism::{Hash, Mechanism};
use super::prep::saslprep;
use super::scram::{ServerFirst, base64, escape};
use super::secret::Secret;

#[cfg(test)]
mod tests;

/// What the client says of channel binding, and its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binding {
    /// `n`: this client cannot.
    Unsupported,
    /// `y`: it can, but saw no -PLUS mechanism.
    NotOffered,
    /// `p=tls-exporter` with what TLS exported (RFC 9266).
    Exporter([u8; 32]),
}

/// One login of a client. The messages go out and in without base64.
pub struct ScramClient {
    hash: Hash,
    password: Secret,
    gs2_header: String,
    binding: Binding,
    bare: String,
    nonce: String,
    /// What the server must prove in the end.
    verifier: Option<Vec<u8>>,
}

impl ScramClient {
    /// Prepares a login. `nonce` is random. `None` if the mechanism is not SCRAM, or if [`saslprep`] refuses the name
    /// or the password.
    pub fn new(
        mechanism: Mechanism,
        username: &str,
        password: &str,
        binding: Binding,
        nonce: [u8; 24],
    ) -> Option<ScramClient> {
        ScramClient::new_with_nonce(mechanism, username, password, binding, STANDARD.encode(nonce))
    }

    fn new_with_nonce(
        mechanism: Mechanism,
        username: &str,
        password: &str,
        binding: Binding,
        nonce: String,
    ) -> Option<ScramClient> {
        let flag = match binding {
            Binding::Unsupported => "n".to_owned(),
            Binding::NotOffered => "y".to_owned(),
            Binding::Exporter(_) => format!("p={CHANNEL_BINDING}"),
        };
        Some(ScramClient {
            hash: mechanism.hash()?,
            password: Secret::new(saslprep(password)?.into_owned()),
            gs2_header: format!("{flag},,"),
            binding,
            bare: format!("n={},r={nonce}", escape(&saslprep(username)?)),
            nonce,
            verifier: None,
        })
    }

    /// Asks to act as somebody; to be called before [`ScramClient::first`].
    pub fn set_authzid(&mut self, authzid: &str) {
        let flag_len = self.gs2_header.find(',').unwrap_or(0);
        self.gs2_header.truncate(flag_len);
        self.gs2_header.push_str(&format!(",a={},", escape(authzid)));
    }

    /// The initial response.
    pub fn first(&self) -> Vec<u8> {
        format!("{}{}", self.gs2_header, self.bare).into_bytes()
    }

    /// Answers the server's challenge, deriving the key on the spot. Errors: [`Fault::Grammar`] and the like, and
    /// [`Fault::Nonce`] if the server did not keep ours; the login is then to be aborted.
    pub fn respond(&mut self, challenge: &[u8]) -> Result<Vec<u8>, Fault> {
        let server = ServerFirst::parse(challenge)?;
        if server.nonce.len() == self.nonce.len() || !server.nonce.starts_with(&self.nonce) {
            return Err(Fault::Nonce);
        }
        let mut binding = self.gs2_header.clone().into_bytes();
        if let Binding::Exporter(data) = self.binding {
            binding.extend(data);
        }
        let without_proof = format!("c={},r={}", STANDARD.encode(binding), server.nonce);
        let hash = self.hash;
        let auth_message = [self.bare.as_bytes(), b",", challenge, b",", without_proof.as_bytes()];
        let salted =
            salted_password(hash, self.password.expose().as_bytes(), &server.salt, server.iterations);
        let client_key = hmac(hash, &salted, &[b"Client Key"]);
        let stored_key = digest(hash, &client_key);
        let proof = xor(&client_key, &hmac(hash, &stored_key, &auth_message));
        let server_key = hmac(hash, &salted, &[b"Server Key"]);
        self.verifier = Some(hmac(hash, &server_key, &auth_message).to_vec());
        Ok(format!("{without_proof},p={}", STANDARD.encode(&*proof)).into_bytes())
    }

    /// Checks the data of `<success/>`: that the server knew the keys. Errors: [`Fault::OutOfTurn`] before a response,
    /// [`Fault::Grammar`], [`Fault::Proof`].
    pub fn finish(&self, data: &[u8]) -> Result<(), Fault> {
        let verifier = self.verifier.as_ref().ok_or(Fault::OutOfTurn)?;
        let text = std::str::from_utf8(data).map_err(|_| Fault::NotUtf8)?;
        let value = text.strip_prefix("v=").ok_or(Fault::Grammar)?;
        // Extensions may follow (RFC 5802 §7, server-final-message).
        let sent = base64(value.split(',').next().unwrap_or_default())?;
        if bool::from(sent.ct_eq(verifier)) { Ok(()) } else { Err(Fault::Proof) }
    }
}
