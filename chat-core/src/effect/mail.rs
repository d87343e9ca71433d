//! What workers send to each other, and each user to the next.

use std::sync::Arc;

use super::Few;
use crate::base::{MsgId, NodeId, UserId, Utc, WorkerId};
use crate::jid::{Jid, JidRef, JidShape};
use crate::xml::{Outline, Outlines, StanzaView};

/// A resource of a user, told apart from all that ever had its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceId(pub u64);

/// Who waits to hear that a message is settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettleTo {
    /// A client of this node: it sent the message as the `seq`-th stanza of its session (XEP-0198).
    Client {
        /// The home of the sender.
        worker: WorkerId,
        /// The sender.
        user: UserId,
        /// The resource it sent from.
        resource: ResourceId,
        /// The number of the stanza among those received from the client since it enabled stream management.
        seq: u32,
    },
    /// The node that the message came from ([`Parcel`](super::Parcel)).
    Node {
        /// Which.
        node: NodeId,
        /// The how-manieth that has this number: a later one knows nothing of the message.
        life: u32,
        /// What it calls the message.
        envelope: u64,
    },
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
    /// It is for these of the recipient's resources; none: for all.
    pub only: Option<Few>,
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
pub struct Batch(Box<Content>);

#[derive(Debug, Clone, Default)]
struct Content {
    letters: Vec<Letter>,
    /// Of each stanza the addresses, the language of its stream, then itself.
    text: String,
    /// What the scans of stanzas found: nobody scans them again.
    outlines: Outlines,
}

#[derive(Debug, Clone, Copy)]
enum Letter {
    Stanza { size: Size, fate: Fate },
    Scanned { size: Size, lang: Option<u32>, fate: Fate },
    Settled(SettleTo),
}

/// How much of the text is a stanza's own.
#[derive(Debug, Clone, Copy)]
struct Size {
    from: JidShape,
    to: JidShape,
    stanza: u32,
}

/// One piece of a batch.
#[derive(Debug, Clone, Copy)]
pub enum Told<'a> {
    /// A stanza for a user whose home the other worker is.
    Stanza(Posted<'a>),
    /// The same, with what was found in it.
    Scanned(Scanned<'a>),
    /// A message has been settled.
    Settled(SettleTo),
}

/// A stanza for a user whose home the other worker is, as its sender wrote it.
#[derive(Debug, Clone, Copy)]
pub struct Scanned<'a> {
    /// The sender, whatever the stanza says.
    pub from: JidRef<'a>,
    /// The recipient, on a domain of ours.
    pub to: JidRef<'a>,
    /// One valid element of `jabber:client`.
    pub stanza: Outline<'a>,
    /// `xml:lang` of the stream it came on.
    pub lang: Option<&'a str>,
    /// What else is known of it.
    pub fate: Fate,
}

/// Bytes for which an empty batch may keep room; a larger one was made by a burst.
const ROOM_KEPT: usize = 64 * 1024;

impl Batch {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.0.letters.is_empty()
    }

    /// What it counts for where the work that waits is bounded: its bytes, and some for each piece.
    pub fn weight(&self) -> usize {
        self.0.text.len() + size_of_val(&self.0.letters[..]) + self.0.outlines.weight()
    }

    /// Adds a stanza that we wrote.
    pub fn put(&mut self, posted: Posted<'_>) {
        let Posted { from, to, stanza, fate } = posted;
        // Impossible: what we write is made of text.
        let Ok(stanza) = str::from_utf8(stanza) else { return debug_assert!(false, "{stanza:?} is no text") };
        let size = self.put_text(from, to, None, stanza);
        self.0.letters.push(Letter::Stanza { size, fate });
    }

    /// Adds a stanza as its sender wrote it, or returns false: see [`Outlines::put`].
    pub fn put_scanned(
        &mut self,
        from: JidRef<'_>,
        to: JidRef<'_>,
        lang: Option<&str>,
        view: &StanzaView<'_>,
        fate: Fate,
    ) -> bool {
        if !self.0.outlines.put(view) {
            return false;
        }
        let size = self.put_text(from, to, lang, view.as_str());
        self.0.letters.push(Letter::Scanned { size, lang: lang.map(|l| l.len() as u32), fate });
        true
    }

    /// Both addresses are prepared, so their lengths are bounded.
    fn put_text(&mut self, from: JidRef<'_>, to: JidRef<'_>, lang: Option<&str>, stanza: &str) -> Size {
        for text in [from.as_str(), to.as_str(), lang.unwrap_or_default(), stanza] {
            self.0.text.push_str(text);
        }
        Size {
            from: from.shape(),
            to: to.shape(),
            stanza: u32::try_from(stanza.len()).expect("no stanza has 4 GiB"),
        }
    }

    /// Adds that a message has been settled.
    pub fn put_settled(&mut self, settle: SettleTo) {
        self.0.letters.push(Letter::Settled(settle));
    }

    /// What it says, in order.
    pub fn iter(&self) -> impl Iterator<Item = Told<'_>> {
        let mut rest = &self.0.text[..];
        let mut outlines = self.0.outlines.reader();
        self.0.letters.iter().map(move |letter| match *letter {
            Letter::Settled(settle) => Told::Settled(settle),
            Letter::Stanza { size, fate } => {
                let (from, to) = addresses(&mut rest, size);
                let stanza = cut(&mut rest, size.stanza).as_bytes();
                Told::Stanza(Posted { from, to, stanza, fate })
            }
            Letter::Scanned { size, lang, fate } => {
                let (from, to) = addresses(&mut rest, size);
                let lang = lang.map(|len| cut(&mut rest, len));
                let stanza = outlines.next(cut(&mut rest, size.stanza));
                Told::Scanned(Scanned { from, to, stanza, lang, fate })
            }
        })
    }

    /// Empties it, to be used again.
    pub fn clear(&mut self) {
        self.0.letters.clear();
        self.0.text.clear();
        self.0.outlines.clear();
        if self.0.text.capacity() > ROOM_KEPT {
            *self = Batch::default();
        }
    }
}

