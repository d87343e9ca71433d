//! TOML files: `[section]` `key = value`, and `[domain."name"]` before the same keys.

use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::layer::{Layer, full_name};
use super::origin::Origin;
use super::suggest::did_you_mean;
use super::table;
use super::value::Raw;

/// Reads the text of a file. `path` is what messages call it.
pub(crate) fn read(path: &Path, text: &str) -> Layer {
    let mut reader = Reader { path, text, layer: Layer::default() };
    let (document, faults) = DeTable::parse_recoverable(text);
    reader.table(None, "", document.get_ref());
    let mut errors = std::mem::take(&mut reader.layer.errors);
    for fault in faults {
        let origin = reader.origin(fault.span().map_or(0, |s| s.start));
        // What the parser made of a faulty line means nothing.
        errors.retain(|e| e.origin != origin);
        // Only the message: the parser's own display repeats the line, which may hold a secret.
        reader.layer.error(origin, format!("not valid TOML: {}", fault.message()));
    }
    reader.layer.errors.extend(errors);
    // The parser sorts by key; people read files from the top.
    reader.layer.errors.sort_by_key(|e| match e.origin {
        Origin::File { line, .. } => line,
        _ => 0,
    });
    reader.layer
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    layer: Layer,
}

impl Reader<'_> {
    fn origin(&self, offset: usize) -> Origin {
        let before = &self.text.as_bytes()[..offset.min(self.text.len())];
        let line = 1 + before.iter().filter(|b| **b == b'\n').count();
        Origin::File { path: self.path.to_owned(), line }
    }

    /// A table of the file whose keys continue `prefix`, which is empty or ends in a dot.
    fn table(&mut self, domain: Option<&str>, prefix: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            let name = format!("{prefix}{}", key.get_ref());
            let origin = self.origin(key.span().start);
            let is_section = table::is_section(&name);
            match value.get_ref() {
                DeValue::Table(inner) if name == "domain" && domain.is_none() => self.domains(inner),
                DeValue::Table(inner) if is_section || table::find(&name).is_none() && !inner.is_empty() => {
                    self.table(domain, &format!("{name}."), inner);
                }
                DeValue::Table(_) if table::find(&name).is_none() => {
                    let names = table::all().filter_map(|s| Some(s.name.split_once('.')?.0));
                    let hint = did_you_mean(&name, names);
                    self.layer.error(origin, format!("{} is not a section{hint}", full_name(domain, &name)));
                }
                _ if is_section || (name == "domain" && domain.is_none()) => {
                    let shown = full_name(domain, &name);
                    self.layer.error(origin, format!("{shown} is a section, not a setting"));
                }
                value => self.layer.take(domain, &name, &raw(value), origin),
            }
        }
    }

    fn domains(&mut self, domains: &DeTable<'_>) {
        for (domain, value) in domains {
            match value.get_ref() {
                DeValue::Table(inner) => self.table(Some(domain.get_ref()), "", inner),
                _ => {
                    let origin = self.origin(domain.span().start);
                    let message = format!("domain.{:?} must be a table of settings", domain.get_ref());
                    self.layer.error(origin, message);
                }
            }
        }
    }
}

fn raw(value: &DeValue<'_>) -> Raw {
    match value {
        DeValue::String(s) => Raw::Str(s.to_string()),
        // In decimal; what does not fit is shown as it was written.
        DeValue::Integer(n) => {
            let number = i64::from_str_radix(n.as_str(), n.radix());
            Raw::Int(number.map_or_else(|_| n.to_string(), |n| n.to_string()))
        }
        DeValue::Boolean(b) => Raw::Bool(*b),
        DeValue::Array(items) => Raw::List(items.iter().map(|item| raw(item.get_ref())).collect()),
        DeValue::Float(_) => Raw::Other("a number with a fraction"),
        DeValue::Datetime(_) => Raw::Other("a date"),
        DeValue::Table(_) => Raw::Other("a table"),
    }
}
