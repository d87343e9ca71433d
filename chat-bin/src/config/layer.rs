//! One source after the other, as settings with their origins; and the pile of them, weakest first.

use std::collections::BTreeMap;

use super::origin::{ConfigError, Origin};
use super::suggest::did_you_mean;
use super::table::{self, Scope, Setting};
use super::value::{Raw, Value, read_domain};

/// A setting as one source has it.
#[derive(Debug)]
pub(crate) struct Entry {
    pub domain: Option<String>,
    pub setting: &'static Setting,
    pub value: Value,
    pub origin: Origin,
}

/// The settings of one source and what is wrong with it. A setting with a fault is named in `broken`, so that rules
/// about several settings do not complain about its absence as well.
#[derive(Debug, Default)]
pub(crate) struct Layer {
    pub entries: Vec<Entry>,
    pub errors: Vec<ConfigError>,
    pub broken: Vec<&'static str>,
}

impl Layer {
    pub(crate) fn error(&mut self, origin: Origin, message: impl Into<String>) {
        self.errors.push(ConfigError::new(origin, message));
    }

    /// Takes `key = raw` in, where `key` is the part after `[domain."name"]`, if that was there.
    pub(crate) fn take(&mut self, domain: Option<&str>, key: &str, raw: &Raw, origin: Origin) {
        let shown = full_name(domain, key);
        let Some(setting) = table::find(key) else {
            let names = table::all().filter(|s| domain.is_none() || s.scope == Scope::Domain).map(|s| s.name);
            return self.error(origin, format!("{shown} is not a setting{}", did_you_mean(key, names)));
        };
        let domain = match domain.map(|d| (d, read_domain(d))) {
            None => None,
            Some(_) if setting.scope != Scope::Domain => {
                let because = setting.because.map(|why| format!(": {why}")).unwrap_or_default();
                return self.error(origin, format!("{shown}: {key} cannot differ between domains{because}"));
            }
            Some((_, Some(domain))) => Some(domain),
            Some((d, None)) => return self.error(origin, format!("{shown}: {d:?} is not a domain")),
        };
        self.take_setting(domain, setting, raw, origin);
    }

    /// Takes the value of a known setting in.
    pub(crate) fn take_setting(
        &mut self,
        domain: Option<String>,
        setting: &'static Setting,
        raw: &Raw,
        origin: Origin,
    ) {
        let empty = matches!(raw, Raw::Plain(s) | Raw::Str(s) if s.is_empty());
        let optional = matches!(setting.fallback, table::Fallback::Nothing);
        let read = if empty && optional { Ok(Value::Nothing) } else { setting.kind.read(raw) };
        match read {
            Ok(value) => self.entries.push(Entry { domain, setting, value, origin }),
            Err(message) => {
                self.broken.push(setting.name);
                self.error(origin, format!("{}: {message}", full_name(domain.as_deref(), setting.name)));
            }
        }
    }
}

/// `section.key` or `domain."name".section.key`.
pub(crate) fn full_name(domain: Option<&str>, key: &str) -> String {
    domain.map_or_else(|| key.to_owned(), |d| format!("domain.\"{d}\".{key}"))
}

/// A value that holds, with its origin.
#[derive(Debug, Clone)]
pub(crate) struct Given {
    pub value: Value,
    pub origin: Origin,
    /// The number of its source, 0 for the built-in defaults: the greater is the stronger.
    pub layer: usize,
}

/// The values that hold: of each setting that of the strongest source, for the node and for each domain.
#[derive(Clone)]
pub(crate) struct Values {
    given: BTreeMap<(Option<String>, &'static str), Given>,
    layers: usize,
}

impl Values {
    pub(crate) fn defaults(machine: &table::Machine) -> Values {
        let default = |s: &'static Setting| {
            ((None, s.name), Given { value: s.default_value(machine), origin: Origin::Default, layer: 0 })
        };
        Values { given: table::all().map(default).collect(), layers: 0 }
    }

    /// Lays the next stronger source over what there is.
    pub(crate) fn lay(&mut self, entries: Vec<Entry>) {
        self.layers += 1;
        for e in entries {
            let given = Given { value: e.value, origin: e.origin, layer: self.layers };
            self.given.insert((e.domain, e.setting.name), given);
        }
    }

    /// Puts a value in a setting's place with the strength of another.
    pub(crate) fn put(&mut self, name: &'static str, given: Given) {
        self.given.insert((None, name), given);
    }

    /// What holds for the whole node.
    pub(crate) fn global(&self, name: &'static str) -> &Given {
        self.given
            .get(&(None, name))
            .unwrap_or_else(|| panic!("{name} is missing from the table of settings"))
    }

    /// What was set for one domain.
    pub(crate) fn of_domain(&self, domain: &str, name: &'static str) -> Option<&Given> {
        self.given.get(&(Some(domain.to_owned()), name))
    }

    /// The domains that have settings of their own, sorted.
    pub(crate) fn domains(&self) -> Vec<&str> {
        let mut domains: Vec<&str> = self.given.keys().filter_map(|(d, _)| d.as_deref()).collect();
        domains.dedup();
        domains
    }
}

impl std::fmt::Debug for Values {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Values({})", self.given.len())
    }
}
