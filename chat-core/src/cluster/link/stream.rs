//! Where two nodes stand with each other, and whether they can go on from there.

use super::resend::Resend;
use crate::cluster::wire::Join;

/// Numbered frames in both directions.
#[derive(Debug)]
pub(super) struct Stream {
    /// The epoch; 0 before the first.
    pub epoch: u128,
    /// The last one before it that was confirmed, until this is; 0 if there was none.
    earlier: u128,
    /// Nothing of it was given up on this side.
    pub intact: bool,
    /// The other side has taken part in it: it may have received frames.
    confirmed: bool,
    pub out: Resend,
    /// The number of the last frame received.
    pub received: u64,
}

/// How a connection begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// Each side goes on behind what the other has received.
    Resume,
    /// Both begin anew, in this epoch.
    Fresh(u128),
}

/// Both sides come to the same result, since both look at the same two joins.
pub(super) fn start(dialler: &Join, listener: &Join) -> Start {
    let covers = |from: &Join, to: &Join| (from.acked..=from.last).contains(&to.received);
    let same = dialler.epoch != 0 && dialler.epoch == listener.epoch;
    let intact = dialler.intact && listener.intact;
    if same && intact && covers(dialler, listener) && covers(listener, dialler) {
        Start::Resume
    } else {
        Start::Fresh(u128::from(dialler.proposal) << 64 | u128::from(listener.proposal))
    }
}

impl Stream {
    pub(super) fn new() -> Self {
        Stream { epoch: 0, earlier: 0, intact: false, confirmed: false, out: Resend::new(), received: 0 }
    }

    /// Where this side stands.
    pub(super) fn join(&self, turn: u64, proposal: u64) -> Join {
        Join {
            turn,
            epoch: self.epoch,
            earlier: self.earlier,
            intact: self.intact,
            acked: self.out.acked(),
            last: self.out.last(),
            received: self.received,
            proposal,
        }
    }

    /// A connection begins. Returns whether the layer above has to start over.
    ///
    /// An epoch that only this side knows of, because the other never got this side's join, has seen no frame in either
    /// direction. What was to be sent in it simply goes into the next, and nobody needs to know. The other side may have begun
    /// it, though, and have given it up since: then its join says so, even if it has begun others after it that this side
    /// knows nothing of.
    pub(super) fn begin(&mut self, start: Start, theirs: &Join) -> bool {
        let told = match start {
            Start::Resume => {
                // It knows the epoch.
                self.confirm();
                self.out.rewind(theirs.received);
                return false;
            }
            Start::Fresh(epoch) => {
                let theirs = [theirs.epoch, theirs.earlier];
                let only_ours = self.intact && !self.confirmed && !theirs.contains(&self.epoch);
                if self.confirmed {
                    self.earlier = self.epoch;
                }
                self.epoch = epoch;
                !only_ours
            }
        };
        if told {
            self.out.clear();
        } else {
            self.out.rewind(0);
        }
        self.intact = true;
        self.confirmed = false;
        self.received = 0;
        told
    }

    /// The other side takes part in this epoch, too.
    pub(super) fn confirm(&mut self) {
        self.confirmed = true;
        self.earlier = 0;
    }

