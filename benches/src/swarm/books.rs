//! What was said, and what became of it.

use super::client::Tag;

/// One message of a pair.
#[derive(Debug, Clone, Copy)]
struct Record {
    /// Nanoseconds since the beginning.
    sent: u64,
    session: u32,
    acked: bool,
    arrived: bool,
    refused: bool,
    /// Its session ended before it was acknowledged: nothing is promised, and the client has said it again.
    forsaken: bool,
    /// Given up.
    counted: bool,
}

impl Record {
    /// Whether nothing more is waited for.
    fn is_over(&self) -> bool {
        self.counted || self.is_settled()
    }

    /// Whether nothing more has to happen.
    fn is_settled(&self) -> bool {
        self.forsaken || self.refused || (self.acked && self.arrived)
    }
}

/// A sender and a recipient.
#[derive(Debug, Clone, Default)]
struct Pair {
    records: Vec<Record>,
    /// All before this are settled.
    front: usize,
    /// Of what came not marked as delayed: the session and the number of the newest.
    newest: (u32, u32),
}

/// What is not as it should be, and what is and is worth knowing. Everything since the beginning.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Messages sent.
    pub(super) sent: u64,
    /// Came twice, and the second time not marked as delayed.
    pub(super) doubled: u64,
    /// Came not marked as delayed after one that was sent later in the same session.
    pub(super) swapped: u64,
    /// Came twice, as is allowed: marked as delayed.
    pub(super) repeated: u64,
    /// Came back as errors.
    pub(super) refused: u64,
    /// Sent, and not acknowledged when their session was over.
    pub(super) forsaken: u64,
    /// Nobody sent this, or not so.
    pub(super) strange: u64,
    /// Counts of acknowledgements that fell, or covered what was never sent.
    pub(super) bad_acks: u64,
    /// Arrived after they had been given up.
    pub(super) late: u64,
    /// The longest way of a message, in nanoseconds.
    pub(super) slowest: u64,
}

/// See the module.
pub(super) struct Books {
    pairs: Vec<Pair>,
    partners: u32,
    pub(super) counts: Counts,
}

/// How messages stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Open {
    /// Acknowledged, and never arrived.
    pub(super) lost: u64,
    /// Never acknowledged.
    pub(super) unacked: u64,
}

impl Books {
    /// Of so many users, who write to so many partners each.
    pub(super) fn new(users: u32, partners: u32) -> Books {
        let pairs = vec![Pair::default(); (users * partners) as usize];
        Books { pairs, partners, counts: Counts::default() }
    }

    fn record(&mut self, tag: Tag) -> Option<&mut Record> {
        let pair = self.pairs.get_mut((tag.from * self.partners + tag.partner) as usize)?;
        pair.records.get_mut(tag.number as usize)
    }

    /// A message is about to be sent.
    pub(super) fn send(&mut self, now: u64, from: u32, partner: u32, session: u32) -> Tag {
        let pair = &mut self.pairs[(from * self.partners + partner) as usize];
        let number = u32::try_from(pair.records.len()).expect("fewer messages than that");
        let record = Record {
            sent: now,
            session,
            acked: false,
            arrived: false,
            refused: false,
            forsaken: false,
            counted: false,
        };
        pair.records.push(record);
        self.counts.sent += 1;
        Tag { from, partner, number, session }
    }

    /// It was acknowledged.
    pub(super) fn acked(&mut self, tag: Tag) {
        if let Some(record) = self.record(tag) {
            record.acked = true;
        }
    }

    /// Its session is over, and it was not acknowledged.
    pub(super) fn forsaken(&mut self, tag: Tag) {
        self.counts.forsaken += 1;
        if let Some(record) = self.record(tag) {
            record.forsaken = true;
        }
    }

    /// It came back.
    pub(super) fn refused(&mut self, tag: Tag) {
        self.counts.refused += 1;
        if let Some(record) = self.record(tag) {
            record.refused = true;
        }
    }

