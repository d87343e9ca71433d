//! Events for the log and for whoever watches.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use chat_core::base::WorkerId;
use chat_core::cluster::Identity;
use chat_core::cluster::agent::Down;
use chat_core::effect::Event;

use crate::net::block_on;

/// Events that wait for one watcher. Whoever is slower loses some, and is told how many.
const EVENTS_MAX: usize = 4096;

/// Something that happened on a server.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerEvent {
    /// What the engine tells: sessions that begin and end, refused logins, streams that were closed with an error.
    Engine(Event),
    /// A worker panicked: its connections were closed and it began anew.
    WorkerPanicked {
        /// Which worker, counted from 0.
        worker: u16,
        /// What it said.
        message: String,
    },
    /// Another node of the cluster takes part from now on.
    NodeUp {
        /// Which, in its present life.
        node: Identity,
    },
    /// It does not, in the eyes of this one.
    NodeDown {
        /// Which, in the life that took part.
        node: Identity,
        /// Why.
        why: Down,
    },
    /// The watcher was too slow: so many events before the next one are missing.
    Missed(u64),
}

/// All watchers of a server.
#[derive(Default)]
pub(crate) struct EventHub {
    watchers: Mutex<Vec<Weak<Watch>>>,
    /// Their number, so that nobody costs nothing.
    count: AtomicUsize,
    /// The server has ended.
    closed: AtomicBool,
}

#[derive(Default)]
struct Watch(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    events: VecDeque<ServerEvent>,
    missed: u64,
    waker: Option<Waker>,
    closed: bool,
}

impl EventHub {
    fn watchers(&self) -> MutexGuard<'_, Vec<Weak<Watch>>> {
        self.watchers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn publish(&self, event: Event) {
        log(&event);
        self.push(ServerEvent::Engine(event));
    }

    pub(crate) fn worker_panicked(&self, worker: WorkerId, message: &str) {
        self.push(ServerEvent::WorkerPanicked { worker: worker.0, message: message.to_owned() });
    }

    pub(super) fn watch(&self) -> Events {
        let watch = Arc::<Watch>::default();
        let mut watchers = self.watchers();
        watchers.retain(|watch| watch.strong_count() > 0);
        watchers.push(Arc::downgrade(&watch));
        self.count.store(watchers.len(), Ordering::Relaxed);
        drop(watchers);
        // Whoever closes looks at the list after it has set this.
        if self.closed.load(Ordering::SeqCst) {
            watch.close();
        }
        Events { watch }
    }

    /// The server has ended: its watchers hear what there is, and then the end.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        for watch in self.watchers().iter().filter_map(Weak::upgrade) {
            watch.close();
        }
    }

    pub(crate) fn push(&self, event: ServerEvent) {
        if self.count.load(Ordering::Relaxed) == 0 {
            return;
        }
        let mut watchers = self.watchers();
        watchers.retain(|watch| match watch.upgrade() {
            Some(watch) => {
                watch.push(event.clone());
                true
            }
            None => false,
        });
        self.count.store(watchers.len(), Ordering::Relaxed);
    }
}

impl Drop for EventHub {
    fn drop(&mut self) {
        self.close();
    }
}

impl Watch {
    /// Nothing comes any more.
    fn close(&self) {
        let mut waiting = self.waiting();
        waiting.closed = true;
        if let Some(waker) = waiting.waker.take() {
            drop(waiting);
            waker.wake();
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, event: ServerEvent) {
        let mut waiting = self.waiting();
        if waiting.events.len() >= EVENTS_MAX {
            waiting.missed += 1;
            return;
        }
        if waiting.missed > 0 {
            let missed = std::mem::take(&mut waiting.missed);
            waiting.events.push_back(ServerEvent::Missed(missed));
        }
        waiting.events.push_back(event);
        if let Some(waker) = waiting.waker.take() {
            drop(waiting);
            waker.wake();
        }
    }
}

/// The events of a server from the moment of subscription on. Bounded: who does not read misses some.
pub struct Events {
    watch: Arc<Watch>,
}

impl Events {
    /// The next event; `None` when the server has ended. Needs no particular runtime.
    pub fn recv(&mut self) -> impl Future<Output = Option<ServerEvent>> + Send + '_ {
        poll_fn(|cx| self.poll_recv(cx))
    }

    /// The same for a thread that may block.
    pub fn recv_blocking(&mut self) -> Option<ServerEvent> {
        block_on(self.recv())
    }

    /// The same for hand-written futures.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<ServerEvent>> {
        let mut waiting = self.watch.waiting();
        if let Some(event) = waiting.events.pop_front() {
            return Poll::Ready(Some(event));
        }
        if waiting.closed {
            return Poll::Ready(None);
        }
        waiting.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Events")
    }
}

fn log(event: &Event) {
    match event {
        Event::Bound { jid, peer } => tracing::info!(%jid, %peer, "a client is online"),
        Event::Resumed { jid } => tracing::info!(%jid, "a client resumed its session"),
        Event::Detached { jid } => tracing::info!(%jid, "a client lost its connection"),
        Event::Left { jid } => tracing::info!(%jid, "a client goes on at another node"),
        Event::Unbound { jid } => tracing::info!(%jid, "a client is offline"),
        Event::LoginFailed { peer, condition } => tracing::info!(%peer, condition, "a login failed"),
        Event::StreamError { peer, condition, text } => {
            tracing::info!(%peer, condition, text, "a stream was closed with an error");
        }
        Event::StoreFailed { user, error } => {
            tracing::warn!(%user, %error, "what could not be stored was refused");
        }
        Event::BadSend { reason } => tracing::warn!(reason, "a stanza of this server's own is none"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> Event {
        Event::BadSend { reason: "as the test wants" }
    }

    #[test]
    fn each_watcher_hears_everything_from_its_subscription_on() {
        let hub = EventHub::default();
        hub.publish(event());
        let (mut first, mut second) = (hub.watch(), hub.watch());
        hub.publish(event());
        hub.worker_panicked(WorkerId(1), "so");
        for watcher in [&mut first, &mut second] {
            assert_eq!(watcher.recv_blocking(), Some(ServerEvent::Engine(event())));
            let panicked = ServerEvent::WorkerPanicked { worker: 1, message: "so".into() };
            assert_eq!(watcher.recv_blocking(), Some(panicked));
        }
        drop(second);
        hub.publish(event());
        hub.close();
        assert_eq!(first.recv_blocking(), Some(ServerEvent::Engine(event())));
        assert_eq!(first.recv_blocking(), None);
        assert_eq!(hub.watch().recv_blocking(), None);
    }

    #[test]
    fn a_slow_watcher_is_told_what_it_missed() {
        let hub = EventHub::default();
        let mut watcher = hub.watch();
        for _ in 0..EVENTS_MAX + 3 {
            hub.publish(event());
        }
        for _ in 0..EVENTS_MAX {
            assert_eq!(watcher.recv_blocking(), Some(ServerEvent::Engine(event())));
        }
        hub.publish(event());
        assert_eq!(watcher.recv_blocking(), Some(ServerEvent::Missed(3)));
        assert_eq!(watcher.recv_blocking(), Some(ServerEvent::Engine(event())));
    }
}
