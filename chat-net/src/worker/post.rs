//! What workers have for the thread of the cluster.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;

use chat_core::base::{Now, WorkerId};
use chat_core::effect::NodeMail;

/// Batches that were read and are kept to be filled again.
const EMPTY_MAX: usize = 64;
/// Bytes of mail up to which sending it costs less than waking the thread.
const LIGHT_BYTES: usize = 16 * 1024;

/// Who reads the post.
#[cfg_attr(not(feature = "rustls"), allow(dead_code))]
pub(crate) trait Reader: Send + Sync {
    /// Gives it the turn that `sleeper`, its own future, was to be woken for, `now` being when the giver's began; or wakes that.
    fn turn_for(&self, now: Now, sleeper: Waker);
}

/// What a worker has for the cluster.
#[derive(Debug)]
// Links need TLS: without it, nobody reads them.
#[cfg_attr(not(feature = "rustls"), allow(dead_code))]
pub(crate) enum Note {
    /// News for other nodes, of this weight.
    Mail { mail: NodeMail, bytes: usize },
    /// A worker has begun anew, with nothing: this is its `run`-th engine.
    Anew { worker: WorkerId, run: u64 },
    /// The last worker is gone: nothing follows.
    Gone,
}

/// The inbox of the cluster's thread. Whoever puts something in wakes the thread, once while it sleeps, or gives it its turn; all
/// that is in it is taken at once, in the order of each worker.
#[derive(Default)]
pub(crate) struct Post {
    state: Mutex<State>,
    /// None before it is there.
    reader: OnceLock<Arc<dyn Reader>>,
    /// Bytes of the mail that has not been handled.
    mail_bytes: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    notes: VecDeque<Note>,
    empty: Vec<NodeMail>,
    /// There while the thread sleeps.
    sleeper: Option<Waker>,
    /// The thread has ended: nothing is taken any more.
    is_closed: bool,
}

impl Post {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts news in. Returns an empty batch for the next. Whoever gets a sleeper from this must wake it, or give it its turn
    /// ([`Post::give_turn`]).
    pub(super) fn mail(&self, mut mail: NodeMail) -> (Option<NodeMail>, Option<Waker>) {
        let bytes = mail.weight();
        let mut state = self.state();
        if state.is_closed {
            // Nobody is there any more to whom it could matter.
            mail.clear();
            return (Some(mail), None);
        }
        self.mail_bytes.fetch_add(bytes, Ordering::Relaxed);
        state.notes.push_back(Note::Mail { mail, bytes });
        (state.empty.pop(), state.sleeper.take())
    }

    /// Gives the thread its turn right here, if that costs less than to wake it. `now`: when the giver's began.
    pub(super) fn give_turn(&self, now: Now, sleeper: Waker) {
        match self.reader.get().filter(|_| self.is_light()) {
            Some(reader) => reader.turn_for(now, sleeper),
            None => sleeper.wake(),
        }
    }

    /// Whether nothing but a little mail waits.
    fn is_light(&self) -> bool {
        let is_mail = |note: &Note| matches!(note, Note::Mail { .. });
        self.mail_bytes() <= LIGHT_BYTES && self.state().notes.iter().all(is_mail)
    }

    /// Puts anything else in.
    pub(super) fn put(&self, note: Note) {
        let mut state = self.state();
        if !state.is_closed {
            state.notes.push_back(note);
        }
        let sleeper = state.sleeper.take();
        drop(state);
        sleeper.into_iter().for_each(Waker::wake);
    }

    /// Bytes of the mail that waits.
    pub(super) fn mail_bytes(&self) -> usize {
        self.mail_bytes.load(Ordering::Relaxed)
    }
}

/// The side of the cluster's thread.
#[cfg_attr(not(feature = "rustls"), allow(dead_code))]
impl Post {
    /// Who reads it from now on.
    pub(crate) fn read_by(&self, reader: Arc<dyn Reader>) {
        let _ = self.reader.set(reader);
    }

    /// Takes all that is there; `notes` is empty before.
    pub(crate) fn take(&self, notes: &mut VecDeque<Note>) {
        std::mem::swap(notes, &mut self.state().notes);
    }

    /// A batch that was read, of this weight: empty now, for the next.
    pub(crate) fn read(&self, mail: NodeMail, bytes: usize) {
        self.mail_bytes.fetch_sub(bytes, Ordering::Relaxed);
        let mut state = self.state();
        if state.empty.len() < EMPTY_MAX {
            state.empty.push(mail);
        }
    }

    /// Goes to sleep unless something is there: then `false`.
    pub(crate) fn sleep(&self, waker: &Waker) -> bool {
        let mut state = self.state();
        if !state.notes.is_empty() {
            return false;
        }
        if !state.sleeper.as_ref().is_some_and(|sleeper| sleeper.will_wake(waker)) {
            state.sleeper = Some(waker.clone());
        }
        true
    }

    /// The end: what is in it, and what comes later, is dropped.
    pub(crate) fn close(&self) {
        let mut state = self.state();
        state.is_closed = true;
        let notes = std::mem::take(&mut state.notes);
        // No worker is to wait for a thread that is gone.
        self.mail_bytes.store(0, Ordering::Relaxed);
        drop(state);
        drop(notes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chat_core::base::{Mono, NodeId, Utc};
    use chat_core::effect::NodeTold;
    use std::sync::Arc;
    use std::sync::atomic::AtomicU32;
    use std::task::Wake;

    #[derive(Default)]
    struct Count(AtomicU32);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn mail() -> NodeMail {
        let mut mail = NodeMail::default();
        mail.put(&NodeTold::Down { node: NodeId(1) });
        mail
    }

    #[test]
    fn a_thread_that_sleeps_is_woken_once_and_batches_come_back() {
        let (post, count) = (Post::default(), Arc::<Count>::default());
        let (waker, mut notes) = (Waker::from(count.clone()), VecDeque::new());
        assert!(post.sleep(&waker));
        let (empty, sleeper) = post.mail(mail());
        assert!(empty.is_none());
        post.give_turn(Now { mono: Mono(0), utc: Utc(0) }, sleeper.expect("it slept"));
        post.put(Note::Anew { worker: WorkerId(0), run: 1 });
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert!(!post.sleep(&waker), "there is something");
        post.take(&mut notes);
        let Some(Note::Mail { mut mail, bytes }) = notes.pop_front() else { panic!("it came first") };
        assert_eq!(post.mail_bytes(), bytes);
        assert!(matches!(notes.pop_front(), Some(Note::Anew { run: 1, .. })));
        mail.clear();
        post.read(mail, bytes);
        assert_eq!(post.mail_bytes(), 0);
        let (empty, sleeper) = post.mail(self::mail());
        assert!(empty.is_some_and(|empty| empty.is_empty()) && sleeper.is_none());
        post.close();
        assert!(post.mail(self::mail()).0.is_some_and(|empty| empty.is_empty()));
        assert_eq!(post.mail_bytes(), 0, "nobody waits for a thread that is gone");
    }
}
