//! A connected socket.

use std::io::{self, IoSlice};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;
#[cfg(any(feature = "tokio", feature = "async-std"))]
use std::task::ready;
use std::task::{Context, Poll};

use chat_core::base::Key;

use super::poller::Watch;
use super::{MemoryEnd, Runtime};

/// A connection as a worker sees it: it is read and written when it is ready, else it wakes.
pub(crate) enum Socket {
    /// It tells its key instead of waking ([`Socket::watch`]).
    Threads {
        stream: TcpStream,
        watch: Arc<Watch>,
    },
    #[cfg(feature = "tokio")]
    Tokio(tokio::net::TcpStream),
    #[cfg(feature = "async-std")]
    AsyncIo(async_io::Async<TcpStream>),
    Memory(MemoryEnd),
}

/// A connection without a reactor, on its way to another worker. It is non-blocking.
#[derive(Debug)]
pub(crate) enum Detached {
    Tcp(TcpStream),
    Memory(MemoryEnd),
}

impl Socket {
    /// Registers with the reactor of the worker whose turn this is.
    ///
    /// # Errors
    /// The reactor refuses it: out of memory or of watches.
    pub(crate) fn attach(from: Detached, runtime: Runtime) -> io::Result<Socket> {
        match (from, runtime) {
            (Detached::Memory(end), _) => Ok(Socket::Memory(end)),
            (Detached::Tcp(stream), Runtime::Threads) => {
                Ok(Socket::Threads { stream, watch: Watch::current() })
            }
            #[cfg(feature = "tokio")]
            (Detached::Tcp(stream), Runtime::Tokio) => {
                tokio::net::TcpStream::from_std(stream).map(Socket::Tokio)
            }
            #[cfg(feature = "async-std")]
            (Detached::Tcp(stream), Runtime::AsyncStd) => {
                async_io::Async::new_nonblocking(stream).map(Socket::AsyncIo)
            }
        }
    }

    /// The same with a key for it ([`Socket::watch`]).
    ///
    /// # Errors
    /// The reactor refuses it.
    #[cfg(feature = "rustls")]
    pub(crate) fn attach_as(key: Key, stream: TcpStream, runtime: Runtime) -> io::Result<Socket> {
        let socket = Socket::attach(Detached::Tcp(stream), runtime)?;
        socket.watch(key)?;
        Ok(socket)
    }

    /// From now on it tells when there is something to read, or room to write where there was none: under this key, if it
    /// wakes nobody. To be called once, before it is read or written.
    ///
    /// # Errors
    /// The system refuses: out of memory or of watches.
    pub(crate) fn watch(&self, key: Key) -> io::Result<()> {
        match self {
            Socket::Threads { stream, watch } => watch.add(stream.as_raw_fd(), key),
            _ => Ok(()),
        }
    }

    /// Whether it wakes, rather than telling its key.
    pub(crate) fn wakes(&self) -> bool {
        !matches!(self, Socket::Threads { .. })
    }

    /// Leaves the reactor.
    ///
    /// # Errors
    /// The reactor cannot let go of it; the connection is lost.
    pub(crate) fn detach(self) -> io::Result<Detached> {
        match self {
            Socket::Threads { stream, watch } => {
                watch.remove(stream.as_raw_fd())?;
                Ok(Detached::Tcp(stream))
            }
            #[cfg(feature = "tokio")]
            Socket::Tokio(stream) => stream.into_std().map(Detached::Tcp),
            #[cfg(feature = "async-std")]
            Socket::AsyncIo(stream) => stream.into_inner().map(Detached::Tcp),
            Socket::Memory(end) => Ok(Detached::Memory(end)),
        }
    }

