//! A worker: one engine, its connections, and the turn that drives them.
//!
//! Owns: the connections of one worker with their sockets and TLS, the ready list, the inbox that other threads write
//! into, and the engine. [`Seated`] is a future that may run anywhere and move between threads; one thread at a time
//! drives its worker.
//! In: readiness, accepted sockets, answers of stores and authenticators, mail of other workers, commands. Out: bytes
//! on sockets, requests to stores and authenticators, mail, events.
//! Invariants: a turn reads each ready connection once, hands what it read to the engine, carries out what the engine
//! wants, writes each connection that has something to send, and only then waits; the clock is read once a turn; there
//! is no task for each connection; a connection at rest owns no buffer; what the budget of a turn leaves stays on the
//! ready list; a panic ends the connections of this worker and nothing else.
//! Not here: what bytes mean (`chat_core::engine`), which runtime it is (`net/`), who starts and stops workers
//! (`server/`).
//! Follows docs/ARCHITECTURE.md.

mod congestion;
mod conn;
mod effects;
mod inbox;
mod letters;
mod post;
mod read;
mod seat;
mod secure;
mod shared;
mod write;

use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Waker};

use chat_core::base::{Key, Mono, Now, Slots, Span, WorkerId};
use chat_core::effect::{Batch, NodeMail};
use chat_core::engine::{Command, Engine, Input};

use congestion::Congestion;
use conn::{Conn, Phase};
pub(crate) use inbox::{Inbox, Letter};
#[cfg_attr(not(feature = "rustls"), allow(unused_imports))]
pub(crate) use post::{Note, Post, Reader};
pub(crate) use seat::{Seat, Seated};
pub(crate) use secure::Tls;
use shared::WorkerEnd;
pub(crate) use shared::{Counters, MakeExtension, Shared};

use crate::net::{Reactor, Sleep};
use crate::server::Member;
use crate::store::StoreSink;

/// Bytes of one read. Bodies of stanzas seldom reach it, and sixteen records of TLS fit.
const SCRATCH_BYTES: usize = 64 * 1024;
/// Reads in one turn. The rest waits on the ready list, so that what was read is answered soon.
const READS_PER_TURN: usize = 256;
/// Bytes that one turn reads before it writes, and that it writes to one connection: what comes in during a turn, for a
/// client that reads, must not fill its queue.
const BYTES_PER_TURN: usize = 256 * 1024;
/// Turns after which the reactor and other tasks have theirs, although there is work left.
const TURNS_PER_POLL: usize = 4;
/// Panics in a row, without a turn between that went well, after which a worker gives up: it would do nothing else. That
/// happens inside a runtime without timers or sockets.
const PANICS_MAX: u32 = 8;
/// How long a connection may take to send a PROXY header.
const HEADER_TIMEOUT: Span = Span::secs(5);
/// How long a closed connection may take to take its last bytes, and to close its own half.
const LINGER: Span = Span::secs(2);
/// Bytes that a closed connection may still send before it is cut off.
const DROPPED_BYTES_MAX: usize = 1024 * 1024;

/// One worker.
pub(crate) struct Worker {
    id: WorkerId,
    shared: Arc<Shared>,
    inbox: Arc<Inbox>,
    engine: Engine,
    /// Counts the engines of this worker: one more after each panic.
    run: u64,
    /// Panics since the last turn that went well.
    panics: u32,
    /// Where the store answers this engine.
    sink: Arc<dyn StoreSink>,
    conns: Slots<Conn>,
    /// Connections that are ready.
    list: VecDeque<Key>,
    letters: VecDeque<Letter>,
    /// Batches of mail that were read in this turn.
    read_batches: Vec<Batch>,
    /// The same of other nodes' mail.
    read_node_mail: Vec<NodeMail>,
    /// Connections that have something to send which the engine does not know of: TLS handshakes.
    driver_dirty: Vec<Key>,
    /// Connections that feed a worker which cannot keep up.
    held: Vec<Key>,
    /// Mail went to a worker that cannot keep up.
    fed_congested: bool,
    /// Workers that sleep although mail of this turn waits for them.
    asleep: Vec<(WorkerId, Waker)>,
    /// The thread of the cluster sleeps although mail of this turn waits for it.
    cluster_sleeps: Option<Waker>,
    /// Connections whose peers are gone.
    ended: Vec<Key>,
    /// Connections that a PROXY header is due on, by deadline.
    headers: VecDeque<(Mono, Key)>,
    /// Connections that close, by deadline.
    closing: VecDeque<(Mono, Key)>,
    scratch: Box<[u8]>,
    ciphertext: Vec<u8>,
    sleep: Sleep,
    /// Where its sockets and its deadline belong; known since its own future was first polled.
    reactor: Option<Reactor>,
    /// When its last turn began.
    last: Mono,
    /// Shutdown was asked for: at this time it ends, ready or not.
    stop_at: Option<Mono>,
    /// Sessions are to leave: at this rate, and until then.
    leaving: Option<(u32, Mono)>,
    /// Tells the server when this worker's engine has stopped, and when the worker is gone.
    end: WorkerEnd,
}

