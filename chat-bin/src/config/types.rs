//! The types of values that the standard library has no name for.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use super::secret::{MASK, Secret};

/// A block of addresses, `10.0.0.0/8` or `2001:db8::/32`. A bare address is a block of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    network: IpAddr,
    prefix: u8,
}

impl Cidr {
    /// Reads a block; host bits beyond the prefix are ignored. `None` if it is not one.
    pub fn parse(text: &str) -> Option<Cidr> {
        let (address, prefix) = match text.split_once('/') {
            Some((a, p)) if p.bytes().all(|b| b.is_ascii_digit()) => (a, Some(p.parse().ok()?)),
            Some(_) => return None,
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.unwrap_or(bits);
        (prefix <= bits).then(|| Cidr { network: mask(address, prefix), prefix })
    }

    /// The first address of the block.
    pub fn network(&self) -> IpAddr {
        self.network
    }

    /// The number of leading bits that all addresses of the block share: 0 to 32 or 128.
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Whether the block holds `address`. An IPv4 address mapped into IPv6 counts as the IPv4 address, because
    /// that is how a socket that listens on `[::]` shows it.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = if self.network.is_ipv4() { address.to_canonical() } else { address };
        address.is_ipv4() == self.network.is_ipv4() && mask(address, self.prefix) == self.network
    }
}

fn mask(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(a) => {
            let keep = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            IpAddr::V4((u32::from(a) & keep).into())
        }
        IpAddr::V6(a) => {
            let keep = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            IpAddr::V6((u128::from(a) & keep).into())
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix)
    }
}

/// Where users, rosters and waiting messages are kept.
#[derive(Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// `memory:`: in the process, gone when it ends.
    Memory,
    /// `sqlite:PATH`: one file, for one node.
    Sqlite(PathBuf),
    /// `postgres://…`: shared by the nodes of a cluster. The whole URL, which may hold a password.
    Postgres(Secret),
}

impl StoreUrl {
    /// Reads the URL. The error says what is expected instead and never repeats the URL.
    pub fn parse(text: &str) -> Result<StoreUrl, &'static str> {
        if text == "memory:" {
            return Ok(StoreUrl::Memory);
        }
        if let Some(path) = text.strip_prefix("sqlite:") {
            // `sqlite://data/chat.db` would silently mean `/data/chat.db`.
            return match path {
                "" => Err("sqlite: followed by the path of a file"),
                p if p.starts_with("//") => {
                    Err("sqlite:PATH without slashes before the path, as in sqlite:data/chat.db")
                }
                p => Ok(StoreUrl::Sqlite(PathBuf::from(p))),
            };
        }
        let rest = text.strip_prefix("postgres://").or_else(|| text.strip_prefix("postgresql://"));
        match rest {
            Some(r) if !r.is_empty() && !r.chars().any(|c| c.is_whitespace() || c.is_control()) => {
                Ok(StoreUrl::Postgres(Secret::new(text)))
            }
            _ => Err("sqlite:PATH, postgres://USER@HOST/DATABASE or memory:"),
        }
    }
}

/// With the password masked, and everything in the query: drivers read passwords there too.
impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreUrl::Memory => f.write_str("memory:"),
            StoreUrl::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            StoreUrl::Postgres(url) => f.write_str(&mask_url(url.expose())),
        }
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A URL whose user information and query may be secret.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpUrl(Secret);

impl HttpUrl {
    /// Takes an absolute `http` or `https` URL with a host; `None` for anything else.
    pub fn parse(text: &str) -> Option<HttpUrl> {
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"))?;
        let authority = rest.split(['/', '?', '#']).next()?;
        let host = authority.rsplit('@').next()?;
        let sound = !host.is_empty() && !host.starts_with(':');
        (sound && text.bytes().all(|b| b.is_ascii_graphic()) && !text.contains('#'))
            .then(|| HttpUrl(Secret::new(text)))
    }

