//! Extensions of the protocol: one file (or folder) for each, named by the number of its XEP.
//!
//! Owns: what the server does beyond RFC 6120 and RFC 6121, and in which order the extensions see a stanza
//! ([`standard`]).
//! In and out: the hooks of [`ext::Extension`](crate::ext::Extension).
//! Invariants: no extension knows another's inside; what two need lies in `user/` or in what the host lends; an
//! extension keeps no state of users, which belongs to [`User`](crate::user::User).
//! Not here: what stock clients need before they are bound (`session/`), rosters, presence and offline messages
//! (`user/`, `route/`), stream management (`session/`, `engine/`).
//!
//! Each file cites the sections it follows.

mod table;
mod xep0030_disco;
mod xep0077_register;
mod xep0092_version;
mod xep0115_caps;
mod xep0191_blocking;
mod xep0199_ping;
mod xep0202_time;
mod xep0280_carbons;
mod xep0352_csi;

#[cfg(test)]
mod testing;

pub use table::{NAMES, standard};
pub use xep0030_disco::{Disco, Identity};
pub use xep0077_register::Register;
pub use xep0092_version::Version;
pub use xep0115_caps::{Caps, caps_feature};
pub use xep0191_blocking::Blocking;
pub use xep0199_ping::Ping;
pub use xep0202_time::Time;
pub use xep0280_carbons::Carbons;
pub use xep0352_csi::ClientState;
