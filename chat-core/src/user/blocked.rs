//! The block list of one user (XEP-0191): what is stored, and whom it matches.

use crate::jid::{Jid, JidRef};

/// Whom a user blocks. One word for those who never blocked anybody, as nearly nobody did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Blocked(Option<Box<List>>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct List {
    version: u64,
    /// Sorted, each once.
    jids: Vec<Jid>,
}

/// A change of a block list, made from whatever the list is when the change has its turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlockEdit {
    /// Block these, too (XEP-0191 §3.3).
    Add(Vec<Jid>),
    /// Block these no longer (§3.4).
    Remove(Vec<Jid>),
    /// Block nobody (§3.5).
    Clear,
}

impl Blocked {
    /// The list of these entries.
    pub fn new(version: u64, jids: Vec<Jid>) -> Self {
        let jids = sorted(jids);
        Blocked((version > 0 || !jids.is_empty()).then(|| Box::new(List { version, jids })))
    }

    /// The list of these stored bytes: JIDs, each followed by a line feed. `None` if a line is no JID.
    pub fn decode(version: u64, bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let jids: Option<Vec<Jid>> = text.split_terminator('\n').map(|line| Jid::parse(line).ok()).collect();
        Some(Blocked::new(version, jids?))
    }

    /// The bytes to store for a list; [`Blocked::decode`] reads them. A prepared JID has no line feed inside.
    pub fn encode(jids: &[Jid]) -> Vec<u8> {
        let mut out = Vec::with_capacity(jids.iter().map(|j| j.as_str().len() + 1).sum());
        for jid in jids {
            out.extend_from_slice(jid.as_str().as_bytes());
            out.push(b'\n');
        }
        out
    }

    /// The version that the store compares.
    pub fn version(&self) -> u64 {
        self.0.as_ref().map_or(0, |list| list.version)
    }

    /// The entries, sorted.
    pub fn jids(&self) -> &[Jid] {
        self.0.as_ref().map_or(&[], |list| &list.jids)
    }

    /// What the entries would be after a change, sorted.
    pub fn edited(&self, edit: &BlockEdit) -> Vec<Jid> {
        match edit {
            BlockEdit::Add(more) => sorted(self.jids().iter().chain(more).cloned().collect()),
            BlockEdit::Remove(gone) => {
                let gone = Blocked::new(0, gone.clone());
                self.jids().iter().filter(|jid| !gone.has(jid.as_str())).cloned().collect()
            }
            BlockEdit::Clear => Vec::new(),
        }
    }

    /// Whether an entry matches this address (XEP-0191 §2): the address itself, its bare form, its domain with the
    /// same resource, or its domain.
    pub fn blocks(&self, jid: JidRef<'_>) -> bool {
        if self.jids().is_empty() {
            return false;
        }
        let with_resource = |resource| format!("{}/{resource}", jid.domain());
        self.has(jid.as_str())
            || self.has(jid.bare().as_str())
            || self.has(jid.domain())
            || jid.resource().is_some_and(|resource| self.has(&with_resource(resource)))
    }

    /// Whether this very address is an entry.
    pub fn has(&self, jid: &str) -> bool {
        self.jids().binary_search_by(|entry| entry.as_str().cmp(jid)).is_ok()
    }
}

/// Sorted, each once.
fn sorted(mut jids: Vec<Jid>) -> Vec<Jid> {
    jids.sort_unstable();
    jids.dedup();
    jids
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jid(text: &str) -> Jid {
        Jid::parse(text).unwrap()
    }

    fn list(jids: &[&str]) -> Blocked {
        Blocked::new(3, jids.iter().map(|j| jid(j)).collect())
    }

    /// XEP-0191 §2: the four forms an entry may have.
    #[test]
    fn entries_match_as_the_xep_says() {
        for (entry, address, matches) in [
            ("romeo@montague.lit/orchard", "romeo@montague.lit/orchard", true),
            ("romeo@montague.lit/orchard", "romeo@montague.lit/garden", false),
            ("romeo@montague.lit/orchard", "romeo@montague.lit", false),
            ("romeo@montague.lit", "romeo@montague.lit/orchard", true),
            ("romeo@montague.lit", "romeo@montague.lit", true),
            ("romeo@montague.lit", "tybalt@montague.lit", false),
            ("montague.lit/orchard", "montague.lit/orchard", true),
            ("montague.lit/orchard", "montague.lit", false),
            ("montague.lit", "montague.lit", true),
            ("montague.lit", "romeo@montague.lit", true),
            ("montague.lit", "romeo@montague.lit/orchard", true),
            ("montague.lit", "romeo@sub.montague.lit", false),
        ] {
            assert_eq!(list(&[entry]).blocks(jid(address).as_ref()), matches, "{entry} {address}");
        }
        assert!(!Blocked::default().blocks(jid("romeo@montague.lit").as_ref()));
    }

    #[test]
    fn edits_keep_the_list_sorted_and_without_doubles() {
        let before = list(&["b.lit", "a@b.lit"]);
        let text = |jids: Vec<Jid>| jids.iter().map(|j| j.to_string()).collect::<Vec<_>>();
        assert_eq!(
            text(before.edited(&BlockEdit::Add(vec![jid("c.lit"), jid("b.lit")]))),
            ["a@b.lit", "b.lit", "c.lit"]
        );
        assert_eq!(text(before.edited(&BlockEdit::Remove(vec![jid("b.lit"), jid("x.lit")]))), ["a@b.lit"]);
        assert!(before.edited(&BlockEdit::Clear).is_empty());
    }

    #[test]
    fn the_stored_bytes_are_lines() {
        let some = list(&["b.lit", "a@b.lit"]);
        assert_eq!(Blocked::encode(some.jids()), b"a@b.lit\nb.lit\n");
        assert_eq!(Blocked::decode(3, b"a@b.lit\nb.lit\n"), Some(some));
        assert_eq!(Blocked::decode(0, b""), Some(Blocked::default()));
        assert_eq!(Blocked::decode(0, b"a@@b\n"), None);
        assert_eq!(Blocked::decode(0, b"\xff\n"), None);
    }
}
