//! How many instructions each workload takes, counted by callgrind (Debian's package `valgrind`): the gate against
//! slower code that a busy machine cannot blur.
//!
//! ```text
//! cargo bench -p chat-micro --bench instructions              compares with benches/micro/instructions.toml
//! cargo bench -p chat-micro --bench instructions -- --update  writes that file, for a change that is worth it
//! cargo bench -p chat-micro --bench instructions -- deliver   only workloads whose names begin so, compared
//! ```
//!
//! The same binary gives the same counts, but for a few instructions. Another compiler gives others, and so does a
//! processor with other vector instructions, because some crates choose by them: see [`TOLERANCE`] and
//! [`TOLERANCE_ELSEWHERE`].

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use chat_micro::work::{ALL, Work};

/// How much a count may rise before the file must be written anew: per cent, with the compiler that the file names.
const TOLERANCE: f64 = 3.0;
/// The same with another compiler: it tells nothing about small changes of ours.
const TOLERANCE_ELSEWHERE: f64 = 20.0;
/// So many instructions more or less say nothing: the compiler inlines this or that anew whenever anything changes.
const NOISE: u64 = 50;
/// Runs before counting begins, so that buffers have grown.
const WARM_UP: u32 = 50;
/// Operations counted, at least: rounding and rare work must not show.
const OPERATIONS: u32 = 500;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--run", name] => {
            let work = ALL.iter().find(|w| w.name == name).expect("a workload of this name");
            run(work);
            ExitCode::SUCCESS
        }
        ["--update"] => update(),
        [] => check(""),
        [prefix] => check(prefix),
        _ => {
            eprintln!("one argument at most: --update, or how the names begin");
            ExitCode::from(2)
        }
    }
}

/// What runs under callgrind, which counts inside of [`measured`] only.
fn run(work: &Work) {
    let mut operation = (work.set_up)();
    (0..WARM_UP).for_each(|_| operation());
    measured(runs(work), &mut *operation);
}

fn runs(work: &Work) -> u32 {
    OPERATIONS.div_ceil(work.operations)
}

/// Callgrind finds it by this name.
// SAFETY: nothing else in this program or its libraries has this name.
#[unsafe(no_mangle)]
#[inline(never)]
fn chat_micro_measured(times: u32, operation: &mut dyn FnMut()) {
    (0..times).for_each(|_| operation());
}
use chat_micro_measured as measured;

/// Instructions of one operation.
fn count(work: &Work) -> u64 {
    let out = std::env::temp_dir().join(format!("chat-micro.{}.{}", std::process::id(), work.name));
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no", "--toggle-collect=chat_micro_measured"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(std::env::current_exe().expect("this program has a path"))
        .args(["--run", work.name])
        .output();
    let output = match output {
        Ok(output) => output,
        Err(error) => {
            eprintln!("valgrind does not start ({error}): it is Debian's package `valgrind`");
            std::process::exit(2);
        }
    };
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{} failed under valgrind:\n{said}", work.name);
    let profile = std::fs::read_to_string(&out).expect("callgrind writes what it counted");
    std::fs::remove_file(&out).expect("it was just read");
    let total = profile.lines().find_map(|line| line.strip_prefix("totals: "));
    let total: u64 = total.and_then(|t| t.trim().parse().ok()).expect("callgrind writes a total");
    assert!(total > 0, "{}: callgrind did not find what to count", work.name);
    total / u64::from(runs(work) * work.operations)
}

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("instructions.toml")
}

/// The compiler, as it names itself.
fn compiler() -> String {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("-V").output().expect("there is a compiler, it made this program");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// What the file says: lines of the form `name = value # comment`.
fn recorded() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(file()).expect("benches/micro/instructions.toml can be read");
    let lines = text.lines().filter_map(|line| line.split('#').next()?.split_once('='));
    lines.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())).collect()
}

fn update() -> ExitCode {
    let mut text = String::from(
        "# Instructions of one operation of each workload (src/work.rs), counted by callgrind.\n\
         # Written by `cargo bench -p chat-micro --bench instructions -- --update`; say in the commit why they changed.\n\n",
    );
    let _ = writeln!(text, "compiler = \"{}\"\n\n[instructions]", compiler());
    for work in &ALL {
        let now = count(work);
        println!("{now:>9}  {}: {}", work.name, work.what);
        let _ = writeln!(text, "{} = {now} # {}", work.name, work.what);
    }
    std::fs::write(file(), text).expect("the file can be written");
    ExitCode::SUCCESS
}

fn check(prefix: &str) -> ExitCode {
    let recorded = recorded();
    let same = recorded.get("compiler") == Some(&format!("\"{}\"", compiler()));
    let tolerance = if same { TOLERANCE } else { TOLERANCE_ELSEWHERE };
    if !same {
        println!("This is {}, the file is of another compiler: {tolerance} % are tolerated.", compiler());
    }
    let (mut risen, mut fallen) = (false, false);
    println!("{:>9} {:>9} {:>8}", "before", "now", "change");
    for work in ALL.iter().filter(|work| work.name.starts_with(prefix)) {
        let now = count(work);
        let before = recorded.get(work.name).and_then(|count| count.parse::<u64>().ok());
        let Some(before) = before else {
            println!("{:>9} {now:>9}           {}: not in the file", "", work.name);
            risen = true;
            continue;
        };
        let change = (now as f64 / before as f64 - 1.0) * 100.0;
        let more = change > tolerance && now > before + NOISE;
        risen |= more;
        fallen |= change < -tolerance && now + NOISE < before;
        let mark = if more { "  <- more than is tolerated" } else { "" };
        println!("{before:>9} {now:>9} {change:>+7.1}%  {}: {}{mark}", work.name, work.what);
    }
    if risen || fallen {
        let verb = if risen { "If it is meant so" } else { "So that nobody loses again what was won" };
        println!("{verb}, write the file anew, and say why in the commit:");
        println!("    cargo bench -p chat-micro --bench instructions -- --update");
    }
    if risen { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
