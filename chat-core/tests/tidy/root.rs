//! The top level of the repository, and what every manifest must say.

use std::collections::BTreeSet;

use crate::source::{files, root};

/// Folders and files, and what they are for; tool configuration files come after them.
const TOP: [&str; 20] = [
    ".ci",
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "benches",
    "chat-bin",
    "chat-core",
    "chat-net",
    "deploy",
    "docs",
    "examples",
    "fuzz", // the house
    ".gitattributes",
    ".gitignore",
    "clippy.toml",
    "deny.toml",
    "rustfmt.toml", // tools
];

/// Lines that the workspace's manifest must have, so that rustc asks for public documentation.
const LINTS: [&str; 1] = ["missing_docs = \"warn\""];

pub fn complaints() -> Vec<String> {
    let mut found = Vec::new();
    let files = files();
    let top: BTreeSet<&str> = files.iter().filter_map(|f| f.split('/').next()).collect();
    for name in top.iter().filter(|name| !TOP.contains(name)) {
        found.push(format!(
            "{name}: has no place at the top level; see docs/ARCHITECTURE.md for where things go"
        ));
    }
    let read = |path: &str| std::fs::read_to_string(root().join(path)).expect("a manifest can be read");
    let workspace = read("Cargo.toml");
    for line in LINTS.iter().filter(|line| !workspace.contains(**line)) {
        found.push(format!("Cargo.toml: [workspace.lints.rust] must have `{line}`"));
    }
    for manifest in files.iter().filter(|f| f.ends_with("/Cargo.toml") && !f.starts_with("fuzz/")) {
        if !read(manifest).contains("[lints]\nworkspace = true") {
            found.push(format!("{manifest}: must have `[lints]` with `workspace = true`"));
        }
    }
    if !read("chat-core/src/lib.rs").contains("#![forbid(unsafe_code)]") {
        found.push("chat-core/src/lib.rs: must forbid unsafe code".to_owned());
    }
    found
}
