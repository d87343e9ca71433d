//! Stanza errors (RFC 6120 §8.3).

/// What the sender of a failed stanza may do about it (RFC 6120 §8.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorType {
    /// Retry after providing credentials.
    Auth,
    /// Do not retry.
    Cancel,
    /// Retry after changing the data sent.
    Modify,
    /// Retry after waiting.
    Wait,
}

impl ErrorType {
    /// The value of the `type` attribute.
    pub fn as_str(self) -> &'static str {
        match self {
            ErrorType::Auth => "auth",
            ErrorType::Cancel => "cancel",
            ErrorType::Modify => "modify",
            ErrorType::Wait => "wait",
        }
    }
}

/// A defined condition (RFC 6120 §8.3.3), as far as this server has use for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // each is one word of RFC 6120 §8.3.3
pub enum Condition {
    BadRequest,
    Conflict,
    FeatureNotImplemented,
    Forbidden,
    InternalServerError,
    ItemNotFound,
    JidMalformed,
    NotAcceptable,
    NotAllowed,
    NotAuthorized,
    PolicyViolation,
    RecipientUnavailable,
    RemoteServerNotFound,
    RemoteServerTimeout,
    ResourceConstraint,
    ServiceUnavailable,
    SubscriptionRequired,
    UnexpectedRequest,
}

impl Condition {
    /// The element's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Condition::BadRequest => "bad-request",
            Condition::Conflict => "conflict",
            Condition::FeatureNotImplemented => "feature-not-implemented",
            Condition::Forbidden => "forbidden",
            Condition::InternalServerError => "internal-server-error",
            Condition::ItemNotFound => "item-not-found",
            Condition::JidMalformed => "jid-malformed",
            Condition::NotAcceptable => "not-acceptable",
            Condition::NotAllowed => "not-allowed",
            Condition::NotAuthorized => "not-authorized",
            Condition::PolicyViolation => "policy-violation",
            Condition::RecipientUnavailable => "recipient-unavailable",
            Condition::RemoteServerNotFound => "remote-server-not-found",
            Condition::RemoteServerTimeout => "remote-server-timeout",
            Condition::ResourceConstraint => "resource-constraint",
            Condition::ServiceUnavailable => "service-unavailable",
            Condition::SubscriptionRequired => "subscription-required",
            Condition::UnexpectedRequest => "unexpected-request",
        }
    }

    /// The error type that RFC 6120 §8.3.3 recommends with the condition.
    pub fn error_type(self) -> ErrorType {
        match self {
            Condition::BadRequest
            | Condition::JidMalformed
            | Condition::NotAcceptable
            | Condition::PolicyViolation => ErrorType::Modify,
            Condition::Forbidden | Condition::NotAuthorized | Condition::SubscriptionRequired => {
                ErrorType::Auth
            }
            Condition::RecipientUnavailable
            | Condition::RemoteServerTimeout
            | Condition::ResourceConstraint
            | Condition::UnexpectedRequest => ErrorType::Wait,
            Condition::Conflict
            | Condition::FeatureNotImplemented
            | Condition::InternalServerError
            | Condition::ItemNotFound
            | Condition::NotAllowed
            | Condition::RemoteServerNotFound
            | Condition::ServiceUnavailable => ErrorType::Cancel,
        }
    }
}

/// An error as it goes into a stanza.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StanzaError {
    /// What the sender may do.
    pub error_type: ErrorType,
    /// The defined condition.
    pub condition: Condition,
    /// For people; in English, without anything a stranger should not learn.
    pub text: Option<&'static str>,
    /// An application-specific condition: an empty element of this name and namespace (RFC 6120 §8.3.4).
    pub specific: Option<(&'static str, &'static str)>,
}

impl StanzaError {
    /// The condition with the type that the RFC recommends for it.
    pub const fn new(condition: Condition, error_type: ErrorType) -> Self {
        StanzaError { error_type, condition, text: None, specific: None }
    }

    /// The same with a text.
    pub fn text(mut self, text: &'static str) -> Self {
        self.text = Some(text);
        self
    }

    /// The same with an application-specific condition.
    pub fn specific(mut self, name: &'static str, ns: &'static str) -> Self {
        self.specific = Some((name, ns));
        self
    }

    /// A failure of ours that may pass: `internal-server-error` with `wait`.
    pub fn wait() -> Self {
        StanzaError::new(Condition::InternalServerError, ErrorType::Wait)
    }
}

impl From<Condition> for StanzaError {
    fn from(condition: Condition) -> Self {
        StanzaError::new(condition, condition.error_type())
    }
}
