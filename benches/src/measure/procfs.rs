//! Reading `/proc`.

use std::collections::BTreeMap;
use std::fs;
use std::io;

/// CPU time in the unit of `/proc`, usually 10 ms.
pub type Ticks = u64;

/// Seconds of so many ticks.
#[must_use]
#[allow(clippy::cast_precision_loss, reason = "a run has fewer than 2^52 ticks")]
pub fn seconds(ticks: Ticks) -> f64 {
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

/// What `/proc/PID/stat` says that we want.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    parent: u32,
    /// Of all its threads, user and system.
    own: Ticks,
    /// Of those children that have ended and been waited for.
    ended_children: Ticks,
}

fn parse_stat(text: &str) -> Option<Stat> {
    // The name of the program may hold anything, also blanks and parentheses.
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let number = |n: usize| fields.get(n).and_then(|f| f.parse::<u64>().ok());
    Some(Stat {
        parent: u32::try_from(number(1)?).ok()?,
        own: number(11)? + number(12)?,
        ended_children: number(13)? + number(14)?,
    })
}

fn stat(pid: u32) -> io::Result<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    parse_stat(&text).ok_or_else(|| io::Error::other(format!("/proc/{pid}/stat is not as expected")))
}

/// CPU time of a process; with `children` of its living descendants and of those that have ended, too.
///
/// # Errors
/// There is no such process.
pub fn cpu(pid: u32, children: bool) -> io::Result<Ticks> {
    if !children {
        return stat(pid).map(|s| s.own);
    }
    let mut sum = 0;
    for pid in family(pid) {
        match stat(pid) {
            Ok(s) => sum += s.own + s.ended_children,
            // A descendant that has just ended is counted by its parent from now on.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
    }
    if sum == 0 { stat(pid).map(|s| s.own) } else { Ok(sum) }
}

/// A process and all that descend from it.
#[must_use]
pub fn family(pid: u32) -> Vec<u32> {
    let mut by_parent: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(child) = entry.file_name().to_str().and_then(|n| n.parse().ok()) else { continue };
        if let Ok(stat) = stat(child) {
            by_parent.entry(stat.parent).or_default().push(child);
        }
    }
    let mut found = vec![pid];
    let mut at = 0;
    while at < found.len() {
        found.extend(by_parent.remove(&found[at]).unwrap_or_default());
        at += 1;
    }
    found
}

/// Memory of a process in bytes: its share of every page it has (PSS).
///
/// # Errors
/// There is no such process, or it is somebody else's.
pub fn pss(pid: u32, children: bool) -> io::Result<u64> {
    let mut sum = 0;
    for pid in if children { family(pid) } else { vec![pid] } {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        sum += parse_kilobytes(&text, "Pss:")
            .ok_or_else(|| io::Error::other(format!("/proc/{pid}/smaps_rollup has no Pss")))?;
    }
    Ok(sum)
}

/// The value of `NAME   123 kB` in bytes.
fn parse_kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find(|l| l.starts_with(name))?;
    line[name.len()..].split_whitespace().next()?.parse::<u64>().ok().map(|kb| kb * 1024)
}

/// The machine's CPU time so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Machine {
    /// Of everything that ran.
    pub busy: Ticks,
    /// Wanted, but taken by other machines on the same hardware.
    pub stolen: Ticks,
}

/// See [`Machine`].
///
/// # Errors
/// There is no `/proc`.
pub fn machine() -> io::Result<Machine> {
    let text = fs::read_to_string("/proc/stat")?;
    parse_machine(&text).ok_or_else(|| io::Error::other("/proc/stat is not as expected"))
}

fn parse_machine(text: &str) -> Option<Machine> {
    let line = text.lines().find_map(|l| l.strip_prefix("cpu "))?;
    let f: Vec<Ticks> = line.split_whitespace().map_while(|n| n.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal
    Some(Machine { busy: f.first()? + f.get(1)? + f.get(2)? + f.get(5)? + f.get(6)?, stolen: *f.get(7)? })
}

/// Memory that the kernel has for the buffers of all TCP sockets of the machine, in bytes.
///
/// # Errors
/// There is no `/proc`.
pub fn socket_buffers() -> io::Result<u64> {
    let text = fs::read_to_string("/proc/net/sockstat")?;
    let pages = parse_sockstat(&text).ok_or_else(|| io::Error::other("/proc/net/sockstat has no TCP mem"))?;
    Ok(pages * rustix::param::page_size() as u64)
}

fn parse_sockstat(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|l| l.strip_prefix("TCP:"))?;
    line.split_once(" mem ")?.1.split_whitespace().next()?.parse().ok()
}

/// Memory that the kernel has for its own structures, sockets and descriptors among them, in bytes.
///
/// # Errors
/// There is no `/proc`.
pub fn kernel_slab() -> io::Result<u64> {
    let text = fs::read_to_string("/proc/meminfo")?;
    parse_kilobytes(&text, "Slab:").ok_or_else(|| io::Error::other("/proc/meminfo has no Slab"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_may_be_called_anything() {
        let text = "77 (a) b (c)) S 4 77 77 0 -1 4194560 999 888 0 0 120 34 5 6 20 0 3 0 100 1 2";
        assert_eq!(parse_stat(text), Some(Stat { parent: 4, own: 154, ended_children: 11 }));
        assert_eq!(parse_stat("77 (a) S 4"), None);
    }

    #[test]
    fn the_files_of_proc_are_read() {
        let text = "cpu  10 20 30 400 50 6 7 8 0 0\ncpu0 1 2 3 4 5 6 7 8 0 0\n";
        assert_eq!(parse_machine(text), Some(Machine { busy: 73, stolen: 8 }));
        assert_eq!(parse_kilobytes("Rss:  9 kB\nPss:     12 kB\nPss_Dirty: 3 kB\n", "Pss:"), Some(12_288));
        assert_eq!(parse_sockstat("sockets: used 9\nTCP: inuse 5 orphan 0 tw 2 alloc 7 mem 3\n"), Some(3));
    }

    #[test]
    fn this_process_can_be_measured() {
        let own = std::process::id();
        assert!(family(own).contains(&own));
        assert!(pss(own, false).expect("smaps_rollup") > 100_000);
        cpu(own, false).expect("stat");
        cpu(own, true).expect("stat");
        assert!(machine().expect("stat").busy > 0);
        socket_buffers().expect("sockstat");
        assert!(kernel_slab().expect("meminfo") > 0);
        assert!(cpu(u32::MAX, false).is_err());
    }
}
