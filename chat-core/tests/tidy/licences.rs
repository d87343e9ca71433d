//! Licences and bans, by the lists of `deny.toml`, so that every test run checks them and not only machines that have
//! cargo-deny.

use crate::source::root;
use crate::tree::{self, Package};

struct Rules {
    allowed: Vec<String>,
    /// A crate, and a licence that is accepted for it alone.
    exceptions: Vec<(String, String)>,
    /// A crate, and below which version it is refused; none: whatever the version.
    banned: Vec<(String, Option<String>)>,
}

pub fn complaints() -> Vec<String> {
    let rules = read_rules();
    let mut found = Vec::new();
    for package in tree::packages(&["--workspace", "--all-features", "--edges", "normal,build"]) {
        let at = format!("{} {}", package.name, package.version);
        let alone = rules.exceptions.iter().filter(|(name, _)| *name == package.name).map(|(_, l)| l.clone());
        let allowed: Vec<String> = rules.allowed.iter().cloned().chain(alone).collect();
        if !is_allowed(&package.licence, &allowed) {
            found.push(format!("{at}: the licence `{}` is not in [licenses] allow", package.licence));
        }
        if let Some(from) = package.from.as_ref().filter(|_| !is_ours(&package)) {
            found.push(format!("{at}: from {from}, not from the registry"));
        }
        for (name, below) in &rules.banned {
            let old = below.as_ref().is_none_or(|b| numbers(&package.version) < numbers(b));
            if *name == package.name && old {
                found.push(format!("{at}: [bans] deny refuses it; `cargo tree -i {name}` says who wants it"));
            }
        }
    }
    found
}

fn is_ours(package: &Package) -> bool {
    package.from.as_ref().is_some_and(|f| f.starts_with(&*root().to_string_lossy()))
}

fn read_rules() -> Rules {
    let text = std::fs::read_to_string(root().join("deny.toml")).expect("deny.toml can be read");
    let text: String =
        text.lines().filter(|l| !l.trim_start().starts_with('#')).collect::<Vec<_>>().join("\n");
    let list = |key: &str| -> String {
        let start = text.find(key).unwrap_or_else(|| panic!("deny.toml has a list `{key}`"));
        text[start..].split_once("\n]").map(|p| p.0.to_owned()).unwrap_or_default()
    };
    let allowed = quoted(&list("allow = [")).map(str::to_owned).collect();
    let exceptions = list("exceptions = [")
        .lines()
        .filter_map(|line| {
            let mut words = quoted(line.split_once("crate = ")?.1);
            Some((words.next()?.to_owned(), words.next()?.to_owned()))
        })
        .collect();
    let banned = list("deny = [")
        .lines()
        .filter_map(|line| {
            let spec = quoted(line.split_once("crate = ")?.1).next()?.to_owned();
            Some(match spec.split_once("@<") {
                Some((name, below)) => (name.to_owned(), Some(below.to_owned())),
                None => (spec, None),
            })
        })
        .collect();
    Rules { allowed, exceptions, banned }
}

fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('"').skip(1).step_by(2)
}

fn numbers(version: &str) -> Vec<u64> {
    let plain = version.split(['-', '+']).next().unwrap_or_default();
    plain.split('.').map(|n| n.parse().unwrap_or(0)).collect()
}

/// Whether an SPDX expression can be satisfied with these licences. The old `A/B` means `A OR B`.
fn is_allowed(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let tokens: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    let ok = any(&tokens, &mut at, allowed);
    ok && at == tokens.len()
}

fn any(tokens: &[&str], at: &mut usize, allowed: &[String]) -> bool {
    let mut ok = all(tokens, at, allowed);
    while tokens.get(*at) == Some(&"OR") {
        *at += 1;
        ok |= all(tokens, at, allowed);
    }
    ok
}

fn all(tokens: &[&str], at: &mut usize, allowed: &[String]) -> bool {
    let mut ok = one(tokens, at, allowed);
    while tokens.get(*at) == Some(&"AND") {
        *at += 1;
        ok &= one(tokens, at, allowed);
    }
    ok
}

fn one(tokens: &[&str], at: &mut usize, allowed: &[String]) -> bool {
    let Some(first) = tokens.get(*at) else { return false };
    *at += 1;
    if *first == "(" {
        let ok = any(tokens, at, allowed);
        *at += 1;
        return ok;
    }
    let mut name = (*first).to_owned();
    if let (Some(&"WITH"), Some(exception)) = (tokens.get(*at), tokens.get(*at + 1)) {
        name = format!("{name} WITH {exception}");
        *at += 2;
    }
    allowed.contains(&name)
}

#[test]
fn expressions_are_understood() {
    let allowed = ["MIT".to_owned(), "ISC".to_owned(), "Apache-2.0 WITH LLVM-exception".to_owned()];
    for yes in [
        "MIT",
        "GPL-3.0 OR MIT",
        "MIT/Apache-2.0",
        "ISC AND (GPL-3.0 OR ISC)",
        "Apache-2.0 WITH LLVM-exception",
    ] {
        assert!(is_allowed(yes, &allowed), "{yes}");
    }
    for no in ["", "GPL-3.0", "MIT AND GPL-3.0", "(MIT OR ISC) AND GPL-3.0", "Apache-2.0", "MIT MIT"] {
        assert!(!is_allowed(no, &allowed), "{no}");
    }
    assert!(numbers("0.23.9") < numbers("0.23.45"));
}