    /// What was to be sent is given up, and so is the epoch.
    pub(super) fn give_up(&mut self) {
        self.intact = false;
        self.out.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::wire::Kind;

    /// Both sides of a connection; the first dials.
    fn connect(a: &mut Stream, b: &mut Stream) -> (bool, bool) {
        let (ja, jb) = (a.join(1, 5), b.join(1, 6));
        let start = start(&ja, &jb);
        let told = (a.begin(start, &jb), b.begin(start, &ja));
        a.confirm();
        b.confirm();
        told
    }

    #[test]
    fn the_first_time_both_start_and_later_they_go_on() {
        let (mut a, mut b) = (Stream::new(), Stream::new());
        assert_eq!(connect(&mut a, &mut b), (true, true));
        assert_eq!((a.epoch, b.epoch), (5 << 64 | 6, 5 << 64 | 6));
        a.out.push(Kind::Poke, b"1");
        a.out.push(Kind::Poke, b"2");
        b.received = 1;
        assert_eq!(connect(&mut b, &mut a), (false, false));
        assert_eq!((a.out.acked(), a.out.last()), (1, 2));
    }

    #[test]
    fn who_gave_up_or_is_new_makes_both_start_over() {
        let (mut a, mut b) = (Stream::new(), Stream::new());
        connect(&mut a, &mut b);
        a.out.push(Kind::Poke, b"1");
        b.give_up();
        assert_eq!(connect(&mut a, &mut b), (true, true));
        assert_eq!(a.out.last(), 0);
        a.out.push(Kind::Poke, b"1");
        assert_eq!(connect(&mut a, &mut Stream::new()), (true, true));
        // A receipt for what was never sent.
        let (mut a, mut b) = (Stream::new(), Stream::new());
        connect(&mut a, &mut b);
        b.received = 1;
        assert_eq!(connect(&mut a, &mut b), (true, true));
    }

    /// The listener has begun; the connection breaks before the dialler hears of it.
    #[test]
    fn an_epoch_of_one_side_is_carried_on_silently() {
        let (mut a, mut b) = (Stream::new(), Stream::new());
        let (ja, jb) = (a.join(1, 5), b.join(1, 6));
        assert!(b.begin(start(&ja, &jb), &ja), "the listener is told");
        b.out.push(Kind::Poke, b"1");
        assert_eq!(connect(&mut a, &mut b), (true, false), "each has been told once");
        assert_eq!((b.out.acked(), b.out.last(), b.out.unsent() > 0), (0, 1, true));
        // Again, but the other side had taken part, and gave up before this one knew.
        let (mut a, mut b) = (Stream::new(), Stream::new());
        let (ja, jb) = (a.join(1, 5), b.join(1, 6));
        let begin = start(&ja, &jb);
        b.begin(begin, &ja);
        a.begin(begin, &jb);
        a.confirm();
        b.out.push(Kind::Poke, b"1");
        a.received = 1;
        a.give_up();
        assert_eq!(
            connect(&mut a, &mut b),
            (true, true),
            "the frame may have arrived: it must not come twice"
        );
        assert_eq!(b.out.last(), 0);
    }

    /// A frame arrived; the connection broke before its receipt came. Then the receiver gave up, and began epochs that the
    /// sender never heard of.
    #[test]
    fn what_arrived_does_not_come_again_in_a_later_epoch() {
        for epochs in 1..4 {
            let (mut a, mut b) = (Stream::new(), Stream::new());
            let (ja, jb) = (a.join(1, 5), b.join(1, 6));
            let begin = start(&ja, &jb);
            b.begin(begin, &ja);
            a.begin(begin, &jb);
            a.confirm();
            b.out.push(Kind::Poke, b"1");
            a.received = 1;
            for turn in 0..epochs {
                a.give_up();
                let (jb, ja) = (b.join(2, 7 + turn), a.join(2, 17 + turn));
                assert!(a.begin(start(&jb, &ja), &jb), "the receiver is told; its join is lost");
            }
            assert!(connect(&mut a, &mut b).1, "{epochs}");
            assert_eq!(b.out.last(), 0);
        }
    }

    /// The sender learns from a resumption that the other side takes part.
    #[test]
    fn a_resumption_confirms() {
        let (mut a, mut b) = (Stream::new(), Stream::new());
        let (ja, jb) = (a.join(1, 5), b.join(1, 6));
        let begin = start(&ja, &jb);
        b.begin(begin, &ja);
        a.begin(begin, &jb);
        a.confirm();
        b.out.push(Kind::Poke, b"1");
        a.received = 1;
        let (ja, jb) = (a.join(2, 7), b.join(2, 8));
        assert_eq!(start(&ja, &jb), Start::Resume);
        b.begin(Start::Resume, &ja);
        a.give_up();
        assert_eq!(connect(&mut b, &mut a), (true, true));
        assert_eq!(b.out.last(), 0);
    }
}
