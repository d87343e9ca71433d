//! One client: what it says to what it hears, and what it keeps so that its session can go on.

use std::collections::VecDeque;
use std::io::Write as _;

use super::books::Books;
use crate::net::ConnId;
use crate::xmpp::{Login, Plan, Resumption, Stanza, User};

const REQUEST: &[u8] = b"<r xmlns='urn:xmpp:sm:3'/>";
/// A client that has so many messages unacknowledged says nothing more.
const UNACKED_MAX: usize = 64;

/// The name of a message: it is the id and the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tag {
    /// Whose it is.
    pub(super) from: u32,
    /// Which of his partners it is for.
    pub(super) partner: u32,
    /// The how-manieth to that partner.
    pub(super) number: u32,
    /// The sender's session.
    pub(super) session: u32,
}

impl Tag {
    fn text(self, run: u32) -> String {
        format!("{run:08x}.{}.{}.{}.{}", self.from, self.partner, self.number, self.session)
    }

    fn read(run: u32, text: &[u8]) -> Option<Tag> {
        let text = std::str::from_utf8(text).ok()?.strip_prefix(&format!("{run:08x}."))?;
        let mut numbers = text.split('.').map(|n| n.parse().ok());
        let mut next = || numbers.next().flatten();
        Some(Tag { from: next()?, partner: next()?, number: next()?, session: next()? })
    }
}

/// What all clients have in common.
pub(super) struct Common {
    pub(super) plan: Plan,
    /// How many clients there are.
    pub(super) users: u32,
    /// The number of the first account.
    pub(super) first: u32,
    /// To how many others each writes.
    pub(super) partners: u32,
    pub(super) books: Books,
}

impl Common {
    /// To whom a client writes: with clients spread over up to four nodes, or six, the first of them is at the next node, the second at the
    /// one after that, and the third where the client is.
    fn partner(&self, from: u32, partner: u32) -> u32 {
        let half = self.users / 2 / 12 * 12;
        let step = match partner {
            0 => 1,
            1 => 2,
            2 if half > 0 => half,
            n => self.users * n / self.partners + n,
        };
        // Nobody writes to himself.
        (from + if step % self.users == 0 { 1 } else { step }) % self.users
    }
}

/// How a client stands.
pub(super) enum Stage {
    /// Without a connection, until this moment.
    Away { until: u64 },
    /// Connecting, or logging in, since this moment. Whether the server has said anything.
    Arriving { login: Box<Login>, since: u64, heard: bool },
    /// There.
    Online,
}

/// What a token made of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Nothing new.
    On,
    /// Its connection is of no more use.
    Over,
    /// The other side says that the same address is used elsewhere.
    Conflict,
}

/// A session with stream management, with a connection or without.
struct Stream {
    id: Option<String>,
    /// Stanzas received.
    handled: u32,
    acked: u64,
    /// What was sent and is not acknowledged; presence has no tag.
    unacked: VecDeque<Option<Tag>>,
    /// Since when a request waits for an answer.
    asked: Option<u64>,
    /// Something was sent after the request.
    more: bool,
}

/// See the module.
pub(super) struct Client {
    /// Its place among all.
    pub(super) index: u32,
    /// Where it is or was last.
    pub(super) node: usize,
    pub(super) conn: Option<ConnId>,
    pub(super) stage: Stage,
    /// Attempts since it was online last.
    pub(super) attempts: u32,
    /// It had a session before.
    pub(super) was_there: bool,
    /// Its next connection is to be to another node, if there is one.
    pub(super) moves: bool,
    /// It is to log in at this node, and not to go on with its session.
    pub(super) home: Option<usize>,
    /// When it writes next.
    pub(super) next: u64,
    session: u32,
    partner: u32,
    stream: Option<Stream>,
}

impl Client {
    pub(super) fn new(index: u32, node: usize, begins: u64) -> Client {
        Client {
            index,
            node,
            conn: None,
            stage: Stage::Away { until: begins },
            attempts: 0,
            was_there: false,
            moves: false,
            home: None,
            next: begins,
            session: 0,
            partner: 0,
            stream: None,
        }
    }

    pub(super) fn is_online(&self) -> bool {
        matches!(self.stage, Stage::Online)
    }

    /// A login that goes on with the session, if there is one.
    pub(super) fn login(&self, common: &Common) -> Login {
        let resumption = self
            .stream
            .as_ref()
            .filter(|_| self.home.is_none())
            .and_then(|stream| stream.id.clone().map(|id| Resumption { id, handled: stream.handled }));
        Login::new(User(common.first + self.index), &common.plan).resuming(resumption)
    }

    /// The session goes on. The server has handled so much; the rest is sent again.
    pub(super) fn resumed(&mut self, now: u64, common: &mut Common, h: u32, out: &mut Vec<u8>) {
        self.acknowledged(common, h);
        if let Some(stream) = &mut self.stream {
            stream.asked = None;
            let again: Vec<_> = stream.unacked.iter().copied().collect();
            for tag in again {
                self.write(common, tag, out);
            }
        }
        self.request(now, out);
        self.arrived();
    }

    /// There is a new session. What the old one left is said again in this.
    pub(super) fn anew(&mut self, now: u64, common: &mut Common, login: &Login, out: &mut Vec<u8>) {
        if let Some(Some(h)) = login.refused() {
            self.acknowledged(common, h);
        }
        let old = self.stream.take();
        self.session += 1;
        let id = login.managed().map(str::to_owned);
        self.stream =
            Some(Stream { id, handled: 0, acked: 0, unacked: VecDeque::new(), asked: None, more: false });
        self.put(common, None, out);
        for tag in old.into_iter().flat_map(|old| old.unacked).flatten() {
            common.books.forsaken(tag);
            self.say(now, common, tag.partner, out);
        }
        self.request(now, out);
        self.arrived();
    }