    /// The whole URL, for the client that calls it.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&mask_url(self.0.expose()))
    }
}

impl fmt::Debug for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The URL with [`MASK`] for the password and for the query. The last `@` of everything before the query ends the
/// user information: a password with an unescaped `/` must not slip out as a path, nor one with an unescaped `?` as a
/// port.
fn mask_url(url: &str) -> String {
    let (url, query) = url.split_once(['?', '#']).map_or((url, None), |(url, query)| (url, Some(query)));
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let shown = match (rest.rsplit_once('@'), rest.split_once(':')) {
        (Some((user, host)), _) => match user.split_once(':') {
            Some((user, _)) => format!("{user}:{MASK}@{host}"),
            None => rest.to_owned(),
        },
        (None, Some((user, _))) if query.is_some_and(|q| q.contains('@')) => format!("{user}:{MASK}"),
        (None, _) => rest.to_owned(),
    };
    let query = query.map_or(String::new(), |_| format!("?{MASK}"));
    format!("{scheme}://{shown}{query}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_of_addresses() {
        let holds =
            |block: &str, address: &str| Cidr::parse(block).unwrap().contains(address.parse().unwrap());
        assert!(holds("10.0.0.0/8", "10.255.1.2"));
        assert!(holds("10.1.2.3/8", "10.255.1.2"));
        assert!(!holds("10.0.0.0/8", "11.0.0.1"));
        assert!(holds("10.0.0.0/8", "::ffff:10.0.0.1"));
        assert!(holds("0.0.0.0/0", "203.0.113.9"));
        assert!(!holds("0.0.0.0/0", "2001:db8::1"));
        assert!(holds("::/0", "2001:db8::1"));
        assert!(holds("2001:db8::/32", "2001:db8:ffff::1"));
        assert!(holds("192.0.2.7", "192.0.2.7"));
        assert!(!holds("192.0.2.7", "192.0.2.8"));
        for bad in ["", "10.0.0.0/33", "::/129", "10.0.0/8", "10.0.0.0/+8", "10.0.0.0/", "example.org/8"] {
            assert!(Cidr::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn passwords_in_urls_are_masked() {
        for (url, shown) in [
            ("postgres://chat:pw@db/chat", "postgres://chat:(secret)@db/chat"),
            ("postgres://chat:p/w@x@db/chat", "postgres://chat:(secret)@db/chat"),
            ("postgres://chat:p?w@db/chat", "postgres://chat:(secret)?(secret)"),
            ("postgres://chat:p#w@db/chat", "postgres://chat:(secret)?(secret)"),
            ("postgres://chat@db/chat?password=pw", "postgres://chat@db/chat?(secret)"),
            ("postgres://chat@db:5433/chat?password=p@w", "postgres://chat@db:5433/chat?(secret)"),
            ("postgres://db:5433/chat?sslmode=require", "postgres://db:5433/chat?(secret)"),
            ("postgresql://db/chat", "postgresql://db/chat"),
        ] {
            let url = StoreUrl::parse(url).unwrap();
            assert_eq!(url.to_string(), shown);
            assert_eq!(format!("{url:?}"), shown);
        }
        let url = HttpUrl::parse("https://user:pw@auth.example/check?key=pw").unwrap();
        assert_eq!(format!("{url} {url:?}").matches("pw").count(), 0);
    }

    #[test]
    fn store_urls() {
        assert_eq!(StoreUrl::parse("memory:"), Ok(StoreUrl::Memory));
        assert_eq!(
            StoreUrl::parse("sqlite:/var/lib/chat.db"),
            Ok(StoreUrl::Sqlite("/var/lib/chat.db".into()))
        );
        for bad in
            ["", "memory", "sqlite:", "sqlite://data/chat.db", "postgres://", "mysql://h/d", "data/chat.db"]
        {
            assert!(StoreUrl::parse(bad).is_err(), "{bad}");
        }
    }
}
