//! How the engine scales without sockets: a million sessions in one process, and two workers instead of one.
//!
//! `cargo bench -p chat-micro --bench scale` runs everything; `-- sessions 100000` with so many sessions only,
//! `-- workers` the other half. Each size runs in a process of its own, so that its memory is its own; with huge pages,
//! too (glibc's `glibc.malloc.hugetlb=1`, which asks the kernel for transparent ones).
//!
//! `-- cold` counts what makes many sessions dearer than few: the cache lines of a message that no cache has, and the
//! pages they lie in. Callgrind (Debian's package `valgrind`) simulates the caches, so that a busy machine blurs nothing.
//! `-- cold DIRECTORY` leaves its files there; `callgrind_annotate --show=DLmr,DLmw --auto=yes` shows where the lines are.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use chat_micro::crew::{Crew, Partner};
use chat_micro::rig::{Rig, name, neighbours};

/// Sessions of the small run, to which the large one is compared.
const FEW: usize = 1_000;
/// Messages between random pairs that are timed.
const MESSAGES: usize = 1_000_000;
/// Sessions, and messages, with which cold lines are counted: as many as callgrind can do in a minute.
const COLD_SESSIONS: usize = 20_000;
const COLD_MESSAGES: usize = 10_000;
/// Seconds that workers are timed for.
const SECONDS: u64 = 3;
/// How often each is timed. Of a thread's own time the best run counts, as all that disturbs it adds to it; of the rates
/// of workers the median, as they depend on each other's luck.
const RUNS: usize = 5;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        [] => {
            sessions(1_000_000);
            workers();
        }
        ["workers"] => workers(),
        ["sessions", n] => sessions(n.parse().expect("a number of sessions")),
        ["cold"] => cold(&std::env::temp_dir(), false),
        ["cold", directory] => cold(Path::new(directory), true),
        ["one", n, roster] => one(n.parse().expect("a number of sessions"), roster == "roster", MESSAGES),
        ["few", n, roster] => {
            one(n.parse().expect("a number of sessions"), roster == "roster", COLD_MESSAGES)
        }
        _ => panic!("nothing, `sessions NUMBER`, `workers` or `cold` is understood"),
    }
}

/// Few sessions against many, with and without rosters, with and without huge pages.
fn sessions(many: usize) {
    println!("sessions   roster  huge pages  bytes each  µs of CPU for a message between random pairs");
    for roster in ["none", "roster"] {
        for huge in [false, true] {
            for n in [FEW, many] {
                let program = std::env::current_exe().expect("the path of this program");
                let mut command = Command::new(program);
                command.args(["one", &n.to_string(), roster]);
                if huge {
                    command.env("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1");
                }
                let output = command.output().expect("it runs");
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
                let result = String::from_utf8_lossy(&output.stdout);
                println!("{n:8}  {roster:>7}  {:>10}  {}", if huge { "yes" } else { "no" }, result.trim());
            }
        }
    }
}

/// One process's part: so many sessions, and messages between random pairs of them.
fn one(n: usize, roster: bool, messages: usize) {
    let mut rig = if roster { Rig::with_rosters(1, n, neighbours) } else { Rig::new(1, n) };
    let before = resident();
    for i in 0..n {
        rig.available(&name(i), "desk");
    }
    assert_eq!(rig.census().resources, n);
    let bytes = (resident() - before) / n as u64;
    let mut random = Random(1);
    let mut best = f64::MAX;
    for _ in 0..RUNS {
        let begin = cpu_nanos();
        measured(&mut rig, messages / RUNS, n, &mut random);
        best = best.min((cpu_nanos() - begin) as f64 / (messages / RUNS) as f64 / 1000.0);
    }
    println!("{bytes:10}  {best:.3}");
}

