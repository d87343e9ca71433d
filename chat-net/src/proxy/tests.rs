use super::*;
use proptest::prelude::*;
use std::net::SocketAddr;

fn done(header_len: usize, source: &str, destination: &str) -> Progress {
    let address = |text: &str| (!text.is_empty()).then(|| text.parse::<SocketAddr>().unwrap());
    Progress::Done { header_len, source: address(source), destination: address(destination) }
}

/// A version 2 header: version and command, family and transport, then the body with its length in front.
fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    header.extend([command, family]);
    header.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
    header.extend(body);
    header
}

const V4_BODY: [u8; 12] = [192, 0, 2, 1, 198, 51, 100, 2, 0xDC, 0x04, 0x14, 0x66];

#[test]
fn version_1_lines() {
    use ProxyFault::{BadLine, NoHeader, TooLong};
    let longest = "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n";
    let unknown_of_107 = format!("PROXY UNKNOWN {}\r\n", "x".repeat(91));
    let unknown_of_108 = format!("PROXY UNKNOWN {}\r\n", "x".repeat(92));
    #[rustfmt::skip]
    let table: Vec<(&str, Progress)> = vec![
        // PROXY §2.1: the examples and the worst cases of the text.
        ("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", done(56, "255.255.255.255:65535", "255.255.255.255:65535")),
        ("PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\nGET / HTTP/1.1\r\n", done(47, "192.168.0.1:56324", "192.168.0.11:443")),
        (longest, done(104, "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535", "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535")),
        ("PROXY TCP6 ::1 2001:db8::2 1 2\r\n<stream", done(32, "[::1]:1", "[2001:db8::2]:2")),
        ("PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n", done(37, "192.0.2.1:1", "[::1]:2")),
        ("PROXY UNKNOWN\r\n", done(15, "", "")),
        ("PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", done(43, "", "")),
        (&unknown_of_107, done(107, "", "")),
        (&unknown_of_108, Progress::Bad(TooLong)),
        // Not lines of that grammar.
        ("PROXY UNKNOWNX\r\n", Progress::Bad(BadLine)),
        ("PROXY \r\n", Progress::Bad(BadLine)),
        ("PROXY TCP4\r\n", Progress::Bad(BadLine)),
        ("PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n", Progress::Bad(BadLine)),
        ("PROXY tcp4 1.2.3.4 1.2.3.4 1 2\r\n", Progress::Bad(BadLine)),
        ("PROXY TCP4 ::1 ::1 1 2\r\n", Progress::Bad(BadLine)),
        ("PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n", Progress::Bad(BadLine)),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n", Progress::Bad(BadLine)),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n", Progress::Bad(BadLine)),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n", Progress::Bad(BadLine)),
        ("PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n", Progress::Bad(BadLine)),
        ("PROXY TCP4 1.2.3.04 1.2.3.4 1 2\r\n", Progress::Bad(BadLine)),
        ("PROXY TCP4 1.2.3.256 1.2.3.4 1 2\r\n", Progress::Bad(BadLine)),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n", Progress::Bad(BadLine)),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n", Progress::Bad(BadLine)),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n", Progress::Bad(BadLine)),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 1 \r\n", Progress::Bad(BadLine)),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n\r\n", Progress::Bad(BadLine)),
        // Something else, told at its first wrong byte.
        ("<?xml version='1.0'?>", Progress::Bad(NoHeader)),
        ("PRI * HTTP/2.0\r\n\r\n", Progress::Bad(NoHeader)),
        ("PROXX", Progress::Bad(NoHeader)),
        ("\x16\x03\x01", Progress::Bad(NoHeader)),
        ("\r\n\r\nQ", Progress::Bad(NoHeader)),
        // Not there yet.
        ("", Progress::NeedMore),
        ("PROXY", Progress::NeedMore),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r", Progress::NeedMore),
    ];
    for (bytes, expected) in table {
        assert_eq!(parse(bytes.as_bytes()), expected, "{bytes:?}");
    }
    assert_eq!(parse(b"PROXY UNKNOWN \xFF\r\n"), Progress::Bad(BadLine));
    assert_eq!(parse(&[b"PROXY ".as_slice(), &[b'x'; 100]].concat()), Progress::NeedMore);
    assert_eq!(parse(&[b"PROXY ".as_slice(), &[b'x'; 101]].concat()), Progress::Bad(TooLong));
}

