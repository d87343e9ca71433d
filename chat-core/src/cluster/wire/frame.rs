//! Where a frame begins and ends.

use super::kind::is_numbered;
use super::{Kind, Reader, Seen, UNVERSIONED, WireFault, Writer};
use crate::base::limits::LINK_FRAME_BYTES_MAX;

/// Bytes of a frame before its body at most: length, kind, number.
pub const FRAME_HEAD_BYTES_MAX: usize = 4 + 1 + 10;

/// One frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Its kind, as far as it is to be read.
    pub seen: Seen,
    /// Its number, if its kind has one.
    pub number: Option<u64>,
    /// What it says.
    pub body: &'a [u8],
}

/// The first frame of these bytes, and how many of them it takes; none if it is not whole yet.
///
/// A frame may have `bytes_max` bytes, its length not counted; more is a fault as soon as the length is there, so a
/// receiver never holds more than that of a frame it cannot read.
pub fn read_frame(
    bytes: &[u8],
    version: u16,
    bytes_max: usize,
) -> Result<Option<(Frame<'_>, usize)>, WireFault> {
    let Some((head, rest)) = bytes.split_first_chunk::<4>() else { return Ok(None) };
    let len = u32::from_be_bytes(*head);
    if len as usize > bytes_max {
        return Err(WireFault::FrameTooLarge(len));
    }
    let Some(inside) = rest.get(..len as usize) else { return Ok(None) };
    let mut r = Reader::new(inside, version);
    let byte = r.byte()?;
    let seen = Kind::of_byte(byte, version)?;
    let number = if is_numbered(byte) { Some(r.number()?) } else { None };
    Ok(Some((Frame { seen, number, body: r.rest() }, 4 + inside.len())))
}

/// Appends a frame to `out`. `number` is given exactly for kinds that have one.
///
/// # Panics
/// If the frame is larger than any may be, or its number is missing or too many. Callers ask
/// [`Kind::is_numbered`], and compare the body with the limit, before.
pub fn write_frame(out: &mut Vec<u8>, kind: Kind, number: Option<u64>, body: &[u8]) {
    write_head(out, kind, number, body.len());
    out.extend_from_slice(body);
}

/// The same without the body, which has so many bytes and is to follow.
pub fn write_head(out: &mut Vec<u8>, kind: Kind, number: Option<u64>, body: usize) {
    assert_eq!(
        kind.is_numbered(),
        number.is_some(),
        "only frames that are sent again are numbered: {kind:?}"
    );
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    let mut w = Writer::new(out, UNVERSIONED);
    w.byte(kind.byte());
    if let Some(number) = number {
        w.number(number);
    }
    let len = out.len() - start - 4 + body;
    assert!(len <= LINK_FRAME_BYTES_MAX, "a frame of {len} bytes was not refused before it was written");
    out[start..start + 4].copy_from_slice(&(len as u32).to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>, WireFault> {
        read_frame(bytes, 1, 100)
    }

    #[test]
    fn frames_are_found_whole_or_not_at_all() {
        let mut out = Vec::new();
        write_frame(&mut out, Kind::Ping, None, b"abc");
        write_frame(&mut out, Kind::Envelope, Some(300), b"");
        assert_eq!(out, b"\0\0\0\x04\x06abc\0\0\0\x03\x20\xac\x02");
        for n in 0..8 {
            assert_eq!(read(&out[..n]), Ok(None), "{n}");
        }
        let (first, n) = read(&out).unwrap().unwrap();
        assert_eq!((first, n), (Frame { seen: Seen::Known(Kind::Ping), number: None, body: b"abc" }, 8));
        let (second, n) = read(&out[8..]).unwrap().unwrap();
        assert_eq!(
            (second, n),
            (Frame { seen: Seen::Known(Kind::Envelope), number: Some(300), body: b"" }, 7)
        );
    }

    #[test]
    fn what_is_no_frame_is_a_fault() {
        assert_eq!(read(b"GET / HTTP/1.1\r\n"), Err(WireFault::FrameTooLarge(0x4745_5420)));
        assert_eq!(read(&[0, 0, 0, 101]), Err(WireFault::FrameTooLarge(101)));
        assert_eq!(read(&[0, 0, 0, 0]), Err(WireFault::Cut), "a frame has a kind");
        assert_eq!(read(&[0, 0, 0, 1, 0x0f]), Err(WireFault::Kind(0x0f)));
        assert_eq!(read(&[0, 0, 0, 1, 0x20]), Err(WireFault::Cut), "an envelope has a number");
        assert_eq!(read(&[0, 0, 0, 3, 0x20, 0x80, 0]), Err(WireFault::Number));
    }

    #[test]
    fn optional_frames_of_newer_versions_are_seen_to_be_skipped() {
        let (frame, n) = read(&[0, 0, 0, 3, 0x80, 1, 2]).unwrap().unwrap();
        assert_eq!((frame, n), (Frame { seen: Seen::Skip, number: None, body: &[1, 2] }, 7));
        let (frame, n) = read(&[0, 0, 0, 3, 0xc0, 1, 2]).unwrap().unwrap();
        assert_eq!((frame, n), (Frame { seen: Seen::Skip, number: Some(1), body: &[2] }, 7));
    }
}
