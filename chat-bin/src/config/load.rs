//! From sources to the values that hold: which files there are, and in which order they count.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use super::checks::{self, Checked};
use super::environment::{self, CONFIG_FILE};
use super::file;
use super::layer::{Given, Layer, Values};
use super::origin::{ConfigError, Origin};
use super::sources::Sources;
use super::suggest::did_you_mean;
use super::table::{self, Scope};
use super::typed::Config;
use super::value::{Raw, Value};

/// Secrets that may also come from a file which another setting names.
const SECRET_FILES: [(&str, &str); 2] =
    [("admin.token", "admin.token_file"), ("cluster.secret", "cluster.secret_file")];

/// A secret file longer than this is a mistake.
const SECRET_FILE_BYTES_MAX: usize = 64 * 1024;

/// Reads all sources and checks them. Either everything is sound, or every fault that was found is in the error,
/// weakest source first.
pub fn load(sources: &Sources) -> Result<Config, Vec<ConfigError>> {
    let mut loading = Loading { sources, errors: Vec::new(), broken: BTreeSet::new(), notes: Vec::new() };
    let mut values = loading.layers();
    loading.secret_files(&mut values);
    let Loading { mut errors, broken, mut notes, .. } = loading;
    let Checked { errors: more, notes: remarks } = checks::check(&values, sources, &broken);
    errors.extend(more);
    notes.extend(remarks);
    if errors.is_empty() { Ok(Config::build(values, notes)) } else { Err(errors) }
}

struct Loading<'a> {
    sources: &'a Sources,
    errors: Vec<ConfigError>,
    /// Settings with a fault, whose values mean nothing.
    broken: BTreeSet<&'static str>,
    notes: Vec<String>,
}

