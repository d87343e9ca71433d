//! Who a node is: its name, which of its lives this is, and which start of the process.

use crate::base::{Rng, Utc};
use core::net::{IpAddr, Ipv6Addr};
use smol_str::SmolStr;
use std::fmt;
use std::str::FromStr;

/// Bytes of what stands before the `@`. It is `chat` as a rule; 64 leaves room for a name with a site and a purpose.
pub const NODE_LOCAL_BYTES_MAX: usize = 64;
/// Bytes of a host name (RFC 1035 §2.3.4, written without the final dot). An IPv6 address with brackets is shorter.
pub const NODE_HOST_BYTES_MAX: usize = 253;
/// Bytes of a whole name: decoders refuse longer ones before they look at them.
pub const NODE_NAME_BYTES_MAX: usize = NODE_LOCAL_BYTES_MAX + 1 + NODE_HOST_BYTES_MAX;

/// The name of a node, `name@host`, for example `chat@ch-prod-3.example.net`. It is what the node is called in lists,
/// certificates and frames, and it stays the same from one start to the next.
///
/// Canonical: two names are the same node if and only if their texts are the same bytes. The host is in lower case; an
/// IPv6 address is written as RFC 5952 wants it, in brackets. Ordered by the bytes of the text, which all nodes do alike:
/// ties are broken by it. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeName(SmolStr);

/// Why a text is no name of a node.
///
/// Always the fault of whoever wrote it; nothing has changed. A peer that says such a name in its hello is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NodeNameError {
    /// There is no `@` that parts name and host.
    #[error("a node is written name@host")]
    NoHost,
    /// The part before the `@` is empty, has more than [`NODE_LOCAL_BYTES_MAX`] bytes, or holds others than ASCII
    /// letters, digits, `-`, `_` and `.`.
    #[error("the name before the @ is 1 to 64 letters, digits, '-', '_' and '.'")]
    Local,
    /// The part behind the `@` is neither a host name nor an IP address (IPv6 in brackets).
    #[error("behind the @ stands a host name or an IP address, an IPv6 address in brackets")]
    Host,
}

impl NodeName {
    /// Reads `name@host` and brings it into its canonical form.
    pub fn parse(text: &str) -> Result<NodeName, NodeNameError> {
        let (local, host) = text.split_once('@').ok_or(NodeNameError::NoHost)?;
        NodeName::new(local, host)
    }

    /// The name `local@host`. An IPv6 address may come with or without brackets.
    pub fn new(local: &str, host: &str) -> Result<NodeName, NodeNameError> {
        let letter = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        if local.is_empty() || local.len() > NODE_LOCAL_BYTES_MAX || !local.bytes().all(letter) {
            return Err(NodeNameError::Local);
        }
        let mut text = String::with_capacity(local.len() + 1 + host.len());
        text.push_str(local);
        text.push('@');
        let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        if let Ok(v6) = bare.unwrap_or(host).parse::<Ipv6Addr>() {
            text.push_str(&format!("[{v6}]"));
        } else if bare.is_none() && is_host_name(host) {
            text.push_str(&host.to_ascii_lowercase());
        } else {
            return Err(NodeNameError::Host);
        }
        Ok(NodeName(SmolStr::from(text)))
    }

    /// The whole name in its canonical form, at most [`NODE_NAME_BYTES_MAX`] bytes of ASCII.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands before the `@`.
    pub fn local(&self) -> &str {
        self.parts().0
    }

    /// The host as it is resolved and dialled: a host name in lower case, or an IP address without brackets.
    pub fn host(&self) -> &str {
        let host = self.parts().1;
        host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host)
    }

    /// The host if it is an IP address: then there is nothing to resolve.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host().parse().ok()
    }

    fn parts(&self) -> (&str, &str) {
        self.0.split_once('@').expect("a name holds an @ since it was read")
    }
}

/// Whether a text is a name that DNS can be asked for. Underscores pass: SRV names begin with them, and container
/// tools put them into host names.
pub fn is_host_name(text: &str) -> bool {
    let label = |l: &str| {
        let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        !l.is_empty() && l.len() <= 63 && l.bytes().all(inner) && !l.starts_with('-') && !l.ends_with('-')
    };
    text.len() <= NODE_HOST_BYTES_MAX && text.split('.').all(label)
}

impl FromStr for NodeName {
    type Err = NodeNameError;

    fn from_str(text: &str) -> Result<NodeName, NodeNameError> {
        NodeName::parse(text)
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which life of a node this is. A node that starts again has a higher one, even if its clock went back in between:
/// it takes the time of its start, and the first peer that remembers a higher one raises it ([`Incarnation::over`]).
///
/// 0 is no life of any node. Written `i1763847469000`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Incarnation(pub u64);

impl Incarnation {
    /// The incarnation of a node that starts at this moment and that nobody remembers: the milliseconds since 1970, at
    /// least 1.
    pub fn at_start(utc: Utc) -> Self {
        Incarnation(u64::try_from(utc.0).unwrap_or(0).max(1))
    }

    /// This one if it is higher than what a peer remembers of the same name, else the next after that. A node may do so
    /// only before anybody has believed it alive: a life does not change its number in the middle.
    #[must_use]
    pub fn over(self, remembered: Incarnation) -> Self {
        self.max(Incarnation(remembered.0.saturating_add(1)))
    }
}

impl fmt::Debug for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "i{}", self.0)
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// One start of a process. Two nodes that by mistake have one name and one incarnation differ in it, and a connection
/// that comes back to the same process is told from one to its successor. `Debug` shows the first 32 bits, `b1a2b3c4d`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BootId(pub [u8; 16]);

impl BootId {
    /// A fresh one.
    pub fn random(rng: &mut Rng) -> Self {
        let mut bytes = [0; 16];
        rng.fill(&mut bytes);
        BootId(bytes)
    }
}

impl fmt::Debug for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.0;
        write!(f, "b{a:02x}{b:02x}{c:02x}{d:02x}")
    }
}

