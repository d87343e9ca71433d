//! Paths in code: `crate::a::b`, `use std::{fs, net::IpAddr}`, `super::super::c`.

/// A path that begins with one of the roots that were asked for, with its groups unfolded.
#[derive(Debug, PartialEq, Eq)]
pub struct CodePath {
    /// The line, counted from 0.
    pub line: usize,
    /// Its segments, the root first. A group ends it in several paths; `*` and `self` are segments.
    pub segments: Vec<String>,
    /// How many inline modules surround it.
    pub nested: usize,
}

/// All paths of masked code that begin with `root`.
pub fn paths(code: &str, root: &str) -> Vec<CodePath> {
    let bytes = code.as_bytes();
    let depths = inline_modules(code);
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = code[from..].find(root).map(|n| n + from) {
        from = at + root.len();
        let before = code[..at].trim_end();
        let starts = !before.ends_with("::") || before.ends_with(" ::");
        let whole = at == 0 || !is_word(bytes[at - 1]);
        let ends = bytes.get(from).is_none_or(|b| !is_word(*b));
        if !(starts && whole && ends) {
            continue;
        }
        let mut tails = Vec::new();
        let end = unfold(code, from, &mut vec![root.to_owned()], &mut tails);
        let line = code[..at].matches('\n').count();
        for (offset, segments) in tails {
            if segments.len() > 1 {
                let line = line + code[at..offset].matches('\n').count();
                found.push(CodePath { line, segments, nested: depths[at] });
            }
        }
        from = end.max(from);
    }
    found
}

fn is_word(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_'
}

/// Reads `::name…` or `::{…}` from `at` on; every end of a path is added to `out`. Returns where it stopped.
fn unfold(code: &str, at: usize, prefix: &mut Vec<String>, out: &mut Vec<(usize, Vec<String>)>) -> usize {
    let rest = &code[at..];
    let trimmed = rest.trim_start();
    let Some(after) = trimmed.strip_prefix("::") else {
        out.push((at, prefix.clone()));
        return at;
    };
    let after_at = code.len() - after.trim_start().len();
    let after = &code[after_at..];
    if after.starts_with('{') {
        return group(code, after_at, prefix, out);
    }
    let len = if after.starts_with('*') { 1 } else { after.bytes().take_while(|b| is_word(*b)).count() };
    if len == 0 {
        // A turbofish.
        out.push((at, prefix.clone()));
        return at;
    }
    prefix.push(after[..len].to_owned());
    let end = unfold(code, after_at + len, prefix, out);
    prefix.pop();
    end
}

/// Reads `{a::b, c::{d}}`, whose brace is at `at`.
fn group(code: &str, at: usize, prefix: &mut Vec<String>, out: &mut Vec<(usize, Vec<String>)>) -> usize {
    let mut i = at + 1;
    while i < code.len() {
        let rest = &code[i..];
        let skipped = rest.len() - rest.trim_start_matches(|c: char| c.is_whitespace() || c == ',').len();
        i += skipped;
        let rest = &code[i..];
        if rest.starts_with('}') || rest.is_empty() {
            return i + 1;
        }
        let len = if rest.starts_with('*') { 1 } else { rest.bytes().take_while(|b| is_word(*b)).count() };
        if len == 0 {
            // Not a group of a `use`.
            return i + 1;
        }
        prefix.push(rest[..len].to_owned());
        i = unfold(code, i + len, prefix, out);
        prefix.pop();
        // `as name`
        let tail = code[i..].trim_start();
        if let Some(renamed) = tail.strip_prefix("as ") {
            i = code.len() - renamed.trim_start_matches(|c: char| c == ' ' || is_word(c as u8)).len();
        }
    }
    i
}

/// For each byte, how many inline modules it stands in.
fn inline_modules(code: &str) -> Vec<usize> {
    let bytes = code.as_bytes();
    let mut depths = Vec::with_capacity(bytes.len() + 1);
    let mut braces = Vec::new();
    for (i, b) in bytes.iter().enumerate() {
        match b {
            b'{' => braces.push(opens_module(&code[..i])),
            b'}' => drop(braces.pop()),
            _ => {}
        }
        depths.push(braces.iter().filter(|m| **m).count());
    }
    depths.push(0);
    depths
}

fn opens_module(before: &str) -> bool {
    let mut words = before.trim_end().rsplit(|c: char| c.is_whitespace());
    let name = words.next().unwrap_or_default();
    !name.is_empty() && name.bytes().all(is_word) && words.next() == Some("mod")
}

#[test]
fn groups_are_unfolded() {
    let code =
        "use crate::{base::{Mono, Now as N}, xml};\nlet x = crate::jid::parse::<u8>(a);\nuse xcrate::no;";
    let all: Vec<(usize, String)> =
        paths(code, "crate").into_iter().map(|p| (p.line, p.segments.join("::"))).collect();
    let want =
        [(0, "crate::base::Mono"), (0, "crate::base::Now"), (0, "crate::xml"), (1, "crate::jid::parse")];
    assert_eq!(all, want.map(|(line, path)| (line, path.to_owned())));
}

#[test]
fn inline_modules_are_counted() {
    let code = "use super::a;\nmod tests {\n  use super::super::b;\n  fn f() { super::c(); }\n}";
    let all: Vec<(usize, usize)> =
        paths(code, "super").iter().map(|p| (p.nested, p.segments.len())).collect();
    assert_eq!(all, [(0, 2), (1, 3), (1, 2)]);
}
