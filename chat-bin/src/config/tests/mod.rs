//! The configuration as a whole, over files in a scratch directory that stands for the machine.

mod domains;
mod errors;
mod precedence;
mod settings;

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::{Config, ConfigError, FlagSetting, Sources, load};

/// A machine: `/` is a scratch directory, and the working directory is its `/desk`.
struct Machine {
    root: TempDir,
    sources: Sources,
}

impl Machine {
    fn new() -> Machine {
        let root = tempfile::tempdir().unwrap();
        let sources = Sources {
            config: None,
            flags: Vec::new(),
            env: Vec::new(),
            root: root.path().into(),
            dir: root.path().join("desk"),
            host: "ch-prod-3.example.org".into(),
            cores: 6,
        };
        fs::create_dir(&sources.dir).unwrap();
        Machine { root, sources }
    }

    /// With this `chat.toml` in the working directory.
    fn with_toml(text: &str) -> Machine {
        Machine::new().file("/desk/chat.toml", text)
    }

    fn file(self, path: &str, text: &str) -> Machine {
        let path = self.root.path().join(Path::new(path).strip_prefix("/").unwrap());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    fn env(mut self, name: &str, value: &str) -> Machine {
        self.sources.env.push((name.into(), value.into()));
        self
    }

    fn flag(mut self, key: &str, value: &str) -> Machine {
        self.sources.flags.push(FlagSetting { flag: "--set".into(), key: key.into(), value: value.into() });
        self
    }

    fn load(&self) -> Result<Config, Vec<ConfigError>> {
        load(&self.sources)
    }

    /// Loads what must be sound.
    fn config(&self) -> Config {
        self.load().unwrap_or_else(|e| panic!("{}", lines(&e).join("\n")))
    }

    /// Loads what must not be, and returns the errors as they are printed.
    fn errors(&self) -> Vec<String> {
        lines(&self.load().expect_err("the configuration was accepted"))
    }

    /// The value and the origin of a setting as `chat check` prints them.
    fn effective(&self, name: &str) -> (String, String) {
        effective(&self.config(), name)
    }
}

fn effective(config: &Config, name: &str) -> (String, String) {
    let found = config.effective().find(|e| e.name == name);
    found.map(|e| (e.value, e.origin.to_string())).unwrap_or_else(|| panic!("{name} is not printed"))
}

fn lines(errors: &[ConfigError]) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

fn pair(value: &str, origin: &str) -> (String, String) {
    (value.into(), origin.into())
}
