//! One connection's TLS, on the server's side.

use super::config::{Loaded, Tls, TlsPurpose};
use super::error::TlsFault;
use super::exporter::{Notes, noting};
use super::info::{ClientCertificate, TlsEvent, TlsInfo, TlsVersion};
use super::record;
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    AppDataRecord, ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus, WriteTraffic,
};
use std::sync::Arc;

/// Bytes of plaintext in one record (RFC 8446 §5.1).
const PLAINTEXT_BYTES_MAX: usize = 16_384;
/// What a record is longer than its plaintext with the ciphers in use, at most, and room for a key update before it. A
/// guess that may be wrong: then the library says what it needs.
const RECORD_OVERHEAD_BYTES: usize = 64;
/// Bytes that an unfinished handshake message may keep: the largest honest one is a client's chain of certificates.
const HANDSHAKE_BYTES_MAX: usize = 32 * 1024;

/// One server connection. It is made for the driver's loop: ciphertext is read into the worker's scratch and given to
/// [`feed`](TlsPipe::feed), output is collected by [`write`](TlsPipe::write) into another scratch.
///
/// A connection at rest holds the TLS library's state (about 2 KiB) and no buffer. It may move between threads.
pub struct TlsPipe {
    connection: UnbufferedServerConnection,
    /// Bytes that the library must see again: handshake messages cut over records, and then the beginning of a record.
    tail: Vec<u8>,
    /// Where in `tail` the record begins that is not whole yet; before that the library has looked.
    tail_record: usize,
    /// Ciphertext to send that is nobody's plaintext: handshake, tickets, alerts.
    pending: Vec<u8>,
    stage: Stage,
    closed_by_peer: bool,
    closed_here: bool,
}

/// The library's state in which plaintext can be written.
type Writing<'a> = WriteTraffic<'a, ServerConnectionData>;

enum Stage {
    Handshake { loaded: Arc<Loaded>, notes: Option<Box<Notes>> },
    Open(Option<Box<TlsInfo>>),
    Failed(TlsFault),
}

impl TlsPipe {
    /// A connection that waits for its client's first bytes, with the settings in force now.
    #[must_use]
    pub fn new(tls: &Tls, purpose: TlsPurpose) -> TlsPipe {
        let loaded = tls.loaded();
        let connection = UnbufferedServerConnection::new(loaded.server_config(purpose))
            .expect("the library refuses fragment sizes only, and ours is its default");
        TlsPipe {
            connection,
            tail: Vec::new(),
            tail_record: 0,
            pending: Vec::new(),
            stage: Stage::Handshake { loaded, notes: Some(Box::default()) },
            closed_by_peer: false,
            closed_here: false,
        }
    }