/// What comes after a turn, or after some.
enum Next {
    /// There is nothing to do before something wakes.
    Wait,
    /// There is more to do.
    Again,
    /// The worker is done.
    End,
}

impl Worker {
    pub(crate) fn new(id: WorkerId, shared: Arc<Shared>, member: Member) -> Worker {
        let inbox = shared.inboxes[usize::from(id.0)].clone();
        let engine = shared.engine(id);
        let sleep = Sleep::new(shared.runtime, shared.clock);
        let end = WorkerEnd::new(shared.clone(), id, member);
        Worker {
            id,
            sink: letters::sink(&inbox, 0),
            inbox,
            engine,
            run: 0,
            panics: 0,
            conns: Slots::new(),
            list: VecDeque::new(),
            letters: VecDeque::new(),
            read_batches: Vec::new(),
            read_node_mail: Vec::new(),
            driver_dirty: Vec::new(),
            held: Vec::new(),
            fed_congested: false,
            asleep: Vec::new(),
            cluster_sleeps: None,
            ended: Vec::new(),
            headers: VecDeque::new(),
            closing: VecDeque::new(),
            scratch: vec![0; SCRATCH_BYTES].into_boxed_slice(),
            ciphertext: Vec::new(),
            sleep,
            reactor: None,
            last: Mono::default(),
            stop_at: None,
            leaving: None,
            end,
            shared,
        }
    }

    /// Some turns, by the worker's own future.
    fn turns(&mut self, cx: &mut Context<'_>) -> Next {
        if self.reactor.is_none() {
            self.reactor = Some(self.shared.runtime.reactor());
        }
        for _ in 0..TURNS_PER_POLL {
            let now = self.shared.clock.now();
            let next = self.guarded_turn(now, cx);
            self.shared.counters[usize::from(self.id.0)].turns.fetch_add(1, Ordering::Relaxed);
            while let Some((worker, sleeper)) = self.asleep.pop() {
                let cluster = self.shared.seats[usize::from(worker.0)].turn_for(now, sleeper);
                self.cluster_sleeps = self.cluster_sleeps.take().or(cluster);
            }
            if let (Some(sleeper), Some(post)) = (self.cluster_sleeps.take(), &self.shared.post) {
                post.give_turn(now, sleeper);
            }
            match next {
                Next::Wait if self.inbox.sleep(cx.waker()) => return Next::Wait,
                Next::Wait => {}
                // The reactor may know of more that is ready.
                Next::Again => break,
                Next::End => return Next::End,
            }
        }
        Next::Again
    }

    /// One turn, by another worker, whose turn began at `now`. Returns whether this one sleeps again; else its own future is to be
    /// woken.
    fn turn_as_guest(&mut self, now: Now, cx: &mut Context<'_>) -> bool {
        let reactor = self.reactor.clone();
        let _inside = reactor.as_ref().map(Reactor::enter);
        let next = self.guarded_turn(now, cx);
        // Who gives a turn does not give one within it: that might have no end. The cluster's is the giver's to give.
        self.asleep.drain(..).for_each(|(_, sleeper)| sleeper.wake());
        self.shared.counters[usize::from(self.id.0)].guest_turns.fetch_add(1, Ordering::Relaxed);
        matches!(next, Next::Wait) && self.inbox.sleep(cx.waker())
    }

    /// A turn, of which no panic gets out.
    fn guarded_turn(&mut self, now: Now, cx: &mut Context<'_>) -> Next {
        // A guest's turn may have begun before the last one here.
        let now = Now { mono: now.mono.max(self.last), ..now };
        self.last = now.mono;
        match catch_unwind(AssertUnwindSafe(|| self.turn(now, cx))) {
            Ok(next) => {
                self.panics = 0;
                next
            }
            Err(panic) => {
                self.restart(&*panic);
                self.panics += 1;
                if self.panics < PANICS_MAX {
                    return Next::Again;
                }
                tracing::error!(worker = ?self.id, "a worker panics whatever it does and ends");
                Next::End
            }
        }
    }

