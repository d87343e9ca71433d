//! Files of the repository, and Rust code without its comments and literals.

use std::path::{Path, PathBuf};
use std::process::Command;

/// One Rust file.
pub struct Source {
    /// Its path from the root of the repository, with `/`.
    pub path: String,
    /// Its text.
    pub text: String,
    /// The text with comments and the insides of literals replaced by spaces; lines and columns are the same.
    pub code: String,
    /// For each line of `code`, whether it is compiled for tests only.
    pub test: Vec<bool>,
}

impl Source {
    pub fn read(path: &str) -> Source {
        let text = std::fs::read_to_string(root().join(path)).expect("a listed file can be read");
        Source::new(path, text)
    }

    pub fn new(path: &str, text: String) -> Source {
        let code = mask(&text);
        let whole = is_test_path(path);
        let mut test = vec![whole; code.lines().count() + 1];
        for (from, to) in test_regions(&code) {
            test[from..=to].fill(true);
        }
        Source { path: path.to_owned(), text, code, test }
    }

    /// The folder of chat-core it belongs to: `engine` for `chat-core/src/engine/iq.rs`.
    pub fn core_folder(&self) -> Option<&str> {
        let rest = self.path.strip_prefix("chat-core/src/")?;
        let folder = rest.split('/').next()?.trim_end_matches(".rs");
        (folder != "lib").then_some(folder)
    }

    /// The path of its module below the crate: `["engine", "iq"]`.
    pub fn module(&self) -> Vec<&str> {
        let inside = self.path.split_once("/src/").map_or("", |p| p.1);
        inside
            .trim_end_matches(".rs")
            .split('/')
            .filter(|part| !matches!(*part, "mod" | "lib" | "main"))
            .collect()
    }
}

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("chat-core lies in the workspace").to_owned()
}

/// All files that belong to the project: what git tracks or would track; all files outside `target` without git.
pub fn files() -> Vec<String> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output();
    let mut files: Vec<String> = match listed {
        Ok(out) if out.status.success() && !out.stdout.is_empty() => {
            String::from_utf8_lossy(&out.stdout).lines().map(str::to_owned).collect()
        }
        _ => {
            let mut all = Vec::new();
            walk(&root(), "", &mut all);
            all
        }
    };
    files.retain(|f| root().join(f).is_file());
    files.sort();
    files
}

fn walk(dir: &Path, prefix: &str, out: &mut Vec<String>) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        if entry.path().is_dir() {
            if !matches!(name.as_str(), "target" | ".git" | "data" | "__pycache__" | "artifacts") {
                walk(&entry.path(), &format!("{path}/"), out);
            }
        } else {
            out.push(path);
        }
    }
}

/// Marks the files that a `#[cfg(test)] mod name;` elsewhere makes tests.
pub fn mark_tests(all: &mut [Source]) {
    let mut only: Vec<Vec<String>> = Vec::new();
    for source in all.iter() {
        let lines: Vec<&str> = source.code.lines().map(str::trim).collect();
        for pair in lines.windows(2) {
            let declared = pair[1].trim_start_matches("pub(crate) ").strip_prefix("mod ");
            if let (true, Some(name)) =
                (is_test_attribute(pair[0]), declared.and_then(|n| n.strip_suffix(';')))
            {
                let mut path: Vec<String> = vec![crate_of(&source.path).to_owned()];
                path.extend(source.module().iter().map(|s| (*s).to_owned()));
                path.push(name.to_owned());
                only.push(path);
            }
        }
    }
    for source in all.iter_mut() {
        let mut path = vec![crate_of(&source.path)];
        path.extend(source.module());
        if source.path.contains("/src/")
            && only.iter().any(|o| path.len() >= o.len() && path[..o.len()] == o[..])
        {
            source.test.fill(true);
        }
    }
}

fn crate_of(path: &str) -> &str {
    path.split('/').next().unwrap_or_default()
}

fn is_test_attribute(line: &str) -> bool {
    line.starts_with("#[cfg(test)]") || line.starts_with("#[cfg(all(test")
}

fn is_test_path(path: &str) -> bool {
    let in_src = path.split_once("/src/").map_or(path, |p| p.1);
    !path.contains("/src/") || in_src.split('/').any(|part| matches!(part.trim_end_matches(".rs"), "tests"))
}

