//! What the TLS library does not tell of certificates: the names in a verified one of a client (RFC 5280 §4.2.1.6), and
//! the dates of our own (§4.1.2.5).
//!
//! Written by hand because it is four nested structures deep and no more: signatures, trust and encoding are the TLS
//! library's business and were checked before, and the general parsers bring ten packages along. Anything unexpected
//! means: no names, no dates.

use super::info::ClientNames;

const SEQUENCE: u8 = 0x30;
const OBJECT_IDENTIFIER: u8 = 0x06;
const BOOLEAN: u8 = 0x01;
const OCTET_STRING: u8 = 0x04;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
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
pub(crate) fn names(certificate: &[u8]) -> ClientNames {
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

/// Reads the first and the last second at which a certificate in DER form is valid, since 1970 (UTC).
pub(super) fn validity(mut certificate: &[u8]) -> Option<(i64, i64)> {
    let mut outer = expect(&mut certificate, SEQUENCE)?;
    let mut body = expect(&mut outer, SEQUENCE)?;
    // Before it: [0] version, serial number, signature algorithm, issuer. The version is left out for version 1.
    if body.first() == Some(&CONTEXT_0) {
        take(&mut body)?;
    }
    for _ in 0..3 {
        take(&mut body)?;
    }
    let mut dates = expect(&mut body, SEQUENCE)?;
    Some((seconds(take(&mut dates)?)?, seconds(take(&mut dates)?)?))
}

/// RFC 5280 §4.1.2.5: `YYMMDDHHMMSSZ` for the years 1950 to 2049, `YYYYMMDDHHMMSSZ` for the others.
fn seconds((tag, text): (u8, &[u8])) -> Option<i64> {
    let digits = text.strip_suffix(b"Z")?;
    let (year_digits, length) = match tag {
        UTC_TIME => (2, 12),
        GENERALIZED_TIME => (4, 14),
        _ => return None,
    };
    if digits.len() != length || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = |part: &[u8]| part.iter().fold(0, |n, digit| 10 * n + i64::from(digit - b'0'));
    let (year, rest) = digits.split_at(year_digits);
    let year = match (number(year), tag) {
        (year @ 50.., UTC_TIME) => 1900 + year,
        (year, UTC_TIME) => 2000 + year,
        (year, _) => year,
    };
    let [month, day, hour, minute, second] = std::array::from_fn(|i| number(&rest[2 * i..2 * i + 2]));
    let valid =
        (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second < 60;
    valid.then(|| ((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second)
}

/// Days from 1970-01-01 to a date of the Gregorian calendar. Years are counted from March, so that the leap day is the
/// last of its year.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    // Months from March on have 31, 30, 31, 30, 31 days, and again: 153 in five.
    365 * year + leap_days + (153 * month + 2) / 5 + day - 1 - 719_468
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
            let _ = (names(&bytes), validity(&bytes));
        }
    }

    /// An element in DER form.
    fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let contents = parts.concat();
        let length = match u8::try_from(contents.len()).unwrap() {
            short @ 0..=0x7F => vec![short],
            long => vec![0x81, long],
        };
        [vec![tag], length, contents].concat()
    }

    /// A certificate as far as it is read here: dates, and extensions.
    fn certificate(dates: &[u8], extensions: &[&[u8]]) -> Vec<u8> {
        let extensions = element(CONTEXT_3, &[&element(SEQUENCE, extensions)]);
        let before: &[u8] = &[0xA0, 3, 2, 1, 2, 2, 1, 7, 0x30, 0, 0x30, 0];
        let body =
            element(SEQUENCE, &[before, &element(SEQUENCE, &[dates]), &[0x30, 0, 0x30, 0], &extensions]);
        element(SEQUENCE, &[&body, &[0x30, 0, 3, 1, 0]])
    }

    #[test]
    fn names_of_all_kinds_in_a_critical_extension_after_another() {
        let other = |oid: &[u8], tag: u8, text: &[u8]| {
            let value = element(CONTEXT_0, &[&element(tag, &[text])]);
            element(CONTEXT_0, &[&element(OBJECT_IDENTIFIER, &[oid]), &value])
        };
        let list = element(
            SEQUENCE,
            &[
                &other(XMPP_ADDR, UTF8_STRING, "jülie@capulet.example".as_bytes()),
                &other(DNS_SRV, IA5_STRING, b"_xmpp-client.capulet.example"),
                // An address in the wrong type of string (RFC 6120 §13.7.1.4 wants UTF8String), and an IP address.
                &other(XMPP_ADDR, IA5_STRING, b"romeo@montague.example"),
                &[0x87, 4, 192, 0, 2, 1],
                &element(DNS_NAME, &[b"capulet.example"]),
            ],
        );
        let usage = element(SEQUENCE, &[&[6, 3, 0x55, 0x1D, 0x0F], &[4, 2, 5, 0]]);
        let oid = element(OBJECT_IDENTIFIER, &[SUBJECT_ALT_NAME]);
        let names_of = |value: &[u8]| {
            let extension = element(SEQUENCE, &[&oid, &[1, 1, 0xFF], &element(OCTET_STRING, &[value])]);
            names(&certificate(&[], &[&usage, &extension]))
        };
        let expected = ClientNames {
            xmpp_addrs: vec!["jülie@capulet.example".to_owned()],
            srv_names: vec!["_xmpp-client.capulet.example".to_owned()],
            dns_names: vec!["capulet.example".to_owned()],
        };
        assert_eq!(names_of(&list), expected);
        // One bad name spoils them all: a list that is half understood is no ground for trust.
        let spoiled = element(SEQUENCE, &[&list[2..], &other(XMPP_ADDR, UTF8_STRING, b"\xFF")]);
        assert_eq!(names_of(&spoiled), ClientNames::default());
        assert_eq!(names(&certificate(&[], &[&usage])), ClientNames::default());
    }

    #[test]
    fn dates_of_certificates() {
        let dates = [element(UTC_TIME, &[b"700101000000Z"]), element(UTC_TIME, &[b"491231235959Z"])].concat();
        assert_eq!(validity(&certificate(&dates, &[])), Some((0, 2_524_607_999)));
        // RFC 5280 §4.1.2.5.1 and .2; the last one is "no end" (§4.1.2.5).
        #[rustfmt::skip]
        let table: [(u8, &[u8], Option<i64>); 13] = [
            (UTC_TIME, b"000229120000Z", Some(951_825_600)),
            (UTC_TIME, b"500101000000Z", Some(-631_152_000)),
            (UTC_TIME, b"240301000000Z", Some(1_709_251_200)),
            (GENERALIZED_TIME, b"20500101000000Z", Some(2_524_608_000)),
            (GENERALIZED_TIME, b"21000301000000Z", Some(4_107_542_400)),
            (GENERALIZED_TIME, b"99991231235959Z", Some(253_402_300_799)),
            (UTC_TIME, b"2403010000Z", None),
            (UTC_TIME, b"240301000000+0100", None),
            (UTC_TIME, b"241301000000Z", None),
            (UTC_TIME, b"240300000000Z", None),
            (UTC_TIME, b"240301240000Z", None),
            (GENERALIZED_TIME, b"240301000000Z", None),
            (IA5_STRING, b"240301000000Z", None),
        ];
        for (tag, text, expected) in table {
            assert_eq!(seconds((tag, text)), expected, "{}", String::from_utf8_lossy(text));
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
