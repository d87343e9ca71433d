//! The tls-exporter channel binding (RFC 9266), derived while the handshake runs.
//!
//! The pipe's interface to the TLS library has no exporter. The library does show secrets to a key log, so ours takes
//! the exporter secret, derives the one value that SASL needs on the spot, and keeps nothing else. The log is shared by
//! all connections of a configuration; what belongs to which is settled by time: a pipe opens its [`Notes`] on its
//! thread, calls the library, and takes them back before anything else can run there.

use hmac::{Hmac, KeyInit, Mac};
use rustls::KeyLog;
use sha2::{Digest, Sha256, Sha384};
use std::cell::RefCell;
use zeroize::{Zeroize, Zeroizing};

/// The label of RFC 9266 §4.2; the context is empty and the length 32 bytes.
const LABEL: &[u8] = b"EXPORTER-Channel-Binding";

/// What a handshake leaves behind that the TLS library does not keep for us.
#[derive(Default)]
pub(super) struct Notes {
    /// The channel binding; only TLS 1.3 has one here.
    pub(super) exporter: Option<Zeroizing<[u8; 32]>>,
    /// The server name that the client asked for (RFC 6066 §3).
    pub(super) server_name: Option<String>,
}

thread_local! {
    static NOTES: RefCell<Option<Box<Notes>>> = const { RefCell::new(None) };
}

/// Runs one call into the TLS library with `notes` open for it to write into.
pub(super) fn noting<T>(notes: &mut Option<Box<Notes>>, call: impl FnOnce() -> T) -> T {
    NOTES.set(notes.take());
    let result = call();
    *notes = NOTES.take();
    result
}

/// Writes into the notes of the connection that is being handled on this thread, if it takes any.
pub(super) fn note(write: impl FnOnce(&mut Notes)) {
    NOTES.with_borrow_mut(|notes| {
        if let Some(notes) = notes {
            write(notes);
        }
    });
}

/// The key log of every server configuration.
#[derive(Debug)]
pub(super) struct ExporterLog;

impl KeyLog for ExporterLog {
    fn log(&self, label: &str, _client_random: &[u8], secret: &[u8]) {
        if self.will_log(label) {
            note(|notes| notes.exporter = channel_binding(secret));
        }
    }

    fn will_log(&self, label: &str) -> bool {
        label == "EXPORTER_SECRET"
    }
}

/// The exporter of RFC 8446 §7.5 with the label of RFC 9266, from the exporter master secret. The secret's length tells
/// the hash of the negotiated cipher suite: the suites of TLS 1.3 have SHA-256 or SHA-384.
fn channel_binding(secret: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    match secret.len() {
        32 => Some(export::<Hmac<Sha256>, Sha256>(secret)),
        48 => Some(export::<Hmac<Sha384>, Sha384>(secret)),
        _ => None,
    }
}

fn export<M: Mac + KeyInit, D: Digest>(secret: &[u8]) -> Zeroizing<[u8; 32]> {
    let empty = D::digest(b"");
    let mut derived = Zeroizing::new([0; 48]);
    let derived = &mut derived[..secret.len()];
    expand_label::<M>(secret, LABEL, &empty, derived);
    let mut binding = Zeroizing::new([0; 32]);
    expand_label::<M>(derived, b"exporter", &empty, &mut binding[..]);
    binding
}

/// HKDF-Expand-Label (RFC 8446 §7.1) for outputs of at most one hash, which need a single HMAC.
fn expand_label<M: Mac + KeyInit>(secret: &[u8], label: &[u8], context: &[u8], out: &mut [u8]) {
    let mut mac = <M as KeyInit>::new_from_slice(secret).expect("HMAC takes keys of any length");
    // Every length below is a constant under 256.
    mac.update(&[0, out.len() as u8, 6 + label.len() as u8]);
    mac.update(b"tls13 ");
    mac.update(label);
    mac.update(&[context.len() as u8]);
    mac.update(context);
    mac.update(&[1]);
    let mut block = mac.finalize().into_bytes();
    out.copy_from_slice(&block[..out.len()]);
    block.as_mut_slice().zeroize();
}
