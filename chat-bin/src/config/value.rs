//! The kinds of settings: what they accept, from a file and from plain text, and how they are shown.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use chat_core::base::time::Span;
use chat_core::cluster::discovery::NodeAddr;
use chat_core::jid::prepare_domain;

use super::secret::{MASK, Secret};
use super::types::{Cidr, HttpUrl, StoreUrl};

/// What a setting accepts.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Int {
        /// The smallest.
        min: u64,
        /// The largest.
        max: u64,
    },
    /// A number of bytes; `64KiB` and `2MiB` are understood.
    Bytes {
        /// The smallest.
        min: u64,
        /// The largest.
        max: u64,
    },
    /// A duration: seconds as a number, or a text with a unit.
    Duration {
        /// The shortest.
        min: Span,
        /// The longest.
        max: Span,
    },
    /// Any text that the function accepts.
    Text {
        /// What is expected, as the end of the sentence "expected …".
        expected: &'static str,
        /// Whether the text is that.
        accepts: fn(&str) -> bool,
    },
    /// One of some words.
    Choice(&'static [&'static str]),
    /// A list of some words.
    Choices {
        /// The words.
        of: &'static [&'static str],
        /// Whether the list may be empty.
        empty: bool,
    },
    /// A list of names, separated like domains.
    Names,
    /// A file or directory.
    Path,
    /// A list of socket addresses.
    Addresses,
    /// A list of address blocks.
    Blocks,
    /// A list of domains, never empty.
    Domains,
    /// A list of nodes; with ports the separators are commas and white space, without colons and white space.
    Nodes {
        /// Whether a node may have a port.
        ports: bool,
    },
    /// One node without port.
    Node,
    /// The URL of a store.
    Store,
    /// An `http` or `https` URL.
    HttpUrl,
    /// A secret text.
    Secret,
    /// One secret, or two while they are rotated, of at least 16 bytes each.
    Secrets,
}

/// A value of one of the kinds.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Not set.
    Nothing,
    /// Of [`Kind::Bool`].
    Bool(bool),
    /// Of [`Kind::Int`] and [`Kind::Bytes`].
    Int(u64),
    /// Of [`Kind::Duration`].
    Duration(Span),
    /// Of [`Kind::Text`] and [`Kind::Choice`].
    Text(String),
    /// Of [`Kind::Choices`], [`Kind::Names`] and [`Kind::Domains`].
    Texts(Vec<String>),
    /// Of [`Kind::Path`].
    Path(PathBuf),
    /// Of [`Kind::Addresses`].
    Addresses(Vec<SocketAddr>),
    /// Of [`Kind::Blocks`].
    Blocks(Vec<Cidr>),
    /// Of [`Kind::Nodes`] and [`Kind::Node`].
    Nodes(Vec<NodeAddr>),
    /// Of [`Kind::Store`].
    Store(StoreUrl),
    /// Of [`Kind::HttpUrl`].
    HttpUrl(HttpUrl),
    /// Of [`Kind::Secret`] and [`Kind::Secrets`].
    Secrets(Vec<Secret>),
}

/// A value as a source spells it.
#[derive(Debug, Clone)]
pub enum Raw {
    /// From the environment or a flag: its type is whatever the setting wants.
    Plain(String),
    /// A string of a file.
    Str(String),
    /// A whole number of a file.
    Int(String),
    /// A boolean of a file.
    Bool(bool),
    /// An array of a file.
    List(Vec<Raw>),
    /// Something that no setting accepts: its name with an article.
    Other(&'static str),
}

impl Kind {
    /// What the kind accepts, as the end of the sentence "expected …".
    pub fn expected(&self) -> String {
        match self {
            Kind::Bool => "true or false".into(),
            Kind::Int { min, max } => format!("a number from {min} to {max}"),
            Kind::Bytes { min, max } => {
                format!("a number of bytes from {min} to {max} (64KiB and 2MiB are understood)")
            }
            Kind::Duration { min, max } => {
                let (min, max) = (duration(*min), duration(*max));
                format!("a duration from {min} to {max}, in seconds or as in 250ms, 30s, 5m, 1h, 7d")
            }
            Kind::Text { expected, .. } => (*expected).into(),
            Kind::Choice(of) => format!("one of {}", of.join(", ")),
            Kind::Choices { of, empty: true } => format!("a list of any of {}", of.join(", ")),
            Kind::Choices { of, empty: false } => format!("a list of one or more of {}", of.join(", ")),
            Kind::Names => "a list of names separated by spaces, commas or colons".into(),
            Kind::Path => "a path".into(),
            Kind::Addresses => "a list of socket addresses such as 0.0.0.0:5222 or [::]:5222".into(),
            Kind::Blocks => "a list of address blocks such as 10.0.0.0/8 or 2001:db8::/32".into(),
            Kind::Domains => "one or more domains such as chat.example.org".into(),
            Kind::Nodes { ports: false } => "a list of name@host".into(),
            Kind::Nodes { ports: true } => "a list of name@host or name@host:port".into(),
            Kind::Node => "name@host".into(),
            Kind::Store => "sqlite:PATH, postgres://USER@HOST/DATABASE or memory:".into(),
            Kind::HttpUrl => "an http or https URL".into(),
            Kind::Secret => "a text without white space".into(),
            Kind::Secrets => "one secret of at least 16 bytes, or two while they are rotated".into(),
        }
    }

