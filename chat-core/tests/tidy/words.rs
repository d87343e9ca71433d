//! Words and macros that stand for unfinished work.

use crate::source::{Source, files, root};

/// Written in two halves, so that this file does not find itself.
const WORDS: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];

/// In code only.
const CODE: [(&str, &str); 4] = [
    ("todo!", "finish it, or leave it out"),
    ("unimplemented!", "finish it, or leave it out"),
    ("dbg!", "it is for looking, not for keeping"),
    ("#[ignore", "a test that does not run says nothing: make it fast, or delete it"),
];

pub fn complaints(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for path in files().iter().filter(|p| is_ours(p)) {
        let Ok(text) = std::fs::read_to_string(root().join(path)) else { continue };
        words_of(path, &text, &mut found);
    }
    for source in sources {
        code_of(source, &mut found);
    }
    found
}

/// Text that people of this project write.
fn is_ours(path: &str) -> bool {
    let text = ["rs", "md", "toml", "py", "sh", "sql", "service", "yml", "yaml"];
    path == ".ci/run" || path.rsplit_once('.').is_some_and(|(_, ext)| text.contains(&ext))
}

fn words_of(path: &str, text: &str, found: &mut Vec<String>) {
    for (i, line) in text.lines().enumerate() {
        for word in line.split(|c: char| !c.is_alphanumeric()) {
            if WORDS.contains(&word) {
                found.push(format!(
                    "{path}:{}: {word}: do it, or file an issue and say why it can wait",
                    i + 1
                ));
            }
        }
    }
}

fn code_of(source: &Source, found: &mut Vec<String>) {
    for (i, line) in source.code.lines().enumerate() {
        for (what, advice) in CODE {
            if line.contains(what) {
                found.push(format!("{}:{}: {what}: {advice}", source.path, i + 1));
            }
        }
    }
}

#[test]
fn unfinished_work_is_found() {
    let mut found = Vec::new();
    words_of("a.md", &format!("fine\n- {}: later\nMETHODOLOGY", WORDS[0]), &mut found);
    code_of(&Source::new("a.rs", "fn a() { todo!() } // dbg!".to_owned()), &mut found);
    assert_eq!(found.len(), 2, "{found:?}");
}