#[test]
fn version_2_headers() {
    use ProxyFault::{BadCommand, BadFamily, TooLong, TooShort};
    let mut v6_body = [0u8; 36];
    v6_body[..16].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    v6_body[16..32].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    v6_body[32..].copy_from_slice(&[0xDC, 0x04, 0x14, 0x66]);
    let with_tlv = [V4_BODY.as_slice(), &[0x03, 0, 4, 1, 2, 3, 4]].concat();
    let v4 = ("192.0.2.1:56324", "198.51.100.2:5222");
    #[rustfmt::skip]
    let table: Vec<(Vec<u8>, Progress)> = vec![
        (v2(0x21, 0x11, &V4_BODY), done(28, v4.0, v4.1)),
        (v2(0x21, 0x11, &with_tlv), done(35, v4.0, v4.1)),
        (v2(0x21, 0x21, &v6_body), done(52, "[2001:db8::1]:56324", "[2001:db8::2]:5222")),
        ([v2(0x21, 0x11, &V4_BODY), b"<stream".to_vec()].concat(), done(28, v4.0, v4.1)),
        // PROXY §2.2: LOCAL keeps the real endpoints, its body is skipped, its family ignored.
        (v2(0x20, 0x00, &[]), done(16, "", "")),
        (v2(0x20, 0x11, &V4_BODY), done(28, "", "")),
        (v2(0x20, 0xFF, &[7; 3]), done(19, "", "")),
        // PROXY §2.2: AF_UNSPEC and AF_UNIX name no IP peer.
        (v2(0x21, 0x00, &[]), done(16, "", "")),
        (v2(0x21, 0x31, &[0; 216]), done(232, "", "")),
        (v2(0x21, 0x11, &[1; 4080]), done(4096, "1.1.1.1:257", "1.1.1.1:257")),
        (v2(0x21, 0x11, &[1; 4081]), Progress::Bad(TooLong)),
        (v2(0x21, 0x11, &V4_BODY[..11]), Progress::Bad(TooShort)),
        (v2(0x21, 0x21, &v6_body[..35]), Progress::Bad(TooShort)),
        (v2(0x22, 0x11, &V4_BODY), Progress::Bad(BadCommand)),
        (v2(0x11, 0x11, &V4_BODY), Progress::Bad(BadCommand)),
        // UDP, and families nobody knows, cannot be behind a TCP connection.
        (v2(0x21, 0x12, &V4_BODY), Progress::Bad(BadFamily)),
        (v2(0x21, 0x22, &v6_body), Progress::Bad(BadFamily)),
        (v2(0x21, 0x41, &V4_BODY), Progress::Bad(BadFamily)),
        (v2(0x21, 0x10, &V4_BODY), Progress::Bad(BadFamily)),
        (v2(0x21, 0x11, &V4_BODY)[..27].to_vec(), Progress::NeedMore),
        (b"\r\n\r\n\0\r\nQUIT\n".to_vec(), Progress::NeedMore),
        (b"\r".to_vec(), Progress::NeedMore),
    ];
    for (bytes, expected) in table {
        assert_eq!(parse(&bytes), expected, "{bytes:02x?}");
    }
}

