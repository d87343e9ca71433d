//! One TLS connection between nodes.

use std::io::{self, BufRead, IoSlice, Read, Write};
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::Instant;

use chat_core::cluster::discovery::Peer;
use chat_core::cluster::handshake::{Channel, EXPORTER_BYTES, EXPORTER_LABEL};
use rustls::Connection;
use zeroize::Zeroizing;

use super::LinkTls;
use crate::net::Socket;

/// Reads of one connection in one turn; then the others have theirs.
const READS_MAX: usize = 16;

/// How far a connection has got.
pub(super) enum Stage {
    /// TLS is being set up, until this moment at most.
    Securing(Instant),
    /// The machine knows it.
    Open,
    /// What was written is sent, until this moment at most; then it is closed.
    Closing(Instant),
}

pub(super) struct Conn {
    socket: Socket,
    tls: Box<Connection>,
    pub stage: Stage,
    /// Whom this node dialled.
    pub dialled: Option<Peer>,
    /// Where the other side is.
    pub address: SocketAddr,
    /// The machine has more to send than there is room for.
    pub blocked: bool,
    /// There may be more to read, although nobody will say so.
    pub is_ready: bool,
    /// TLS has failed: nothing that comes means anything any more.
    pub has_failed: bool,
    /// The socket was told that nothing follows.
    shut: bool,
}

/// What a turn brought.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Nothing more is there at present.
    Pending,
    /// There may be more.
    More,
    /// TLS stands: the machine is to be told before anything is read.
    Secured,
    /// The other side has closed.
    End,
}

/// The socket as the TLS library wants it.
struct Io<'a, 'c>(&'a mut Socket, &'a mut Context<'c>);

fn now_or_block<T>(poll: Poll<io::Result<T>>) -> io::Result<T> {
    match poll {
        Poll::Ready(result) => result,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}

impl Read for Io<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        now_or_block(self.0.poll_read(self.1, buffer))
    }
}

impl Write for Io<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        now_or_block(self.0.poll_write(self.1, slices))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn is_block(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}

impl Conn {
    pub(super) fn new(
        socket: Socket,
        tls: &LinkTls,
        dialled: Option<Peer>,
        address: SocketAddr,
        by: Instant,
    ) -> Result<Conn, rustls::Error> {
        let tls = Box::new(tls.connection(dialled.is_some())?);
        Ok(Conn {
            socket,
            tls,
            stage: Stage::Securing(by),
            dialled,
            address,
            blocked: false,
            is_ready: false,
            has_failed: false,
            shut: false,
        })
    }

    /// What the machine has to know of the connection, once TLS stands.
    pub(super) fn channel(&self, tls: &LinkTls) -> Option<Channel> {
        if self.tls.is_handshaking() {
            return None;
        }
        let exporter = Zeroizing::new([0; EXPORTER_BYTES]);
        let exporter = self.tls.export_keying_material(exporter, EXPORTER_LABEL, None).ok()?;
        Some(Channel { exporter, certified: tls.certified(&self.tls) })
    }

    /// Reads from the socket what there is, a turn's worth, and hands plaintext to `take`.
    pub(super) fn read(
        &mut self,
        cx: &mut Context<'_>,
        scratch: &mut [u8],
        mut take: impl FnMut(&[u8]),
    ) -> io::Result<Progress> {
        if matches!(self.stage, Stage::Securing(_)) {
            return self.read_handshake(cx);
        }
        // What came with the end of the handshake.
        if self.read_plain(&mut take)? {
            return Ok(Progress::End);
        }
        for _ in 0..READS_MAX {
            let n = match self.socket.poll_read(cx, scratch) {
                Poll::Pending => return Ok(Progress::Pending),
                Poll::Ready(Ok(0)) => return Ok(Progress::End),
                Poll::Ready(result) => result?,
            };
            let mut rest = &scratch[..n];
            while !rest.is_empty() {
                self.tls.read_tls(&mut rest)?;
                self.process(cx)?;
                if self.read_plain(&mut take)? {
                    return Ok(Progress::End);
                }
            }
            if n < scratch.len() && !self.socket.more(cx) {
                return Ok(Progress::Pending);
            }
        }
        Ok(Progress::More)
    }

    /// Reads until TLS stands.
    fn read_handshake(&mut self, cx: &mut Context<'_>) -> io::Result<Progress> {
        for _ in 0..READS_MAX {
            if !self.tls.is_handshaking() {
                return Ok(Progress::Secured);
            }
            // The library takes no more than it needs.
            match self.tls.read_tls(&mut Io(&mut self.socket, cx)) {
                Ok(0) => return Ok(Progress::End),
                Ok(_) => self.process(cx)?,
                Err(error) if is_block(&error) => return Ok(Progress::Pending),
                Err(error) => return Err(error),
            }
        }
        Ok(Progress::More)
    }

    fn process(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if let Err(error) = self.tls.process_new_packets() {
            self.has_failed = true;
            // The alert tells the other side, if there is room for it.
            let _ = self.flush(cx);
            return Err(io::Error::other(error));
        }
        Ok(())
    }

    /// Whether the other side has said that nothing follows.
    fn read_plain(&mut self, take: &mut impl FnMut(&[u8])) -> io::Result<bool> {
        let mut reader = self.tls.reader();
        loop {
            match reader.fill_buf() {
                Ok([]) => return Ok(true),
                Ok(bytes) => {
                    let n = bytes.len();
                    take(bytes);
                    reader.consume(n);
                }
                Err(error) if is_block(&error) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes plaintext, as much as there is room for.
    pub(super) fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.tls.writer().write_vectored(slices)
    }

    /// Sends what waits. Whether nothing does any more.
    pub(super) fn flush(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut Io(&mut self.socket, cx)) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if is_block(&error) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Nothing more will be written.
    pub(super) fn close(&mut self, by: Instant) {
        self.tls.send_close_notify();
        self.stage = Stage::Closing(by);
    }

    /// Sends the rest, and waits for the other side to end, too: a socket that is closed with something unread in it
    /// takes back what was sent last. Whether both is done.
    pub(super) fn finish(&mut self, cx: &mut Context<'_>, scratch: &mut [u8]) -> io::Result<bool> {
        if !self.flush(cx)? {
            return Ok(false);
        }
        if !std::mem::replace(&mut self.shut, true) {
            self.socket.shutdown_write()?;
        }
        let progress =
            if self.has_failed { self.discard(cx, scratch)? } else { self.read(cx, scratch, |_| {})? };
        if progress == Progress::More {
            cx.waker().wake_by_ref();
        }
        Ok(progress == Progress::End)
    }

    /// Reads from the socket what there is, and makes nothing of it.
    fn discard(&mut self, cx: &mut Context<'_>, scratch: &mut [u8]) -> io::Result<Progress> {
        for _ in 0..READS_MAX {
            match self.socket.poll_read(cx, scratch) {
                Poll::Pending => return Ok(Progress::Pending),
                Poll::Ready(Ok(0)) => return Ok(Progress::End),
                Poll::Ready(result) => drop(result?),
            }
        }
        Ok(Progress::More)
    }
}
