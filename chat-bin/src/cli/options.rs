//! The flags that shape the configuration, shared by all commands that read it.

use std::path::PathBuf;

use clap::Args;

use crate::config::{ConfigError, FlagSetting, Origin, Sources};

/// Flags that shape the configuration. They are stronger than all other sources.
#[derive(Debug, Clone, Default, Args)]
pub struct ConfigOptions {
    /// The configuration file [default: chat.toml, if there is one]
    // Not clap's own environment support: an empty CHAT_CONFIG counts as not set, and origins differ.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Set any setting, for example --set net.workers=2
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    pub set: Vec<String>,
    /// Serve this domain (may be repeated)
    #[arg(long, value_name = "DOMAIN")]
    pub domain: Vec<String>,
    /// Listen here for XMPP clients (may be repeated)
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen_c2s: Vec<String>,
    /// Keep everything in this store
    #[arg(long, value_name = "URL")]
    pub store: Option<String>,
}

impl ConfigOptions {
    /// The sources of this process with these flags.
    pub fn sources(&self) -> Result<Sources, Vec<ConfigError>> {
        let flag = |flag: &str, key: &str, value: String| FlagSetting {
            flag: flag.to_owned(),
            key: key.to_owned(),
            value,
        };
        let mut flags = Vec::new();
        if !self.domain.is_empty() {
            flags.push(flag("--domain", "domains", self.domain.join(" ")));
        }
        if !self.listen_c2s.is_empty() {
            flags.push(flag("--listen-c2s", "listen.c2s", self.listen_c2s.join(" ")));
        }
        if let Some(url) = &self.store {
            flags.push(flag("--store", "store.url", url.clone()));
        }
        let mut errors = Vec::new();
        for set in &self.set {
            match set.split_once('=') {
                Some((key, value)) => flags.push(flag("--set", key.trim(), value.trim().to_owned())),
                None => errors.push(ConfigError {
                    origin: Origin::Flag("--set".into()),
                    // Not repeated: it may be a secret whose `=` was forgotten.
                    message: "expected SECTION.KEY=VALUE".into(),
                }),
            }
        }
        if errors.is_empty() { Ok(Sources::from_process(self.config.clone(), flags)) } else { Err(errors) }
    }
}
