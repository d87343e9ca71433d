//! Frames never depend on how the bytes were cut.
//!
//! Owns: the target `framing`. Not here: what is inside a frame (`scan`).

use chat_core::xml::{FrameKind, Framer, Step, XmlFault};

use crate::bytes::Bytes;

type Frames = (Vec<(FrameKind, Vec<u8>)>, Option<XmlFault>);

/// The first byte says how many of the next are the lengths of the cuts, over and over; the rest is a stream.
pub fn framing(data: &[u8]) {
    let mut bytes = Bytes(data);
    let n = bytes.below(9);
    let cuts: Vec<usize> = bytes.take(n).iter().map(|b| usize::from(*b) + 1).collect();
    let whole = frames(bytes.0, &[]);
    assert_eq!(frames(bytes.0, &cuts), whole, "cuts: {cuts:?}");
    assert_eq!(frames(bytes.0, &[1]), whole, "single bytes");
    let joined: Vec<u8> = whole.0.iter().flat_map(|(_, frame)| frame.iter().copied()).collect();
    assert!(bytes.0.starts_with(&joined), "frames are the stream, in order");
}

/// The frames of a stream that arrives in pieces of these lengths. Space is joined.
fn frames(bytes: &[u8], cuts: &[usize]) -> Frames {
    let mut framer = Framer::default();
    let (mut found, mut pending): (Vec<(FrameKind, Vec<u8>)>, Vec<u8>) = (Vec::new(), Vec::new());
    let (mut at, mut cuts) = (0, cuts.iter().cycle());
    while at < bytes.len() {
        let cut = (at + cuts.next().copied().unwrap_or(bytes.len())).min(bytes.len());
        while at < cut {
            match framer.push(&bytes[at..cut]) {
                Ok(Step::Need) => {
                    pending.extend_from_slice(&bytes[at..cut]);
                    at = cut;
                }
                Ok(Step::Frame { kind, end }) => {
                    assert!(end > 0 && at + end <= cut, "every frame takes bytes, and only what there is");
                    pending.extend_from_slice(&bytes[at..at + end]);
                    at += end;
                    let frame = std::mem::take(&mut pending);
                    match found.last_mut() {
                        Some((FrameKind::Space, before)) if kind == FrameKind::Space => before.extend(frame),
                        _ => found.push((kind, frame)),
                    }
                }
                Err(fault) => return (found, Some(fault)),
            }
        }
    }
    (found, None)
}
