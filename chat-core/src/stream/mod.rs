//! Streams: headers, features, stream errors (RFC 6120 §4).
//!
//! Owns: what is said about a stream rather than on it. In: the header a peer sent. Out: whether it is acceptable,
//! and the bytes of our header, features, errors and end tag.
//! Invariants: a stream error is always followed by the end tag, and both come after a header of ours (§4.9.1.1).
//! Not here: what is negotiated, and in which order (`session/`); the framing of bytes (`xml/frame.rs`).

mod check;
mod error;
mod features;
mod header;

pub use check::{Opening, check_client_header};
pub use error::{StreamCondition, StreamError};
pub use features::{Features, write_features};
pub use header::{CLOSE, write_header};
