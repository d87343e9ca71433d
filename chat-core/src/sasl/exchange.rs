//! The server's side of one attempt to log in.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use subtle::{Choice, ConstantTimeEq};

use super::CHANNEL_BINDING;
use super::crypto::{digest, hmac, xor};
use super::fault::{Failure, Fault};
use super::keys::ScramKeys;
use super::mechanism::{Hash, Mechanism};
use super::scram::{BindingFlag, ClientFinal, ClientFirst};
use super::secret::Secret;
use crate::base::limits::{
    SASL_AUTHZID_BYTES_MAX, SASL_MESSAGE_BYTES_MAX, SASL_PASSWORD_BYTES_MAX, SASL_TRACE_CHARS_MAX,
    SASL_USERNAME_BYTES_MAX,
};

#[cfg(test)]
mod tests;

/// What an exchange must know of the stream it happens on.
#[derive(Clone)]
pub struct Context {
    /// What TLS exported for [`super::EXPORTER_LABEL`]; `None` without TLS, or where RFC 9266 §4.2 forbids its use
    /// (TLS before 1.3 without extended master secret).
    pub exporter: Option<[u8; 32]>,
    /// Whether a -PLUS mechanism was announced on this stream.
    pub plus_offered: bool,
    /// Whether the stream is under TLS, or counts as private because logins in the clear are allowed. PLAIN is
    /// refused without it.
    pub tls: bool,
    /// The server's part of the nonce: fresh from the engine's generator for each exchange.
    pub nonce: [u8; 24],
    /// The secret from which salts for unknown users come. It must be the same for all nodes of a domain and survive
    /// restarts, or such users show by their changing salts.
    pub fake_salt_key: [u8; 16],
}

/// What is to happen next. After anything but `Challenge` and `NeedKeys` the exchange is over.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Send these bytes (perhaps none) as a challenge.
    Challenge(Vec<u8>),
    /// Look the keys up and answer with [`Exchange::keys`].
    NeedKeys {
        /// As the client sent it. If it cannot be prepared as a localpart, the answer is `None`.
        username: String,
        /// Whose keys.
        hash: Hash,
    },
    /// Check this password and end the exchange accordingly (PLAIN).
    CheckPassword {
        /// As the client sent it.
        username: String,
        /// As the client sent it: to be prepared by who compares it ([`ScramKeys::matches`] does).
        password: Secret,
        /// Whom the client wants to act as; see `Success`.
        authzid: Option<String>,
    },
    /// Admit somebody without account.
    Anonymous {
        /// What the client says about itself, not to be trusted; without control characters.
        trace: Option<String>,
    },
    /// Decide by the certificate of the TLS handshake.
    External {
        /// Whom the client wants to act as; `None`: whoever the certificate names.
        authzid: Option<String>,
    },
    /// The client proved to be that user.
    Success {
        /// As the client sent it.
        username: String,
        /// Whom the client wants to act as, as it sent it. Unless that is the user's own bare JID, the answer is
        /// `invalid-authzid` (RFC 6120 §6.3.8).
        authzid: Option<String>,
        /// Additional data for `<success/>`: the server's own proof.
        data: Option<Vec<u8>>,
    },
    /// The attempt failed.
    Failure(Failure),
}

/// One attempt to log in with one mechanism.
pub struct Exchange {
    mechanism: Mechanism,
    exporter: Option<[u8; 32]>,
    plus_offered: bool,
    tls: bool,
    server_nonce: String,
    fake_salt_key: [u8; 16],
    /// Whose keys these are, in the one form that all spellings of a user name share.
    account: Option<String>,
    state: State,
    fault: Option<Fault>,
}

enum State {
    /// Nothing was received, or only that there is no initial response.
    Initial,
    /// `NeedKeys` is out.
    Keys(First),
    /// The server's first message is out.
    Proof(Pending),
    Over,
}

/// What is kept of the client's first message.
struct First {
    hash: Hash,
    username: String,
    authzid: Option<String>,
    gs2_header: String,
    bare: String,
    client_nonce: String,
}

/// What the client's final message is checked against.
struct Pending {
    hash: Hash,
    username: String,
    authzid: Option<String>,
    /// `cbind-input` that the client must repeat.
    binding: Vec<u8>,
    nonce: String,
    /// `AuthMessage` up to and with its second comma.
    auth_message: String,
    keys: ScramKeys,
    known: Choice,
}

impl Exchange {
    /// Begins an exchange; [`Exchange::begin`] is to follow.
    pub fn start(mechanism: Mechanism, cx: &Context) -> Exchange {
        Exchange::start_with_nonce(mechanism, cx, STANDARD.encode(cx.nonce))
    }

