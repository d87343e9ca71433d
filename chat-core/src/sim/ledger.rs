//! What the clients sent, and what became of it, as far as clients can see.

use std::collections::BTreeMap;

use crate::base::Mono;

/// The number of a message: in its body and in its id, `m` and then the number. A message that a client sends again
/// in another session is another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tag(pub(super) u32);

impl std::fmt::Display for Tag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "m{}", self.0)
    }
}

impl Tag {
    /// The tag that a text is.
    pub(super) fn parse(text: &str) -> Option<Tag> {
        text.strip_prefix('m')?.split(' ').next()?.parse().ok().map(Tag)
    }
}

const BODY: &[u8] = b"<body>m";

/// The tag in the body of a message, as bytes.
pub(super) fn tag_in(bytes: &[u8]) -> Option<Tag> {
    tags_in(bytes).next()
}

/// The tags of all messages in a piece of a stream.
pub(super) fn tags_in(bytes: &[u8]) -> impl Iterator<Item = Tag> + '_ {
    memchr::memmem::find_iter(bytes, BODY).filter_map(|at| {
        let digits = &bytes[at + BODY.len()..];
        let n = digits.iter().position(|b| !b.is_ascii_digit())?;
        std::str::from_utf8(&digits[..n]).ok()?.parse().ok().map(Tag)
    })
}

/// What the server has to do with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Deliver it, keep it, or say that it cannot.
    Keep,
    /// Deliver it or not: a headline, or one that its sender does not want kept.
    Fleeting,
    /// Say that it cannot be delivered: no such user, no such domain.
    Hopeless,
    /// Nothing: its sender had not logged in, or lied about itself.
    Forbidden,
}

/// A message that a client got.
#[derive(Debug, Clone, Copy)]
pub(super) struct Receipt {
    pub(super) client: usize,
    /// The client has told the server so, or need not.
    pub(super) firm: bool,
    /// The client forgot it before it told the server.
    pub(super) void: bool,
}

/// A message.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) client: usize,
    /// The session it was sent in.
    pub(super) session: u32,
    /// The node, and its life, that it entered.
    place: (usize, u32),
    pub(super) from: String,
    /// It is for a full JID.
    pub(super) full: bool,
    /// The user it is for.
    pub(super) to: Option<usize>,
    pub(super) fate: Fate,
    pub(super) acked: bool,
    pub(super) bounced: u32,
    /// It was in what was written to a client without stream management whose connection broke.
    pub(super) written: bool,
    pub(super) receipts: Vec<Receipt>,
}

/// A query.
#[derive(Debug)]
pub(super) struct Query {
    pub(super) client: usize,
    /// The session it was sent in.
    pub(super) session: u32,
    pub(super) at: Mono,
    /// It asks the server, not a client, which may log out rather than answer.
    pub(super) certain: bool,
    /// The user whose account answers: who blocks that does not hear the answer (XEP-0191 §3.1).
    pub(super) about: Option<usize>,
    pub(super) answers: u32,
}

/// Sessions of nodes that drained, and could be resumed.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Drains {
    /// Those that were resumed.
    pub(super) resumed: u64,
    /// Those that ended, and not because their clients wanted it.
    pub(super) ended: u64,
}

/// All that clients know.
#[derive(Default)]
pub struct Ledger {
    pub(super) sent: Vec<Sent>,
    pub(super) queries: Vec<Query>,
    /// Messages acknowledged by the server that are yet to be checked.
    pub(super) acked: Vec<Tag>,
    /// Who may see whose presence, ever: the first the second's.
    pub(super) allowed: std::collections::BTreeSet<(usize, usize)>,
    /// The newest message without delay that a client got from another.
    pub(super) newest: BTreeMap<(usize, (usize, u32), usize, bool), Tag>,
    /// The first client that asks for the same name of the same user, of each.
    pub(super) twins: Vec<usize>,
    /// There are several nodes: what a client sends in a new session, at another node, may overtake what it sent in one that is
    /// over.
    pub(super) many: bool,
    /// The store may be too busy to delete a row at once: whoever logs in at another node meanwhile gets it again, with a delay.
    pub(super) rows_linger: bool,
    /// Who has ever asked to block whom: what the second sends, or a server in its name, may not reach the first.
    pub(super) shut: std::collections::BTreeSet<(usize, usize)>,
    /// Who is blocked by whom since this message: what these clients send to these users is not delivered.
    pub(super) blocked: Option<(Tag, std::collections::BTreeSet<(usize, usize)>)>,
    /// Nothing goes wrong in this run: not even delayed messages may come twice or in another order.
    pub(super) faultless: bool,
    /// What became of sessions when their nodes drained.
    pub(super) drains: Drains,
    /// The first thing that is not as it must be.
    pub(super) wrong: Option<String>,
}

impl Ledger {
    /// Something is not as it must be.
    pub(super) fn fail(&mut self, what: String) {
        self.wrong.get_or_insert(what);
    }

    /// Whether what is for one may come to the other: they may have the same full JID, one after the other.
    fn are_one(&self, a: usize, b: usize) -> bool {
        self.twins[a] == self.twins[b]
    }