    /// Whether values of this kind must not be shown, not even in an error.
    pub fn is_secret(&self) -> bool {
        matches!(self, Kind::Secret | Kind::Secrets | Kind::Store | Kind::HttpUrl)
    }

    /// Whether a list without items is a value of this kind. An empty environment variable then means that list;
    /// for other kinds it means that the variable is not set.
    pub fn may_be_empty(&self) -> bool {
        matches!(
            self,
            Kind::Addresses
                | Kind::Blocks
                | Kind::Nodes { .. }
                | Kind::Names
                | Kind::Choices { empty: true, .. }
        )
    }

    /// Reads a value. The error is a sentence that says what was expected; it never repeats a secret.
    pub fn read(&self, raw: &Raw) -> Result<Value, String> {
        let got = match raw {
            _ if self.is_secret() => None,
            Raw::Plain(s) | Raw::Str(s) => Some(format!("{s:?}")),
            Raw::Int(n) => Some(n.clone()),
            Raw::Bool(b) => Some(b.to_string()),
            Raw::List(_) => Some("this list".into()),
            Raw::Other(what) => Some((*what).into()),
        };
        self.convert(raw).map_err(|bad| match bad {
            Bad::Item(item) => format!("expected {}, not {item:?}", self.expected()),
            Bad::Expected(what) => format!("expected {what}"),
            Bad::Value => match got {
                Some(got) => format!("expected {}, not {got}", self.expected()),
                None => format!("expected {}", self.expected()),
            },
        })
    }

    fn convert(&self, raw: &Raw) -> Result<Value, Bad> {
        let text = || match raw {
            Raw::Plain(s) | Raw::Str(s) => Ok(s.as_str()),
            _ => Err(Bad::Value),
        };
        let some = |v: Option<Value>| v.ok_or(Bad::Value);
        match self {
            Kind::Bool => some(match raw {
                Raw::Bool(b) => Some(Value::Bool(*b)),
                Raw::Plain(s) => s.parse().ok().map(Value::Bool),
                _ => None,
            }),
            Kind::Int { min, max } => some(match raw {
                Raw::Int(s) | Raw::Plain(s) => number(s, *min, *max).map(Value::Int),
                _ => None,
            }),
            Kind::Bytes { min, max } => some(match raw {
                Raw::Int(s) => number(s, *min, *max).map(Value::Int),
                Raw::Plain(s) | Raw::Str(s) => {
                    byte_count(s).filter(|n| (min..=max).contains(&n)).map(Value::Int)
                }
                _ => None,
            }),
            Kind::Duration { min, max } => some(match raw {
                Raw::Int(s) | Raw::Plain(s) | Raw::Str(s) => {
                    read_duration(s).filter(|d| (min..=max).contains(&d)).map(Value::Duration)
                }
                _ => None,
            }),
            Kind::Text { accepts, .. } => {
                some(Some(text()?).filter(|s| accepts(s)).map(|s| Value::Text(s.to_owned())))
            }
            Kind::Choice(of) => {
                some(Some(text()?).filter(|s| of.contains(s)).map(|s| Value::Text(s.to_owned())))
            }
            Kind::Path => some(
                Some(text()?).filter(|s| !s.is_empty() && !s.contains('\0')).map(|s| Value::Path(s.into())),
            ),
            Kind::Node => some(read_node(text()?, false).map(|n| Value::Nodes(vec![n]))),
            Kind::Store => StoreUrl::parse(text()?).map(Value::Store).map_err(Bad::Expected),
            Kind::HttpUrl => some(HttpUrl::parse(text()?).map(Value::HttpUrl)),
            Kind::Secret => {
                let sound =
                    |s: &&str| !s.is_empty() && !s.chars().any(|c| c.is_whitespace() || c.is_control());
                some(Some(text()?).filter(sound).map(|s| Value::Secrets(vec![Secret::new(s)])))
            }
            _ => self.convert_list(raw),
        }
    }