    /// As `start`, with the server's nonce in its final form, as the examples of the RFCs need it.
    fn start_with_nonce(mechanism: Mechanism, cx: &Context, server_nonce: String) -> Exchange {
        Exchange {
            mechanism,
            exporter: cx.exporter,
            plus_offered: cx.plus_offered,
            tls: cx.tls,
            server_nonce,
            fake_salt_key: cx.fake_salt_key,
            account: None,
            state: State::Initial,
            fault: None,
        }
    }

    /// Which mechanism this is.
    pub fn mechanism(&self) -> Mechanism {
        self.mechanism
    }

    /// Why the machine itself let the attempt fail, more exactly than the peer is told. For the log.
    pub fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// Takes the initial response. Without one the client is asked for it by an empty challenge, since in all
    /// mechanisms here the client speaks first (RFC 4422 §5).
    pub fn begin(&mut self, initial: Option<&[u8]>) -> Step {
        if let Err(fault) = self.check_offered() {
            return self.fail(fault);
        }
        match (initial, &self.state) {
            (None, State::Initial) => Step::Challenge(Vec::new()),
            (None, _) => self.fail(Fault::OutOfTurn),
            (Some(data), _) => self.respond(data),
        }
    }

    /// Takes a response, its base64 undone.
    pub fn respond(&mut self, data: &[u8]) -> Step {
        let step = match std::mem::replace(&mut self.state, State::Over) {
            State::Initial => self.on_first(data),
            State::Proof(pending) => pending.on_final(data),
            State::Keys(_) | State::Over => Err(Fault::OutOfTurn),
        };
        step.unwrap_or_else(|fault| self.fail(fault))
    }

    /// Names the account that the user name stands for. Two spellings of one name must show the same salt, or those of
    /// users that exist could be told by it.
    pub fn known_as(&mut self, account: &str) {
        self.account = Some(account.to_owned());
    }

    /// Takes the answer to `NeedKeys`; `None` for a user that does not exist or has no keys for that hash. Such an
    /// exchange goes on like any other and fails at its end, so that users cannot be enumerated.
    ///
    /// When the store has no answer at all, drop the exchange and send [`Failure::TemporaryAuthFailure`] instead.
    pub fn keys(&mut self, answer: Option<ScramKeys>) -> Step {
        let State::Keys(first) = std::mem::replace(&mut self.state, State::Over) else {
            return self.fail(Fault::OutOfTurn);
        };
        let known = Choice::from(u8::from(answer.is_some()));
        let keys = answer.unwrap_or_else(|| {
            ScramKeys::fake(first.hash, &self.fake_salt_key, self.account.as_ref().unwrap_or(&first.username))
        });
        if !keys.fit(first.hash) {
            return self.fail(Fault::KeysUnusable);
        }
        let nonce = format!("{}{}", first.client_nonce, self.server_nonce);
        let challenge = format!("r={nonce},s={},i={}", STANDARD.encode(&keys.salt), keys.iterations);
        let mut binding = first.gs2_header.into_bytes();
        if self.mechanism.is_plus() {
            binding.extend(self.exporter.iter().flatten());
        }
        self.state = State::Proof(Pending {
            hash: first.hash,
            username: first.username,
            authzid: first.authzid,
            binding,
            nonce,
            auth_message: format!("{},{challenge},", first.bare),
            keys,
            known,
        });
        Step::Challenge(challenge.into_bytes())
    }

    /// Whether this stream may see this mechanism at all. Sessions do not offer it otherwise; this is the second
    /// bolt on the same door.
    fn check_offered(&self) -> Result<(), Fault> {
        match self.mechanism {
            Mechanism::Plain if !self.tls => Err(Fault::NotPrivate),
            m if m.is_plus() && self.exporter.is_none() => Err(Fault::NotOffered),
            _ => Ok(()),
        }
    }

    fn on_first(&mut self, data: &[u8]) -> Result<Step, Fault> {
        self.check_offered()?;
        if data.len() > SASL_MESSAGE_BYTES_MAX {
            return Err(Fault::TooLong);
        }
        match (self.mechanism, self.mechanism.hash()) {
            (_, Some(hash)) => self.on_scram_first(hash, data),
            (Mechanism::Plain, _) => plain(data),
            (Mechanism::Anonymous, _) => anonymous(data),
            (_, None) => external(data),
        }
    }

