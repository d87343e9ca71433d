//! Two nodes meet: who are you, do we speak the same, and do you know the secret?
//!
//! Owns: the greeting on a fresh TLS connection between two nodes ([`Handshake`]), the secrets of a cluster
//! ([`Secrets`]), and every reason why there will be no link ([`HandshakeError`]).
//! In: received bytes, the end of the connection, time; at the start what the driver knows of the connection
//! ([`Channel`]). Out: bytes, and once either [`Greeted`] or an error.
//!
//! The dialler sends its hello, the listener answers with its own. With E the exporter of the TLS connection, K derived from
//! the secret by HKDF, and T both hellos, the dialler's first, each behind its length, the dialler sends
//! `HMAC-SHA-256(K, "dial" ‖ T ‖ E)`. The listener compares, and only then sends `HMAC-SHA-256(K, "listen" ‖ T ‖ E)`. Nobody
//! between the two can pass proofs on (his connections have other exporters), and neither proof serves as the other. Who
//! plays a listener gets a proof to try guesses on, so a secret has to be one that cannot be guessed. A dialler that knows
//! two secrets (while they are replaced) sends a proof for each; the listener answers with the one that it knows, too.
//! Nodes that go by certificates send empty proofs: the driver has verified a certificate for the name.
//!
//! Invariants: before the proofs only hellos, proofs and refusals are read, and no more than
//! [`LINK_GREETING_BYTES_MAX`] bytes; proofs are compared in constant time; names are judged once they are proved; both
//! sides learn why they part, unless the connection breaks.
//! Not here: which of several connections becomes the link (`cluster/link/`), sockets, TLS and certificates
//! (`chat-net`).

mod doubt;
mod secrets;

use std::fmt;

use smol_str::SmolStr;
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

use super::identity::{Identity, NodeName};
use super::wire::{
    Hello, Kind, PROOF_BYTES, Proof, Refusal, Seen, Versions, VersionsApart, WireFault, read_frame,
    write_frame,
};
use crate::base::limits::{LINK_GREETING_BYTES_MAX, LINK_GREETING_FRAME_BYTES_MAX};
use crate::base::{Mono, Span};

pub use doubt::{CertificateFault, Doubt};
use secrets::hmac;
pub use secrets::{SecretTooShort, Secrets};

/// Bytes of the exporter of a TLS connection that a handshake wants.
pub const EXPORTER_BYTES: usize = 32;
/// The label under which the exporter is asked for; without context.
pub const EXPORTER_LABEL: &[u8] = b"EXPORTER-chat-link";

/// By what nodes believe each other.
#[derive(Debug, Clone)]
pub enum Trust {
    /// Who knows the secret is a member.
    Secrets(Secrets),
    /// Who shows a certificate of the cluster's authority for the name it says is a member. The driver verifies it and
    /// names it in [`Channel::certified`].
    Certificates,
}

/// What this node says of itself, and whom it believes.
#[derive(Debug, Clone)]
pub struct Myself {
    /// Who it is.
    pub identity: Identity,
    /// What it speaks: [`Versions::OURS`], but for tests.
    pub versions: Versions,
    /// The name of its cluster; empty if it was given none.
    pub cluster: SmolStr,
    /// By what it believes others.
    pub trust: Trust,
}

/// Which end of a connection this is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Side {
    /// This node dialled: to reach this node, if it knew whom.
    Dialler(Option<NodeName>),
    /// The other node dialled.
    Listener,
}

/// What the driver knows of the connection.
#[derive(Clone)]
pub struct Channel {
    /// [`EXPORTER_BYTES`] bytes of the exporter for [`EXPORTER_LABEL`] (RFC 8446 §7.5): both ends have the same, and
    /// no other connection has.
    pub exporter: Zeroizing<[u8; EXPORTER_BYTES]>,
    /// The names in the other node's certificate, if the cluster's authority vouches for it; else none.
    pub certified: Vec<NodeName>,
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").field("certified", &self.certified).finish_non_exhaustive()
    }
}

