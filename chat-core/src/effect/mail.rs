//! What workers send to each other, and each user to the next.

use std::sync::Arc;

use crate::base::{MsgId, UserId, Utc, WorkerId};
use crate::jid::{Jid, JidRef};

/// A resource of a user, told apart from all that ever had its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceId(pub u64);

/// Who waits to hear that a message is settled: the `seq`-th stanza that this resource's client sent (XEP-0198).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SettleTo {
    /// The home of the sender.
    pub worker: WorkerId,
    /// The sender.
    pub user: UserId,
    /// The resource it sent from.
    pub resource: ResourceId,
    /// The number of the stanza among those received from the client since it enabled stream management.
    pub seq: u32,
}

/// What is known of a stanza on its way to the home of its recipient, besides what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fate {
    /// The identity of a message; what names a repeat.
    pub id: MsgId,
    /// When the server received it.
    pub at: Utc,
    /// Who waits to hear that it is settled.
    pub settle: Option<SettleTo>,
    /// It may have been delivered before: whoever gets it now gets it with `<delay/>` (XEP-0203).
    pub delayed: bool,
}

/// A stanza on its way to the home of its recipient.
#[derive(Debug, Clone)]
pub struct Envelope {
    /// The sender, as stamped.
    pub from: Jid,
    /// The recipient, on a domain of ours.
    pub to: Jid,
    /// One valid element of `jabber:client`, with `from`.
    pub stanza: Arc<[u8]>,
    /// What else is known of it.
    pub fate: Fate,
}

/// The same, borrowed.
#[derive(Debug, Clone, Copy)]
pub struct Posted<'a> {
    /// The sender, as stamped.
    pub from: JidRef<'a>,
    /// The recipient, on a domain of ours.
    pub to: JidRef<'a>,
    /// One valid element of `jabber:client`, with `from`.
    pub stanza: &'a [u8],
    /// What else is known of it.
    pub fate: Fate,
}

impl Envelope {
    /// The borrowed form.
    pub fn posted(&self) -> Posted<'_> {
        Posted { from: self.from.as_ref(), to: self.to.as_ref(), stanza: &self.stanza, fate: self.fate }
    }
}

/// What a worker has to tell itself.
#[derive(Debug, Clone)]
pub enum Mail {
    /// A stanza for a user whose home it is.
    Stanza(Box<Envelope>),
    /// A message has been settled.
    Settled(SettleTo),
}

/// What one worker has to tell another, in order. One batch holds all of a turn, its text in one buffer, and is used
/// again and again ([`Engine::reuse`](crate::engine::Engine::reuse)): a message to another worker allocates nothing.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    letters: Vec<Letter>,
    /// Of each stanza the addresses, then itself.
    bytes: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
enum Letter {
    /// How much of the buffer is its own.
    Stanza {
        from: u16,
        to: u16,
        stanza: u32,
        fate: Fate,
    },
    Settled(SettleTo),
}

/// One piece of a batch.
#[derive(Debug, Clone, Copy)]
pub enum Told<'a> {
    /// A stanza for a user whose home the other worker is.
    Stanza(Posted<'a>),
    /// A message has been settled.
    Settled(SettleTo),
}

/// Bytes for which an empty batch may keep room; a larger one was made by a burst.
const ROOM_KEPT: usize = 64 * 1024;

impl Batch {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.letters.is_empty()
    }

    /// What it counts for where the work that waits is bounded: its bytes, and some for each piece.
    pub fn weight(&self) -> usize {
        self.bytes.len() + self.letters.len() * size_of::<Letter>()
    }

    /// Adds a stanza, which `write` appends to the buffer. Both addresses are prepared, so their lengths are bounded.
    pub fn put(&mut self, from: &str, to: &str, fate: Fate, write: impl FnOnce(&mut Vec<u8>)) {
        self.bytes.extend_from_slice(from.as_bytes());
        self.bytes.extend_from_slice(to.as_bytes());
        let start = self.bytes.len();
        write(&mut self.bytes);
        let stanza = u32::try_from(self.bytes.len() - start).expect("no stanza has 4 GiB");
        let (from, to) = (from.len() as u16, to.len() as u16);
        self.letters.push(Letter::Stanza { from, to, stanza, fate });
    }

    /// Adds that a message has been settled.
    pub fn put_settled(&mut self, settle: SettleTo) {
        self.letters.push(Letter::Settled(settle));
    }

    /// What it says, in order.
    pub fn iter(&self) -> impl Iterator<Item = Told<'_>> {
        let mut rest = &self.bytes[..];
        let mut next = move |len: usize| {
            let (now, later) = rest.split_at(len);
            rest = later;
            now
        };
        self.letters.iter().map(move |letter| match *letter {
            Letter::Settled(settle) => Told::Settled(settle),
            Letter::Stanza { from, to, stanza, fate } => {
                let (from, to) = (address(next(from.into())), address(next(to.into())));
                Told::Stanza(Posted { from, to, stanza: next(stanza as usize), fate })
            }
        })
    }

    /// Empties it, to be used again.
    pub fn clear(&mut self) {
        self.letters.clear();
        self.bytes.clear();
        if self.bytes.capacity() > ROOM_KEPT {
            *self = Batch::default();
        }
    }
}

/// An address that was put in as text.
fn address(bytes: &[u8]) -> JidRef<'_> {
    JidRef::of_prepared(std::str::from_utf8(bytes).expect("addresses are put in as text"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Key;

    #[test]
    fn a_batch_reads_as_it_was_written_and_can_be_used_again() {
        let settle = SettleTo {
            worker: WorkerId(1),
            user: UserId(Key { index: 2, generation: 3 }),
            resource: ResourceId(4),
            seq: 5,
        };
        let fate = Fate { id: MsgId(6), at: Utc(7), settle: Some(settle), delayed: true };
        let mut batch = Batch::default();
        for _ in 0..2 {
            assert!(batch.is_empty());
            batch.put("romeo@localhost/ø", "juliet@localhost", fate, |out| out.extend_from_slice(b"<a/>"));
            batch.put_settled(settle);
            batch.put("localhost", "romeo@localhost", fate, |out| out.extend_from_slice(b"<b></b>"));
            let told: Vec<String> = batch
                .iter()
                .map(|told| match told {
                    Told::Settled(to) => format!("{}", to == settle),
                    Told::Stanza(p) => format!(
                        "{} {} {} {}",
                        p.from.as_str(),
                        p.to.as_str(),
                        String::from_utf8_lossy(p.stanza),
                        p.fate == fate
                    ),
                })
                .collect();
            let expected = [
                "romeo@localhost/ø juliet@localhost <a/> true",
                "true",
                "localhost romeo@localhost <b></b> true",
            ];
            assert_eq!(told, expected);
            assert!(batch.weight() > 60);
            batch.clear();
        }
        batch.put("a", "b", fate, |out| out.resize(2 * ROOM_KEPT, b' '));
        batch.clear();
        assert_eq!(batch.bytes.capacity(), 0, "a burst leaves nothing behind");
    }
}
