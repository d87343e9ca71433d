//! Everything the configuration is made from, handed in explicitly so that tests need no process of their own.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::table::Machine;

/// The sources of one configuration.
#[derive(Debug, Clone)]
pub struct Sources {
    /// The file named by `--config`; it must exist.
    pub config: Option<PathBuf>,
    /// Settings from the command line, weakest first.
    pub flags: Vec<FlagSetting>,
    /// The environment.
    pub env: Vec<(OsString, OsString)>,
    /// What absolute paths are below: `/`, or a directory that stands for it.
    pub root: PathBuf,
    /// What relative paths are below: the working directory.
    pub dir: PathBuf,
    /// This machine's full host name.
    pub host: String,
    /// Processor cores that this process may use.
    pub cores: usize,
}

/// A setting from the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlagSetting {
    /// The flag as it was typed, for messages: `--listen-c2s`.
    pub flag: String,
    /// `section.key`, or `domain."name".section.key`.
    pub key: String,
    /// The value as plain text.
    pub value: String,
}

impl Sources {
    /// Sources of the running process: its environment, working directory and machine.
    pub fn from_process(config: Option<PathBuf>, flags: Vec<FlagSetting>) -> Sources {
        let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
        Sources {
            config,
            flags,
            env: std::env::vars_os().collect(),
            root: "/".into(),
            dir: ".".into(),
            host: full_host_name(&gethostname::gethostname().to_string_lossy(), &hosts),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }

    /// What the built-in defaults need to know.
    pub(crate) fn machine(&self, kubernetes: bool) -> Machine {
        Machine { host: self.host.clone(), cores: self.cores, kubernetes }
    }

    /// Where to find a path of the configuration on this machine.
    pub fn locate(&self, path: &Path) -> PathBuf {
        match path.strip_prefix("/") {
            Ok(below) => self.root.join(below),
            Err(_) => self.dir.join(path),
        }
    }
}

/// The host name with its domain. The kernel often knows the short name only; then the hosts file, which container
/// platforms fill, lists the full one first on the line that has the short one as an alias.
fn full_host_name(name: &str, hosts: &str) -> String {
    let name = if name.is_empty() { "localhost" } else { name };
    if name.contains('.') {
        return name.to_ascii_lowercase();
    }
    let lines = hosts.lines().map(|line| line.split('#').next().unwrap_or(""));
    for line in lines {
        let mut words = line.split_whitespace().skip(1);
        let Some(canonical) = words.next() else { continue };
        let is_own = canonical.split('.').next() == Some(name);
        if is_own && canonical.contains('.') && words.any(|alias| alias == name) {
            return canonical.to_ascii_lowercase();
        }
    }
    name.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_file_knows_the_full_name() {
        let hosts = "127.0.0.1 localhost\n::1 localhost ip6-localhost # comment\n\
                     10.1.2.3\tchat-0.chat.prod.svc.cluster.local\tchat-0\n";
        assert_eq!(full_host_name("chat-0", hosts), "chat-0.chat.prod.svc.cluster.local");
        assert_eq!(full_host_name("chat-1", hosts), "chat-1");
        assert_eq!(full_host_name("Ch-1.Example.org", hosts), "ch-1.example.org");
        assert_eq!(full_host_name("", ""), "localhost");
        assert_eq!(
            full_host_name("localhost", "127.0.0.1 localhost.localdomain localhost"),
            "localhost.localdomain"
        );
    }

    #[test]
    fn paths_are_found_below_root_and_working_directory() {
        let mut sources = Sources::from_process(None, Vec::new());
        (sources.root, sources.dir) = ("/tmp/root".into(), "/tmp/dir".into());
        assert_eq!(sources.locate(Path::new("/etc/chat")), Path::new("/tmp/root/etc/chat"));
        assert_eq!(sources.locate(Path::new("chat.toml")), Path::new("/tmp/dir/chat.toml"));
    }
}