/// Lines from `#[cfg(test)]` to the end of the module that it stands on.
fn test_regions(code: &str) -> Vec<(usize, usize)> {
    let lines: Vec<&str> = code.lines().collect();
    let mut regions = Vec::new();
    for (i, line) in lines.iter().enumerate() {
        if !is_test_attribute(line.trim()) {
            continue;
        }
        let mut depth = 0i32;
        for (j, line) in lines.iter().enumerate().skip(i) {
            depth += line.matches('{').count() as i32 - line.matches('}').count() as i32;
            let ended = line.contains('}') || line.trim_end().ends_with(';');
            if j > i && depth <= 0 && ended {
                regions.push((i, j));
                break;
            }
        }
    }
    regions
}

/// Rust code with comments and the insides of literals blanked out.
pub fn mask(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = text.as_bytes().to_vec();
    let mut i = 0;
    while i < bytes.len() {
        let end = skip_blank(bytes, i).max(i);
        if end > i {
            for b in &mut out[i..end] {
                if *b != b'\n' {
                    *b = b' ';
                }
            }
            i = end;
        } else {
            i += 1;
        }
    }
    String::from_utf8(out).expect("only whole literals are blanked")
}

/// Where the comment or literal that begins at `i` ends; `i` if none begins there.
fn skip_blank(bytes: &[u8], i: usize) -> usize {
    let rest = &bytes[i..];
    let after_word = i > 0 && (bytes[i - 1].is_ascii_alphanumeric() || bytes[i - 1] == b'_');
    if rest.starts_with(b"//") {
        return rest.iter().position(|b| *b == b'\n').map_or(bytes.len(), |n| i + n);
    }
    if rest.starts_with(b"/*") {
        return i + block_comment(rest);
    }
    if !after_word && let Some(n) = raw_string(rest) {
        return i + n;
    }
    match rest[0] {
        b'"' => i + quoted(rest, b'"'),
        b'\'' if is_char(rest) => i + quoted(rest, b'\''),
        _ => i,
    }
}

fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut i) = (0, 0);
    while i < rest.len() {
        if rest[i..].starts_with(b"/*") {
            depth += 1;
            i += 2;
        } else if rest[i..].starts_with(b"*/") {
            depth -= 1;
            i += 2;
            if depth == 0 {
                return i;
            }
        } else {
            i += 1;
        }
    }
    rest.len()
}

fn raw_string(rest: &[u8]) -> Option<usize> {
    let body = rest.strip_prefix(b"br").or_else(|| rest.strip_prefix(b"r"))?;
    let hashes = body.iter().take_while(|b| **b == b'#').count();
    if body.get(hashes) != Some(&b'"') {
        return None;
    }
    let mut end = vec![b'"'];
    end.resize(1 + hashes, b'#');
    let start = rest.len() - body.len() + hashes + 1;
    let close = rest[start..].windows(end.len()).position(|w| w == end)?;
    Some(start + close + end.len())
}

fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut i = 1;
    while i < rest.len() {
        match rest[i] {
            b'\\' => i += 2,
            b if b == quote => return i + 1,
            _ => i += 1,
        }
    }
    rest.len()
}

/// A character literal, not a lifetime: `'a'` and `'\n'`, not `'a`.
fn is_char(rest: &[u8]) -> bool {
    match rest.get(1) {
        Some(b'\\') => true,
        Some(first) => {
            let width = match first {
                0xf0.. => 4,
                0xe0.. => 3,
                0xc0.. => 2,
                _ => 1,
            };
            rest.get(1 + width) == Some(&b'\'')
        }
        None => false,
    }
}

#[test]
fn only_code_is_left() {
    for (text, code) in [
        ("a // b", "a     "),
        ("a /* b /* c */ d */ e", "a                   e"),
        ("f(\"a // \\\" b\") + 1", "f(           ) + 1"),
        ("r#\"a \" b\"# x", "            x"),
        ("let c = '\"'; let d: &'a str", "let c =    ; let d: &'a str"),
        ("'\\'' 'é' b'x'", "             b   ".get(1..15).unwrap_or_default()),
    ] {
        assert_eq!(
            mask(text).split_whitespace().collect::<Vec<_>>(),
            code.split_whitespace().collect::<Vec<_>>()
        );
    }
}

#[test]
fn code_for_tests_is_told_apart() {
    let source = Source::new(
        "chat-core/src/base/x.rs",
        "fn a() {}\n#[cfg(test)]\nmod tests {\n  fn b() {}\n}\nfn c() {}\n".to_owned(),
    );
    assert_eq!(source.test, [false, true, true, true, true, false, false]);
}