/// Addresses that were put in, taken from the front of the rest.
fn addresses<'a>(rest: &mut &'a str, size: Size) -> (JidRef<'a>, JidRef<'a>) {
    let (from, later) = JidRef::of_shape(rest, size.from);
    let (to, later) = JidRef::of_shape(later, size.to);
    *rest = later;
    (from, to)
}

/// So many bytes from the front of the rest.
fn cut<'a>(rest: &mut &'a str, len: u32) -> &'a str {
    let (now, later) = rest.split_at(len as usize);
    *rest = later;
    now
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Key;
    use crate::xml::{ScanLimits, StreamNs, scan};

    const FATE: Fate = Fate { id: MsgId(6), at: Utc(7), settle: None, delayed: true, only: None };

    fn posted<'a>(from: &'a str, to: &'a str, stanza: &'a [u8]) -> Posted<'a> {
        Posted { from: JidRef::of_prepared(from), to: JidRef::of_prepared(to), stanza, fate: FATE }
    }

    #[test]
    fn a_batch_reads_as_it_was_written_and_can_be_used_again() {
        let user = UserId(Key { index: 2, generation: 3 });
        let settle = SettleTo::Client { worker: WorkerId(1), user, resource: ResourceId(4), seq: 5 };
        let mut batch = Batch::default();
        for _ in 0..2 {
            assert!(batch.is_empty());
            batch.put(posted("romeo@localhost/ø", "juliet@localhost", b"<a/>"));
            batch.put_settled(settle);
            for lang in [None, Some("de")] {
                let view = scan(b"<c><d/></c>", &StreamNs::client(), &ScanLimits::OWN).expect("an element");
                let Posted { from, to, fate, .. } = posted("romeo@localhost/x", "juliet@localhost/y", b"");
                assert!(batch.put_scanned(from, to, lang, &view, fate));
            }
            batch.put(posted("localhost", "romeo@localhost", b"<b></b>"));
            let told: Vec<String> = batch
                .iter()
                .map(|told| match told {
                    Told::Settled(to) => format!("{}", to == settle),
                    Told::Stanza(p) => {
                        let stanza = String::from_utf8_lossy(p.stanza);
                        format!("{} {} {stanza} {}", p.from.as_str(), p.to.as_str(), p.fate == FATE)
                    }
                    Told::Scanned(s) => {
                        let view = s.stanza.view();
                        let child = view.first_child().map(|c| c.name);
                        let (from, to, text) = (s.from.as_str(), s.to.as_str(), view.as_str());
                        format!("{from} {to} {text} {child:?} {:?} {}", s.lang, s.fate == FATE)
                    }
                })
                .collect();
            let expected = [
                "romeo@localhost/ø juliet@localhost <a/> true",
                "true",
                "romeo@localhost/x juliet@localhost/y <c><d/></c> Some(\"d\") None true",
                "romeo@localhost/x juliet@localhost/y <c><d/></c> Some(\"d\") Some(\"de\") true",
                "localhost romeo@localhost <b></b> true",
            ];
            assert_eq!(told, expected);
            assert!(batch.weight() > 60);
            batch.clear();
        }
        batch.put(posted("a", "b", &[b' '; 2 * ROOM_KEPT]));
        batch.clear();
        assert_eq!(batch.0.text.capacity(), 0, "a burst leaves nothing behind");
    }
}