    /// Reads what is there; 0: the peer has closed its half. `Pending`: nothing is there, and the waker of `cx` will be
    /// called when that changes.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        match self {
            Socket::Threads { stream, .. } => or_pending(io::Read::read(stream, buffer)),
            #[cfg(feature = "tokio")]
            Socket::Tokio(stream) => {
                // This way a partial read clears the readiness, and the next poll costs no system call.
                let mut buffer = tokio::io::ReadBuf::new(buffer);
                ready!(tokio::io::AsyncRead::poll_read(std::pin::Pin::new(stream), cx, &mut buffer))?;
                Poll::Ready(Ok(buffer.filled().len()))
            }
            #[cfg(feature = "async-std")]
            Socket::AsyncIo(stream) => loop {
                match io::Read::read(&mut stream.get_ref(), buffer) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        ready!(stream.poll_readable(cx))?;
                    }
                    result => return Poll::Ready(result),
                }
            },
            Socket::Memory(end) => end.poll_read(cx, buffer),
        }
    }

    /// After a read that did not fill its buffer: asks to be woken when there is more. Returns whether there may be
    /// more now, in which case nothing was asked.
    pub(crate) fn more(&mut self, cx: &mut Context<'_>) -> bool {
        match self {
            // What comes after that read is told anew.
            Socket::Threads { .. } => false,
            #[cfg(feature = "tokio")]
            Socket::Tokio(stream) => stream.poll_read_ready(cx).is_ready(),
            #[cfg(feature = "async-std")]
            // The first answer may be about the event that led to this read, which the reactor has not heard of.
            Socket::AsyncIo(stream) => {
                stream.poll_readable(cx).is_ready() && stream.poll_readable(cx).is_ready()
            }
            Socket::Memory(end) => end.poll_readable(cx).is_ready(),
        }
    }

    /// Writes as much as fits. `Pending`: nothing fits, and the waker of `cx` will be called when that changes.
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self {
            Socket::Threads { stream, .. } => or_pending(match slices {
                [one] => io::Write::write(stream, one),
                many => io::Write::write_vectored(stream, many),
            }),
            #[cfg(feature = "tokio")]
            Socket::Tokio(stream) => {
                let stream = std::pin::Pin::new(stream);
                // The kernel's way for one piece is shorter.
                match slices {
                    [one] => tokio::io::AsyncWrite::poll_write(stream, cx, one),
                    many => tokio::io::AsyncWrite::poll_write_vectored(stream, cx, many),
                }
            }
            #[cfg(feature = "async-std")]
            Socket::AsyncIo(stream) => loop {
                let written = match slices {
                    [one] => io::Write::write(&mut stream.get_ref(), one),
                    many => io::Write::write_vectored(&mut stream.get_ref(), many),
                };
                match written {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        ready!(stream.poll_writable(cx))?;
                    }
                    result => return Poll::Ready(result),
                }
            },
            Socket::Memory(end) => end.poll_write(cx, slices),
        }
    }

    /// Whether a connection that was begun is there, on a thread without a runtime.
    #[cfg(feature = "rustls")]
    pub(super) fn poll_connected(&self) -> Poll<io::Result<()>> {
        let Socket::Threads { stream, .. } = self else { return Poll::Ready(Ok(())) };
        match (stream.take_error(), stream.peer_addr()) {
            (Ok(Some(error)) | Err(error), _) => Poll::Ready(Err(error)),
            (Ok(None), Err(error)) if error.kind() == io::ErrorKind::NotConnected => Poll::Pending,
            (Ok(None), peer) => Poll::Ready(peer.map(drop)),
        }
    }

    /// Tells the peer that nothing more comes. What was written before still arrives.
    pub(crate) fn shutdown_write(&mut self) -> io::Result<()> {
        match self {
            Socket::Threads { stream, .. } => stream.shutdown(Shutdown::Write),
            #[cfg(feature = "tokio")]
            Socket::Tokio(stream) => socket2::SockRef::from(&*stream).shutdown(Shutdown::Write),
            #[cfg(feature = "async-std")]
            Socket::AsyncIo(stream) => stream.get_ref().shutdown(Shutdown::Write),
            Socket::Memory(end) => {
                end.shutdown_write();
                Ok(())
            }
        }
    }
}

/// What a non-blocking call says.
fn or_pending(result: io::Result<usize>) -> Poll<io::Result<usize>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
        result => Poll::Ready(result),
    }
}
