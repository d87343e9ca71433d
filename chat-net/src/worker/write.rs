//! Writing, and how a connection ends.

use std::io::{self, IoSlice};
use std::task::{Context, Poll, Waker};

use chat_core::base::{ConnId, Key, Now};
use chat_core::engine::{Engine, Input};

use super::conn::{Conn, Phase};
use super::{BYTES_PER_TURN, LINGER, Worker};

/// Pieces of an outbox that are written at once.
const SLICES: usize = 16;

/// What came of writing.
enum Put {
    /// There is nothing left to send.
    All,
    /// The socket is full and will wake.
    Blocked,
    /// Enough for this turn.
    Enough,
    Lost(io::Error),
}

impl Worker {
    /// Writes what waits for a connection: the tail of its ciphertext, then what the engine has.
    pub(super) fn flush(&mut self, now: Now, key: Key) {
        let Some(conn) = self.conns.get_mut(key) else { return };
        if conn.blocked {
            return;
        }
        let put = match conn.phase {
            Phase::Open => write(conn, &mut self.engine, &mut self.ciphertext, now, ConnId(key)),
            Phase::Closing { .. } => write_tail(conn),
            Phase::Header(_) => return,
        };
        match put {
            Put::All => self.flushed(key),
            Put::Blocked => conn.blocked = true,
            Put::Enough => {
                conn.blocked = true;
                self.requeue(key);
            }
            Put::Lost(error) => {
                tracing::debug!(conn = ?ConnId(key), peer = %conn.peer, %error, "a connection broke");
                self.lost(now, key);
            }
        }
    }

    /// Nothing is left to send: a closing connection says so to its peer.
    fn flushed(&mut self, key: Key) {
        let Some(conn) = self.conns.get_mut(key) else { return };
        if !matches!(conn.phase, Phase::Closing { .. }) || conn.shut {
            return;
        }
        conn.shut = true;
        if conn.eof || conn.socket.shutdown_write().is_err() {
            return self.drop_conn(key);
        }
        self.requeue(key);
    }

    /// The engine is done with a connection: sends what remains and closes it.
    pub(super) fn close(&mut self, now: Now, key: Key) {
        let Some(conn) = self.conns.get_mut(key) else { return };
        conn.phase = Phase::Closing { dropped: 0 };
        if let Some(tls) = &mut conn.tls {
            tls.close(&mut conn.tail);
        }
        self.closing.push_back((now.mono + LINGER, key));
        self.flush(now, key);
    }

    /// Tells the engine that the peer is gone, and says goodbye to what is left of it.
    pub(super) fn finish(&mut self, now: Now, key: Key) {
        if self.conns.get_mut(key).is_some_and(|conn| matches!(conn.phase, Phase::Open)) {
            self.engine.handle(now, Input::Closed { conn: ConnId(key) });
            self.close(now, key);
        }
    }

    /// The connection broke: nothing can be sent any more.
    pub(super) fn lost(&mut self, now: Now, key: Key) {
        if let Some(conn) = self.conns.remove(key)
            && matches!(conn.phase, Phase::Open)
        {
            self.engine.handle(now, Input::Closed { conn: ConnId(key) });
        }
    }

    /// Closes the socket of a connection that the engine does not know.
    pub(super) fn drop_conn(&mut self, key: Key) {
        self.conns.remove(key);
    }

    /// Puts a connection on the ready list.
    pub(super) fn requeue(&mut self, key: Key) {
        if let Some(conn) = self.conns.get_mut(key)
            && conn.wakeup.enqueue()
        {
            self.list.push_back(key);
        }
    }
}

fn write(conn: &mut Conn, engine: &mut Engine, ciphertext: &mut Vec<u8>, now: Now, id: ConnId) -> Put {
    match write_tail(conn) {
        Put::All if conn.owed > 0 => engine.sent(now, id, std::mem::take(&mut conn.owed)),
        Put::All => {}
        other => return other,
    }
    let mut budget = BYTES_PER_TURN;
    loop {
        let mut slices = [&[][..]; SLICES];
        let count = engine.outgoing(id, &mut slices);
        let slices = &slices[..count];
        let result = match &conn.tls {
            None => write_plain(conn, slices),
            Some(tls) if tls.is_open() => write_record(conn, slices, ciphertext),
            // There is no way to say it, neither in clear nor in cipher: only the handshake's own bytes are sent.
            Some(_) => write_record(conn, &[], ciphertext).map(|_| slices.iter().map(|s| s.len()).sum()),
        };
        match result {
            Ok(0) => return Put::All,
            Ok(n) => {
                engine.sent(now, id, n);
                budget = budget.saturating_sub(n);
                if budget == 0 {
                    return Put::Enough;
                }
            }
            Err(put) => {
                if matches!(put, Put::Blocked) {
                    // The engine measures since when nothing moves.
                    engine.sent(now, id, 0);
                }
                return put;
            }
        }
    }
}

/// Writes once. Returns how many bytes were sent, 0 if there was nothing to send.
fn write_plain(conn: &mut Conn, slices: &[&[u8]]) -> Result<usize, Put> {
    if slices.is_empty() {
        return Ok(0);
    }
    if let [one] = slices {
        return write_once(conn, &[IoSlice::new(one)]);
    }
    let mut pieces = [IoSlice::new(&[]); SLICES];
    for (piece, slice) in pieces.iter_mut().zip(slices) {
        *piece = IoSlice::new(slice);
    }
    write_once(conn, &pieces[..slices.len()])
}

/// Writes one record of TLS. Returns how many bytes of `slices` were sent with it; those of a record that did not fit
/// are owed.
fn write_record(conn: &mut Conn, slices: &[&[u8]], ciphertext: &mut Vec<u8>) -> Result<usize, Put> {
    ciphertext.clear();
    let Some(tls) = &mut conn.tls else { return Ok(0) };
    let plain = tls.write(slices, ciphertext).map_err(|fault| Put::Lost(io::Error::other(fault)))?;
    let mut rest = &ciphertext[..];
    while !rest.is_empty() {
        match write_once(conn, &[IoSlice::new(rest)]) {
            Ok(n) => rest = &rest[n..],
            Err(Put::Blocked) => {
                conn.tail.extend_from_slice(rest);
                conn.owed = plain;
                return Err(Put::Blocked);
            }
            Err(put) => return Err(put),
        }
    }
    Ok(plain)
}

fn write_tail(conn: &mut Conn) -> Put {
    let mut tail = std::mem::take(&mut conn.tail);
    let mut start = 0;
    let put = loop {
        if start == tail.len() {
            return Put::All;
        }
        match write_once(conn, &[IoSlice::new(&tail[start..])]) {
            Ok(n) => start += n,
            Err(put) => break put,
        }
    };
    tail.drain(..start);
    conn.tail = tail;
    put
}

/// One write of at least one byte.
fn write_once(conn: &mut Conn, pieces: &[IoSlice<'_>]) -> Result<usize, Put> {
    let waker = conn.waker();
    let mut cx = Context::from_waker(waker.as_ref().unwrap_or(Waker::noop()));
    loop {
        match conn.socket.poll_write(&mut cx, pieces) {
            Poll::Pending => return Err(Put::Blocked),
            Poll::Ready(Ok(0)) => return Err(Put::Lost(io::ErrorKind::WriteZero.into())),
            Poll::Ready(Ok(n)) => return Ok(n),
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            Poll::Ready(Err(error)) => return Err(Put::Lost(error)),
        }
    }
}
