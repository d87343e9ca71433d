//! The header itself: a line of text (version 1) or a small binary block (version 2).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Bytes of the longest header accepted. Version 1 has its own bound of 107; a version 2 header could claim 64 KiB of
/// extra fields, and real ones (with certificates' names in them) stay far below this.
pub const HEADER_BYTES_MAX: usize = 4096;

/// Bytes of the longest version 1 line, `\r\n` included (PROXY §2.1).
const LINE_BYTES_MAX: usize = 107;
/// The twelve bytes that open a version 2 header (PROXY §2.2).
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Bytes of a version 2 header before its addresses: signature, version and command, family, length.
const FIXED_BYTES: usize = 16;

/// What [`parse`] found in the bytes so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// The bytes are the beginning of a header: ask again with more of them.
    NeedMore,
    /// A whole header; what follows it belongs to the connection.
    Done {
        /// Bytes of the header, at the front of what was given.
        header_len: usize,
        /// The real peer. `None` when the balancer speaks for itself (a health check: `LOCAL`, `UNKNOWN`) or for a
        /// peer without an IP address: then the connection's own peer address is the truth.
        source: Option<SocketAddr>,
        /// Where the peer connected to, on the balancer.
        destination: Option<SocketAddr>,
    },
    /// Not a header: the connection is to be closed without an answer (PROXY §2).
    Bad(ProxyFault),
}

/// Why bytes are not a PROXY header. All of them are the sender's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProxyFault {
    /// Neither `PROXY ` nor the signature of version 2.
    #[error("no PROXY header where a trusted proxy should have sent one")]
    NoHeader,
    /// A version 1 line without end within its 107 bytes, or a version 2 header over [`HEADER_BYTES_MAX`].
    #[error("PROXY header too long")]
    TooLong,
    /// A version 1 line that does not follow its grammar.
    #[error("malformed PROXY version 1 line")]
    BadLine,
    /// A version 2 header with another version number, or a command that is neither LOCAL nor PROXY.
    #[error("unknown version or command in a PROXY version 2 header")]
    BadCommand,
    /// A version 2 header for an address family or transport that cannot be behind a TCP connection.
    #[error("unknown address family or transport in a PROXY version 2 header")]
    BadFamily,
    /// A version 2 header too short for the addresses that it announces.
    #[error("PROXY version 2 header shorter than its addresses")]
    TooShort,
}

/// Looks for a PROXY header at the beginning of `bytes`, which are all the bytes received so far.
///
/// The header is mandatory where it is expected at all: whoever calls this has checked that the peer is a trusted
/// proxy. IPv4 addresses written as IPv6 (`::ffff:a.b.c.d`) come out as IPv4.
#[must_use]
pub fn parse(bytes: &[u8]) -> Progress {
    let outcome = match bytes.first() {
        None => Ok(Progress::NeedMore),
        Some(b'P') => parse_line(bytes),
        Some(_) => parse_binary(bytes),
    };
    outcome.unwrap_or_else(Progress::Bad)
}

/// Whether `bytes` begin with `start`; `Ok(false)`: they may still, when more arrive.
fn starts_with(bytes: &[u8], start: &[u8]) -> Result<bool, ProxyFault> {
    let n = bytes.len().min(start.len());
    if bytes[..n] != start[..n] {
        return Err(ProxyFault::NoHeader);
    }
    Ok(n == start.len())
}

/// PROXY §2.1.
fn parse_line(bytes: &[u8]) -> Result<Progress, ProxyFault> {
    if !starts_with(bytes, b"PROXY ")? {
        return Ok(Progress::NeedMore);
    }
    let window = &bytes[..bytes.len().min(LINE_BYTES_MAX)];
    let Some(end) = window.windows(2).position(|pair| pair == b"\r\n") else {
        return if bytes.len() < LINE_BYTES_MAX { Ok(Progress::NeedMore) } else { Err(ProxyFault::TooLong) };
    };
    let header_len = end + 2;
    let line = std::str::from_utf8(&bytes[6..end]).map_err(|_| ProxyFault::BadLine)?;
    // The sender of UNKNOWN may add anything before the line's end; it is to be ignored.
    if line == "UNKNOWN" || line.starts_with("UNKNOWN ") {
        return Ok(Progress::Done { header_len, source: None, destination: None });
    }
    let (source, destination) = parse_tcp_line(line).ok_or(ProxyFault::BadLine)?;
    Ok(Progress::Done { header_len, source: Some(source), destination: Some(destination) })
}

