//! One contact inside the block, and how its bytes are written and read.

use crate::user::subscription::Subscription;

/// What is kept of one contact. Borrows from the block when read, from the caller when written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Item<'a> {
    /// The contact's bare JID, prepared.
    pub jid: &'a str,
    /// The name that the user gave the contact; empty for none (RFC 6121 §2.1.2.4).
    pub name: &'a str,
    /// The state between the two.
    pub subscription: Subscription,
    /// The contact's `subscribe` stanza while it waits for the user's answer; else empty.
    pub request: &'a [u8],
    /// The groups that the user put the contact in, in the order the client gave (RFC 6121 §2.1.2.6).
    pub groups: Groups<'a>,
}

impl<'a> Item<'a> {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.push(self.subscription.bits());
        write_bytes(out, self.jid.as_bytes());
        write_bytes(out, self.name.as_bytes());
        write_bytes(out, self.request);
        self.groups.write(out);
    }

    /// The item of exactly these bytes; `None` if they are none that [`Item::write`] writes.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let (&bits, mut rest) = bytes.split_first()?;
        let subscription = Subscription::from_bits(bits).filter(|s| *s != Subscription::ABSENT)?;
        let jid = std::str::from_utf8(read_bytes(&mut rest)?).ok()?;
        let name = std::str::from_utf8(read_bytes(&mut rest)?).ok()?;
        let request = read_bytes(&mut rest)?;
        let groups = Groups::read(rest)?;
        Some(Item { jid, name, subscription, request, groups })
    }
}

impl std::fmt::Debug for Item<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} <{}> {:?} {:?}", self.name, self.jid, self.subscription, self.groups)?;
        if !self.request.is_empty() {
            write!(f, " request of {} bytes", self.request.len())?;
        }
        Ok(())
    }
}

/// The JID of an item, unread.
pub(super) fn jid_bytes(item: &[u8]) -> Option<&[u8]> {
    read_bytes(&mut item.get(1..)?)
}

/// The names of a contact's groups.
#[derive(Clone, Copy)]
pub struct Groups<'a>(Source<'a>);

#[derive(Clone, Copy)]
enum Source<'a> {
    /// A count and that many names, as in the block; known to be readable.
    Packed(&'a [u8]),
    List(&'a [&'a str]),
}

impl<'a> Groups<'a> {
    /// No group.
    pub const NONE: Groups<'static> = Groups(Source::List(&[]));

    /// These groups.
    pub const fn list(names: &'a [&'a str]) -> Self {
        Groups(Source::List(names))
    }

    /// The names, in order.
    pub fn iter(self) -> impl Iterator<Item = &'a str> {
        let (mut packed, list) = match self.0 {
            Source::Packed(bytes) => (bytes, &[][..]),
            Source::List(names) => (&[0][..], names),
        };
        let count = read_number(&mut packed).unwrap_or(0);
        (0..count)
            .map_while(move |_| std::str::from_utf8(read_bytes(&mut packed)?).ok())
            .chain(list.iter().copied())
    }

    pub(super) fn to_packed(self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    /// Groups from the bytes of [`Groups::to_packed`].
    pub(super) fn packed(bytes: &'a [u8]) -> Self {
        Groups(Source::Packed(bytes))
    }

    fn write(self, out: &mut Vec<u8>) {
        match self.0 {
            Source::Packed(bytes) => out.extend_from_slice(bytes),
            Source::List(names) => {
                write_number(out, names.len());
                for name in names {
                    write_bytes(out, name.as_bytes());
                }
            }
        }
    }

    /// Groups of exactly these bytes.
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = bytes;
        for _ in 0..read_number(&mut rest)? {
            std::str::from_utf8(read_bytes(&mut rest)?).ok()?;
        }
        rest.is_empty().then_some(Groups(Source::Packed(bytes)))
    }
}

impl PartialEq for Groups<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Groups<'_> {}

impl std::fmt::Debug for Groups<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    write_number(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn read_bytes<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let n = read_number(rest)?;
    let (bytes, after) = rest.split_at_checked(n)?;
    *rest = after;
    Some(bytes)
}

/// LEB128: seven bits a byte, the lowest first.
fn write_number(out: &mut Vec<u8>, mut n: usize) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// A number below 2^32 in its shortest form, so that equal rosters have equal bytes.
fn read_number(rest: &mut &[u8]) -> Option<usize> {
    let mut n = 0u64;
    for (i, &byte) in rest.iter().enumerate().take(5) {
        n |= u64::from(byte & 0x7f) << (7 * i);
        if byte < 0x80 {
            if i > 0 && byte == 0 {
                return None;
            }
            *rest = &rest[i + 1..];
            return u32::try_from(n).ok().map(|n| n as usize);
        }
    }
    None
}
