//! The order of chat-core's folders.

use crate::paths::{CodePath, paths};
use crate::source::Source;

/// From the ground up; a folder uses only those before it (docs/ARCHITECTURE.md).
const ORDER: [&str; 16] = [
    "base", "xml", "jid", "stanza", "stream", "sasl", "effect", "session", "user", "route", "ext", "xep",
    "engine", "cluster", "node", "sim",
];

fn rank(folder: &str) -> Option<usize> {
    ORDER.iter().position(|f| *f == folder)
}

pub fn complaints(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources {
        if source.path == "chat-core/src/lib.rs" {
            check_lib(source, &mut found);
        }
        let Some(folder) = source.core_folder() else { continue };
        let Some(own) = rank(folder) else {
            found.push(format!(
                "{}: {folder}/ is no folder of chat-core; there are {}",
                source.path,
                ORDER.join(", ")
            ));
            continue;
        };
        let module_depth = source.module().len();
        for path in paths(&source.code, "crate") {
            check(source, own, &path, path.segments.get(1), &mut found);
        }
        for path in paths(&source.code, "super") {
            let climbed = path.segments.iter().take_while(|s| *s == "super").count();
            if climbed >= module_depth + path.nested {
                check(source, own, &path, path.segments.get(climbed), &mut found);
            }
        }
    }
    found
}

fn check(source: &Source, own: usize, path: &CodePath, folder: Option<&String>, found: &mut Vec<String>) {
    let Some(other) = folder.and_then(|f| rank(f)) else { return };
    if other > own {
        let (here, there) = (ORDER[own], ORDER[other]);
        found.push(format!(
            "{}:{}: {here}/ must not use {there}/ (`{}`): what needs both belongs in {there}/, or {there}/ hands it \
             down as an argument",
            source.path,
            path.line + 1,
            path.segments.join("::"),
        ));
    }
}

/// `lib.rs` shows the order to its readers.
fn check_lib(source: &Source, found: &mut Vec<String>) {
    let mut last = 0;
    for (i, line) in source.code.lines().enumerate() {
        let line = line.trim().trim_start_matches("pub ").trim_start_matches("pub(crate) ");
        let Some(name) = line.strip_prefix("mod ").and_then(|l| l.strip_suffix(';')) else { continue };
        match rank(name) {
            Some(rank) if rank >= last => last = rank,
            Some(_) => found.push(format!(
                "{}:{}: `mod {name}` stands behind folders that it comes before: keep the order {}",
                source.path,
                i + 1,
                ORDER.join(", ")
            )),
            None => {
                found.push(format!("{}:{}: {name}/ has no place in the order of folders", source.path, i + 1))
            }
        }
    }
}

#[test]
fn what_looks_down_is_found() {
    let at = |path: &str, code: &str| complaints(&[Source::new(path, code.to_owned())]);
    let one = at("chat-core/src/stanza/kind.rs", "use crate::{base::Now, route::decision};\n");
    assert_eq!(one.len(), 1);
    assert!(
        one[0].contains("chat-core/src/stanza/kind.rs:1") && one[0].contains("belongs in route/"),
        "{one:?}"
    );
    assert_eq!(at("chat-core/src/stanza/mod.rs", "fn f() { super::user::x(); }").len(), 1);
    assert_eq!(at("chat-core/src/stanza/kind.rs", "fn f() { super::super::user::x(); }").len(), 1);
    assert_eq!(at("chat-core/src/stanza/a/b.rs", "use crate::user;").len(), 1);
    assert_eq!(at("chat-core/src/thing/mod.rs", "").len(), 1);
    assert!(at("chat-core/src/stanza/kind.rs", "mod tests { use super::super::user::x; }").is_empty());
    assert!(
        at("chat-core/src/stanza/kind.rs", "// crate::user\nuse crate::stanza::Kind; use crate::xml;")
            .is_empty()
    );
    assert_eq!(at("chat-core/src/lib.rs", "pub mod jid;\npub mod xml;\n").len(), 1);
}