/// So many messages between random pairs of `n` sessions. Callgrind finds it by this name.
// SAFETY: nothing else in this program or its libraries has this name.
#[unsafe(no_mangle)]
#[inline(never)]
fn chat_micro_measured(rig: &mut Rig, messages: usize, n: usize, random: &mut Random) {
    let mut message = String::new();
    for _ in 0..messages {
        let (from, to) = (random.below(n), random.below(n));
        message.clear();
        let _ = write!(
            message,
            "<message to='{}@localhost/desk' type='chat' id='m'><body>{BODY}</body></message>",
            name(to)
        );
        rig.send(from, &message);
    }
}
use chat_micro_measured as measured;

/// The lines and the pages of a message that are cold with [`COLD_SESSIONS`], with and without rosters.
fn cold(directory: &Path, keep: bool) {
    println!("sessions   roster  cold lines  cold pages of a message between random pairs");
    for roster in ["none", "roster"] {
        // A last-level cache for a fiftieth of the sessions; then one of 512 pages, as if it looked up addresses.
        let [lines, pages] =
            [("lines", "524288,16,64"), ("pages", "2097152,16,4096")].map(|(what, cache)| {
                let file = directory.join(format!("chat-micro.cold.{what}.{roster}"));
                let output = Command::new("valgrind")
                    .args([
                        "--tool=callgrind",
                        "--collect-atstart=no",
                        "--toggle-collect=chat_micro_measured",
                    ])
                    .args(["--cache-sim=yes", &format!("--LL={cache}")])
                    .arg(format!("--callgrind-out-file={}", file.display()))
                    .arg(std::env::current_exe().expect("the path of this program"))
                    .args(["few", &COLD_SESSIONS.to_string(), roster])
                    .output()
                    .expect("valgrind (Debian's package `valgrind`) starts");
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
                let misses =
                    misses(&std::fs::read_to_string(&file).expect("callgrind writes what it counted"));
                if !keep {
                    std::fs::remove_file(&file).expect("it was just read");
                }
                misses as f64 / COLD_MESSAGES as f64
            });
        println!("{COLD_SESSIONS:8}  {roster:>7}  {lines:10.1}  {pages:10.1}");
    }
}

/// Reads and writes that missed the last-level cache, in what callgrind wrote.
fn misses(profile: &str) -> u64 {
    let line = |name: &str| profile.lines().find_map(|l| l.strip_prefix(name)).expect("callgrind writes it");
    let (events, totals) = (line("events: "), line("totals: "));
    let counts = events.split_whitespace().zip(totals.split_whitespace());
    let missed = counts.filter(|(event, _)| matches!(*event, "DLmr" | "DLmw"));
    missed.map(|(_, count)| count.parse::<u64>().expect("a number")).sum()
}

/// One worker against two, with each sender's recipient on its own worker or on the other.
fn workers() {
    let median = |workers, partner| {
        let mut rates: Vec<f64> = (0..RUNS).map(|_| Crew::new(workers, 100, partner).run(SECONDS)).collect();
        rates.sort_by(f64::total_cmp);
        rates[RUNS / 2]
    };
    let one = median(1, Partner::Same);
    let same = median(2, Partner::Same);
    let other = median(2, Partner::Other);
    println!("workers  recipient on     messages/s  to one worker");
    println!("      1  the same worker  {one:10.0}           1.00");
    println!("      2  the same worker  {same:10.0}           {:.2}", same / one);
    println!("      2  the other        {other:10.0}           {:.2}", other / one);
}

/// A hundred bytes, as in the other comparisons.
const BODY: &str =
    "Parting is such sweet sorrow that I shall say good night till it be morrow, sleep dwell upon thine";

/// Bytes of memory that this process has now.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages: u64 = statm.split(' ').nth(1).and_then(|p| p.parse().ok()).expect("a number of pages");
    pages * 4096
}

/// Nanoseconds that this thread has run.
fn cpu_nanos() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    stat.split(' ').next().and_then(|n| n.parse().ok()).expect("a number of nanoseconds")
}

/// Good enough to choose whom to write to.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % n
    }
}
