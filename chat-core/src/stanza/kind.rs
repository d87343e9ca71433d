//! The three stanzas and the values of their `type` attribute.

/// The type of a message (RFC 6121 §5.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MessageType {
    /// `chat`.
    Chat,
    /// `error`.
    Error,
    /// `groupchat`.
    Groupchat,
    /// `headline`.
    Headline,
    /// `normal`; also what a missing or unknown type means.
    Normal,
}

/// The type of a presence (RFC 6121 §4.7.1); available has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PresenceType {
    /// No type: available.
    Available,
    /// `unavailable`.
    Unavailable,
    /// `error`.
    Error,
    /// `probe`.
    Probe,
    /// `subscribe`.
    Subscribe,
    /// `subscribed`.
    Subscribed,
    /// `unsubscribe`.
    Unsubscribe,
    /// `unsubscribed`.
    Unsubscribed,
}

/// The type of an iq (RFC 6120 §8.2.3), which must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IqType {
    /// `get`.
    Get,
    /// `set`.
    Set,
    /// `result`.
    Result,
    /// `error`.
    Error,
}

/// A stanza's name and type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `<message/>`.
    Message(MessageType),
    /// `<presence/>`.
    Presence(PresenceType),
    /// `<iq/>`.
    Iq(IqType),
}

impl Kind {
    /// Reads a stanza's local name and `type`. `None` if the name is none of the three;
    /// `Some(Err(name))` if it is, but the type is not one it may have (RFC 6120 §8.2.3, RFC 6121 §4.7.1).
    pub fn read(name: &str, ty: Option<&str>) -> Option<Result<Kind, &'static str>> {
        Some(match name {
            // RFC 6121 §5.2.2: an unknown type is to be treated as `normal`.
            "message" => Ok(Kind::Message(match ty {
                Some("chat") => MessageType::Chat,
                Some("error") => MessageType::Error,
                Some("groupchat") => MessageType::Groupchat,
                Some("headline") => MessageType::Headline,
                _ => MessageType::Normal,
            })),
            "presence" => PresenceType::read(ty).map(Kind::Presence).ok_or("presence"),
            "iq" => match ty {
                Some("get") => Ok(Kind::Iq(IqType::Get)),
                Some("set") => Ok(Kind::Iq(IqType::Set)),
                Some("result") => Ok(Kind::Iq(IqType::Result)),
                Some("error") => Ok(Kind::Iq(IqType::Error)),
                _ => Err("iq"),
            },
            _ => return None,
        })
    }

    /// The element's name.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Message(_) => "message",
            Kind::Presence(_) => "presence",
            Kind::Iq(_) => "iq",
        }
    }

    /// Whether an error may answer this stanza: errors and results are never answered (RFC 6120 §8.3.1, §8.2.3).
    pub fn may_be_answered(self) -> bool {
        !matches!(
            self,
            Kind::Message(MessageType::Error)
                | Kind::Presence(PresenceType::Error)
                | Kind::Iq(IqType::Error | IqType::Result)
        )
    }

    /// Whether this is a presence that manages a subscription (RFC 6121 §3).
    pub fn is_subscription(self) -> bool {
        matches!(
            self,
            Kind::Presence(
                PresenceType::Subscribe
                    | PresenceType::Subscribed
                    | PresenceType::Unsubscribe
                    | PresenceType::Unsubscribed
            )
        )
    }
}

impl PresenceType {
    fn read(ty: Option<&str>) -> Option<PresenceType> {
        Some(match ty {
            None => PresenceType::Available,
            Some("unavailable") => PresenceType::Unavailable,
            Some("error") => PresenceType::Error,
            Some("probe") => PresenceType::Probe,
            Some("subscribe") => PresenceType::Subscribe,
            Some("subscribed") => PresenceType::Subscribed,
            Some("unsubscribe") => PresenceType::Unsubscribe,
            Some("unsubscribed") => PresenceType::Unsubscribed,
            Some(_) => return None,
        })
    }

    /// The value of the `type` attribute; `None` for available.
    pub fn attr(self) -> Option<&'static str> {
        Some(match self {
            PresenceType::Available => return None,
            PresenceType::Unavailable => "unavailable",
            PresenceType::Error => "error",
            PresenceType::Probe => "probe",
            PresenceType::Subscribe => "subscribe",
            PresenceType::Subscribed => "subscribed",
            PresenceType::Unsubscribe => "unsubscribe",
            PresenceType::Unsubscribed => "unsubscribed",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_read_as_the_rfcs_say() {
        use Kind::{Iq, Message, Presence};
        let ok = |k| Some(Ok(k));
        for (name, ty, kind) in [
            ("message", None, ok(Message(MessageType::Normal))), // RFC 6121 §5.2.2
            ("message", Some("weird"), ok(Message(MessageType::Normal))),
            ("message", Some("chat"), ok(Message(MessageType::Chat))),
            ("presence", None, ok(Presence(PresenceType::Available))), // RFC 6121 §4.7.1
            ("presence", Some("probe"), ok(Presence(PresenceType::Probe))),
            ("presence", Some("away"), Some(Err("presence"))),
            ("iq", None, Some(Err("iq"))), // RFC 6120 §8.2.3
            ("iq", Some("get"), ok(Iq(IqType::Get))),
            ("iq", Some("push"), Some(Err("iq"))),
            ("body", Some("chat"), None),
        ] {
            assert_eq!(Kind::read(name, ty), kind, "{name} {ty:?}");
        }
    }

    #[test]
    fn errors_never_answer_errors() {
        assert!(!Kind::Message(MessageType::Error).may_be_answered());
        assert!(!Kind::Iq(IqType::Result).may_be_answered());
        assert!(Kind::Iq(IqType::Get).may_be_answered());
        assert!(Kind::Message(MessageType::Headline).may_be_answered());
    }
}
