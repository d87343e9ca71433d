//! Faults on purpose: what a load tool is for must be seen by it.

use std::str::FromStr;
use std::time::Duration;

use crate::xmpp::frame;

/// What goes wrong, with every so many-th stanza of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// It disappears.
    Lose(u64),
    /// It arrives twice.
    Double(u64),
    /// It arrives after the next.
    Swap(u64),
    /// It arrives with another body.
    Alter(u64),
    /// The whole relay stands still for 200 ms.
    Stall(u64),
}

/// How long a stall takes.
const STALL: Duration = Duration::from_millis(200);

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Fault, String> {
        let bad = || format!("`{text}` is none of lose, double, swap, alter, stall with a number: lose:100");
        let (kind, every) = text.split_once(':').ok_or_else(bad)?;
        let every = every.parse().ok().filter(|every| *every > 0).ok_or_else(bad)?;
        match kind {
            "lose" => Ok(Fault::Lose(every)),
            "double" => Ok(Fault::Double(every)),
            "swap" => Ok(Fault::Swap(every)),
            "alter" => Ok(Fault::Alter(every)),
            "stall" => Ok(Fault::Stall(every)),
            _ => Err(bad()),
        }
    }
}

/// One connection's way through a fault.
#[derive(Debug, Default)]
pub struct Faulty {
    count: u64,
    held: Vec<u8>,
}

impl Faulty {
    /// Appends to `out` what becomes of these bytes; returns how many were taken: whole stanzas only.
    pub fn pass(&mut self, fault: Fault, bytes: &[u8], out: &mut Vec<u8>) -> usize {
        let mut at = 0;
        while let Ok(Some((_, length))) = frame::next(&bytes[at..]) {
            let stanza = &bytes[at..at + length];
            at += length;
            self.count += 1;
            let hit = |every: u64| self.count.is_multiple_of(every);
            match fault {
                Fault::Lose(every) if hit(every) => continue,
                Fault::Double(every) if hit(every) => out.extend_from_slice(stanza),
                Fault::Swap(every) if hit(every) => {
                    self.held = stanza.to_vec();
                    continue;
                }
                Fault::Alter(every) if hit(every) => {
                    let from = out.len();
                    out.extend_from_slice(stanza);
                    // Behind the last text, so that tags stay tags.
                    if let Some(end) = memchr::memmem::find(stanza, b"</body>") {
                        out[from + end - 1] ^= 1;
                    }
                    continue;
                }
                Fault::Stall(every) if hit(every) => std::thread::sleep(STALL),
                _ => {}
            }
            out.extend_from_slice(stanza);
            out.append(&mut self.held);
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_does_what_it_says() {
        let bytes = b"<a>1</a><a>2</a><a>3</a><a>4</a><par";
        for (text, expected) in [
            ("lose:2", "<a>1</a><a>3</a>"),
            ("double:3", "<a>1</a><a>2</a><a>3</a><a>3</a><a>4</a>"),
            ("swap:2", "<a>1</a><a>3</a><a>2</a>"),
            ("stall:100", "<a>1</a><a>2</a><a>3</a><a>4</a>"),
        ] {
            let (mut faulty, mut out) = (Faulty::default(), Vec::new());
            let taken = faulty.pass(text.parse().expect("a fault"), bytes, &mut out);
            assert_eq!((taken, String::from_utf8_lossy(&out).as_ref()), (32, expected), "{text}");
        }
        let mut out = Vec::new();
        Faulty::default().pass(Fault::Alter(1), b"<m><body>abc</body></m>", &mut out);
        assert_eq!(out, b"<m><body>abb</body></m>");
        assert!("lose".parse::<Fault>().is_err() && "lose:0".parse::<Fault>().is_err());
    }
}