/// One life of one node: what it says of itself when it meets another. Written `chat@host/i1763847469000/b1a2b3c4d`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// The name, the same in every life.
    pub name: NodeName,
    /// Which life.
    pub incarnation: Incarnation,
    /// Which process.
    pub boot: BootId,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{:?}/{:?}", self.name, self.incarnation, self.boot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    #[test]
    fn names_have_one_spelling() {
        for (text, name, local, host) in [
            ("chat@ch-prod-3.example.net", "chat@ch-prod-3.example.net", "chat", "ch-prod-3.example.net"),
            ("Chat@CH-Prod-3.Example.net", "Chat@ch-prod-3.example.net", "Chat", "ch-prod-3.example.net"),
            ("a.b_c-1@localhost", "a.b_c-1@localhost", "a.b_c-1", "localhost"),
            ("chat@my_container", "chat@my_container", "chat", "my_container"),
            ("chat@192.0.2.7", "chat@192.0.2.7", "chat", "192.0.2.7"),
            ("chat@[2001:DB8:0:0::1]", "chat@[2001:db8::1]", "chat", "2001:db8::1"),
            ("chat@2001:db8::1", "chat@[2001:db8::1]", "chat", "2001:db8::1"),
        ] {
            let read = NodeName::parse(text).unwrap();
            assert_eq!((read.as_str(), read.local(), read.host()), (name, local, host));
            assert_eq!(NodeName::parse(name), Ok(read), "preparing twice is preparing once");
        }
        assert_eq!(NodeName::parse("chat@192.0.2.7").unwrap().ip(), Some("192.0.2.7".parse().unwrap()));
        assert_eq!(NodeName::parse("chat@[::1]").unwrap().ip(), Some("::1".parse().unwrap()));
        assert_eq!(NodeName::parse("chat@host").unwrap().ip(), None);
    }

    #[test]
    fn what_is_no_name_says_why() {
        use NodeNameError::{Host, Local, NoHost};
        let long = |n, host: &str| format!("{}@{host}", "a".repeat(n));
        let host_of = |n: usize| format!("chat@{}", vec!["a"; n.div_ceil(2)].join("."));
        for (text, why) in [
            ("", NoHost),
            ("chat", NoHost),
            ("@host", Local),
            ("ch at@host", Local),
            ("chät@host", Local),
            (&long(65, "host"), Local),
            ("chat@", Host),
            ("chat@host.", Host),
            ("chat@a..b", Host),
            ("chat@-host", Host),
            ("chat@a@b", Host),
            ("chat@host:4369", Host),
            ("chat@[host]", Host),
            ("chat@[192.0.2.7]", Host),
            ("chat@[::1", Host),
            (&host_of(255), Host),
        ] {
            assert_eq!(NodeName::parse(text), Err(why), "{text}");
        }
        let longest = format!("{}@{}", "a".repeat(64), &host_of(253)[5..]);
        assert_eq!(NodeName::parse(&longest).unwrap().as_str().len(), NODE_NAME_BYTES_MAX);
    }

    #[test]
    fn a_later_life_is_higher_even_if_the_clock_went_back() {
        let first = Incarnation::at_start(Utc(1_000));
        let second = Incarnation::at_start(Utc(400)).over(first);
        assert_eq!((first, second), (Incarnation(1_000), Incarnation(1_001)));
        assert_eq!(Incarnation::at_start(Utc(2_000)).over(first), Incarnation(2_000));
        assert_eq!(Incarnation::at_start(Utc(-5)), Incarnation(1));
        assert_eq!(Incarnation(3).over(Incarnation(u64::MAX)), Incarnation(u64::MAX));
    }

    #[test]
    fn identities_are_short_in_logs() {
        let boot = BootId([0x1a, 0x2b, 0x3c, 0x4d, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);
        let name = NodeName::parse("chat@host").unwrap();
        let identity = Identity { name, incarnation: Incarnation(7), boot };
        assert_eq!(format!("{identity:?}"), "chat@host/i7/b1a2b3c4d");
        let mut rng = Rng::from_u64(1);
        assert_ne!(BootId::random(&mut rng), BootId::random(&mut rng));
    }

    proptest! {
        #[test]
        fn whatever_is_read_is_canonical(text in "[a-zA-Z0-9._-]{0,8}@?\\[?[a-zA-Z0-9.:_-]{0,12}\\]?") {
            if let Ok(name) = NodeName::parse(&text) {
                prop_assert!(name.as_str().len() <= NODE_NAME_BYTES_MAX);
                prop_assert_eq!(NodeName::parse(name.as_str()), Ok(name.clone()));
                prop_assert_eq!(NodeName::new(name.local(), name.host()), Ok(name));
            }
        }
    }
}
