//! The end of a server: who is still there, and who waits for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread::{self, JoinHandle};

use super::EventHub;
use crate::store::Store;

/// How far a server's life has gone.
pub(crate) struct Life {
    state: Mutex<State>,
    /// Closed when the last member is gone.
    store: Arc<dyn Store>,
    /// Told that nothing comes any more, when everything is over.
    events: Arc<EventHub>,
}

#[derive(Default)]
struct State {
    /// Shutdown was asked for.
    stopping: bool,
    /// No connections are accepted any more.
    is_closed: bool,
    /// Everything is over, the store included.
    ended: bool,
    /// Workers and acceptor that are not gone.
    members: usize,
    threads: Vec<JoinHandle<()>>,
    /// To be woken when shutdown is asked for, or the doors close.
    on_stop: Vec<Waker>,
    /// To be woken when everything is over.
    on_end: Vec<Waker>,
}

/// Something that the end of the server waits for. It is gone when this is dropped.
pub(crate) struct Member(Arc<Life>);

impl Life {
    pub(crate) fn new(store: Arc<dyn Store>, events: Arc<EventHub>) -> Arc<Life> {
        Arc::new(Life { state: Mutex::default(), store, events })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn join(self: &Arc<Self>) -> Member {
        self.state().members += 1;
        Member(self.clone())
    }

    /// A thread whose end the end waits for.
    pub(super) fn keep(&self, thread: JoinHandle<()>) {
        self.state().threads.push(thread);
    }

    /// Shutdown is asked for. Returns whether this is the first time.
    pub(super) fn stop(&self) -> bool {
        let mut state = self.state();
        let first = !std::mem::replace(&mut state.stopping, true);
        state.is_closed = true;
        let wakers = std::mem::take(&mut state.on_stop);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        first
    }

    /// No connections are accepted any more, for good.
    pub(super) fn close_doors(&self) {
        let mut state = self.state();
        state.is_closed = true;
        let wakers = std::mem::take(&mut state.on_stop);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.state().stopping
    }

    /// Ready when the doors are closed, which they are when shutdown was asked for.
    pub(super) fn poll_doors(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if state.is_closed {
            return Poll::Ready(());
        }
        remember(&mut state.on_stop, cx);
        Poll::Pending
    }

    /// Ready when everything is over.
    pub(super) fn poll_end(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if state.ended {
            return Poll::Ready(());
        }
        remember(&mut state.on_end, cx);
        Poll::Pending
    }

    /// The last member is gone: what blocks happens on a thread of its own, as this may be a thread of the caller's
    /// runtime, or one that is to be joined.
    fn close(self: &Arc<Self>) {
        let threads = std::mem::take(&mut self.state().threads);
        let life = self.clone();
        let end = move || {
            for thread in threads {
                let _ = thread.join();
            }
            life.store.close();
            life.finish();
        };
        if thread::Builder::new().name("chat-end".into()).spawn(end).is_err() {
            self.store.close();
            self.finish();
        }
    }

    fn finish(&self) {
        self.events.close();
        let mut state = self.state();
        state.ended = true;
        let wakers = std::mem::take(&mut state.on_end);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }
}

fn remember(wakers: &mut Vec<Waker>, cx: &Context<'_>) {
    if !wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
        wakers.push(cx.waker().clone());
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.members -= 1;
        let last = state.members == 0;
        state.stopping |= last;
        drop(state);
        if last {
            self.0.close();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use chat_core::base::RequestId;
    use chat_core::effect::StoreOp;

    use super::*;
    use crate::net::block_on;
    use crate::store::StoreSink;

    /// Tells when it is closed.
    struct Closing(mpsc::Sender<()>);

    impl Store for Closing {
        fn submit(&self, _id: RequestId, _op: Arc<StoreOp>, _sink: &Arc<dyn StoreSink>) {}

        fn close(&self) {
            self.0.send(()).expect("the test waits");
        }
    }

    #[test]
    fn the_last_member_closes_the_store_whatever_ends_it() {
        let (send, receive) = mpsc::channel();
        let life = Life::new(Arc::new(Closing(send)), Arc::default());
        let (worker, acceptor) = (life.join(), life.join());
        life.keep(thread::spawn(move || drop(worker)));
        assert!(receive.recv_timeout(Duration::from_millis(20)).is_err());
        assert!(!life.is_stopping());
        drop(acceptor);
        receive.recv_timeout(Duration::from_secs(10)).expect("closed");
        block_on(std::future::poll_fn(|cx| life.poll_end(cx)));
        assert!(life.is_stopping() && receive.try_recv().is_err());
    }

    #[test]
    fn whoever_waits_for_the_stop_is_woken_once_it_is_asked_for() {
        let life = Life::new(Arc::new(crate::store::Memory::new()), Arc::default());
        let again = life.clone();
        let waiting = thread::spawn(move || block_on(std::future::poll_fn(|cx| again.poll_doors(cx))));
        assert!(life.stop());
        assert!(!life.stop());
        waiting.join().expect("it ends");
    }
}
