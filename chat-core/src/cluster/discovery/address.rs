//! A node of a list, and the nodes that an instance can compute from its own name.

use crate::cluster::identity::{NodeName, NodeNameError};
use std::fmt;

/// A node as lists have it: `name@host`, or `name@host:port`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeAddr {
    /// Who. The host in it is what is dialled.
    pub node: NodeName,
    /// The port of its cluster links, if it is not the usual one; never 0.
    pub port: Option<u16>,
}

impl NodeAddr {
    /// Reads `name@host` or `name@host:port`; an IPv6 address stands in brackets. A port from 1 to 65535 with anything
    /// but digits in it is no port, and then what stands behind the `@` is no host.
    pub fn parse(text: &str) -> Result<NodeAddr, NodeNameError> {
        let (local, rest) = text.split_once('@').ok_or(NodeNameError::NoHost)?;
        let end = if rest.starts_with('[') { rest.find(']').map_or(rest.len(), |i| i + 1) } else { 0 };
        let colon = rest[end..].find(':').map(|i| end + i);
        let (host, port) = match colon {
            Some(i) => (&rest[..i], Some(&rest[i + 1..])),
            None => (rest, None),
        };
        let read = |p: &str| -> Option<u16> {
            let digits = p.bytes().all(|b| b.is_ascii_digit());
            p.parse().ok().filter(|p| digits && *p > 0)
        };
        let port = port.map(|p| read(p).ok_or(NodeNameError::Host)).transpose()?;
        Ok(NodeAddr { node: NodeName::new(local, host)?, port })
    }
}

impl fmt::Display for NodeAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.node)?;
        self.port.map_or(Ok(()), |p| write!(f, ":{p}"))
    }
}

impl From<NodeName> for NodeAddr {
    fn from(node: NodeName) -> NodeAddr {
        NodeAddr { node, port: None }
    }
}

/// The nodes whose host names differ from `node`'s only in the number at the end of the first part, from `low` to
/// `high`: with 1 and 4, `chat@ch-prod-3.example` has `chat@ch-prod-1.example`, 2 and 4. As many digits as `node` has
/// if it has leading zeros. `node` itself is left out.
///
/// `None` if the first part of the host ends in no number, is nothing but a number (then it is rather an IP address),
/// or a sibling's name would be too long. The caller bounds `high - low`.
pub fn siblings(node: &NodeName, low: u64, high: u64) -> Option<Vec<NodeName>> {
    let (first, rest) = node.host().split_once('.').unwrap_or((node.host(), ""));
    let dot = if rest.is_empty() { "" } else { "." };
    let stem = first.trim_end_matches(|c: char| c.is_ascii_digit());
    let digits = &first[stem.len()..];
    if digits.is_empty() || stem.is_empty() || node.ip().is_some() {
        return None;
    }
    let width = if digits.starts_with('0') { digits.len() } else { 1 };
    let sibling = |n| NodeName::new(node.local(), &format!("{stem}{n:0width$}{dot}{rest}")).ok();
    let all: Option<Vec<NodeName>> = (low..=high).map(sibling).collect();
    Some(all?.into_iter().filter(|n| n != node).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_of_lists() {
        for (text, node, port) in [
            ("chat@host", "chat@host", None),
            ("chat@Host.example:4370", "chat@host.example", Some(4370)),
            ("chat@192.0.2.7:1", "chat@192.0.2.7", Some(1)),
            ("chat@[2001:DB8::1]", "chat@[2001:db8::1]", None),
            ("chat@[2001:db8::1]:65535", "chat@[2001:db8::1]", Some(65535)),
        ] {
            let read = NodeAddr::parse(text).unwrap();
            assert_eq!((read.node.as_str(), read.port), (node, port), "{text}");
            assert_eq!(NodeAddr::parse(&read.to_string()), Ok(read));
        }
        for text in [
            "chat",
            "chat@",
            "chat@host:",
            "chat@host:0",
            "chat@host:+1",
            "chat@host:65536",
            "chat@host:1:2",
            "chat@2001:db8::1",
            "chat@[2001:db8::1",
            "chat@[2001:db8::1]4369",
            "@host:1",
        ] {
            assert!(NodeAddr::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn siblings_differ_in_the_number() {
        let of = |node: &str, low, high| {
            let all = siblings(&NodeName::parse(node).unwrap(), low, high)?;
            Some(all.iter().map(|n| n.as_str().to_owned()).collect::<Vec<_>>().join(" "))
        };
        for (node, low, high, all) in [
            (
                "chat@ch-prod-3.example",
                1,
                4,
                "chat@ch-prod-1.example chat@ch-prod-2.example chat@ch-prod-4.example",
            ),
            ("x@chat-0", 0, 2, "x@chat-1 x@chat-2"),
            ("chat@node09.a.b", 8, 11, "chat@node08.a.b chat@node10.a.b chat@node11.a.b"),
            ("chat@node9.a", 8, 10, "chat@node8.a chat@node10.a"),
            ("chat@node1.a", 1, 1, ""),
            ("chat@node7.a", 1, 2, "chat@node1.a chat@node2.a"),
        ] {
            assert_eq!(of(node, low, high).as_deref(), Some(all), "{node}");
        }
        for node in ["chat@chat.example", "chat@192.0.2.7", "chat@7.example", "chat@[2001:db8::1]"] {
            assert_eq!(of(node, 1, 4), None, "{node}");
        }
    }
}
