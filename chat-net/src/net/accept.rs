//! The acceptor: takes connections from all listeners and gives them away.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use chat_core::base::{Key, Mono, Span};

use super::listen::prepare;
use super::poller::Watch;
use super::{Clock, Runtime, Sleep};

/// Connections taken from one listener before the next one has its turn.
const BATCH: usize = 64;
/// How long nothing is accepted after the system had no descriptor or memory for it. The connections wait in the
/// backlog meanwhile.
const PAUSE: Span = Span::millis(250);

/// Where accepted connections go.
pub(crate) trait Incoming: Send + 'static {
    /// Takes a connection of the `listener`-th listener.
    fn accepted(&mut self, listener: usize, stream: TcpStream, peer: SocketAddr);

    /// Registers the task to be woken by, when it is to end; `true`: end now.
    fn poll_stop(&mut self, cx: &mut Context<'_>) -> bool;
}

/// Accepts until it is told to stop. When it ends, all listeners are closed.
pub(crate) struct Acceptor {
    listeners: Vec<Listening>,
    incoming: Box<dyn Incoming>,
    runtime: Runtime,
    pause: Sleep,
    clock: Clock,
    paused_until: Option<Mono>,
    /// The last time it stopped before all were accepted.
    has_more: bool,
    /// Tells of trouble in accepting, for the health check and the tests.
    troubled: Arc<AtomicBool>,
}

enum Listening {
    Threads(TcpListener),
    /// Not registered with a reactor yet.
    New(TcpListener),
    #[cfg(feature = "tokio")]
    Tokio(tokio::net::TcpListener),
    #[cfg(feature = "async-std")]
    AsyncIo(async_io::Async<TcpListener>),
    /// The reactor refused it.
    Broken,
}

impl Acceptor {
    pub(crate) fn new(
        listeners: Vec<TcpListener>,
        incoming: Box<dyn Incoming>,
        runtime: Runtime,
        clock: Clock,
        troubled: Arc<AtomicBool>,
    ) -> Acceptor {
        Acceptor {
            listeners: listeners.into_iter().map(Listening::New).collect(),
            incoming,
            runtime,
            pause: Sleep::new(runtime, clock),
            clock,
            paused_until: None,
            has_more: true,
            troubled,
        }
    }

    /// Whether it wants to be polled although no listener is ready.
    #[cfg(feature = "rustls")]
    pub(crate) fn is_impatient(&self) -> bool {
        self.has_more || self.paused_until.is_some()
    }

    /// Takes what waits, in batches. Returns whether more may wait.
    fn accept(&mut self, cx: &mut Context<'_>) -> bool {
        let mut more = false;
        for (index, listener) in self.listeners.iter_mut().enumerate() {
            let mut left = BATCH;
            while left > 0 {
                left -= 1;
                match listener.poll_accept(self.runtime, cx) {
                    Poll::Pending => break,
                    Poll::Ready(Ok((stream, peer))) => {
                        if self.troubled.swap(false, Ordering::Relaxed) {
                            tracing::info!("accepting connections again");
                        }
                        self.incoming.accepted(index, stream, peer);
                    }
                    // The client gave up while it waited.
                    Poll::Ready(Err(error)) if is_of_the_connection(&error) => {}
                    Poll::Ready(Err(error)) => {
                        if !self.troubled.swap(true, Ordering::Relaxed) {
                            tracing::error!(%error, "cannot accept connections; trying again soon");
                        }
                        self.paused_until = Some(self.clock.now().mono + PAUSE);
                        return false;
                    }
                }
            }
            more |= left == 0;
        }
        more
    }
}

/// Whether an error of `accept` is about one connection only, rather than about the descriptors or the memory of this
/// process or machine.
fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, PermissionDenied, TimedOut};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted | PermissionDenied | TimedOut)
}

impl Future for Acceptor {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if this.incoming.poll_stop(cx) {
            this.listeners.clear();
            return Poll::Ready(());
        }
        loop {
            if let Some(until) = this.paused_until {
                if !this.pause.poll_until(until, this.clock.now().mono, cx) {
                    return Poll::Pending;
                }
                this.paused_until = None;
            }
            this.has_more = this.accept(cx);
            if this.has_more {
                this.runtime.yield_now(cx);
                return Poll::Pending;
            }
            if this.paused_until.is_none() {
                return Poll::Pending;
            }
        }
    }
}

impl Listening {
    /// A connection, as a non-blocking socket without a reactor.
    #[cfg_attr(
        not(any(feature = "async-std", feature = "tokio")),
        expect(unused_variables, reason = "a thread without a runtime is woken by its listeners unasked")
    )]
    fn poll_accept(
        &mut self,
        runtime: Runtime,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        if let Listening::New(_) = self {
            let Listening::New(listener) = std::mem::replace(self, Listening::Broken) else {
                unreachable!("it was just seen to be new")
            };
            match attach(listener, runtime) {
                Ok(attached) => *self = attached,
                Err(error) => tracing::error!(%error, "the reactor refuses a listener"),
            }
        }
        let accepted = match self {
            Listening::Threads(listener) => match listener.accept() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
                result => result,
            },
            #[cfg(feature = "tokio")]
            Listening::Tokio(listener) => match std::task::ready!(listener.poll_accept(cx)) {
                Ok((stream, peer)) => stream.into_std().map(|stream| (stream, peer)),
                Err(error) => Err(error),
            },
            #[cfg(feature = "async-std")]
            Listening::AsyncIo(listener) => loop {
                match listener.get_ref().accept() {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        std::task::ready!(listener.poll_readable(cx))?;
                    }
                    result => break result,
                }
            },
            Listening::New(_) | Listening::Broken => return Poll::Pending,
        };
        Poll::Ready(accepted.and_then(|(stream, peer)| match prepare(&stream) {
            Ok(()) => Ok((stream, peer)),
            // Some systems refuse options of a socket that the peer has reset already.
            Err(_) => Err(io::ErrorKind::ConnectionAborted.into()),
        }))
    }
}

fn attach(listener: TcpListener, runtime: Runtime) -> io::Result<Listening> {
    match runtime {
        Runtime::Threads => {
            Watch::current().add(listener.as_raw_fd(), Key::from_u64(0))?;
            Ok(Listening::Threads(listener))
        }
        #[cfg(feature = "tokio")]
        Runtime::Tokio => tokio::net::TcpListener::from_std(listener).map(Listening::Tokio),
        #[cfg(feature = "async-std")]
        Runtime::AsyncStd => async_io::Async::new_nonblocking(listener).map(Listening::AsyncIo),
    }
}
