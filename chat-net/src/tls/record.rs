//! Where TLS records begin and end (RFC 8446 §5.1), so that only whole ones are handed on and only the tail of a cut
//! one is ever kept.

/// Type, version, length.
const HEADER_BYTES: usize = 5;
/// Bytes of the longest payload on the wire: 2^14 and what TLS 1.2 ciphers may add (RFC 5246 §6.2.3). The TLS library
/// enforces the tighter bound of TLS 1.3; this one is for what is kept before it is asked.
const PAYLOAD_BYTES_MAX: usize = 16_384 + 2_048;

/// How many bytes are missing before the record at the front of `bytes` can be judged; 0: it is whole, or already
/// wrong. Asks for the header first, then for the rest.
pub(super) fn missing(bytes: &[u8]) -> usize {
    // What begins like no record at all is for the TLS library to refuse, at once.
    if !matches!(bytes.first(), None | Some(20..=24)) {
        return 0;
    }
    let Some(header) = bytes.first_chunk::<HEADER_BYTES>() else { return HEADER_BYTES - bytes.len() };
    match usize::from(u16::from_be_bytes([header[3], header[4]])) {
        payload if payload > PAYLOAD_BYTES_MAX => 0,
        payload => (HEADER_BYTES + payload).saturating_sub(bytes.len()),
    }
}

/// Bytes of the whole records at the front of `bytes`; all of them when something among them is no record.
pub(super) fn whole(bytes: &[u8]) -> usize {
    let mut end = 0;
    while let Some(header) = bytes[end..].first_chunk::<HEADER_BYTES>() {
        let payload = usize::from(u16::from_be_bytes([header[3], header[4]]));
        if !matches!(header[0], 20..=24) || payload > PAYLOAD_BYTES_MAX {
            return bytes.len();
        }
        let next = end + HEADER_BYTES + payload;
        if next > bytes.len() {
            return end;
        }
        end = next;
    }
    if matches!(bytes.get(end), None | Some(20..=24)) { end } else { bytes.len() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_comes_first_then_the_rest() {
        assert_eq!(missing(&[]), 5);
        assert_eq!(missing(&[22]), 4);
        assert_eq!(missing(&[22, 3, 1, 0]), 1);
        assert_eq!(missing(&[22, 3, 1, 0, 3]), 3);
        assert_eq!(missing(&[22, 3, 1, 0, 3, 9, 9]), 1);
        assert_eq!(missing(&[22, 3, 1, 0, 3, 9, 9, 9]), 0);
        assert_eq!(missing(&[23, 3, 3, 0, 0]), 0);
        // 2^14 + 2048, and one more.
        assert_eq!(missing(&[23, 3, 3, 0x48, 0x00]), 18_432);
        assert_eq!(missing(&[23, 3, 3, 0x48, 0x01]), 0);
        assert_eq!(missing(b"<"), 0);
    }

    #[test]
    fn whole_records_are_counted_together() {
        assert_eq!(whole(&[]), 0);
        assert_eq!(whole(&[22, 3]), 0);
        assert_eq!(whole(&[22, 3, 1, 0, 1, 7]), 6);
        assert_eq!(whole(&[22, 3, 1, 0, 1, 7, 23, 3, 3, 0, 0, 23]), 11);
        assert_eq!(whole(&[22, 3, 1, 0, 1, 7, 23, 3, 3, 0, 2, 1]), 6);
        assert_eq!(whole(&[22, 3, 1, 0, 1, 7, 99]), 7);
        assert_eq!(whole(&[22, 3, 1, 0x48, 1, 7]), 6);
        assert_eq!(whole(b"<stream"), 7);
    }
}