    fn convert_list(&self, raw: &Raw) -> Result<Value, Bad> {
        let colons = matches!(self, Kind::Domains | Kind::Names | Kind::Nodes { ports: false });
        let commas = !matches!(self, Kind::Nodes { ports: false } | Kind::Secrets);
        let separates = |c: char| c.is_whitespace() || (c == ':' && colons) || (c == ',' && commas);
        let items: Vec<&str> = match raw {
            Raw::Plain(s) | Raw::Str(s) => s.split(separates).filter(|s| !s.is_empty()).collect(),
            Raw::List(list) => list
                .iter()
                .map(|item| match item {
                    Raw::Str(s) => Ok(s.as_str()),
                    _ => Err(Bad::Value),
                })
                .collect::<Result<_, _>>()?,
            _ => return Err(Bad::Value),
        };
        match self {
            Kind::Choices { of, empty } => {
                let words = each(&items, |s| of.contains(&s).then(|| s.to_owned()))?;
                if words.is_empty() && !empty { Err(Bad::Value) } else { Ok(Value::Texts(once(words))) }
            }
            Kind::Names => {
                each(&items, |s| (!s.is_empty()).then(|| s.to_owned())).map(|v| Value::Texts(once(v)))
            }
            Kind::Domains => {
                let domains = each(&items, read_domain)?;
                if domains.is_empty() { Err(Bad::Value) } else { Ok(Value::Texts(once(domains))) }
            }
            Kind::Addresses => each(&items, |s| s.parse().ok()).map(Value::Addresses),
            Kind::Blocks => each(&items, Cidr::parse).map(|v| Value::Blocks(once(v))),
            Kind::Nodes { ports } => each(&items, |s| read_node(s, *ports)).map(|v| Value::Nodes(once(v))),
            Kind::Secrets => {
                let sound = (1..=2).contains(&items.len()) && items.iter().all(|s| s.len() >= 16);
                let secrets = || Value::Secrets(items.iter().map(|s| Secret::new(*s)).collect());
                sound.then(secrets).ok_or(Bad::Value)
            }
            _ => unreachable!("only kinds that are lists come here"),
        }
    }
}

/// What is wrong with a value: the whole, one item of a list, or something the kind can say better.
enum Bad {
    Value,
    Item(String),
    Expected(&'static str),
}

fn read_node(text: &str, ports: bool) -> Option<NodeAddr> {
    NodeAddr::parse(text).ok().filter(|n| ports || n.port.is_none())
}

fn each<T>(items: &[&str], read: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, Bad> {
    items.iter().map(|s| read(s).ok_or_else(|| Bad::Item((*s).to_owned()))).collect()
}

/// Each item once, in the order of its first appearance.
pub(super) fn once<T: PartialEq>(items: Vec<T>) -> Vec<T> {
    let mut kept = Vec::with_capacity(items.len());
    for item in items {
        if !kept.contains(&item) {
            kept.push(item);
        }
    }
    kept
}

fn number(text: &str, min: u64, max: u64) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|n| digits && (min..=max).contains(n))
}

fn byte_count(text: &str) -> Option<u64> {
    let (digits, factor) = match (text.strip_suffix("KiB"), text.strip_suffix("MiB")) {
        (Some(digits), _) => (digits, 1024),
        (_, Some(digits)) => (digits, 1024 * 1024),
        _ => (text, 1),
    };
    number(digits.trim_end(), 0, u64::MAX)?.checked_mul(factor)
}

fn read_duration(text: &str) -> Option<Span> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let ms_each = match text[end..].trim_start() {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    let ms = number(&text[..end], 0, u64::MAX)?.checked_mul(ms_each)?;
    // The engine counts in nanoseconds of a u64: 584 years.
    ms.checked_mul(1_000_000).map(Span)
}

/// A span in the form that is read.
pub fn duration(span: Span) -> String {
    if span.as_millis().is_multiple_of(1_000) {
        format!("{}s", span.as_secs())
    } else {
        format!("{}ms", span.as_millis())
    }
}

/// The canonical form of a domain, as the engine compares it (RFC 7622 §3.2). `None` if it is not a host name: what
/// only an address may be, an IPv6 literal or a name with an underscore, is not to be served.
pub fn read_domain(text: &str) -> Option<String> {
    let domain = prepare_domain(text).ok()?.into_owned();
    (domain.len() <= 253 && !domain.contains(['_', '['])).then_some(domain)
}

/// As plain text that [`Kind::read`] would accept again, secrets excepted.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Nothing => Ok(()),
            Value::Bool(b) => write!(f, "{b}"),
            Value::Int(n) => write!(f, "{n}"),
            Value::Duration(span) => f.write_str(&duration(*span)),
            Value::Text(text) => f.write_str(text),
            Value::Texts(texts) => f.write_str(&texts.join(" ")),
            Value::Path(path) => write!(f, "{}", path.display()),
            Value::Addresses(list) => spaced(f, list),
            Value::Blocks(list) => spaced(f, list),
            Value::Nodes(list) => spaced(f, list),
            Value::Store(url) => write!(f, "{url}"),
            Value::HttpUrl(url) => write!(f, "{url}"),
            Value::Secrets(_) => f.write_str(MASK),
        }
    }
}

fn spaced<T: fmt::Display>(f: &mut fmt::Formatter<'_>, items: &[T]) -> fmt::Result {
    for (i, item) in items.iter().enumerate() {
        write!(f, "{}{item}", if i == 0 { "" } else { " " })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
