//! The settings explained, from the table: `docs/CONFIGURATION.md` and a commented `chat.toml`.

use std::fmt::Write as _;

use super::table::{self, Fallback, Scope, Setting};
use super::value::Kind;

const PREFACE: &str = include_str!("reference.md");

/// The contents of `docs/CONFIGURATION.md`.
pub fn reference() -> String {
    let mut out = String::from(PREFACE);
    for (section, settings) in sections() {
        let title = if section.is_empty() { "Without section".into() } else { format!("`[{section}]`") };
        let _ = writeln!(
            out,
            "\n### {title}\n\n| setting | environment | default | meaning |\n|---|---|---|---|"
        );
        for s in settings {
            let variables: Vec<String> = s.variables().map(|v| format!("`{v}`")).collect();
            let star = if s.scope == Scope::Domain { " \\*" } else { "" };
            let name = s.name;
            let (variables, default, meaning) = (variables.join(", "), default_cell(s), meaning(s));
            let _ = writeln!(out, "| `{name}`{star} | {variables} | {default} | {meaning} |");
        }
    }
    out
}

/// A `chat.toml` with every setting commented out.
pub fn example() -> String {
    let mut out = String::from(
        "# Every setting of chat with its default. Remove the # before a key to change it.\n\
         # `chat check` says what holds and where it comes from.\n",
    );
    for (section, settings) in sections() {
        if !section.is_empty() {
            let _ = writeln!(out, "\n[{section}]");
        }
        for s in settings {
            let _ = writeln!(out, "\n# {}", meaning(s));
            let key = s.name.rsplit('.').next().unwrap_or(s.name);
            match s.fallback {
                Fallback::Machine { words, .. } => {
                    let _ = writeln!(out, "# Default: {words}.\n#{key} =");
                }
                Fallback::Nothing => {
                    let _ = writeln!(out, "#{key} =");
                }
                _ => {
                    let _ = writeln!(out, "#{key} = {}", toml_value(s));
                }
            }
        }
    }
    out.push_str(
        "\n# Settings for one domain only:\n#[domain.\"anon.example.org\"]\n#auth.method = [\"anonymous\"]\n",
    );
    out
}

fn sections() -> Vec<(&'static str, Vec<&'static Setting>)> {
    let mut sections: Vec<(&str, Vec<&Setting>)> = Vec::new();
    for s in table::all() {
        let section = s.name.split_once('.').map_or("", |(section, _)| section);
        match sections.iter_mut().find(|(name, _)| *name == section) {
            Some((_, settings)) => settings.push(s),
            None => sections.push((section, vec![s])),
        }
    }
    sections
}

/// The explanation and, where it is not obvious, what is accepted.
fn meaning(s: &Setting) -> String {
    let because = s.because.map(|why| format!(" The same for all domains: {why}.")).unwrap_or_default();
    format!("{}{because}", what_it_does(s))
}

fn what_it_does(s: &Setting) -> String {
    match s.kind {
        Kind::Int { .. }
        | Kind::Bytes { .. }
        | Kind::Duration { .. }
        | Kind::Choice(_)
        | Kind::Choices { .. } => {
            let expected = s.kind.expected();
            let mut letters = expected.chars();
            let first = letters.next().map_or(String::new(), |c| c.to_uppercase().to_string());
            format!("{} {first}{}.", s.doc, letters.as_str())
        }
        _ => s.doc.to_owned(),
    }
}

fn default_cell(s: &Setting) -> String {
    match s.fallback {
        Fallback::Nothing | Fallback::Machine { .. } | Fallback::Text("") => s.default_words(),
        _ => format!("`{}`", s.default_words()),
    }
}

fn toml_value(s: &Setting) -> String {
    let text = match s.fallback {
        Fallback::Text(text) => text.to_owned(),
        _ => s.default_words(),
    };
    match s.kind {
        Kind::Bool | Kind::Int { .. } | Kind::Bytes { .. } => text,
        Kind::Choices { .. }
        | Kind::Names
        | Kind::Addresses
        | Kind::Blocks
        | Kind::Domains
        | Kind::Nodes { .. } => {
            let items: Vec<String> = text.split_whitespace().map(|item| format!("{item:?}")).collect();
            format!("[{}]", items.join(", "))
        }
        _ => format!("{text:?}"),
    }
}
