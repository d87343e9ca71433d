//! The names in a client certificate that has been verified (RFC 5280 §4.2.1.6).
//!
//! Written by hand because it is four nested structures deep and no more: the certificate's signature, dates and
//! encoding are the TLS library's business and were checked before, and the general parsers bring ten packages along.
//! Anything unexpected means: no names.

use super::info::ClientNames;

const SEQUENCE: u8 = 0x30;
const OBJECT_IDENTIFIER: u8 = 0x06;
const BOOLEAN: u8 = 0x01;
const OCTET_STRING: u8 = 0x04;
const UTF8_STRING: u8 = 0x0C;
const IA5_STRING: u8 = 0x16;
/// `[0]`: the version, an otherName among general names, the value inside an otherName.
const CONTEXT_0: u8 = 0xA0;
/// `[2]`, primitive: a dNSName among general names.
const DNS_NAME: u8 = 0x82;
/// `[3]`: the extensions.
const CONTEXT_3: u8 = 0xA3;

/// 2.5.29.17, subjectAltName.
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1D, 0x11];
/// 1.3.6.1.5.5.7.8.5, id-on-xmppAddr (RFC 6120 §13.7.1.4).
const XMPP_ADDR: &[u8] = &[0x2B, 0x06, 0x01, 0x05, 0x05, 0x07, 0x08, 0x05];
/// 1.3.6.1.5.5.7.8.7, id-on-dnsSRV (RFC 4985).
const DNS_SRV: &[u8] = &[0x2B, 0x06, 0x01, 0x05, 0x05, 0x07, 0x08, 0x07];

/// Reads the names out of a certificate in DER form.
pub(super) fn names(certificate: &[u8]) -> ClientNames {
    let mut found = ClientNames::default();
    let complete = alternative_names(certificate).and_then(|list| collect(list, &mut found));
    if complete.is_some() { found } else { ClientNames::default() }
}

/// Takes one element off the front: its tag and its contents.
fn take<'a>(rest: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let (&tag, after) = rest.split_first()?;
    let (&first, after) = after.split_first()?;
    let (length, after) = match first {
        0..=0x7F => (usize::from(first), after),
        0x81 => (usize::from(*after.first()?), &after[1..]),
        0x82 => (usize::from(u16::from_be_bytes(*after.first_chunk()?)), &after[2..]),
        // No certificate that a handshake here can carry has an element of more than 64 KiB.
        _ => return None,
    };
    let (contents, after) = after.split_at_checked(length)?;
    *rest = after;
    Some((tag, contents))
}

fn expect<'a>(rest: &mut &'a [u8], wanted: u8) -> Option<&'a [u8]> {
    take(rest).and_then(|(tag, contents)| (tag == wanted).then_some(contents))
}

/// The contents of the subjectAltName extension's list.
fn alternative_names(mut certificate: &[u8]) -> Option<&[u8]> {
    let mut outer = expect(&mut certificate, SEQUENCE)?;
    let mut body = expect(&mut outer, SEQUENCE)?;
    let mut extensions = loop {
        if let (CONTEXT_3, contents) = take(&mut body)? {
            break contents;
        }
    };
    let mut extensions = expect(&mut extensions, SEQUENCE)?;
    loop {
        let mut extension = expect(&mut extensions, SEQUENCE)?;
        if expect(&mut extension, OBJECT_IDENTIFIER)? != SUBJECT_ALT_NAME {
            continue;
        }
        let mut value = match take(&mut extension)? {
            (BOOLEAN, _) => expect(&mut extension, OCTET_STRING)?,
            (OCTET_STRING, value) => value,
            _ => return None,
        };
        return expect(&mut value, SEQUENCE);
    }
}

fn collect(mut list: &[u8], found: &mut ClientNames) -> Option<()> {
    while !list.is_empty() {
        match take(&mut list)? {
            (DNS_NAME, name) => found.dns_names.push(ascii(name)?),
            (CONTEXT_0, mut other) => {
                let kind = expect(&mut other, OBJECT_IDENTIFIER)?;
                let mut value = expect(&mut other, CONTEXT_0)?;
                match (kind, take(&mut value)?) {
                    (XMPP_ADDR, (UTF8_STRING, text)) => {
                        found.xmpp_addrs.push(String::from_utf8(text.to_vec()).ok()?);
                    }
                    (DNS_SRV, (IA5_STRING, text)) => found.srv_names.push(ascii(text)?),
                    _ => {}
                }
            }
            _ => {}
        }
    }
    Some(())
}

fn ascii(text: &[u8]) -> Option<String> {
    text.is_ascii().then(|| String::from_utf8_lossy(text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn garbage_has_no_names_and_breaks_nothing(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = names(&bytes);
        }
    }

    #[test]
    fn lengths_that_lie_give_no_names() {
        for bytes in [
            &[][..],
            &[0x30],
            &[0x30, 5, 0x30],
            &[0x30, 0x80, 0, 0],
            &[0x30, 0x83, 0, 0, 1, 0],
            &[0x30, 0x82, 1],
        ] {
            assert_eq!(names(bytes), ClientNames::default());
        }
    }
}