    /// It arrived at the one it was for.
    pub(super) fn arrived(&mut self, now: u64, tag: Tag, is_delayed: bool) {
        let Some(pair) = self.pairs.get_mut((tag.from * self.partners + tag.partner) as usize) else {
            self.counts.strange += 1;
            return;
        };
        let Some(record) = pair.records.get_mut(tag.number as usize).filter(|r| r.session == tag.session)
        else {
            self.counts.strange += 1;
            return;
        };
        if record.arrived {
            *if is_delayed { &mut self.counts.repeated } else { &mut self.counts.doubled } += 1;
            return;
        }
        record.arrived = true;
        self.counts.late += u64::from(record.counted);
        self.counts.slowest = self.counts.slowest.max(now - record.sent);
        if is_delayed {
            return;
        }
        // What is sent in a new session may overtake what was sent in one that is over.
        let (session, number) = pair.newest;
        if tag.session == session && tag.number < number {
            self.counts.swapped += 1;
        } else if tag.session >= session {
            pair.newest = (tag.session, tag.number);
        }
    }

    /// Whether all that was sent before this moment is where it belongs.
    pub(super) fn is_settled(&mut self, before: u64) -> bool {
        self.pairs.iter_mut().all(|pair| {
            while pair.records.get(pair.front).is_some_and(Record::is_over) {
                pair.front += 1;
            }
            pair.records.get(pair.front).is_none_or(|record| record.sent >= before)
        })
    }

    /// How much was sent before this moment and is not where it belongs.
    pub(super) fn open(&self, before: u64) -> u64 {
        let waits = |record: &&Record| record.sent < before && !record.is_over();
        self.pairs.iter().map(|pair| pair.records[pair.front..].iter().filter(waits).count() as u64).sum()
    }

    /// Gives up on all that was sent before this moment and is not where it belongs; how much that is. Nothing is counted twice.
    pub(super) fn give_up(&mut self, before: u64) -> Open {
        let mut open = Open::default();
        for pair in &mut self.pairs {
            for record in &mut pair.records[pair.front..] {
                if record.sent >= before || record.is_over() {
                    continue;
                }
                record.counted = true;
                *if record.acked { &mut open.lost } else { &mut open.unacked } += 1;
            }
        }
        open
    }

    /// Messages that were given up and are not where they belong to this day, for whoever looks for the reason.
    pub(super) fn missing(&self) -> impl Iterator<Item = (Tag, u64)> + '_ {
        let partners = self.partners;
        (0u32..).zip(&self.pairs).flat_map(move |(n, pair)| {
            (0u32..).zip(&pair.records).filter(|(_, r)| r.counted && !r.is_settled()).map(
                move |(number, r)| {
                    let (from, partner) = (n / partners, n % partners);
                    (Tag { from, partner, number, session: r.session }, r.sent)
                },
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_told_from_what_is_allowed() {
        let mut books = Books::new(2, 1);
        let tags: Vec<_> = (0..6).map(|n| books.send(n, 0, 0, 1)).collect();
        assert!(!books.is_settled(1));
        for tag in &tags[..5] {
            books.acked(*tag);
        }
        books.arrived(10, tags[0], false);
        assert!(books.is_settled(1) && !books.is_settled(2));
        // Overtaken; twice, once marked and once not; of another session.
        books.arrived(11, tags[2], false);
        books.arrived(12, tags[1], false);
        books.arrived(13, tags[2], true);
        books.arrived(14, tags[2], false);
        books.arrived(15, Tag { session: 2, ..tags[3] }, false);
        let counts = books.counts;
        assert_eq!((counts.swapped, counts.repeated, counts.doubled, counts.strange), (1, 1, 1, 1));
        assert_eq!(counts.slowest, 11);
        books.refused(tags[3]);
        assert!(books.is_settled(4));
        // The fifth was acknowledged and never came, the sixth not even that.
        assert_eq!(books.give_up(6), Open { lost: 1, unacked: 1 });
        assert_eq!(books.give_up(6), Open::default());
        assert_eq!(books.missing().count(), 2);
        // A new session may overtake an old one, and a delayed message everybody.
        let new = books.send(20, 0, 0, 2);
        books.arrived(21, new, false);
        books.arrived(22, tags[4], true);
        books.arrived(23, tags[5], false);
        assert_eq!(books.counts.swapped, 1);
        books.forsaken(tags[5]);
        books.acked(new);
        assert!(books.is_settled(u64::MAX));
    }
}