/// Why there will be no link over this connection. Said on both sides, unless the connection broke.
///
/// Nothing has changed; the connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// This node refuses the other.
    #[error("this node refuses the other: {0}")]
    Refused(Refusal),
    /// The other node refuses this one.
    #[error("the other node refuses this one: {0}")]
    RefusedUs(Refusal),
    /// They have no version in common; each sees it for itself.
    #[error(transparent)]
    Versions(#[from] VersionsApart),
    /// Something else than a node is at the other end, or one that breaks the protocol.
    #[error("what the other side says is no greeting of a node: {0}")]
    Malformed(#[from] WireFault),
    /// One side does not believe the certificate of the other. There was no greeting.
    #[error(transparent)]
    Certificate(#[from] CertificateFault),
    /// More bytes than any greeting has.
    #[error("the other side says more than a greeting has")]
    TooMuch,
    /// The connection ended.
    #[error("the connection ended before the greeting was over")]
    Closed,
}

/// A node that is who it says it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Greeted {
    /// The other node.
    pub peer: Identity,
    /// The protocol version from here on.
    pub version: u16,
    /// This node dialled.
    pub dialled: bool,
}

/// What a handshake is told.
#[derive(Debug, Clone, Copy)]
pub enum HandshakeInput<'a> {
    /// Bytes that arrived.
    Received(&'a [u8]),
    /// No more bytes will.
    Closed,
    /// No more bytes will, and TLS has told why.
    Denied(CertificateFault),
    /// Nothing: time has passed.
    Timer,
}

#[derive(Debug)]
enum Phase {
    /// Their hello comes next.
    Hello,
    /// Their proof comes next; T is known.
    Proof { peer: Identity, version: u16, both: Vec<u8> },
}

/// The greeting on one connection.
#[derive(Debug)]
pub struct Handshake {
    me: Myself,
    side: Side,
    channel: Channel,
    phase: Phase,
    over: bool,
    own_hello: Vec<u8>,
    /// Who the other side says it is.
    claimed: Option<Identity>,
    inbox: Vec<u8>,
    /// Bytes taken before it is over.
    taken: usize,
    out: Vec<u8>,
    deadline: Mono,
    result: Option<Result<Greeted, HandshakeError>>,
}

impl Handshake {
    /// The greeting on a connection whose TLS is done. It takes `timeout` at most.
    pub fn new(now: Mono, me: Myself, side: Side, channel: Channel, timeout: Span) -> Handshake {
        let mut own_hello = Vec::new();
        let hello =
            Hello { versions: me.versions, identity: me.identity.clone(), cluster: me.cluster.clone() };
        hello.write(&mut own_hello);
        let mut this = Handshake {
            me,
            side,
            channel,
            phase: Phase::Hello,
            over: false,
            own_hello,
            claimed: None,
            inbox: Vec::new(),
            taken: 0,
            out: Vec::new(),
            deadline: now + timeout,
            result: None,
        };
        if this.dialled() {
            write_frame(&mut this.out, Kind::Hello, None, &this.own_hello);
        }
        this
    }

    /// Something happened. When it is over, further input is kept for the link ([`Handshake::into_parts`]).
    pub fn handle(&mut self, now: Mono, input: HandshakeInput<'_>) {
        match input {
            HandshakeInput::Received(bytes) => self.on_received(bytes),
            HandshakeInput::Closed => self.end(Err(HandshakeError::Closed)),
            HandshakeInput::Denied(fault) => self.end(Err(fault.into())),
            HandshakeInput::Timer => {}
        }
        if now >= self.deadline {
            self.refuse(Refusal::Late);
        }
    }

    /// How it ended, once.
    pub fn poll_output(&mut self) -> Option<Result<Greeted, HandshakeError>> {
        self.result.take()
    }

    /// When it has taken too long.
    pub fn poll_timeout(&self) -> Option<(Mono, &'static str)> {
        (!self.is_over()).then_some((self.deadline, "the greeting of a node takes too long"))
    }

    /// Bytes to send.
    pub fn outgoing(&self) -> &[u8] {
        &self.out
    }

    /// The first `n` of them have been sent.
    pub fn sent(&mut self, n: usize) {
        self.out.drain(..n);
    }

    /// Who the other side says it is; to be believed only once it is [`Greeted`].
    pub fn claimed(&self) -> Option<&Identity> {
        self.claimed.as_ref()
    }

    /// Whether it has ended, one way or the other.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// What is left when it is over: bytes not sent yet, and bytes received that belong to the link.
    pub fn into_parts(self) -> (Vec<u8>, Vec<u8>) {
        (self.out, self.inbox)
    }

    fn dialled(&self) -> bool {
        matches!(self.side, Side::Dialler(_))
    }

    fn on_received(&mut self, bytes: &[u8]) {
        let room = if self.is_over() { bytes.len() } else { LINK_GREETING_BYTES_MAX - self.taken };
        let (now, later) = bytes.split_at(room.min(bytes.len()));
        self.inbox.extend_from_slice(now);
        self.taken += now.len();
        while !self.is_over() {
            match read_frame(&self.inbox, self.me.versions.max, LINK_GREETING_FRAME_BYTES_MAX) {
                Ok(None) => break,
                Ok(Some((frame, n))) => {
                    let (seen, body) = (frame.seen, frame.body.to_vec());
                    self.inbox.drain(..n);
                    self.on_frame(seen, &body);
                }
                Err(fault) => self.break_off(fault.into()),
            }
        }
        if self.is_over() {
            self.inbox.extend_from_slice(later);
        } else if self.taken == LINK_GREETING_BYTES_MAX {
            self.break_off(HandshakeError::TooMuch);
        }
    }

    fn on_frame(&mut self, seen: Seen, body: &[u8]) {
        let done = match (&self.phase, seen) {
            (_, Seen::Known(Kind::Refuse)) => match Refusal::read(body) {
                Ok(refusal) => {
                    self.end(Err(HandshakeError::RefusedUs(refusal)));
                    Ok(())
                }
                Err(fault) => Err(fault),
            },
            (Phase::Hello, Seen::Known(Kind::Hello)) => self.on_hello(body),
            (Phase::Proof { .. }, Seen::Known(Kind::Proof)) => self.on_proof(body),
            (_, Seen::Known(kind)) => Err(WireFault::Turn(kind.byte())),
            (_, Seen::Skip) => Err(WireFault::Value),
        };
        if let Err(fault) = done {
            self.break_off(fault.into());
        }
    }

    fn on_hello(&mut self, body: &[u8]) -> Result<(), WireFault> {
        let hello = Hello::read(body)?;
        self.claimed = Some(hello.identity.clone());
        // The dialler learns from it what there is, also if it is refused.
        if !self.dialled() {
            write_frame(&mut self.out, Kind::Hello, None, &self.own_hello);
        }
        let version = match self.me.versions.agree(hello.versions) {
            Ok(version) => version,
            Err(apart) => {
                self.say(Refusal::Versions(self.me.versions));
                self.end(Err(apart.into()));
                return Ok(());
            }
        };
        if hello.cluster != self.me.cluster {
            self.refuse(Refusal::Cluster);
            return Ok(());
        }
        let both = self.both(body);
        if self.dialled() {
            let proofs: Vec<_> = self.keys().iter().map(|key| *self.proof(key, b"dial", &both)).collect();
            self.write_proof(&proofs);
        }
        self.phase = Phase::Proof { peer: hello.identity, version, both };
        Ok(())
    }

    fn on_proof(&mut self, body: &[u8]) -> Result<(), WireFault> {
        let proofs = Proof::read(body)?;
        let Phase::Proof { peer, version, both } = std::mem::replace(&mut self.phase, Phase::Hello) else {
            unreachable!("a proof is looked at only after a hello");
        };
        let label: &[u8] = if self.dialled() { b"listen" } else { b"dial" };
        let known = match (&self.me.trust, proofs.0) {
            (Trust::Secrets(_), [] | [_, _]) if self.dialled() => Err(Refusal::Method),
            (Trust::Secrets(_), []) | (Trust::Certificates, [_, ..]) => Err(Refusal::Method),
            (Trust::Secrets(_), proofs) => self.known_key(proofs, label, &both).ok_or(Refusal::Secret),
            (Trust::Certificates, []) if self.channel.certified.is_empty() => Err(Refusal::Method),
            (Trust::Certificates, []) => Ok(0),
        };
        let judged = known.and_then(|key| self.judge(&peer).map(|()| key));
        match judged {
            Err(refusal) => {
                // Who bears a name that is taken has to know it from a member, since it has to stop.
                if let (Ok(key), Refusal::NameTaken(_), false) = (known, refusal, self.dialled()) {
                    self.answer_proof(key, &both);
                }
                self.refuse(refusal);
            }
            Ok(key) => {
                if !self.dialled() {
                    self.answer_proof(key, &both);
                }
                let dialled = self.dialled();
                self.end(Ok(Greeted { peer, version, dialled }));
            }
        }
        Ok(())
    }

    /// Whether a node that knows the secret is one to be linked with.
    fn judge(&self, peer: &Identity) -> Result<(), Refusal> {
        let me = &self.me.identity;
        if peer.boot == me.boot {
            return Err(Refusal::Itself);
        }
        // Before anything is made of the name: who is taken for a namesake may stop a node.
        let certified = match self.me.trust {
            Trust::Certificates => self.channel.certified.contains(&peer.name),
            Trust::Secrets(_) => true,
        };
        if !certified {
            return Err(Refusal::Name);
        }
        if peer.name == me.name {
            return Err(Refusal::NameTaken(me.incarnation));
        }
        match &self.side {
            Side::Dialler(Some(name)) if *name != peer.name => Err(Refusal::Name),
            Side::Dialler(_) | Side::Listener => Ok(()),
        }
    }

    /// The number of the key that one of the proofs was made with. All are compared, in full, whatever they are.
    fn known_key(&self, proofs: &[[u8; PROOF_BYTES]], label: &[u8], both: &[u8]) -> Option<usize> {
        let mut found = None;
        for (i, key) in self.keys().iter().enumerate() {
            let expected = self.proof(key, label, both);
            let equal = proofs.iter().fold(Choice::from(0), |any, proof| any | proof.ct_eq(&*expected));
            if equal.into() {
                found.get_or_insert(i);
            }
        }
        found
    }

    fn keys(&self) -> &[Zeroizing<[u8; PROOF_BYTES]>] {
        match &self.me.trust {
            Trust::Secrets(secrets) => &secrets.0,
            Trust::Certificates => &[],
        }
    }

    fn proof(&self, key: &[u8; PROOF_BYTES], label: &[u8], both: &[u8]) -> Zeroizing<[u8; PROOF_BYTES]> {
        hmac(key, &[label, both, &*self.channel.exporter])
    }

    /// Both hellos, the dialler's first, each behind its length.
    fn both(&self, theirs: &[u8]) -> Vec<u8> {
        let (first, second) =
            if self.dialled() { (&self.own_hello[..], theirs) } else { (theirs, &self.own_hello[..]) };
        let mut both = Vec::with_capacity(first.len() + second.len() + 8);
        for hello in [first, second] {
            both.extend_from_slice(&(hello.len() as u32).to_be_bytes());
            both.extend_from_slice(hello);
        }
        both
    }

    /// The listener's proof, made with the key that the dialler's was made with.
    fn answer_proof(&mut self, key: usize, both: &[u8]) {
        let proof = self.keys().get(key).map(|key| *self.proof(key, b"listen", both));
        self.write_proof(proof.as_slice());
    }

    fn write_proof(&mut self, proofs: &[[u8; PROOF_BYTES]]) {
        let mut body = Vec::new();
        Proof(proofs).write(&mut body);
        write_frame(&mut self.out, Kind::Proof, None, &body);
    }

    /// Says why, and ends; nothing if it is over.
    pub fn refuse(&mut self, refusal: Refusal) {
        if !self.over {
            self.say(refusal);
            self.end(Err(HandshakeError::Refused(refusal)));
        }
    }

    /// The other side does not keep to the protocol.
    fn break_off(&mut self, error: HandshakeError) {
        self.say(Refusal::Malformed);
        self.end(Err(error));
    }

    fn say(&mut self, refusal: Refusal) {
        let mut body = Vec::new();
        refusal.write(&mut body);
        write_frame(&mut self.out, Kind::Refuse, None, &body);
    }

    fn end(&mut self, result: Result<Greeted, HandshakeError>) {
        if !self.over {
            self.over = true;
            self.result = Some(result);
        }
    }
}

#[cfg(test)]
mod tests;
