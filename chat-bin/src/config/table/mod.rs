//! The one table of settings. Reading, the did-you-mean, `chat check` and `docs/CONFIGURATION.md` follow from it.
//!
//! Owns: names, kinds, defaults and the explanations an operator reads. Not here: rules about
//! several settings together (those are in `checks.rs`) and their use (the typed structures of `typed.rs`).
//!
//! To add a setting: an entry here and a field filled from it in `typed.rs`; a test fails while one lacks.

mod limits;
mod node;

use chat_core::base::limits::Limits;
use chat_core::base::time::Span;

use super::value::{Kind, Value};

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// `section.key`, as in the file.
    pub name: &'static str,
    /// A name of its own in the environment, beside `CHAT_SECTION_KEY`.
    pub variable: Option<&'static str>,
    /// What it accepts.
    pub kind: Kind,
    /// What holds when nothing sets it.
    pub fallback: Fallback,
    /// Where it may stand.
    pub scope: Scope,
    /// Why it is the same for all domains, where one might expect otherwise.
    pub because: Option<&'static str>,
    /// What it does, in one or two sentences.
    pub doc: &'static str,
}

/// What holds when nothing sets a setting.
#[derive(Debug, Clone, Copy)]
pub enum Fallback {
    /// Nothing: the setting is optional, and an empty text in a file takes it back.
    Nothing,
    /// This text, read like one from the environment.
    Text(&'static str),
    /// What the machine says.
    Machine {
        /// In words, for the documentation.
        words: &'static str,
        /// As a text that is read like one from the environment.
        of: fn(&Machine) -> String,
    },
    /// A limit of the engine, with the engine's own default.
    Limit(LimitField),
}

/// The field of [`Limits`] that a setting stands for; durations in nanoseconds.
#[derive(Debug, Clone, Copy)]
pub struct LimitField {
    /// Reads it.
    pub get: fn(&Limits) -> u64,
    /// Writes it; the table's bounds keep the number within the field's type.
    pub set: fn(&mut Limits, u64),
}

/// Where a setting may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Everywhere, once for the whole node.
    Node,
    /// Everywhere, and for one domain in `[domain."name"]`.
    Domain,
    /// In the main file, the environment and flags: it decides which other files are read.
    Start,
}

/// What the built-in defaults need to know about the machine.
#[derive(Debug, Clone)]
pub struct Machine {
    /// The full host name.
    pub host: String,
    /// Processor cores that this process may use.
    pub cores: usize,
    /// Whether the paths of the Kubernetes image apply.
    pub kubernetes: bool,
}

impl Setting {
    const fn new(name: &'static str, kind: Kind, fallback: Fallback, doc: &'static str) -> Self {
        Setting { name, variable: None, kind, fallback, scope: Scope::Node, because: None, doc }
    }

    const fn variable(mut self, name: &'static str) -> Self {
        self.variable = Some(name);
        self
    }

    const fn scope(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    const fn per_domain(self) -> Self {
        self.scope(Scope::Domain)
    }

    const fn for_all(mut self, because: &'static str) -> Self {
        self.because = Some(because);
        self.scope(Scope::Node)
    }

    /// `CHAT_SECTION_KEY`.
    pub fn generic_variable(&self) -> String {
        format!("CHAT_{}", self.name.to_ascii_uppercase().replace('.', "_"))
    }

    /// Both names in the environment, the special one first.
    pub fn variables(&self) -> impl Iterator<Item = String> {
        let generic = self.generic_variable();
        let special = self.variable.filter(|v| *v != generic);
        special.map(str::to_owned).into_iter().chain([generic])
    }

    /// Its built-in value on this machine.
    pub fn default_value(&self, machine: &Machine) -> Value {
        let text = match self.fallback {
            Fallback::Nothing => return Value::Nothing,
            Fallback::Text(text) => text.to_owned(),
            Fallback::Machine { of, .. } => of(machine),
            Fallback::Limit(field) => {
                let n = (field.get)(&Limits::default());
                return match self.kind {
                    Kind::Duration { .. } => Value::Duration(Span(n)),
                    _ => Value::Int(n),
                };
            }
        };
        let read = self.kind.read(&super::value::Raw::Plain(text));
        read.unwrap_or_else(|e| panic!("the default of {} is not valid: {e}", self.name))
    }

    /// Its built-in value in words, for the documentation.
    pub fn default_words(&self) -> String {
        match self.fallback {
            Fallback::Nothing => "none".into(),
            Fallback::Text("") => "empty".into(),
            Fallback::Text(text) => text.into(),
            Fallback::Machine { words, .. } => words.into(),
            Fallback::Limit(_) => {
                // A limit does not depend on the machine.
                let machine = Machine { host: String::new(), cores: 1, kubernetes: false };
                self.default_value(&machine).to_string()
            }
        }
    }
}

/// All settings, section by section, in the order in which they are printed.
pub fn all() -> impl Iterator<Item = &'static Setting> {
    node::SETTINGS.iter().chain(limits::SETTINGS)
}

/// The setting of this name.
pub fn find(name: &str) -> Option<&'static Setting> {
    all().find(|s| s.name == name)
}

/// Whether any setting's name begins with this section.
pub fn is_section(name: &str) -> bool {
    all().any(|s| s.name.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_also_in_the_environment() {
        let mut seen = BTreeSet::new();
        for s in all() {
            assert!(seen.insert(s.name.to_owned()), "{}", s.name);
            for v in s.variables() {
                assert!(seen.insert(v.clone()), "{v}");
                assert_ne!(v, "CHAT_CONFIG", "that one names the file");
            }
            assert!(!is_section(s.name), "{} is a setting and a section", s.name);
            assert!(s.doc.ends_with('.') || s.doc.ends_with(')'), "{}", s.name);
        }
    }

    #[test]
    fn every_limit_of_the_engine_is_a_setting() {
        let shown = format!("{:#?}", Limits::default());
        let fields = shown.lines().filter_map(|l| l.strip_prefix("    ")?.split_once(": "));
        let fields: Vec<&str> = fields.map(|(name, _)| name).filter(|name| !name.starts_with(' ')).collect();
        assert!(fields.len() > 30, "{fields:?}");
        for field in fields {
            let name = if field == "rate_bytes_per_second" { "c2s_rate" } else { field };
            assert!(find(&format!("limits.{name}")).is_some(), "{field}");
        }
    }

    #[test]
    fn bounds_of_limits_fit_their_fields_and_hold_their_defaults() {
        for s in all() {
            let Fallback::Limit(field) = s.fallback else { continue };
            let (min, max) = match s.kind {
                Kind::Int { min, max } | Kind::Bytes { min, max } => (min, max),
                Kind::Duration { min, max } => (min.0, max.0),
                _ => panic!("{} is a limit without bounds", s.name),
            };
            let mut limits = Limits::default();
            assert!((min..=max).contains(&(field.get)(&limits)), "{}", s.name);
            for n in [min, max] {
                (field.set)(&mut limits, n);
                assert_eq!((field.get)(&limits), n, "{}", s.name);
            }
        }
    }
}
