//! Module documentation: every file but tests says what it is about, every folder what it owns and what does not belong.

use crate::source::Source;

/// What the documentation of a folder has to say, and what that is for.
const WANTED: [(&str, &str); 2] = [
    ("Owns", "what it owns: `Owns: …`"),
    ("Not here", "what does not belong and where that goes: `Not here: … (`folder`)`"),
];

pub fn complaints(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources.iter().filter(|s| s.path.contains("/src/") && !s.test[0]) {
        let doc = module_doc(&source.text);
        if doc.is_empty() {
            found.push(format!(
                "{}: begins with no `//!`: say in a sentence what the file is about",
                source.path
            ));
            continue;
        }
        if !is_folder(source) {
            continue;
        }
        for (word, what) in WANTED {
            if !doc.contains(word) {
                found.push(format!("{}: its documentation does not say {what}", source.path));
            }
        }
    }
    found
}

/// A `mod.rs`, or a module right below the crate.
fn is_folder(source: &Source) -> bool {
    let Some((_, inside)) = source.path.split_once("/src/") else { return false };
    let top = !inside.contains('/') && !matches!(inside, "lib.rs" | "main.rs");
    top || inside.ends_with("/mod.rs")
}

/// The text of the `//!` lines at the top.
fn module_doc(text: &str) -> String {
    let lines = text.lines().take_while(|l| l.starts_with("//!") || l.is_empty());
    lines.map(|l| l.trim_start_matches("//!").trim()).collect::<Vec<_>>().join(" ").trim().to_owned()
}

#[test]
fn silent_modules_are_found() {
    let at = |path: &str, text: &str| complaints(&[Source::new(path, text.to_owned())]).len();
    assert_eq!(at("chat-net/src/tls/mod.rs", "//! TLS.\n//! Owns: it.\n//! Not\n//! here: that.\n"), 0);
    assert_eq!(at("chat-net/src/tls/mod.rs", "//! TLS.\n"), 2);
    assert_eq!(at("chat-net/src/spawn.rs", "//! Owns: it.\n"), 1);
    assert_eq!(at("chat-net/src/tls/a.rs", "//! A part.\n"), 0);
    assert_eq!(at("chat-net/src/tls/a.rs", "use b;\n"), 1);
    assert_eq!(at("chat-net/src/tls/tests/mod.rs", "use b;\n"), 0);
}
