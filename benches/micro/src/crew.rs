//! Engines on threads of their own that send each other mail, each with clients that write as fast as they can.
//!
//! Owns: the threads, the mailboxes. In: how many workers, how many pairs each, where recipients live. Out: messages a
//! second. Not here: logins (`rig`), sockets (the driver has those; `benches/compare` measures it).

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use chat_core::base::{ConnId, Now, WorkerId};
use chat_core::effect::{Batch, Output};
use chat_core::engine::{Engine, Input};

use crate::rig::{Rig, conn};
use crate::work::message;

/// Messages that a worker takes from its clients in one turn.
const TURN: usize = 64;
/// Batches that may wait for a worker before those who send them make no more: what waits longer is cold when it is read.
const WAITING_MAX: usize = 4;

/// Where the recipient of a message lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Partner {
    /// On the worker of the sender.
    Same,
    /// On another.
    Other,
}

/// Workers with their clients.
pub struct Crew {
    hands: Vec<Hand>,
    now: Now,
}

/// One worker: its engine, and what its clients send.
struct Hand {
    engine: Engine,
    /// Who sends, and what, in turn.
    load: Vec<(ConnId, String)>,
    /// Mail that is being read.
    mail: VecDeque<(WorkerId, Batch)>,
}

/// As the driver has them: all that waits is taken at once, and whoever sends a batch takes one home that was read, so
/// that no memory is got by one thread and given back by another. Apart from its neighbours in memory: whoever waits
/// looks at it all the time.
#[derive(Default)]
#[repr(align(128))]
struct Mailbox {
    letters: Mutex<Letters>,
    waiting: AtomicUsize,
}

#[derive(Default)]
struct Letters {
    unread: VecDeque<(WorkerId, Batch)>,
    read: Vec<Batch>,
}

impl Crew {
    /// Workers with so many pairs of clients each.
    pub fn new(workers: u16, pairs: usize, partner: Partner) -> Crew {
        let mut rig = Rig::new(workers, usize::from(workers) * pairs * 2);
        // Clients by the worker that is their home, until each has enough.
        let mut homes: Vec<Vec<(usize, String)>> = (0..workers).map(|_| Vec::new()).collect();
        for i in 0.. {
            if homes.iter().all(|h| h.len() == pairs * 2) {
                break;
            }
            let name = format!("user-{i}");
            let home = &mut homes[usize::from(rig.home(&name))];
            if home.len() < pairs * 2 {
                home.push((rig.available(&name, "desk"), name));
            }
        }
        let mut loads = Vec::new();
        for worker in 0..usize::from(workers) {
            let other = (worker + usize::from(partner == Partner::Other)) % usize::from(workers);
            let (senders, recipients) = (&homes[worker][..pairs], &homes[other][pairs..]);
            let load = senders
                .iter()
                .zip(recipients)
                .map(|((sender, _), (_, to))| (conn(*sender), message(&format!("{to}@localhost/desk"), 100)));
            loads.push(load.collect::<Vec<_>>());
        }
        let (engines, now) = rig.into_engines();
        let hands = engines
            .into_iter()
            .zip(loads)
            .map(|(engine, load)| Hand { engine, load, mail: VecDeque::new() })
            .collect();
        Crew { hands, now }
    }

    /// Works for so many seconds; messages delivered per second.
    pub fn run(self, seconds: u64) -> f64 {
        let now = self.now;
        let mailboxes: Vec<Mailbox> = self.hands.iter().map(|_| Mailbox::default()).collect();
        let (start, stop) = (Barrier::new(self.hands.len() + 1), AtomicBool::new(false));
        let end = Barrier::new(self.hands.len());
        let (messages, bytes) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for (worker, mut hand) in self.hands.into_iter().enumerate() {
                let (mailboxes, start, stop, end) = (&mailboxes, &start, &stop, &end);
                let (messages, bytes) = (&messages, &bytes);
                scope.spawn(move || {
                    start.wait();
                    let (sent, written) = hand.work(now, worker, mailboxes, stop);
                    // What was under way arrives, too.
                    end.wait();
                    hand.read(now, &mailboxes[worker]);
                    messages.fetch_add(sent, Ordering::Relaxed);
                    bytes.fetch_add(written + hand.write(now), Ordering::Relaxed);
                });
            }
            start.wait();
            thread::sleep(Duration::from_secs(seconds));
            stop.store(true, Ordering::Relaxed);
        });
        let messages = messages.into_inner();
        assert!(bytes.into_inner() > messages * 150, "messages were lost");
        messages as f64 / seconds as f64
    }
}

impl Mailbox {
    fn letters(&self) -> MutexGuard<'_, Letters> {
        self.letters.lock().expect("nobody panics here")
    }
}

impl Hand {
    /// Turns of reading, handling and writing until it is told to stop; how many messages its clients sent, and the bytes
    /// that it wrote to clients.
    fn work(&mut self, now: Now, worker: usize, mailboxes: &[Mailbox], stop: &AtomicBool) -> (usize, usize) {
        let (mut next, mut sent, mut written) = (0, 0, 0);
        while !stop.load(Ordering::Relaxed) {
            self.read(now, &mailboxes[worker]);
            let full = |m: &Mailbox| m.waiting.load(Ordering::Relaxed) >= WAITING_MAX;
            if mailboxes.iter().any(full) {
                thread::yield_now();
            } else {
                for _ in 0..TURN {
                    let (sender, xml) = &self.load[next];
                    next = (next + 1) % self.load.len();
                    self.engine.handle(now, Input::Received { conn: *sender, bytes: xml.as_bytes() });
                }
                sent += TURN;
            }
            self.post(worker, mailboxes);
            written += self.write(now);
        }
        (sent, written)
    }

    /// Handles all mail that waits.
    fn read(&mut self, now: Now, mine: &Mailbox) {
        // Nobody takes the lock of a mailbox to find it empty.
        if mine.waiting.load(Ordering::Acquire) == 0 {
            return;
        }
        std::mem::swap(&mut self.mail, &mut mine.letters().unread);
        for (from, batch) in &mut self.mail {
            self.engine.handle(now, Input::Mail { from: *from, batch });
        }
        mine.waiting.fetch_sub(self.mail.len(), Ordering::Relaxed);
        mine.letters().read.extend(self.mail.drain(..).map(|(_, batch)| batch));
    }

    /// Sends the mail of this turn.
    fn post(&mut self, worker: usize, mailboxes: &[Mailbox]) {
        while let Some(output) = self.engine.poll_output() {
            if let Output::Mail { worker: to, batch } = output {
                let theirs = &mailboxes[usize::from(to.0)];
                let mut letters = theirs.letters();
                letters.unread.push_back((WorkerId(worker as u16), batch));
                theirs.waiting.fetch_add(1, Ordering::Release);
                if let Some(batch) = letters.read.pop() {
                    self.engine.reuse(batch);
                }
            }
        }
    }

    /// Writes what there is to write; how many bytes that was.
    fn write(&mut self, now: Now) -> usize {
        let mut bytes = 0;
        while let Some(conn) = self.engine.poll_dirty() {
            let mut slices: [&[u8]; 16] = [&[]; 16];
            let n = self.engine.outgoing(conn, &mut slices);
            let sent: usize = slices[..n].iter().map(|s| s.len()).sum();
            self.engine.sent(now, conn, sent);
            bytes += sent;
        }
        bytes
    }
}
