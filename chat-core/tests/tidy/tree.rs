//! The dependency tree, as `cargo tree` tells it from the lock file.

use std::collections::BTreeSet;
use std::process::Command;

use crate::source;

/// One package of the tree.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Package {
    pub name: String,
    pub version: String,
    /// As its manifest writes it; empty if it names a file only.
    pub licence: String,
    /// Where it is from, if not from the registry: a path or a repository.
    pub from: Option<String>,
}

/// The packages that `cargo tree` lists. It needs no network once they have been downloaded.
pub fn packages(args: &[&str]) -> BTreeSet<Package> {
    let out = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--prefix", "none", "--format", "{p}|{l}"])
        .args(args)
        .current_dir(source::root())
        .output()
        .expect("cargo runs");
    assert!(out.status.success(), "cargo tree {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let all: BTreeSet<Package> = text.lines().filter_map(package).collect();
    assert!(!all.is_empty(), "cargo tree {args:?} lists nothing");
    all
}

/// `name v1.2.3 (/path)|licence (*)`
fn package(line: &str) -> Option<Package> {
    let (package, licence) = line.split_once('|')?;
    let mut words = package.splitn(3, ' ');
    let name = words.next()?.to_owned();
    let version = words.next()?.trim_start_matches('v').to_owned();
    let from = words.next().filter(|w| *w != "(proc-macro)").map(|w| w.trim_matches(['(', ')']).to_owned());
    let licence = licence.trim_end_matches(" (*)").to_owned();
    Some(Package { name, version, licence, from })
}
