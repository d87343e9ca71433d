//! A connection inside the process: two bounded pipes of bytes.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::io::{self, IoSlice, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::block::block_until;

/// Bytes under way in each direction: what a socket's buffers would hold.
const CAPACITY_BYTES: usize = 64 * 1024;

/// Buffers that a thread keeps when a pipe runs empty, and the bytes that one may have room for.
const SPARE_MAX: usize = 64;
const SPARE_BYTES_MAX: usize = 16 * 1024;

thread_local! {
    /// A pipe at rest owns no buffer. Whoever reads one empty keeps its buffer here and fills the next pipe with it, so
    /// that talking allocates nothing.
    static SPARE: RefCell<Vec<VecDeque<u8>>> = const { RefCell::new(Vec::new()) };
}

fn spare() -> VecDeque<u8> {
    // A thread that is ending has none any more.
    SPARE.try_with(|spare| spare.borrow_mut().pop()).ok().flatten().unwrap_or_default()
}

fn keep(buffer: VecDeque<u8>) {
    let _ = SPARE.try_with(|spare| {
        let mut spare = spare.borrow_mut();
        if spare.len() < SPARE_MAX && buffer.capacity() <= SPARE_BYTES_MAX {
            spare.push(buffer);
        }
    });
}

/// One direction.
#[derive(Default)]
struct Pipe {
    bytes: VecDeque<u8>,
    /// The writer is done.
    finished: bool,
    /// The reader is gone.
    abandoned: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

type Pipes = Mutex<[Pipe; 2]>;

/// One end of a connection in memory: it writes into one pipe and reads from the other. Dropping it closes both.
pub(crate) struct MemoryEnd {
    pipes: Arc<Pipes>,
    /// The pipe it writes into.
    side: usize,
}

/// Both ends of a new connection.
pub(crate) fn pair() -> (MemoryEnd, MemoryEnd) {
    let pipes = Arc::<Pipes>::default();
    (MemoryEnd { pipes: pipes.clone(), side: 0 }, MemoryEnd { pipes, side: 1 })
}

impl MemoryEnd {
    fn pipes(&self) -> MutexGuard<'_, [Pipe; 2]> {
        self.pipes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads what is there; 0: the other end is done.
    pub(crate) fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut pipes = self.pipes();
        let pipe = &mut pipes[1 - self.side];
        if pipe.bytes.is_empty() && !pipe.finished && !buffer.is_empty() {
            pipe.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let n = pipe.bytes.read(buffer)?;
        if pipe.bytes.is_empty() {
            keep(std::mem::take(&mut pipe.bytes));
        }
        let writer = pipe.writer.take();
        drop(pipes);
        wake(writer);
        Poll::Ready(Ok(n))
    }

    /// Whether a read would not wait.
    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut pipes = self.pipes();
        let pipe = &mut pipes[1 - self.side];
        if pipe.bytes.is_empty() && !pipe.finished {
            pipe.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    /// Writes as much as there is room for.
    pub(crate) fn poll_write(&self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let mut pipes = self.pipes();
        let pipe = &mut pipes[self.side];
        if pipe.finished || pipe.abandoned {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let mut room = CAPACITY_BYTES - pipe.bytes.len();
        if room == 0 {
            pipe.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let mut written = 0;
        if pipe.bytes.is_empty() {
            pipe.bytes = spare();
        }
        for slice in slices {
            let n = slice.len().min(room);
            pipe.bytes.extend(&slice[..n]);
            room -= n;
            written += n;
        }
        let reader = pipe.reader.take();
        drop(pipes);
        wake(reader);
        Poll::Ready(Ok(written))
    }

    /// Tells the other end that nothing more comes.
    pub(crate) fn shutdown_write(&self) {
        let mut pipes = self.pipes();
        let pipe = &mut pipes[self.side];
        pipe.finished = true;
        let reader = pipe.reader.take();
        drop(pipes);
        wake(reader);
    }
}

impl Drop for MemoryEnd {
    fn drop(&mut self) {
        let mut pipes = self.pipes();
        let out = &mut pipes[self.side];
        out.finished = true;
        let reader = out.reader.take();
        let back = &mut pipes[1 - self.side];
        back.abandoned = true;
        back.bytes = VecDeque::new();
        let writer = back.writer.take();
        drop(pipes);
        wake(reader);
        wake(writer);
    }
}

impl fmt::Debug for MemoryEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryEnd")
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// The client's end of a connection inside the process: what a TCP stream would be, without the network. For bots and
/// tests. It reads and writes blocking (`std::io`) and, with the features `tokio` and `async-std`, by their traits;
/// [`recv`](MemoryStream::recv) and [`send_all`](MemoryStream::send_all) need no traits and no runtime.
///
/// Clones are the same end, for reading and writing apart. The connection is closed when the last is dropped.
#[derive(Clone)]
pub struct MemoryStream {
    end: Arc<MemoryEnd>,
    read_timeout: Option<Duration>,
}

impl MemoryStream {
    pub(crate) fn new(end: MemoryEnd) -> MemoryStream {
        MemoryStream { end: Arc::new(end), read_timeout: None }
    }

    /// Blocking reads of this clone fail with `TimedOut` after this time; `None`, as at first: never.
    pub fn set_read_timeout(&mut self, timeout: Option<Duration>) {
        self.read_timeout = timeout;
    }

    /// Waits for bytes; 0: the server has closed the connection.
    ///
    /// # Errors
    /// None so far.
    pub async fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        poll_fn(|cx| self.end.poll_read(cx, buffer)).await
    }

    /// Writes everything, waiting where the server does not read.
    ///
    /// # Errors
    /// `BrokenPipe`: the connection is closed.
    pub async fn send_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let n = poll_fn(|cx| self.end.poll_write(cx, &[IoSlice::new(bytes)])).await?;
            bytes = &bytes[n..];
        }
        Ok(())
    }

