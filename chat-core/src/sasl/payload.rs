//! The base64 of SASL payloads (RFC 6120 §6.4.2): strict, with `=` for a payload of no bytes where an empty
//! element would mean that there is none.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::fault::Fault;
use crate::base::limits::SASL_MESSAGE_BYTES_MAX;

/// Characters of base64 that can stand for a message within the limit.
const TEXT_BYTES_MAX: usize = SASL_MESSAGE_BYTES_MAX.div_ceil(3) * 4;

/// The payload of `<auth/>`: `None` when there is no initial response (an empty element), no bytes for `=`.
///
/// Errors: [`Fault::NotBase64`], [`Fault::TooLong`].
pub fn decode_initial(text: &str) -> Result<Option<Vec<u8>>, Fault> {
    if text.is_empty() { Ok(None) } else { decode(text).map(Some) }
}

/// The payload of `<response/>`, `<challenge/>` or `<success/>`: no bytes for an empty element and for `=`.
///
/// White space, missing padding, bits set in the padding and other alphabets are all refused (RFC 4648 §4).
/// Errors: [`Fault::NotBase64`], [`Fault::TooLong`].
pub fn decode(text: &str) -> Result<Vec<u8>, Fault> {
    if text == "=" {
        return Ok(Vec::new());
    }
    if text.len() > TEXT_BYTES_MAX {
        return Err(Fault::TooLong);
    }
    STANDARD.decode(text).map_err(|_| Fault::NotBase64)
}

/// The text of `<challenge/>` or `<response/>`; empty for no bytes.
pub fn encode(data: &[u8]) -> String {
    STANDARD.encode(data)
}

/// The text of `<auth/>` (initial response) or `<success/>` (additional data), where an empty element means that
/// there is no payload: `=` for no bytes, nothing for `None` (RFC 6120 §6.4.2, §6.4.6).
pub fn encode_optional(data: Option<&[u8]>) -> String {
    match data {
        None => String::new(),
        Some([]) => "=".to_owned(),
        Some(data) => encode(data),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn initial_response_tells_absent_from_empty() {
        assert_eq!(decode_initial(""), Ok(None));
        assert_eq!(decode_initial("="), Ok(Some(vec![])));
        assert_eq!(decode_initial("AGEAYg=="), Ok(Some(b"\0a\0b".to_vec())));
        assert_eq!(decode(""), Ok(vec![]));
        assert_eq!(decode("="), Ok(vec![]));
        assert_eq!(encode_optional(None), "");
        assert_eq!(encode_optional(Some(b"")), "=");
        assert_eq!(encode_optional(Some(b"\0a\0b")), "AGEAYg==");
        assert_eq!(encode(b""), "");
    }

    #[test]
    fn base64_is_strict() {
        for text in [
            "==",
            "===",
            "====",
            "A",
            "AA",
            "AAA",
            "AGEAYg",
            "AGEAYg=",
            "AGEAYg===",
            "AGEAYh==",
            "AG EAYg==",
            "AGEAYg==\n",
            " AGEAYg==",
            "AGEA\r\nYg==",
            "AG-_",
            "AGEAYg==AAAA",
            "=AAA",
            "AGEä",
        ] {
            assert_eq!(decode(text), Err(Fault::NotBase64), "{text:?}");
            assert_eq!(decode_initial(text), Err(Fault::NotBase64), "{text:?}");
        }
    }

    #[test]
    fn too_long_is_refused_before_decoding() {
        assert_eq!(decode(&"A".repeat(5464)).map(|d| d.len()), Ok(4098));
        assert_eq!(decode(&"A".repeat(5468)), Err(Fault::TooLong));
        assert_eq!(decode(&" ".repeat(1 << 20)), Err(Fault::TooLong));
    }

    proptest! {
        #[test]
        fn decoding_undoes_encoding(data in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(decode(&encode(&data)), Ok(data.clone()));
            prop_assert_eq!(decode_initial(&encode_optional(Some(&data))), Ok(Some(data)));
        }

        #[test]
        fn any_text_is_answered(text in ".*") {
            if let Ok(data) = decode(&text) {
                prop_assert!(text == "=" || encode(&data) == text);
            }
        }
    }
}
