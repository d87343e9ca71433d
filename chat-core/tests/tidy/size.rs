//! The size guideline: a file seldom passes 500 lines, a function seldom passes 70.

use crate::source::Source;

/// Lines from which on a file is listed, and from which on it is refused.
const FILE_LINES: (usize, usize) = (500, 700);
/// The same for functions.
const FUNCTION_LINES: (usize, usize) = (70, 120);

/// Files (`path`) and functions (`path::function`) that may be longer, each with its reason.
const LONGER: [(&str, &str); 1] =
    [("chat-core/src/xml/scan/tests.rs::refused", "one table of all that is refused, with a line for each")];

/// What is over the guideline, and what is over the limit.
pub fn complaints(sources: &[Source]) -> (Vec<String>, Vec<String>) {
    let (mut over, mut far_over) = (Vec::new(), Vec::new());
    for source in sources {
        let lines = source.text.lines().count();
        judge(
            &source.path,
            "the file",
            lines,
            FILE_LINES,
            "one subject in each file: split it",
            [&mut over, &mut far_over],
        );
        for (line, name, lines) in functions(&source.code) {
            let at = format!("{}:{line}", source.path);
            let key = format!("{}::{name}", source.path);
            if !LONGER.iter().any(|(what, _)| *what == key) {
                let advice = "give its parts names of their own";
                judge(&at, &format!("fn {name}"), lines, FUNCTION_LINES, advice, [&mut over, &mut far_over]);
            }
        }
    }
    (over, far_over)
}

fn judge(
    at: &str,
    what: &str,
    lines: usize,
    (guide, limit): (usize, usize),
    advice: &str,
    [over, far_over]: [&mut Vec<String>; 2],
) {
    if LONGER.iter().any(|(path, _)| *path == at) {
        return;
    }
    if lines > limit {
        far_over.push(format!("{at}: {what} has {lines} lines, the limit is {limit}: {advice}"));
    } else if lines > guide {
        over.push(format!("{at}: {what} has {lines} lines, more than {guide}"));
    }
}

/// The functions of masked code: first line counted from 1, name, number of lines.
fn functions(code: &str) -> Vec<(usize, String, usize)> {
    let bytes = code.as_bytes();
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = code[from..].find("fn ").map(|n| n + from) {
        from = at + 3;
        let whole = at == 0 || !(bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
        let name: String = code[from..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let Some(body) = body(bytes, from).filter(|_| whole && !name.is_empty()) else { continue };
        let first = code[..at].matches('\n').count() + 1;
        let lines = code[at..body].matches('\n').count() + 1;
        found.push((first, name, lines));
    }
    found
}

/// Where the body of the function ends whose name begins at `from`; none if it has none.
fn body(bytes: &[u8], from: usize) -> Option<usize> {
    let (mut round, mut curly) = (0i32, 0i32);
    for (i, b) in bytes.iter().enumerate().skip(from) {
        match b {
            b'(' | b'[' => round += 1,
            b')' | b']' => round -= 1,
            b';' if round == 0 && curly == 0 => return None,
            b'{' => curly += 1,
            b'}' => {
                curly -= 1;
                if curly == 0 {
                    return Some(i);
                }
            }
            _ => {}
        }
    }
    None
}

#[test]
fn functions_are_measured() {
    let code = "fn a() {\n  if x {\n  }\n}\ntrait T {\n  fn b(&self) -> [u8; 2];\n  fn c() {}\n}\n";
    let found: Vec<(usize, usize)> = functions(code).iter().map(|f| (f.0, f.2)).collect();
    assert_eq!(found, [(1, 4), (7, 1)]);
    let long = format!("fn long() {{\n{}}}\n", "    x();\n".repeat(120));
    let (over, far_over) = complaints(&[Source::new("chat-net/src/a.rs", long)]);
    assert_eq!((over.len(), far_over.len()), (0, 1));
}