    /// Takes received ciphertext, all of it, and reports what it meant. The bytes are overwritten in the course of
    /// decryption. Afterwards there may be something to [`write`](TlsPipe::write), also when this failed.
    ///
    /// # Errors
    /// The connection is over; events before the fault were reported. Every later call repeats it.
    pub fn feed(&mut self, ciphertext: &mut [u8], on: &mut dyn FnMut(TlsEvent<'_>)) -> Result<(), TlsFault> {
        if let Stage::Failed(fault) = &self.stage {
            return Err(fault.clone());
        }
        let result = self.take(ciphertext, on);
        if let Err(fault) = &result {
            self.stage = Stage::Failed(fault.clone());
            self.drop_tail();
        }
        result
    }

    /// What the handshake told; `None` before its end and after [`forget`](TlsPipe::forget).
    #[must_use]
    pub fn established(&self) -> Option<&TlsInfo> {
        match &self.stage {
            Stage::Open(info) => info.as_deref(),
            _ => None,
        }
    }

    /// Erases what the handshake told, channel binding first of all: for when authentication is done.
    pub fn forget(&mut self) {
        if let Stage::Open(info) = &mut self.stage {
            *info = None;
        }
    }

    /// Whether there is ciphertext to send without any new plaintext.
    #[must_use]
    pub fn wants_write(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Appends to `out` what is to be sent: first anything that is pending (handshake, alerts), then `plain` in one
    /// record of at most 16 KiB. Returns how many bytes of `plain` that were: 0 while the handshake runs, and after
    /// this side or a fault closed the connection.
    ///
    /// # Errors
    /// The connection is over, and cannot even say so to the peer.
    pub fn write(&mut self, plain: &[&[u8]], out: &mut Vec<u8>) -> Result<usize, TlsFault> {
        if !self.pending.is_empty() {
            out.append(&mut std::mem::take(&mut self.pending));
        }
        if !matches!(self.stage, Stage::Open(_)) || self.closed_here {
            return Ok(0);
        }
        let length = plain.iter().map(|part| part.len()).sum::<usize>().min(PLAINTEXT_BYTES_MAX);
        if length == 0 {
            return Ok(0);
        }
        let result = self.encrypt(out, |traffic, out| seal(traffic, plain, length, out));
        if let Err(fault) = &result {
            self.stage = Stage::Failed(fault.clone());
        }
        result.map(|()| length)
    }

    /// Appends to `out` anything that is pending and `close_notify`, once: the peer then knows that it has everything.
    /// Nothing can be written after. Before the end of the handshake, and after a fault, only what is pending.
    pub fn close(&mut self, out: &mut Vec<u8>) {
        out.append(&mut std::mem::take(&mut self.pending));
        if matches!(self.stage, Stage::Open(_)) && !self.closed_here {
            let result = self.encrypt(out, |traffic, out| {
                append(out, RECORD_OVERHEAD_BYTES, 0, |room, _| traffic.queue_close_notify(room))
            });
            if let Err(fault) = result {
                self.stage = Stage::Failed(fault);
            }
        }
        self.closed_here = true;
    }

    /// Bytes of all buffers.
    #[cfg(test)]
    pub(super) fn kept_bytes(&self) -> usize {
        self.tail.capacity() + self.pending.capacity()
    }

    /// Whether it owns no buffer at all.
    #[cfg(test)]
    pub(super) fn at_rest(&self) -> bool {
        self.kept_bytes() == 0
    }

    fn take(&mut self, mut rest: &mut [u8], on: &mut dyn FnMut(TlsEvent<'_>)) -> Result<(), TlsFault> {
        while !rest.is_empty() && !self.closed_by_peer {
            if self.tail.is_empty() {
                let whole = record::whole(rest);
                if whole == 0 {
                    self.tail.extend_from_slice(rest);
                    break;
                }
                let (now, later) = rest.split_at_mut(whole);
                let used = self.run(now, on)?;
                self.keep(&now[used..])?;
                rest = later;
            } else {
                let missing = record::missing(&self.tail[self.tail_record..]);
                let (now, later) = rest.split_at_mut(missing.min(rest.len()));
                self.tail.extend_from_slice(now);
                rest = later;
                if record::missing(&self.tail[self.tail_record..]) == 0 {
                    let mut tail = std::mem::take(&mut self.tail);
                    let used = self.run(&mut tail, on)?;
                    self.keep(&tail[used..])?;
                }
            }
        }
        if self.closed_by_peer {
            self.drop_tail();
        }
        Ok(())
    }

    /// Keeps what the library wants to see again: parts of a handshake message, up to the end of a record.
    fn keep(&mut self, unused: &[u8]) -> Result<(), TlsFault> {
        if unused.len() > HANDSHAKE_BYTES_MAX {
            return Err(TlsFault::Oversized);
        }
        self.tail = unused.to_vec();
        self.tail_record = self.tail.len();
        Ok(())
    }

    fn drop_tail(&mut self) {
        self.tail = Vec::new();
        self.tail_record = 0;
    }

    /// Hands bytes to the library until it wants more, and reports what comes out. Returns how many of them it is done
    /// with.
    fn run(&mut self, bytes: &mut [u8], on: &mut dyn FnMut(TlsEvent<'_>)) -> Result<usize, TlsFault> {
        let mut used = 0;
        loop {
            let connection = &mut self.connection;
            let rest = &mut bytes[used..];
            let (UnbufferedStatus { mut discard, state, .. }, opening) = match &mut self.stage {
                Stage::Handshake { notes, .. } => {
                    (noting(notes, || connection.process_tls_records(rest)), true)
                }
                _ => (connection.process_tls_records(rest), false),
            };
            // Plaintext in the same step as the end of the handshake: for after the announcement.
            let mut early = Vec::new();
            let mut wants_more = false;
            let mut closed = false;
            match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(Ok(AppDataRecord { discard: more, payload })) = traffic.next_record() {
                        discard += more;
                        match payload {
                            [] => {}
                            payload if opening => early.push(payload.to_vec()),
                            payload => on(TlsEvent::Plain(payload)),
                        }
                    }
                }
                Ok(ConnectionState::EncodeTlsData(data)) => encode(data, &mut self.pending),
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::PeerClosed) => closed = true,
                // Wanting more is the rest of them; early data is never accepted.
                Ok(_) => wants_more = true,
                Err(error) => {
                    drain(connection, &mut self.pending);
                    return Err(fault(&error, opening));
                }
            }
            used += discard;
            self.announce(on);
            for payload in &early {
                on(TlsEvent::Plain(payload));
            }
            if closed {
                self.closed_by_peer = true;
                on(TlsEvent::Closed);
                return Ok(bytes.len());
            }
            if wants_more {
                return Ok(used);
            }
        }
    }

    /// The end of the handshake, if this is it.
    fn announce(&mut self, on: &mut dyn FnMut(TlsEvent<'_>)) {
        let Stage::Handshake { loaded, notes } = &mut self.stage else { return };
        if self.connection.is_handshaking() {
            return;
        }
        let Notes { exporter, server_name } = notes.take().map(|notes| *notes).unwrap_or_default();
        let version = match self.connection.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_3) => TlsVersion::V1_3,
            _ => TlsVersion::V1_2,
        };
        let alpn = self.connection.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned());
        let client = match (&loaded.authorities, self.connection.peer_certificates()) {
            (Some(authorities), Some([own, intermediates @ ..])) => authorities.judge(own, intermediates),
            _ => ClientCertificate::Absent,
        };
        let info = Box::new(TlsInfo { exporter, server_name, client, version, alpn });
        on(TlsEvent::Established(&info));
        self.stage = Stage::Open(Some(info));
    }

    /// Has something encrypted, to the end of `out` and after whatever the library had queued.
    fn encrypt(
        &mut self,
        out: &mut Vec<u8>,
        act: impl FnOnce(&mut Writing<'_>, &mut Vec<u8>) -> Result<(), EncryptError>,
    ) -> Result<(), TlsFault> {
        loop {
            // It sees nothing new: whole records never wait. But it must see what it has seen before.
            let UnbufferedStatus { state, .. } = self.connection.process_tls_records(&mut self.tail);
            match state {
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    return act(&mut traffic, out).map_err(|error| TlsFault::Local(error.to_string()));
                }
                Ok(ConnectionState::EncodeTlsData(data)) => encode(data, out),
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(state) => return Err(TlsFault::Local(format!("cannot write in the state {state:?}"))),
                Err(error) => return Err(fault(&error, false)),
            }
        }
    }
}

