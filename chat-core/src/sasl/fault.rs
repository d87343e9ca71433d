//! Why an exchange failed: the exact reason for the log, the condition for the peer.

/// A condition of RFC 6120 §6.5, as the peer is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Failure {
    /// The client gave up (§6.5.1).
    Aborted,
    /// The account exists and is switched off (§6.5.2).
    AccountDisabled,
    /// The credentials are too old (§6.5.3).
    CredentialsExpired,
    /// The mechanism needs TLS (§6.5.4).
    EncryptionRequired,
    /// The payload is not base64 (§6.5.5).
    IncorrectEncoding,
    /// The client may not act as the entity it named (§6.5.6).
    InvalidAuthzid,
    /// The mechanism is not offered here (§6.5.7).
    InvalidMechanism,
    /// The message breaks the mechanism's grammar (§6.5.8).
    MalformedRequest,
    /// Policy asks for a stronger mechanism (§6.5.9).
    MechanismTooWeak,
    /// The credentials are wrong; also said of unknown users (§6.5.10).
    NotAuthorized,
    /// The server cannot tell at the moment (§6.5.11).
    TemporaryAuthFailure,
}

impl Failure {
    /// The name of the element inside `<failure/>`.
    pub const fn condition(self) -> &'static str {
        match self {
            Failure::Aborted => "aborted",
            Failure::AccountDisabled => "account-disabled",
            Failure::CredentialsExpired => "credentials-expired",
            Failure::EncryptionRequired => "encryption-required",
            Failure::IncorrectEncoding => "incorrect-encoding",
            Failure::InvalidAuthzid => "invalid-authzid",
            Failure::InvalidMechanism => "invalid-mechanism",
            Failure::MalformedRequest => "malformed-request",
            Failure::MechanismTooWeak => "mechanism-too-weak",
            Failure::NotAuthorized => "not-authorized",
            Failure::TemporaryAuthFailure => "temporary-auth-failure",
        }
    }
}

/// What exactly went wrong. For logs and counters only: the peer sees [`Fault::failure`], which says less.
///
/// Each of them ends the exchange it happened in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Fault {
    /// The peer's fault: RFC 6120 §6.4.2.
    #[error("payload is not strict base64")]
    NotBase64,
    /// The peer's fault.
    #[error("message or one of its fields is over the limit")]
    TooLong,
    /// The peer's fault.
    #[error("message is not UTF-8")]
    NotUtf8,
    /// The peer's fault.
    #[error("message does not follow the grammar of its mechanism")]
    Grammar,
    /// The peer's fault: it demands an extension (`m=`) that we do not know, so RFC 5802 §5.1 forbids going on.
    #[error("mandatory SCRAM extension is not supported")]
    MandatoryExtension,
    /// The peer's fault: a -PLUS mechanism without `p=`, or `p=` without a -PLUS mechanism.
    #[error("use of channel binding does not fit the mechanism")]
    BindingMisused,
    /// The peer's fault: only `tls-exporter` is announced.
    #[error("channel binding type is not supported")]
    BindingType,
    /// The way's fault: the client could bind and was made to believe that the server could not (RFC 5802 §6).
    #[error("client was kept from using channel binding: downgrade")]
    Downgrade,
    /// The way's fault: two TLS channels meet here, or the header was changed.
    #[error("channel binding data do not match")]
    BindingMismatch,
    /// The peer's fault: the final message belongs to another exchange.
    #[error("nonce does not match")]
    Nonce,
    /// The peer's fault.
    #[error("proof does not match: wrong password")]
    Proof,
    /// The peer's fault; it is told the same as after a wrong password.
    #[error("unknown user")]
    UnknownUser,
    /// The peer's fault: PLAIN on a stream that is not private.
    #[error("mechanism needs TLS")]
    NotPrivate,
    /// The peer's fault: a -PLUS mechanism on a channel that exports nothing.
    #[error("mechanism is not offered on this stream")]
    NotOffered,
    /// The store's fault: keys of another hash function, without salt or iterations.
    #[error("stored keys are unusable")]
    KeysUnusable,
    /// The peer's fault, or the caller's: a message or an answer that nobody waits for.
    #[error("message out of turn")]
    OutOfTurn,
}

impl Fault {
    /// What the peer is told.
    pub const fn failure(self) -> Failure {
        match self {
            Fault::NotBase64 => Failure::IncorrectEncoding,
            Fault::TooLong
            | Fault::NotUtf8
            | Fault::Grammar
            | Fault::MandatoryExtension
            | Fault::BindingMisused
            | Fault::BindingType
            | Fault::OutOfTurn => Failure::MalformedRequest,
            Fault::Downgrade | Fault::BindingMismatch | Fault::Nonce | Fault::Proof | Fault::UnknownUser => {
                Failure::NotAuthorized
            }
            Fault::NotPrivate => Failure::EncryptionRequired,
            Fault::NotOffered => Failure::InvalidMechanism,
            Fault::KeysUnusable => Failure::TemporaryAuthFailure,
        }
    }
}
