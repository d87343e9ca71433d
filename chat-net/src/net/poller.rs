//! A thread that waits for its sockets itself: no runtime, one future.
//!
//! There is no task, no registration of wakers and no wheel of timers between the system and the future. What is ready is
//! a number, the one deadline is how long the system is asked to wait, and a wake-up of a thread that is awake is a store.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::os::fd::RawFd;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use chat_core::base::{Key, Mono};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token};

/// Events taken from the system at once.
const EVENTS: usize = 1024;
/// Another thread wants the future polled. No key is that large: generations end before.
const WOKEN: Token = Token(usize::MAX);
/// There is no deadline.
const NEVER: u64 = u64::MAX;

const AWAKE: u8 = 0;
const NOTIFIED: u8 = 1;
const ASLEEP: u8 = 2;

thread_local! {
    static CURRENT: RefCell<Option<Arc<Watch>>> = const { RefCell::new(None) };
}

/// What waits.
pub(crate) struct Poller {
    poll: Poll,
    events: Events,
    watch: Arc<Watch>,
}

/// Where a [`Poller`]'s sockets are registered, its deadline is set, and its thread is woken; from any thread.
pub(crate) struct Watch {
    registry: Registry,
    waker: mio::Waker,
    state: AtomicU8,
    /// When to wake at the latest, in nanoseconds by the clock of whoever sleeps.
    deadline: AtomicU64,
    /// When that was set.
    now: AtomicU64,
}

impl Poller {
    /// # Errors
    /// The system has no descriptor.
    pub(crate) fn new() -> io::Result<Poller> {
        let poll = Poll::new()?;
        let watch = Arc::new(Watch {
            registry: poll.registry().try_clone()?,
            waker: mio::Waker::new(poll.registry(), WOKEN)?,
            state: AtomicU8::new(AWAKE),
            deadline: AtomicU64::new(NEVER),
            now: AtomicU64::new(0),
        });
        Ok(Poller { poll, events: Events::with_capacity(EVENTS), watch })
    }

    /// Polls `future` until it ends: at first, when it was woken, when the deadline has come, and when a socket is ready.
    /// Before the latter, `ready` is told which.
    pub(crate) fn run(mut self, future: impl Future<Output = ()>, mut ready: impl FnMut(&[Key])) {
        let before = self.watch.clone().enter();
        let waker = Waker::from(self.watch.clone());
        let mut cx = Context::from_waker(&waker);
        let mut future = pin!(future);
        let mut keys = Vec::new();
        loop {
            // Whoever sleeps says at each poll until when.
            self.watch.deadline.store(NEVER, Ordering::SeqCst);
            if future.as_mut().poll(&mut cx).is_ready() {
                break;
            }
            self.wait(&mut keys);
            if !keys.is_empty() {
                ready(&keys);
                keys.clear();
            }
        }
        Watch::leave(before);
    }

    fn wait(&mut self, keys: &mut Vec<Key>) {
        let watch = &*self.watch;
        // From here on, who wants something writes to the descriptor of the waker, too.
        let sleeps = watch.state.compare_exchange(AWAKE, ASLEEP, Ordering::SeqCst, Ordering::SeqCst).is_ok();
        let timeout = match watch.deadline.load(Ordering::SeqCst) {
            _ if !sleeps => Some(Duration::ZERO),
            NEVER => None,
            // Too late by what that turn took, at most.
            at => Some(Duration::from_nanos(at.saturating_sub(watch.now.load(Ordering::Relaxed)))),
        };
        match self.poll.poll(&mut self.events, timeout) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => panic!("the system does not say which sockets are ready: {error}"),
        }
        watch.state.store(AWAKE, Ordering::SeqCst);
        let tokens = self.events.iter().map(|event| event.token()).filter(|token| *token != WOKEN);
        keys.extend(tokens.map(|token| Key::from_u64(token.0 as u64)));
    }
}

impl Watch {
    /// Whether this is called on a poller's thread.
    pub(crate) fn is_here() -> bool {
        CURRENT.with_borrow(Option::is_some)
    }

    /// That of the poller whose thread this is called on, or which was entered.
    ///
    /// # Panics
    /// There is none.
    pub(crate) fn current() -> Arc<Watch> {
        CURRENT.with_borrow(Clone::clone).expect("this is called on the thread of a poller")
    }

    /// What this thread registers goes here from now on, and what it registered before to what this returns.
    pub(crate) fn enter(self: Arc<Self>) -> Option<Arc<Watch>> {
        CURRENT.replace(Some(self))
    }

    /// The end of [`Watch::enter`].
    pub(crate) fn leave(before: Option<Arc<Watch>>) {
        CURRENT.set(before);
    }

    /// From now on the poller's `ready` is told this key when there is something new to read, or room to write where there
    /// was none. A key that is told is no promise.
    ///
    /// # Errors
    /// The system refuses: out of memory or of watches.
    pub(crate) fn add(&self, socket: RawFd, key: Key) -> io::Result<()> {
        let token = usize::try_from(key.to_u64()).map_err(io::Error::other)?;
        self.registry.register(&mut SourceFd(&socket), Token(token), Interest::READABLE | Interest::WRITABLE)
    }

    /// The opposite of [`Watch::add`].
    ///
    /// # Errors
    /// The system refuses.
    pub(crate) fn remove(&self, socket: RawFd) -> io::Result<()> {
        self.registry.deregister(&mut SourceFd(&socket))
    }

    /// The future is to be polled at this time at the latest. Returns whether that has come; then nothing is set. `now` is
    /// when its turn began. All that sleep on one thread have one clock.
    pub(crate) fn set_deadline(&self, deadline: Mono, now: Mono) -> bool {
        if deadline <= now {
            return true;
        }
        self.now.store(now.0, Ordering::Relaxed);
        let before = self.deadline.fetch_min(deadline.0, Ordering::SeqCst);
        // The thread may wait for a later one.
        if deadline.0 < before && self.state.load(Ordering::SeqCst) == ASLEEP {
            self.notify();
        }
        false
    }

    fn notify(&self) {
        if self.state.swap(NOTIFIED, Ordering::SeqCst) == ASLEEP
            && let Err(error) = self.waker.wake()
        {
            tracing::error!(%error, "a thread cannot be woken");
        }
    }
}

impl Wake for Watch {
    fn wake(self: Arc<Self>) {
        self.notify();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.notify();
    }
}