impl std::fmt::Debug for TlsPipe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let stage = match &self.stage {
            Stage::Handshake { .. } => "handshake",
            Stage::Open(_) => "open",
            Stage::Failed(_) => "failed",
        };
        f.debug_struct("TlsPipe")
            .field("stage", &stage)
            .field("tail", &self.tail.len())
            .field("pending", &self.pending.len())
            .finish_non_exhaustive()
    }
}

/// Appends the first `length` bytes of `plain` in one record. The library wants them in one piece: what is in several
/// is put together in the far end of `out`, which saves a buffer.
fn seal(
    traffic: &mut Writing<'_>,
    plain: &[&[u8]],
    length: usize,
    out: &mut Vec<u8>,
) -> Result<(), EncryptError> {
    match plain.iter().find(|part| !part.is_empty()) {
        Some(part) if part.len() >= length => {
            append(out, length + RECORD_OVERHEAD_BYTES, 0, |room, _| traffic.encrypt(&part[..length], room))
        }
        _ => append(out, length + RECORD_OVERHEAD_BYTES, length, |room, gathered| {
            gather(plain, gathered);
            traffic.encrypt(gathered, room)
        }),
    }
}

/// Lets `write` fill the end of `out`, with `room` bytes or as many more as it asks for, and `spare` bytes beside.
fn append(
    out: &mut Vec<u8>,
    mut room: usize,
    spare: usize,
    mut write: impl FnMut(&mut [u8], &mut [u8]) -> Result<usize, EncryptError>,
) -> Result<(), EncryptError> {
    let start = out.len();
    loop {
        out.resize(start + room + spare, 0);
        let (target, beside) = out[start..].split_at_mut(room);
        let result = write(target, beside);
        out.truncate(start + *result.as_ref().unwrap_or(&0));
        match result {
            Err(EncryptError::InsufficientSize(needed)) if needed.required_size > room => {
                room = needed.required_size;
            }
            result => return result.map(drop),
        }
    }
}

/// Fills `target` from the front of `parts`.
fn gather(parts: &[&[u8]], mut target: &mut [u8]) {
    for part in parts {
        let (now, later) = target.split_at_mut(part.len().min(target.len()));
        now.copy_from_slice(&part[..now.len()]);
        target = later;
    }
}

/// Appends one piece of the library's own output.
fn encode<Data>(mut data: EncodeTlsData<'_, Data>, out: &mut Vec<u8>) {
    let start = out.len();
    loop {
        match data.encode(&mut out[start..]) {
            Ok(written) => return out.truncate(start + written),
            Err(EncodeError::InsufficientSize(needed)) => out.resize(start + needed.required_size, 0),
            Err(EncodeError::AlreadyEncoded) => unreachable!("a piece is encoded once and then dropped"),
        }
    }
}

/// Appends what the library has queued without being asked. It looks at no input while anything is queued, so it needs
/// none: to show it any after an error would make it stumble over the same bytes again.
fn drain(connection: &mut UnbufferedServerConnection, out: &mut Vec<u8>) {
    while connection.wants_write() {
        match connection.process_tls_records(&mut []).state {
            Ok(ConnectionState::EncodeTlsData(data)) => encode(data, out),
            _ => return,
        }
    }
}

/// The library's error in our words.
fn fault(error: &rustls::Error, opening: bool) -> TlsFault {
    use rustls::{Error, InvalidMessage};
    match error {
        Error::InvalidMessage(
            InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
        ) if opening => TlsFault::NotTls,
        Error::InvalidMessage(InvalidMessage::HandshakePayloadTooLarge) => TlsFault::Oversized,
        Error::AlertReceived(alert) => TlsFault::Alert(format!("{alert:?}")),
        Error::General(_)
        | Error::HandshakeNotComplete
        | Error::FailedToGetCurrentTime
        | Error::FailedToGetRandomBytes
        | Error::EncryptError
        | Error::InconsistentKeys(_) => TlsFault::Local(error.to_string()),
        _ => TlsFault::Peer(error.to_string()),
    }
}
