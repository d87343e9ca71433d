//! From whom a PROXY header is believed.

use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// Addresses and networks of the balancers whose PROXY headers are believed (`CHAT_LISTEN_PROXY_FROM`).
///
/// Written as a list separated by commas or white space of addresses (`192.0.2.7`, `::1`) and networks in CIDR form
/// (`10.0.0.0/8`, `fd00::/8`). An empty list trusts nobody. IPv4 addresses that arrive on an IPv6 socket
/// (`::ffff:192.0.2.7`) count as IPv4, in the list as well.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    networks: Vec<Network>,
}

/// Why a list of trusted proxies cannot be read: the entry, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustedProxiesError {
    /// Neither an IPv4 nor an IPv6 address before the `/`.
    #[error("{entry:?} is not an IP address or network (names are not looked up)")]
    NotAnAddress {
        /// The entry as written.
        entry: String,
    },
    /// What follows the `/` is not a number in range.
    #[error("{entry:?}: the prefix length must be a number from 0 to {prefix_max}")]
    BadPrefix {
        /// The entry as written.
        entry: String,
        /// The longest prefix of that kind of address: 32 or 128.
        prefix_max: u8,
    },
    /// An address inside the network stands where its first address belongs: a typing error more often than not.
    #[error("{entry:?} is an address inside a network; write {network}, or the address alone")]
    HostBits {
        /// The entry as written.
        entry: String,
        /// The network it lies in.
        network: String,
    },
}

/// All addresses that share the first `prefix` bits of `first`, IPv4 ones mapped into IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Network {
    first: u128,
    /// 0 to 128.
    prefix: u8,
}

impl TrustedProxies {
    /// Whether a header from this peer is believed.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let bits = mapped(address);
        self.networks.iter().any(|network| bits & mask(network.prefix) == network.first)
    }

    /// Whether nobody is trusted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty()
    }
}

impl FromStr for TrustedProxies {
    type Err = TrustedProxiesError;

    fn from_str(list: &str) -> Result<Self, Self::Err> {
        let entries = list.split(|c: char| c == ',' || c.is_whitespace()).filter(|entry| !entry.is_empty());
        Ok(TrustedProxies { networks: entries.map(network).collect::<Result<_, _>>()? })
    }
}

/// One entry of the list.
fn network(entry: &str) -> Result<Network, TrustedProxiesError> {
    let (address_text, prefix_text) = match entry.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (entry, None),
    };
    let address: IpAddr =
        address_text.parse().map_err(|_| TrustedProxiesError::NotAnAddress { entry: entry.to_owned() })?;
    let (prefix_max, shift) = if address.is_ipv4() { (32, 96) } else { (128, 0) };
    let prefix = match prefix_text {
        None => prefix_max,
        Some(text) => text
            .parse::<u8>()
            .ok()
            .filter(|prefix| *prefix <= prefix_max && text.bytes().all(|b| b.is_ascii_digit()))
            .ok_or_else(|| TrustedProxiesError::BadPrefix { entry: entry.to_owned(), prefix_max })?,
    };
    let bits = mapped(address);
    let first = bits & mask(prefix + shift);
    if first != bits {
        let first_address = Ipv6Addr::from(first);
        let shown = if shift == 0 { first_address.into() } else { IpAddr::V6(first_address).to_canonical() };
        return Err(TrustedProxiesError::HostBits {
            entry: entry.to_owned(),
            network: format!("{shown}/{prefix}"),
        });
    }
    Ok(Network { first, prefix: prefix + shift })
}

fn mapped(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

fn mask(prefix: u8) -> u128 {
    match prefix {
        0 => 0,
        n => u128::MAX << (128 - u32::from(n)),
    }
}