    /// Tells the server that nothing more comes; what it sends can still be read.
    pub fn shutdown_write(&self) {
        self.end.shutdown_write();
    }
}

impl Read for &MemoryStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let deadline = self.read_timeout.map(|timeout| Instant::now() + timeout);
        block_until(self.recv(buffer), deadline).unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl Write for &MemoryStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        super::block_on(poll_fn(|cx| self.end.poll_write(cx, &[IoSlice::new(bytes)])))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for MemoryStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buffer)
    }
}

impl Write for MemoryStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for MemoryStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryStream")
    }
}

#[cfg(feature = "tokio")]
mod with_tokio {
    use std::io;
    use std::pin::Pin;
    use std::task::{Context, Poll, ready};

    use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

    use super::{IoSlice, MemoryStream};

    impl AsyncRead for MemoryStream {
        fn poll_read(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            let n = ready!(self.end.poll_read(cx, buffer.initialize_unfilled()))?;
            buffer.advance(n);
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for MemoryStream {
        fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            self.end.poll_write(cx, &[IoSlice::new(bytes)])
        }

        fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.end.shutdown_write();
            Poll::Ready(Ok(()))
        }
    }
}

#[cfg(feature = "async-std")]
mod with_async_std {
    use std::io;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use super::{IoSlice, MemoryStream};

    impl async_std::io::Read for MemoryStream {
        fn poll_read(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buffer: &mut [u8],
        ) -> Poll<io::Result<usize>> {
            self.end.poll_read(cx, buffer)
        }
    }

    impl async_std::io::Write for MemoryStream {
        fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            self.end.poll_write(cx, &[IoSlice::new(bytes)])
        }

        fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.end.shutdown_write();
            Poll::Ready(Ok(()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream_pair() -> (MemoryStream, MemoryStream) {
        let (a, b) = pair();
        (MemoryStream::new(a), MemoryStream::new(b))
    }

    #[test]
    fn bytes_arrive_in_order_and_the_end_after_them() {
        let (a, b) = stream_pair();
        let writer = std::thread::spawn(move || {
            for n in 0..200_000_u32 {
                (&a).write_all(&n.to_be_bytes()).expect("b reads");
            }
        });
        let mut all = Vec::new();
        (&b).read_to_end(&mut all).expect("it ends");
        writer.join().expect("it wrote");
        let expected: Vec<u8> = (0..200_000_u32).flat_map(u32::to_be_bytes).collect();
        assert!(all == expected);
    }

    #[test]
    fn a_full_pipe_waits_and_a_gone_reader_breaks_it() {
        let (a, b) = stream_pair();
        let waker = Waker::noop();
        let mut cx = Context::from_waker(waker);
        let big = vec![7; CAPACITY_BYTES + 1];
        let written = a.end.poll_write(&mut cx, &[IoSlice::new(&big), IoSlice::new(&big)]);
        assert!(matches!(written, Poll::Ready(Ok(CAPACITY_BYTES))));
        assert!(a.end.poll_write(&mut cx, &[IoSlice::new(b"x")]).is_pending());
        drop(b);
        let error = (&a).write(b"x").expect_err("nobody reads");
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        assert_eq!((&a).read(&mut [0; 4]).expect("the end"), 0);
    }

    #[test]
    fn a_blocking_read_can_time_out_and_halves_close_alone() {
        let (mut a, b) = stream_pair();
        a.set_read_timeout(Some(Duration::from_millis(5)));
        assert_eq!((&a).read(&mut [0; 4]).expect_err("nothing came").kind(), io::ErrorKind::TimedOut);
        b.shutdown_write();
        assert_eq!((&a).read(&mut [0; 4]).expect("the end"), 0);
        (&a).write_all(b"still").expect("b reads");
        drop(a);
        let mut rest = String::new();
        (&b).read_to_string(&mut rest).expect("text");
        assert_eq!(rest, "still");
    }
}
