//! Engines on threads of their own that send each other mail, each with clients that write as fast as they can.
//!
//! Owns: the threads, the mailboxes. In: how many workers, how many pairs each, where recipients live. Out: messages a
//! second. Not here: logins (`rig`), sockets (the driver has those; `benches/compare` measures it).

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex};
use std::thread;
use std::time::Duration;

use chat_core::base::{ConnId, Now, WorkerId};
use chat_core::effect::{Batch, Output};
use chat_core::engine::{Engine, Input};

use crate::rig::{Rig, conn};
use crate::work::message;

/// Messages that a worker takes from its clients in one turn.
const TURN: usize = 64;
/// Batches that may wait for a worker before those who send them make no more.
const WAITING_MAX: usize = 16;

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
}

/// Apart from its neighbours in memory: whoever waits looks at it all the time.
#[derive(Default)]
#[repr(align(128))]
struct Mailbox {
    batches: Mutex<VecDeque<(WorkerId, Batch)>>,
    waiting: AtomicUsize,
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
        let hands = engines.into_iter().zip(loads).map(|(engine, load)| Hand { engine, load }).collect();
        Crew { hands, now }
    }

    /// Works for so many seconds; messages delivered per second.
    pub fn run(self, seconds: u64) -> f64 {
        let now = self.now;
        let mailboxes: Vec<Mailbox> = self.hands.iter().map(|_| Mailbox::default()).collect();
        let (start, stop) = (Barrier::new(self.hands.len() + 1), AtomicBool::new(false));
        let (messages, bytes) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for (worker, mut hand) in self.hands.into_iter().enumerate() {
                let (mailboxes, start, stop, messages, bytes) =
                    (&mailboxes, &start, &stop, &messages, &bytes);
                scope.spawn(move || {
                    start.wait();
                    let (sent, written) = hand.work(now, worker, mailboxes, stop);
                    messages.fetch_add(sent, Ordering::Relaxed);
                    bytes.fetch_add(written, Ordering::Relaxed);
                });
            }
            start.wait();
            thread::sleep(Duration::from_secs(seconds));
            stop.store(true, Ordering::Relaxed);
        });
        let messages = messages.into_inner();
        // What was under way at the end is little beside the rest.
        assert!(bytes.into_inner() > messages * 99 / 100 * 150, "messages were lost");
        messages as f64 / seconds as f64
    }
}

impl Hand {
    /// Turns of reading, handling and writing until it is told to stop; how many messages its clients sent, and the bytes
    /// that it wrote to clients.
    fn work(&mut self, now: Now, worker: usize, mailboxes: &[Mailbox], stop: &AtomicBool) -> (usize, usize) {
        let (mut next, mut sent, mut written) = (0, 0, 0);
        while !stop.load(Ordering::Relaxed) {
            let mine = &mailboxes[worker];
            // Nobody takes the lock of a mailbox to find it empty.
            while mine.waiting.load(Ordering::Acquire) > 0 {
                let letter = mine.batches.lock().expect("nobody panics here").pop_front();
                let Some((from, mut batch)) = letter else { break };
                self.engine.handle(now, Input::Mail { from, batch: &mut batch });
                self.engine.reuse(batch);
                mine.waiting.fetch_sub(1, Ordering::Relaxed);
            }
            let full = |m: &Mailbox| m.waiting.load(Ordering::Relaxed) >= WAITING_MAX;
            if !mailboxes.iter().any(full) {
                for _ in 0..TURN {
                    let (sender, xml) = &self.load[next];
                    next = (next + 1) % self.load.len();
                    self.engine.handle(now, Input::Received { conn: *sender, bytes: xml.as_bytes() });
                }
                sent += TURN;
            } else {
                thread::yield_now();
            }
            while let Some(output) = self.engine.poll_output() {
                if let Output::Mail { worker: to, batch } = output {
                    let theirs = &mailboxes[usize::from(to.0)];
                    let letter = (WorkerId(worker as u16), batch);
                    theirs.batches.lock().expect("nobody panics here").push_back(letter);
                    theirs.waiting.fetch_add(1, Ordering::Release);
                }
            }
            written += self.write(now);
        }
        (sent, written)
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