impl Loading<'_> {
    fn layers(&mut self) -> Values {
        let main = self.main_file();
        let env = environment::read(&self.sources.env);
        let mut flags = Layer::default();
        for f in &self.sources.flags {
            let origin = Origin::Flag(f.flag.clone());
            match split_domain(&f.key) {
                Some((domain, key)) => flags.take(domain, key, &Raw::Plain(f.value.clone()), origin),
                None => flags.error(origin, format!("{} is not a setting", f.key)),
            }
        }
        // The strongest of the three that may say so decides which paths apply and which files are read.
        let start = |name: &str| {
            let strongest_first = flags.entries.iter().rev().chain(&env.entries).chain(&main.entries);
            strongest_first.filter(|e| e.setting.name == name).map(|e| e.value.clone()).next()
        };
        let kubernetes = start("config.kubernetes") == Some(Value::Bool(true));
        let mut values = Values::defaults(&self.sources.machine(kubernetes));
        let path = |name: &'static str| match start(name).unwrap_or_else(|| values.global(name).value.clone())
        {
            Value::Path(path) => path,
            other => panic!("{name} is a path, not {other:?}"),
        };
        let (xconfig, overrides) = (path("paths.xconfig"), path("paths.override"));
        let overlays = match start("config.environments") {
            Some(Value::Texts(names)) => names,
            _ => Vec::new(),
        };
        self.lay(&mut values, main);
        self.overlays(&mut values, &xconfig, &overlays);
        self.override_directory(&mut values, &overrides);
        self.lay(&mut values, env);
        self.lay(&mut values, flags);
        values
    }

    fn lay(&mut self, values: &mut Values, layer: Layer) {
        self.errors.extend(layer.errors);
        self.broken.extend(layer.broken);
        values.lay(layer.entries);
    }

    fn main_file(&mut self) -> Layer {
        let from_env = self.sources.env.iter().find(|(k, v)| k == CONFIG_FILE && !v.is_empty());
        let (path, named_by) = match (&self.sources.config, from_env) {
            (Some(path), _) => (path.clone(), Some(Origin::Flag("--config".into()))),
            (None, Some((_, path))) => (PathBuf::from(path), Some(Origin::Environment(CONFIG_FILE.into()))),
            (None, None) => (PathBuf::from("chat.toml"), None),
        };
        let mut layer = Layer::default();
        match read_text(&self.sources.locate(&path)) {
            Ok(text) => return file::read(&path, &text),
            Err(e) if e.kind() == io::ErrorKind::NotFound && named_by.is_none() => {}
            Err(e) => {
                let origin = named_by.unwrap_or(Origin::File { path: path.clone(), line: 0 });
                layer.error(origin, format!("{} cannot be read: {e}", path.display()));
            }
        }
        layer
    }

    fn overlays(&mut self, values: &mut Values, xconfig: &Path, names: &[String]) {
        if names.is_empty() {
            return;
        }
        let there = match toml_files(&self.sources.locate(xconfig)) {
            Ok(there) => there,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let (path, names) = (xconfig.display(), names.join(" "));
                self.notes.push(format!("{path} does not exist: overlays skipped: {names}"));
                return;
            }
            Err(e) => return self.unreadable(xconfig, &e),
        };
        for name in names {
            let file = format!("{name}.toml");
            if there.contains(&file) {
                self.overlay(values, &xconfig.join(file));
            } else {
                let stems = there.iter().filter_map(|f| f.strip_suffix(".toml"));
                let hint = did_you_mean(name, stems);
                let origin = Origin::File { path: xconfig.join(file), line: 0 };
                let message =
                    format!("config.environments names this overlay, but there is no such file{hint}");
                self.errors.push(ConfigError::new(origin, message));
            }
        }
    }

    fn override_directory(&mut self, values: &mut Values, path: &Path) {
        match toml_files(&self.sources.locate(path)) {
            Ok(files) => files.iter().for_each(|f| self.overlay(values, &path.join(f))),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => self.unreadable(path, &e),
        }
    }

    fn unreadable(&mut self, path: &Path, e: &io::Error) {
        let origin = Origin::File { path: path.to_owned(), line: 0 };
        self.errors.push(ConfigError::new(origin, format!("cannot be read: {e}")));
    }

    fn overlay(&mut self, values: &mut Values, path: &Path) {
        let mut layer = match read_text(&self.sources.locate(path)) {
            Ok(text) => file::read(path, &text),
            Err(e) => return self.unreadable(path, &e),
        };
        let (early, entries) = layer.entries.into_iter().partition(|e| e.setting.scope == Scope::Start);
        layer.entries = entries;
        for e in early {
            let message = format!(
                "{} decides which overlays are read: it belongs in the main file, the environment or a flag",
                e.setting.name
            );
            layer.errors.push(ConfigError::new(e.origin, message));
        }
        self.lay(values, layer);
    }

    /// Reads the secrets that are given by file. Of the secret and its file the stronger source counts.
    fn secret_files(&mut self, values: &mut Values) {
        for (name, file_name) in SECRET_FILES {
            let (secret, file) = (values.global(name).clone(), values.global(file_name).clone());
            let Value::Path(path) = &file.value else { continue };
            if secret.value != Value::Nothing && secret.layer > file.layer {
                continue;
            }
            if secret.value != Value::Nothing && secret.layer == file.layer {
                let message = format!("{file_name}: {name} is set as well ({})", secret.origin);
                self.errors.push(ConfigError::new(file.origin, message));
                continue;
            }
            let kind = table::find(name).unwrap_or_else(|| panic!("{name} is in the table")).kind;
            let read = read_text(&self.sources.locate(path)).map_err(|e| format!("cannot be read: {e}"));
            let value = read.and_then(|text| match text.trim_end_matches(['\r', '\n']) {
                text if text.len() > SECRET_FILE_BYTES_MAX => Err("is too long for a secret".into()),
                text => kind.read(&Raw::Plain(text.to_owned())),
            });
            match value {
                Ok(value) => {
                    let origin = Origin::SecretFile { path: path.clone(), named_by: Box::new(file.origin) };
                    values.put(name, Given { value, origin, layer: file.layer });
                }
                Err(e) => {
                    self.broken.insert(name);
                    self.errors
                        .push(ConfigError::new(file.origin, format!("{file_name}: {}: {e}", path.display())));
                }
            }
        }
    }
}

/// Splits `domain."name".section.key`; the name may stand without quotes, for shells. `None`: a bad name.
fn split_domain(key: &str) -> Option<(Option<&str>, &str)> {
    let Some(rest) = key.strip_prefix("domain.") else { return Some((None, key)) };
    if let Some(quoted) = rest.strip_prefix('"') {
        return quoted.split_once("\".").map(|(domain, key)| (Some(domain), key));
    }
    // Domains have dots as well, and every setting of a domain has exactly one.
    let (before, _) = rest.rsplit_once('.')?;
    let (domain, section) = before.rsplit_once('.')?;
    Some((Some(domain), &rest[before.len() - section.len()..]))
}

/// The files `*.toml` of a directory, sorted. Hidden ones are left out: those are editors' and Kubernetes' own.
fn toml_files(directory: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        // Through symbolic links: the files of a mounted ConfigMap are some.
        let is_file = || directory.join(&name).metadata().is_ok_and(|m| m.is_file());
        if name.ends_with(".toml") && !name.starts_with('.') && is_file() {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn read_text(path: &Path) -> io::Result<String> {
    std::fs::read_to_string(path)
}