    fn arrived(&mut self) {
        self.stage = Stage::Online;
        self.attempts = 0;
        self.was_there = true;
        self.moves = false;
        self.home = None;
    }

    /// Whether the server has left a request unanswered since before this moment.
    pub(super) fn is_silent(&self, since: u64) -> bool {
        self.is_online() && self.stream.as_ref().and_then(|s| s.asked).is_some_and(|at| at < since)
    }

    /// Writes to the next partner.
    pub(super) fn talk(&mut self, now: u64, common: &mut Common, out: &mut Vec<u8>) {
        if self.stream.as_ref().is_none_or(|stream| stream.unacked.len() >= UNACKED_MAX) {
            return;
        }
        let partner = self.partner;
        self.partner = (partner + 1) % common.partners;
        self.say(now, common, partner, out);
        self.request(now, out);
    }

    fn say(&mut self, now: u64, common: &mut Common, partner: u32, out: &mut Vec<u8>) {
        let tag = common.books.send(now, self.index, partner, self.session);
        self.put(common, Some(tag), out);
    }

    /// Sends a stanza, and remembers it.
    fn put(&mut self, common: &Common, tag: Option<Tag>, out: &mut Vec<u8>) {
        if let Some(stream) = &mut self.stream {
            stream.unacked.push_back(tag);
            stream.more = true;
        }
        self.write(common, tag, out);
    }

    fn write(&self, common: &Common, tag: Option<Tag>, out: &mut Vec<u8>) {
        let Some(tag) = tag else { return out.extend_from_slice(b"<presence/>") };
        let mut to = common.plan.bare(User(common.first + common.partner(tag.from, tag.partner)));
        // One partner at his address, the next at his device.
        if tag.partner % 2 == 1 {
            to.push('/');
            to.push_str(&common.plan.resource);
        }
        let text = tag.text(common.plan.run);
        let message = format!("<message type='chat' to='{to}' id='{text}'><body>{text}</body></message>");
        out.extend_from_slice(message.as_bytes());
    }

    /// Asks for an acknowledgement, unless one is under way.
    fn request(&mut self, now: u64, out: &mut Vec<u8>) {
        if let Some(stream) = &mut self.stream
            && stream.asked.is_none()
        {
            stream.asked = Some(now);
            stream.more = false;
            out.extend_from_slice(REQUEST);
        }
    }

    /// Takes what came on a session that is there.
    pub(super) fn on_stanza(
        &mut self,
        now: u64,
        common: &mut Common,
        stanza: &Stanza<'_>,
        out: &mut Vec<u8>,
    ) -> Turn {
        let Some(stream) = &mut self.stream else { return Turn::Over };
        match stanza.name {
            b"message" => {
                stream.handled = stream.handled.wrapping_add(1);
                self.on_message(now, common, stanza);
            }
            b"presence" | b"iq" => stream.handled = stream.handled.wrapping_add(1),
            b"r" => {
                let _ = write!(out, "<a xmlns='urn:xmpp:sm:3' h='{}'/>", stream.handled);
            }
            b"a" => {
                let h = stanza.attribute("h").and_then(|h| std::str::from_utf8(h).ok()?.parse().ok());
                stream.asked = None;
                let more = std::mem::take(&mut stream.more);
                match h {
                    Some(h) => self.acknowledged(common, h),
                    None => common.books.counts.bad_acks += 1,
                }
                if more {
                    self.request(now, out);
                }
            }
            b"error" if stanza.child("conflict").is_some() => return Turn::Conflict,
            b"error" => return Turn::Over,
            _ => {}
        }
        Turn::On
    }

    /// Takes a message.
    pub(super) fn on_message(&self, now: u64, common: &mut Common, message: &Stanza<'_>) {
        let run = common.plan.run;
        let id = message.attribute("id").and_then(|id| Tag::read(run, id));
        if message.is_error() {
            match id {
                Some(tag) if tag.from == self.index => common.books.refused(tag),
                _ => common.books.counts.strange += 1,
            }
            return;
        }
        // Something of another run may still have waited.
        let Some(tag) = message.child("body").and_then(|body| Tag::read(run, body.inner)) else { return };
        let from = message.attribute("from").and_then(|from| common.plan.user_of(from));
        let is_ours = id == Some(tag)
            && from == Some(User(common.first + tag.from))
            && tag.partner < common.partners
            && common.partner(tag.from, tag.partner) == self.index;
        if is_ours {
            common.books.arrived(now, tag, message.child("delay").is_some());
        } else {
            common.books.counts.strange += 1;
        }
    }

    /// The server has handled so many stanzas, modulo 2^32.
    fn acknowledged(&mut self, common: &mut Common, h: u32) {
        let Some(stream) = &mut self.stream else { return };
        #[allow(clippy::cast_possible_truncation, reason = "counts on the wire are modulo 2^32")]
        let count = h.wrapping_sub(stream.acked as u32) as usize;
        if count > stream.unacked.len() {
            common.books.counts.bad_acks += 1;
            return;
        }
        for tag in stream.unacked.drain(..count).flatten() {
            common.books.acked(tag);
        }
        stream.acked += count as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_read_as_it_was_written() {
        let tag = Tag { from: 7, partner: 1, number: 42, session: 3 };
        assert_eq!(Tag::read(0xabc, tag.text(0xabc).as_bytes()), Some(tag));
        for other in ["00000abd.7.1.42.3", "00000abc.7.1.42", "00000abc.7.x.42.3", ""] {
            assert_eq!(Tag::read(0xabc, other.as_bytes()), None, "{other}");
        }
    }
}
