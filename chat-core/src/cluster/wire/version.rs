//! Which versions of the protocol a node speaks, and which one two nodes agree on.

use std::fmt;

/// A range of protocol versions, both ends included.
///
/// A release that adds a version goes on speaking the one before, so that the nodes of a cluster can be replaced one at a
/// time; the oldest may be dropped a release later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Versions {
    /// The oldest.
    pub min: u16,
    /// The newest.
    pub max: u16,
}

/// Two ranges without a common version.
///
/// Neither node is at fault; nothing has changed. Both sides say so, and try again in case one of them is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no common version of the cluster protocol: this node speaks {ours}, the other {theirs}")]
pub struct VersionsApart {
    /// What this node speaks.
    pub ours: Versions,
    /// What the other node speaks.
    pub theirs: Versions,
}

impl Versions {
    /// What this release speaks.
    pub const OURS: Versions = Versions { min: 1, max: 2 };

    /// The newest version that both speak. Both sides come to the same result.
    pub fn agree(self, theirs: Versions) -> Result<u16, VersionsApart> {
        let version = self.max.min(theirs.max);
        if version >= self.min.max(theirs.min) {
            Ok(version)
        } else {
            Err(VersionsApart { ours: self, theirs })
        }
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.min == self.max {
            write!(f, "{}", self.max)
        } else {
            write!(f, "{} to {}", self.min, self.max)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_nodes_speak_the_newest_that_both_know() {
        let of = |min, max| Versions { min, max };
        for (a, b, agreed) in [
            (of(1, 1), of(1, 1), Some(1)),
            (of(1, 2), of(2, 3), Some(2)),
            (of(1, 5), of(2, 3), Some(3)),
            (of(1, 1), of(2, 2), None),
            (of(4, 6), of(1, 3), None),
            (of(3, 2), of(1, 9), None),
        ] {
            assert_eq!(a.agree(b).ok(), agreed, "{a} and {b}");
            assert_eq!(b.agree(a).ok(), agreed, "{b} and {a}");
        }
        assert_eq!(
            of(1, 1).agree(of(2, 3)).unwrap_err().to_string(),
            "no common version of the cluster protocol: this node speaks 1, the other 2 to 3"
        );
    }
}
