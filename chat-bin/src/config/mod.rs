//! The configuration: settings from all their sources, checked, resolved and explained.
//!
//! Owns: the table of settings, the order of the sources (built-in defaults, the main file, overlays, the override
//! directory, the environment, flags), the messages about what is wrong, and the typed [`Config`].
//!
//! In: [`Sources`], which name everything that is read; nothing here looks at the process, except
//! [`Sources::from_process`]. Out: a [`Config`] whose every value is known with its [`Origin`], or all the errors.
//!
//! Invariants: an unknown or ill-typed setting anywhere is an error, also where a stronger source hides it; all
//! errors are found in one go; no secret is ever in a `Debug` or `Display` text of this folder; what was set for one
//! domain beats what was set for all, whatever the sources.
//!
//! Not here: opening sockets, stores or certificates (chat-net), the command line (`cli`), and the
//! meaning of limits (`chat-core`'s `base/limits.rs`).

mod checks;
mod environment;
mod file;
mod layer;
mod load;
mod origin;
mod reference;
mod secret;
mod sources;
mod suggest;
mod table;
mod typed;
mod types;
mod value;
mod view;

pub use environment::CONFIG_FILE;
pub use load::load;
pub use origin::{ConfigError, Origin};
pub use reference::{example, reference};
pub use secret::{MASK, Secret};
pub use sources::{FlagSetting, Sources};
pub use typed::{
    Auth, AuthMethod, Cluster, Config, DomainConfig, Drain, Durability, Effective, HttpAuth, Jwt, JwtKey,
    LinkFiles, Listen, Log, LogFormat, Paths, Role, Store, TlsFiles,
};
pub use types::{Cidr, HttpUrl, StoreUrl};

#[cfg(test)]
mod tests;