proptest! {
    /// Growing prefixes: `NeedMore` until one of them decides, and no byte after that changes the decision.
    #[test]
    fn cuts_never_matter(header in any_header(), rest in proptest::collection::vec(any::<u8>(), 0..40)) {
        let bytes = [header, rest].concat();
        let whole = parse(&bytes);
        let mut decided = false;
        for n in 0..=bytes.len() {
            match parse(&bytes[..n]) {
                Progress::NeedMore => prop_assert!(!decided),
                verdict => {
                    decided = true;
                    prop_assert_eq!(verdict, whole, "at {}", n);
                    if let Progress::Done { header_len, .. } = verdict {
                        prop_assert!(header_len <= n && header_len <= HEADER_BYTES_MAX);
                    }
                }
            }
        }
    }

    #[test]
    fn nothing_waits_beyond_the_bound(mut bytes in any_header()) {
        bytes.resize(HEADER_BYTES_MAX, b'x');
        prop_assert_ne!(parse(&bytes), Progress::NeedMore);
    }
}

fn any_header() -> impl Strategy<Value = Vec<u8>> {
    let body = proptest::collection::vec(any::<u8>(), 0..60);
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..40),
        "PROXY [A-Z0-9a-f:. ]{0,120}(\r\n)?".prop_map(String::into_bytes),
        "PROXY TCP[46] (1\\.2\\.3\\.4|::1) (1\\.2\\.3\\.4|::1) [0-9]{1,5} [0-9]{1,5}\r\n"
            .prop_map(String::into_bytes),
        (
            prop_oneof![Just(0x20u8), Just(0x21), any::<u8>()],
            prop_oneof![Just(0x11u8), Just(0x21), any::<u8>()],
            body
        )
            .prop_map(|(command, family, body)| v2(command, family, &body)),
    ]
}

#[test]
fn trusted_networks() {
    let list: TrustedProxies = "10.0.0.0/8, 192.0.2.7\n::1 fd00::/8\t::ffff:203.0.113.0/120".parse().unwrap();
    #[rustfmt::skip]
    let table = [
        ("10.0.0.0", true), ("10.255.255.255", true), ("11.0.0.0", false), ("9.255.255.255", false),
        ("::ffff:10.1.2.3", true), ("::10.1.2.3", false),
        ("192.0.2.7", true), ("192.0.2.6", false), ("::ffff:192.0.2.7", true),
        ("::1", true), ("::2", false), ("fdff::1", true), ("fe00::1", false),
        ("203.0.113.255", true), ("203.0.114.0", false),
    ];
    for (address, expected) in table {
        assert_eq!(list.contains(address.parse().unwrap()), expected, "{address}");
    }
    let nobody: TrustedProxies = " , ".parse().unwrap();
    assert!(nobody.is_empty() && !nobody.contains("127.0.0.1".parse().unwrap()));
    let everybody: TrustedProxies = "::/0".parse().unwrap();
    assert!(everybody.contains("127.0.0.1".parse().unwrap()));
    let all_of_4: TrustedProxies = "0.0.0.0/0".parse().unwrap();
    assert!(all_of_4.contains("127.0.0.1".parse().unwrap()) && !all_of_4.contains("::1".parse().unwrap()));
}

#[test]
fn errors_of_the_list_name_the_entry() {
    #[rustfmt::skip]
    let table = [
        ("10.0.0.0/8,balancer", r#""balancer" is not an IP address or network (names are not looked up)"#),
        ("10.0.0.0/33", r#""10.0.0.0/33": the prefix length must be a number from 0 to 32"#),
        ("::/129", r#""::/129": the prefix length must be a number from 0 to 128"#),
        ("10.0.0.0/", r#""10.0.0.0/": the prefix length must be a number from 0 to 32"#),
        ("10.0.0.0/+8", r#""10.0.0.0/+8": the prefix length must be a number from 0 to 32"#),
        ("10.1.2.3/8", r#""10.1.2.3/8" is an address inside a network; write 10.0.0.0/8, or the address alone"#),
        ("fd00::1/8", r#""fd00::1/8" is an address inside a network; write fd00::/8, or the address alone"#),
        ("/8", r#""/8" is not an IP address or network (names are not looked up)"#),
    ];
    for (list, expected) in table {
        assert_eq!(list.parse::<TrustedProxies>().unwrap_err().to_string(), expected, "{list}");
    }
}
