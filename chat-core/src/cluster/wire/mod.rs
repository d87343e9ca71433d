//! What nodes say to each other, as bytes: the frames of a link, and how two versions of them agree.
//!
//! Owns: the primitives of the encoding ([`Reader`], [`Writer`]), the range of protocol versions and its negotiation
//! ([`Versions`]), where a frame begins and ends ([`read_frame`], [`write_frame`]), which kinds of frames there are
//! ([`Kind`]), and the bodies of those whose content is fixed here: the hello and its proofs, what the link says to
//! itself ([`Control`]), envelopes and their results, pokes, changes of what is stored, sessions that move, what a node says
//! of itself, and that it leaves.
//! In: bytes, cut by nothing but the frames themselves. Out: values that borrow from them, or a [`WireFault`].
//! Invariants:
//! - Reading never panics, and never allocates more than the bytes at hand justify: a length is compared with what is
//!   there before anything is done with it.
//! - There is one encoding for each value, and what is written reads back: numbers have no longer forms, nothing may
//!   follow the last field. The hello alone may grow: it comes before anybody knows the version.
//! - A body is written and read at the negotiated version. A field is never added to a body of an old version; a new kind
//!   either lies in the range that older nodes skip, or is not sent to them ([`Kind::of_byte`]).
//! - The datagrams of the membership have no version: another format would be another kind.
//! - The bytes of each version are frozen in a file of their own, `golden_1.txt` and so on.
//!
//! Layout: a frame is its length (4 bytes, big end first, of what follows), its kind (1 byte), its number if it is one
//! that is sent again after a cut (varint), and its body. Numbers are LEB128 in at most ten bytes; text and bytes follow
//! their length.
//!
//! Not here: who may send what when (`cluster/handshake.rs`, `cluster/link/`), and the bodies that belong to others: the
//! records of the registry, the datagrams of the membership (each beside its machine, written with the primitives of this
//! folder).

mod codec;
mod control;
mod envelope;
mod frame;
mod hello;
mod kind;
mod notice;
mod rewrite;
mod session;
mod version;

#[cfg(test)]
mod golden;
#[cfg(test)]
mod laws;

pub use crate::effect::{ATTEMPTS_MAX, Outcome, Parcel, Refused, Targets};
pub use codec::{Reader, UNVERSIONED, WireFault, Writer};
pub use control::{Bye, Control, Join};
pub use envelope::{Envelope, EnvelopeResult, TARGETS_BYTES_MAX};
pub use frame::{FRAME_HEAD_BYTES_MAX, Frame, read_frame, write_frame, write_head};
pub use hello::{Hello, PROOF_BYTES, Proof, Refusal};
pub use kind::{Kind, Seen};
pub use notice::{Health, Leaving, Poke, RELEASE_BYTES_MAX, Role, Status, UserChanged};
pub use rewrite::rewritten;
pub use session::{
    SessionAnswer, SessionAsk, SessionOffer, SessionPart, SessionRefuse, SessionWord, read_session,
    write_session,
};
pub use version::{Versions, VersionsApart};