/// `TCP4|TCP6 source destination port port`, single spaces between.
fn parse_tcp_line(line: &str) -> Option<(SocketAddr, SocketAddr)> {
    let mut words = line.split(' ');
    let address: fn(&str) -> Option<IpAddr> = match words.next()? {
        "TCP4" => |word| word.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        "TCP6" => |word| word.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        _ => return None,
    };
    let (source, destination) = (address(words.next()?)?, address(words.next()?)?);
    let (source_port, destination_port) = (port(words.next()?)?, port(words.next()?)?);
    words.next().is_none().then(|| (socket(source, source_port), socket(destination, destination_port)))
}

/// A decimal port without sign or leading zero.
fn port(word: &str) -> Option<u16> {
    let plain = word.bytes().all(|b| b.is_ascii_digit()) && (word == "0" || !word.starts_with('0'));
    if plain { word.parse().ok() } else { None }
}

/// PROXY §2.2.
fn parse_binary(bytes: &[u8]) -> Result<Progress, ProxyFault> {
    if !starts_with(bytes, SIGNATURE)? {
        return Ok(Progress::NeedMore);
    }
    // Each byte is judged as soon as it is there, so that a bad header never waits for the rest of itself.
    let local = match bytes.get(12) {
        None => return Ok(Progress::NeedMore),
        Some(0x20) => true,
        Some(0x21) => false,
        Some(_) => return Err(ProxyFault::BadCommand),
    };
    let family = match bytes.get(13) {
        None => return Ok(Progress::NeedMore),
        // LOCAL: the family is to be ignored, whatever it says.
        Some(_) if local => Family::None,
        Some(0x00 | 0x31 | 0x32) => Family::None,
        Some(0x11) => Family::V4,
        Some(0x21) => Family::V6,
        Some(_) => return Err(ProxyFault::BadFamily),
    };
    let Some(length) = bytes.get(14..FIXED_BYTES) else { return Ok(Progress::NeedMore) };
    let header_len = FIXED_BYTES + usize::from(u16::from_be_bytes([length[0], length[1]]));
    if header_len > HEADER_BYTES_MAX {
        return Err(ProxyFault::TooLong);
    }
    if header_len - FIXED_BYTES < family.address_bytes() {
        return Err(ProxyFault::TooShort);
    }
    let Some(body) = bytes.get(FIXED_BYTES..header_len) else { return Ok(Progress::NeedMore) };
    let (source, destination) = match family {
        Family::None => (None, None),
        Family::V4 => {
            (Some(socket(v4(body, 0), port_at(body, 8))), Some(socket(v4(body, 4), port_at(body, 10))))
        }
        Family::V6 => {
            (Some(socket(v6(body, 0), port_at(body, 32))), Some(socket(v6(body, 16), port_at(body, 34))))
        }
    };
    Ok(Progress::Done { header_len, source, destination })
}

/// Which addresses a version 2 header carries, of those that name a TCP peer.
#[derive(Clone, Copy)]
enum Family {
    None,
    V4,
    V6,
}

impl Family {
    /// Bytes of both addresses and both ports.
    fn address_bytes(self) -> usize {
        match self {
            Family::None => 0,
            Family::V4 => 12,
            Family::V6 => 36,
        }
    }
}

fn v4(body: &[u8], at: usize) -> IpAddr {
    let octets: [u8; 4] = std::array::from_fn(|i| body[at + i]);
    octets.into()
}

fn v6(body: &[u8], at: usize) -> IpAddr {
    let octets: [u8; 16] = std::array::from_fn(|i| body[at + i]);
    octets.into()
}

fn port_at(body: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([body[at], body[at + 1]])
}

fn socket(address: IpAddr, port: u16) -> SocketAddr {
    SocketAddr::new(address.to_canonical(), port)
}
