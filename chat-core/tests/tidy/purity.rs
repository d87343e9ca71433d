//! The purity of chat-core: no sockets, files, threads, clocks, environment, processes or ambient randomness.

use crate::paths::paths;
use crate::source::Source;
use crate::tree;

/// What must not be used, and what is there instead. Hash maps are clippy's business (`clippy.toml`).
const IMPURE: [(&str, &str); 12] = [
    ("std::env", "settings are arguments (`effect::Settings`)"),
    ("std::fs", "storing is an effect (`effect::StoreOp`)"),
    ("std::io", "bytes come in as slices and go out through outboxes"),
    ("std::net", "the core has no sockets, and addresses as plain values are in `core::net`"),
    ("std::time", "time is an argument (`base::Now`), never asked for"),
    ("std::os", "the core knows no operating system"),
    ("std::process", "the core knows no processes"),
    ("std::thread", "one engine, one thread; who drives it decides on which"),
    ("std::sync::Mutex", "one engine, one thread"),
    ("std::sync::RwLock", "one engine, one thread"),
    ("std::sync::Condvar", "one engine, one thread"),
    ("std::sync::mpsc", "workers talk through `effect::Mail`"),
];

/// Plain values that happen to live in impure modules, and nowhere else.
const PLAIN: [&str; 2] = ["std::io::ErrorKind", "std::io::IoSlice"];

/// Macros that touch the process.
const MACROS: [&str; 6] = ["println!", "print!", "eprintln!", "eprint!", "thread_local!", "dbg!"];

/// Crates that touch the machine, in part or whole. None may be in the dependency tree of chat-core, with whatever
/// features.
///
/// `rand` is not among them: foca asks for its traits. What it has that asks the system needs `getrandom`, which is; and
/// our own code cannot name it, since chat-core does not depend on it.
const IMPURE_CRATES: [&str; 18] = [
    "async-global-executor",
    "async-io",
    "async-std",
    "chrono",
    "getrandom",
    "hyper",
    "libc",
    "mio",
    "native-tls",
    "openssl",
    "parking_lot",
    "polling",
    "rusqlite",
    "rustls",
    "rustix",
    "smol",
    "socket2",
    "tokio",
];

pub fn complaints(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources.iter().filter(|s| s.path.starts_with("chat-core/src/")) {
        for path in paths(&source.code, "std") {
            let whole = path.segments.join("::");
            if source.test[path.line] || PLAIN.iter().any(|p| begins(&whole, p)) {
                continue;
            }
            if let Some((_, why)) = IMPURE.iter().find(|(p, _)| begins(&whole, p)) {
                found.push(format!("{}:{}: `{whole}`: {why}", source.path, path.line + 1));
            }
        }
        for (i, line) in source.code.lines().enumerate().filter(|(i, _)| !source.test[*i]) {
            for name in MACROS {
                if line.contains(name) && !line.contains(&format!("_{name}")) {
                    found.push(format!(
                        "{}:{}: `{name}`: the core does not write anywhere; see `effect::Event`",
                        source.path,
                        i + 1
                    ));
                }
            }
        }
    }
    found
}

fn begins(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// The dependency tree, with default features off and with all features.
pub fn tree_complaints() -> Vec<String> {
    let mut found = Vec::new();
    for features in ["--no-default-features", "--all-features"] {
        let args = ["-p", "chat-core", features, "--edges", "normal"];
        for package in tree::packages(&args) {
            if IMPURE_CRATES.contains(&package.name.as_str()) {
                found.push(format!(
                    "chat-core ({features}) depends on {} {}: see `cargo tree -p chat-core -i {}`",
                    package.name, package.version, package.name
                ));
            }
        }
    }
    found
}

#[test]
fn what_touches_the_machine_is_found() {
    let at = |code: &str| complaints(&[Source::new("chat-core/src/base/x.rs", code.to_owned())]).len();
    assert_eq!(at("use std::net::{IpAddr, TcpStream};"), 2);
    assert_eq!(at("use std::{fs, sync::{Arc, Mutex}, time::Instant};"), 3);
    assert_eq!(at("fn f() { std::env::var(); println!(); }"), 2);
    assert_eq!(at("use core::net::IpAddr; use core::time::Duration; use std::sync::Arc; // std::fs"), 0);
    assert_eq!(at("use std::time::{Instant, SystemTime}; use std::{process, thread};"), 4);
    assert_eq!(at("#[cfg(test)]\nmod tests {\n use std::fs;\n}"), 0);
}