    fn turn(&mut self, now: Now, cx: &mut Context<'_>) -> Next {
        let read = (&mut self.read_batches, &mut self.read_node_mail);
        self.inbox.take(&mut self.list, &mut self.letters, read.0, read.1);
        // More than are ever needed again were a burst.
        self.read_batches.clear();
        self.read_node_mail.clear();
        self.handle_letters(now);
        self.handle_time(now);
        let congestion = self.congestion();
        match congestion {
            Congestion::None => self.read_ready(now),
            Congestion::Some => self.read_carefully(now),
            Congestion::Hard => self.only_write(now),
        }
        self.settle(now);
        let counters = &self.shared.counters[usize::from(self.id.0)];
        counters.connections.store(self.conns.len(), Ordering::Relaxed);
        if self.is_done(now) {
            return Next::End;
        }
        if !self.letters.is_empty() || (!self.list.is_empty() && congestion != Congestion::Hard) {
            return Next::Again;
        }
        match self.deadline(self.congestion_pause(now, congestion)) {
            Some(deadline) if self.sleep.poll_until(deadline, now.mono, cx) => Next::Again,
            _ => Next::Wait,
        }
    }

    /// Reads connections from the ready list, as many as the budget allows.
    fn read_ready(&mut self, now: Now) {
        let mut bytes = 0;
        for _ in 0..READS_PER_TURN {
            let Some(key) = self.list.pop_front() else { return };
            bytes += self.serve(now, key);
            if bytes >= BYTES_PER_TURN {
                return;
            }
        }
    }

    /// Carries out what the engine wants, and writes, until there is nothing of either.
    fn settle(&mut self, now: Now) {
        loop {
            let mut quiet = true;
            self.carry_out_all(now);
            while let Some(conn) = self.engine.poll_dirty() {
                quiet = false;
                self.flush(now, conn.0);
            }
            while let Some(key) = self.driver_dirty.pop() {
                quiet = false;
                self.flush(now, key);
            }
            if quiet {
                // What there was to say to those that are gone has been said.
                while let Some(key) = self.ended.pop() {
                    quiet = false;
                    self.finish(now, key);
                }
            }
            if quiet {
                return;
            }
        }
    }

    fn carry_out_all(&mut self, now: Now) {
        while let Some(output) = self.engine.poll_output() {
            self.carry_out(now, output);
        }
    }

    /// Handles the deadlines that have come.
    fn handle_time(&mut self, now: Now) {
        if self.engine.poll_timeout().is_some_and(|(at, _)| at <= now.mono) {
            self.engine.handle(now, Input::Tick);
        }
        while let Some((_, key)) = self.headers.pop_front_if(|(at, _)| *at <= now.mono) {
            if let Some(conn) = self.conns.get(key)
                && matches!(conn.phase, Phase::Header(_))
            {
                tracing::warn!(proxy = %conn.peer, "a trusted proxy sent no PROXY header in time");
                self.drop_conn(key);
            }
        }
        while let Some((_, key)) = self.closing.pop_front_if(|(at, _)| *at <= now.mono) {
            self.drop_conn(key);
        }
    }

    /// The earliest deadline of the engine, of this worker's own and of the caller.
    fn deadline(&self, pause: Option<Mono>) -> Option<Mono> {
        let engine = self.engine.poll_timeout().map(|(at, _)| at);
        let header = self.headers.front().map(|(at, _)| *at);
        let closing = self.closing.front().map(|(at, _)| *at);
        [engine, header, closing, self.stop_at, pause].into_iter().flatten().min()
    }

    fn is_done(&self, now: Now) -> bool {
        let Some(stop_at) = self.stop_at else { return false };
        if now.mono >= stop_at {
            tracing::warn!(worker = ?self.id, connections = self.conns.len(), "shutdown took too long and was cut short");
            return true;
        }
        self.conns.is_empty()
            && self.letters.is_empty()
            && self.shared.have_all_stopped()
            && self.inbox.len() == 0
    }

    /// After a panic: every connection of this worker is closed, and a new engine begins with nothing.
    fn restart(&mut self, panic: &(dyn Any + Send)) {
        let message = message_of(panic);
        tracing::error!(worker = ?self.id, connections = self.conns.len(), message, "a worker panicked and begins anew");
        self.shared.counters[usize::from(self.id.0)].panics.fetch_add(1, Ordering::Relaxed);
        let keys: Vec<Key> = self.conns.iter().map(|(key, _)| key).collect();
        for key in keys {
            self.conns.remove(key);
        }
        self.list.clear();
        self.driver_dirty.clear();
        self.held.clear();
        self.ended.clear();
        self.headers.clear();
        self.closing.clear();
        self.scratch = vec![0; SCRATCH_BYTES].into_boxed_slice();
        self.run += 1;
        self.sink = letters::sink(&self.inbox, self.run);
        self.engine = self.shared.engine(self.id);
        if let Some(post) = &self.shared.post {
            post.put(Note::Anew { worker: self.id, run: self.run });
        }
        self.shared.events.worker_panicked(self.id, message);
        self.drain_anew();
        if self.stop_at.is_some() {
            self.inbox.post(Letter::Command(Command::Shutdown));
        }
    }
}

fn message_of(panic: &(dyn Any + Send)) -> &str {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(message), _) => message,
        (None, Some(message)) => message,
        (None, None) => "",
    }
}
