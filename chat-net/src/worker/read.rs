//! Reading: one read of a connection, and what the bytes are.

use std::io;
use std::task::{Context, Poll, Waker};

use chat_core::base::{ConnId, Key, Now};
use chat_core::effect::TlsInfo;
use chat_core::engine::Input;
use chat_core::session::Listener;

use super::conn::{Conn, Phase};
use super::secure::{Secure, Secured};
use super::{DROPPED_BYTES_MAX, Worker};
use crate::net::Socket;
use crate::proxy::{self, Progress};

/// What came of one read.
enum Got {
    Bytes(usize),
    /// The peer has closed its half.
    End,
    Nothing,
    Lost(io::Error),
}

impl Worker {
    /// Serves a connection from the ready list: writes if it was blocked, reads once. Returns the bytes read.
    pub(super) fn serve(&mut self, now: Now, key: Key) -> usize {
        let Some(conn) = self.conns.get_mut(key) else { return 0 };
        conn.wakeup.served();
        if conn.blocked {
            conn.blocked = false;
            self.flush(now, key);
        }
        let Some(conn) = self.conns.get_mut(key) else { return 0 };
        let read = match conn.phase {
            Phase::Open => conn.reading && !conn.held && !conn.ended,
            Phase::Header(_) => true,
            // Our half is to be closed first, so that the peer knows and closes its own.
            Phase::Closing { .. } => conn.shut,
        };
        if !read {
            return 0;
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        let bytes = self.read(now, key, &mut scratch);
        self.scratch = scratch;
        bytes
    }

    fn read(&mut self, now: Now, key: Key, scratch: &mut [u8]) -> usize {
        let Some(conn) = self.conns.get_mut(key) else { return 0 };
        let (got, more) = read_once(conn, scratch);
        let bytes = if let Got::Bytes(n) = got { n } else { 0 };
        if more && conn.wakeup.enqueue() {
            self.list.push_back(key);
        }
        match (got, &mut conn.phase) {
            (Got::Nothing, _) => {}
            (Got::Bytes(n), Phase::Open) => self.deliver(now, key, &mut scratch[..n]),
            (Got::Bytes(n), Phase::Header(_)) => self.header(now, key, &mut scratch[..n]),
            (Got::Bytes(n), Phase::Closing { dropped }) => {
                *dropped += n;
                if *dropped > DROPPED_BYTES_MAX {
                    self.drop_conn(key);
                }
            }
            (Got::End, Phase::Open) => {
                conn.eof = true;
                self.end(key);
            }
            (Got::End, _) => self.drop_conn(key),
            (Got::Lost(error), _) => {
                tracing::debug!(conn = ?ConnId(key), peer = %conn.peer, %error, "a connection broke");
                self.lost(now, key);
            }
        }
        bytes
    }

    /// Gives received bytes to TLS, if it is on, and what is plain to the engine.
    pub(super) fn deliver(&mut self, now: Now, key: Key, bytes: &mut [u8]) {
        let id = ConnId(key);
        let Some(conn) = self.conns.get_mut(key) else { return };
        let engine = &mut self.engine;
        let Some(tls) = &mut conn.tls else {
            return engine.handle(now, Input::Received { conn: id, bytes });
        };
        let mut closed = false;
        let result = tls.feed(bytes, &mut |event| match event {
            Secured::Established(tls) => engine.handle(now, Input::Secured { conn: id, tls }),
            Secured::Plain(bytes) => engine.handle(now, Input::Received { conn: id, bytes }),
            Secured::Closed => closed = true,
        });
        if tls.wants_write() {
            self.driver_dirty.push(key);
        }
        if let Err(fault) = &result {
            tracing::debug!(conn = ?id, peer = %conn.peer, %fault, "TLS failed");
        }
        if closed || result.is_err() {
            self.end(key);
        }
    }

    /// Bytes of a connection that a PROXY header is due on.
    fn header(&mut self, now: Now, key: Key, bytes: &mut [u8]) {
        let Some(conn) = self.conns.get_mut(key) else { return };
        let Phase::Header(so_far) = &mut conn.phase else { return };
        so_far.extend_from_slice(bytes);
        match proxy::parse(so_far) {
            Progress::NeedMore => {}
            Progress::Bad(fault) => {
                tracing::warn!(proxy = %conn.peer, %fault, "a trusted proxy sent no usable PROXY header");
                self.drop_conn(key);
            }
            Progress::Done { header_len, source, .. } => {
                let mut rest = so_far.split_off(header_len);
                if let Some(source) = source {
                    conn.peer = source.ip();
                }
                self.open(now, key);
                if !rest.is_empty() {
                    self.deliver(now, key, &mut rest);
                }
            }
        }
    }

    /// Tells the engine of a new connection.
    pub(super) fn open(&mut self, now: Now, key: Key) {
        let Some(conn) = self.conns.get_mut(key) else { return };
        conn.phase = Phase::Open;
        // Bytes that never leave the process need no protection.
        let private = matches!(conn.socket, Socket::Memory(_));
        if conn.listener == Listener::ClientsTls && !private {
            let Some(tls) = &self.shared.tls else {
                unreachable!("a server without TLS settings refuses to listen for direct TLS")
            };
            conn.tls = Secure::new(tls, conn.listener);
        }
        let accepted = Input::Accepted { conn: ConnId(key), listener: conn.listener, peer: conn.peer };
        self.engine.handle(now, accepted);
        if private {
            self.engine.handle(now, Input::Secured { conn: ConnId(key), tls: TlsInfo::default() });
        }
    }

    /// The engine hears of the connection's end once what it has to say to this was written.
    fn end(&mut self, key: Key) {
        if let Some(conn) = self.conns.get_mut(key)
            && !conn.ended
        {
            conn.ended = true;
            self.ended.push(key);
        }
    }
}

/// Reads once, and says whether there may be more. If not, the connection wakes when there is.
fn read_once(conn: &mut Conn, scratch: &mut [u8]) -> (Got, bool) {
    let waker = conn.waker();
    let mut cx = Context::from_waker(waker.as_ref().unwrap_or(Waker::noop()));
    match conn.socket.poll_read(&mut cx, scratch) {
        Poll::Pending => (Got::Nothing, false),
        Poll::Ready(Ok(0)) => (Got::End, false),
        Poll::Ready(Ok(n)) => (Got::Bytes(n), n == scratch.len() || conn.socket.more(&mut cx)),
        Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => (Got::Nothing, true),
        Poll::Ready(Err(error)) => (Got::Lost(error), false),
    }
}