    fn on_scram_first(&mut self, hash: Hash, data: &[u8]) -> Result<Step, Fault> {
        let first = ClientFirst::parse(data)?;
        match (first.binding, self.mechanism.is_plus()) {
            (BindingFlag::Used(CHANNEL_BINDING), true) | (BindingFlag::Unsupported, false) => {}
            (BindingFlag::Used(_), true) => return Err(Fault::BindingType),
            // RFC 5802 §6: somebody removed the -PLUS mechanisms from what we announced.
            (BindingFlag::NotOffered, false) if self.plus_offered => return Err(Fault::Downgrade),
            (BindingFlag::NotOffered, false) => {}
            (BindingFlag::Used(_), false) | (_, true) => return Err(Fault::BindingMisused),
        }
        let username = first.username.clone();
        self.state = State::Keys(First {
            hash,
            gs2_header: first.gs2_header.to_owned(),
            bare: first.bare.to_owned(),
            client_nonce: first.nonce.to_owned(),
            username: first.username,
            authzid: first.authzid,
        });
        Ok(Step::NeedKeys { username, hash })
    }

    fn fail(&mut self, fault: Fault) -> Step {
        self.state = State::Over;
        self.fault = Some(fault);
        Step::Failure(fault.failure())
    }
}

impl Pending {
    /// RFC 5802 §3 and §5.1: everything of the final message is checked; the proof last.
    fn on_final(self, data: &[u8]) -> Result<Step, Fault> {
        let last = ClientFinal::parse(data)?;
        if last.proof.len() != self.hash.output_bytes() {
            return Err(Fault::Grammar);
        }
        if last.nonce != self.nonce {
            return Err(Fault::Nonce);
        }
        if !bool::from(last.binding.ct_eq(&self.binding)) {
            return Err(Fault::BindingMismatch);
        }
        let auth_message = [self.auth_message.as_bytes(), last.without_proof.as_bytes()];
        let signature = hmac(self.hash, &self.keys.stored_key, &auth_message);
        let client_key = xor(&last.proof, &signature);
        let proven = digest(self.hash, &client_key).ct_eq(&self.keys.stored_key);
        if !bool::from(proven & self.known) {
            return Err(if self.known.into() { Fault::Proof } else { Fault::UnknownUser });
        }
        let verifier = hmac(self.hash, &self.keys.server_key, &auth_message);
        let data = format!("v={}", STANDARD.encode(&*verifier)).into_bytes();
        Ok(Step::Success { username: self.username, authzid: self.authzid, data: Some(data) })
    }
}

/// `[authzid] NUL authcid NUL passwd` (RFC 4616 §2).
fn plain(data: &[u8]) -> Result<Step, Fault> {
    let text = std::str::from_utf8(data).map_err(|_| Fault::NotUtf8)?;
    let mut fields = text.split('\0');
    let (Some(authzid), Some(username), Some(password), None) =
        (fields.next(), fields.next(), fields.next(), fields.next())
    else {
        return Err(Fault::Grammar);
    };
    if username.is_empty() || password.is_empty() {
        return Err(Fault::Grammar);
    }
    if authzid.len() > SASL_AUTHZID_BYTES_MAX
        || username.len() > SASL_USERNAME_BYTES_MAX
        || password.len() > SASL_PASSWORD_BYTES_MAX
    {
        return Err(Fault::TooLong);
    }
    Ok(Step::CheckPassword {
        username: username.to_owned(),
        password: password.into(),
        authzid: (!authzid.is_empty()).then(|| authzid.to_owned()),
    })
}

/// At most 255 characters of trace (RFC 4505 §2), which will stand in a log.
fn anonymous(data: &[u8]) -> Result<Step, Fault> {
    let trace = std::str::from_utf8(data).map_err(|_| Fault::NotUtf8)?;
    if trace.chars().any(char::is_control) {
        return Err(Fault::Grammar);
    }
    if trace.chars().count() > SASL_TRACE_CHARS_MAX {
        return Err(Fault::TooLong);
    }
    Ok(Step::Anonymous { trace: (!trace.is_empty()).then(|| trace.to_owned()) })
}

/// An `authzid` or nothing (RFC 4422 Appendix A.1).
fn external(data: &[u8]) -> Result<Step, Fault> {
    let authzid = std::str::from_utf8(data).map_err(|_| Fault::NotUtf8)?;
    if authzid.contains('\0') {
        return Err(Fault::Grammar);
    }
    if authzid.len() > SASL_AUTHZID_BYTES_MAX {
        return Err(Fault::TooLong);
    }
    Ok(Step::External { authzid: (!authzid.is_empty()).then(|| authzid.to_owned()) })
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waits_for = match self.state {
            State::Initial => "first message",
            State::Keys(_) => "keys",
            State::Proof(_) => "proof",
            State::Over => "nothing",
        };
        f.debug_struct("Exchange")
            .field("mechanism", &self.mechanism)
            .field("waits_for", &waits_for)
            .field("fault", &self.fault)
            .finish_non_exhaustive()
    }
}