    /// A message is about to be sent.
    pub(super) fn send(
        &mut self,
        from: (usize, u32, &str, (usize, u32)),
        to: Option<usize>,
        full: bool,
        fate: Fate,
    ) -> Tag {
        let (client, session, from, place) = from;
        self.sent.push(Sent {
            client,
            session,
            place,
            from: from.to_owned(),
            full,
            to,
            fate,
            acked: false,
            bounced: 0,
            written: false,
            receipts: Vec::new(),
        });
        Tag(self.sent.len() as u32 - 1)
    }

    /// A message.
    pub(super) fn get(&mut self, tag: Tag) -> Option<&mut Sent> {
        self.sent.get_mut(tag.0 as usize)
    }

    /// The server acknowledged a message (XEP-0198). `known`: everything that was sent before has arrived, so the
    /// sender would know of an error.
    pub(super) fn acknowledged(&mut self, tag: Tag, known: bool) {
        if let Some(sent) = self.get(tag) {
            sent.acked = true;
            if known {
                self.acked.push(tag);
            }
        }
    }

    /// A message came back as an error.
    pub(super) fn bounced(&mut self, tag: Tag, client: usize) {
        let Some(sent) = self.get(tag) else { return };
        sent.bounced += 1;
        let (owner, times, fate) = (sent.client, sent.bounced, sent.fate);
        if !self.are_one(owner, client) {
            self.fail(format!("{tag} of client {owner} bounced to client {client}"));
        }
        if times > 1 {
            self.fail(format!("{tag} bounced {times} times"));
        }
        if fate == Fate::Forbidden {
            self.fail(format!("{tag} was acted on, although its sender may not send"));
        }
    }

    /// A client got a message; says which receipt that is.
    pub(super) fn received(
        &mut self,
        tag: Tag,
        client: usize,
        user: usize,
        from: &str,
        delayed: bool,
        firm: bool,
    ) -> Option<(Tag, usize)> {
        let (faultless, many) = (self.faultless && !self.rows_linger, self.many);
        let Some(sent) = self.get(tag) else {
            self.fail(format!("client {client} got {tag}, which nobody sent"));
            return None;
        };
        let mut wrong = None;
        if sent.from != from {
            wrong = Some(format!("{tag} was sent by {} and came from {from}", sent.from));
        } else if sent.to != Some(user) {
            wrong = Some(format!("{tag} is for user {:?} and came to client {client}", sent.to));
        } else if matches!(sent.fate, Fate::Forbidden | Fate::Hopeless) {
            wrong = Some(format!("{tag} must not be delivered and came to client {client}"));
        } else if sent.receipts.iter().any(|r| r.client == client) && (!delayed || faultless && !firm) {
            wrong = Some(format!("{tag} came to client {client} twice, now with delay: {delayed}"));
        }
        let (sender, place, fate, full) = (sent.client, sent.place, sent.fate, sent.full);
        sent.receipts.push(Receipt { client, firm, void: false });
        let index = sent.receipts.len() - 1;
        if self.blocked.as_ref().is_some_and(|(since, who)| tag >= *since && who.contains(&(sender, user))) {
            wrong = Some(format!("{tag} is from somebody whom user {user} blocks"));
        }
        if let Some(wrong) = wrong {
            self.fail(wrong);
        }
        // What was kept may come after what was sent later to the full JID of a resource that was not available.
        if fate == Fate::Keep && (!delayed || faultless && !full) {
            let place = if many { place } else { (0, 0) };
            let key = (sender, place, client, faultless && full);
            let newest = *self.newest.entry(key).and_modify(|n| *n = tag.max(*n)).or_insert(tag);
            if newest > tag {
                self.fail(format!("client {client} got {tag} after {newest} from client {sender}"));
            }
        }
        Some((tag, index))
    }

    /// A client told the server that it has a message.
    pub(super) fn firm(&mut self, receipt: (Tag, usize)) {
        if let Some(sent) = self.get(receipt.0) {
            sent.receipts[receipt.1].firm = true;
        }
    }

    /// A client forgot a message before it told the server.
    pub(super) fn void(&mut self, receipt: (Tag, usize)) {
        if let Some(sent) = self.get(receipt.0) {
            sent.receipts[receipt.1].void = true;
        }
    }

    /// A query is about to be sent; the id is `q` and this number.
    pub(super) fn ask(&mut self, client: usize, session: u32, at: Mono, certain: bool) -> usize {
        self.queries.push(Query { client, session, at, certain, about: None, answers: 0 });
        self.queries.len() - 1
    }

    /// An answer to a query.
    pub(super) fn answered(&mut self, query: usize, client: usize) {
        let Some(q) = self.queries.get_mut(query) else { return };
        q.answers += 1;
        let (owner, answers) = (q.client, q.answers);
        if !self.are_one(owner, client) {
            self.fail(format!("the answer to query {query} of client {owner} came to client {client}"));
        }
        // Who never acknowledges a query may have answered it before the server gave it up for lost.
        if answers > 1 && self.faultless {
            self.fail(format!("query {query} of client {owner} was answered {answers} times"));
        }
    }
}
