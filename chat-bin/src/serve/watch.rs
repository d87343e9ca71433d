//! Whether files have changed.

use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// What changes when a file is written or replaced, or when a link on the way to it points elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    bytes: u64,
    #[cfg(unix)]
    node: (u64, u64, i64, i64),
}

impl Stamp {
    /// `None`: there is no such file.
    fn of(path: &Path) -> Option<Stamp> {
        fs::metadata(path).ok().map(|metadata| Stamp::read(&metadata))
    }

    fn read(metadata: &Metadata) -> Stamp {
        #[cfg(unix)]
        use std::os::unix::fs::MetadataExt as _;
        Stamp {
            modified: metadata.modified().ok(),
            bytes: metadata.len(),
            #[cfg(unix)]
            node: (metadata.dev(), metadata.ino(), metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// Looks for changes of files that belong together. Not a watch of the system's: those miss what happens behind the links
/// that Kubernetes swaps, and on network file systems; asking for a handful of files twice a second costs nothing.
pub(super) struct Watch {
    paths: Vec<PathBuf>,
    /// When they were last loaded, or failed to.
    tried: Vec<Option<Stamp>>,
    /// At the last look.
    seen: Vec<Option<Stamp>>,
}

impl Watch {
    /// Of these files, which are about to be loaded for the first time.
    pub(super) fn new(paths: Vec<PathBuf>) -> Watch {
        let mut watch = Watch { paths, tried: Vec::new(), seen: Vec::new() };
        watch.tries();
        watch
    }

    /// Whether the files have changed, and have stayed as they are since the last look: a certificate and its key are
    /// seldom replaced in the same instant.
    pub(super) fn look(&mut self) -> bool {
        let now = self.stamp();
        let settled = now == self.seen;
        self.seen = now;
        settled && self.seen != self.tried
    }

    /// The files are about to be loaded. What they are now is no change any more, good or not.
    pub(super) fn tries(&mut self) {
        self.tried = self.stamp();
        self.seen.clone_from(&self.tried);
    }

    fn stamp(&self) -> Vec<Option<Stamp>> {
        self.paths.iter().map(|path| Stamp::of(path)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_seen_once_they_have_settled() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = |name: &str| directory.path().join(name);
        let put = |name: &str, text: &str| fs::write(path(name), text).expect("written");
        put("cert", "one");
        let mut watch = Watch::new(vec![path("cert"), path("key")]);
        assert!(!watch.look());
        put("key", "a file that was not there");
        assert!(!watch.look(), "it may still be changing");
        put("cert", "and another one");
        assert!(!watch.look(), "it was");
        assert!(watch.look() && watch.look(), "until it is loaded");
        watch.tries();
        assert!(!watch.look(), "no second try with the same files");
        fs::remove_file(path("cert")).expect("removed");
        assert!(!watch.look());
        assert!(watch.look());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_that_points_elsewhere_is_a_change() {
        use std::os::unix::fs::symlink;
        let directory = tempfile::tempdir().expect("a directory");
        let path = |name: &str| directory.path().join(name);
        // As Kubernetes mounts a Secret: the files are links through `..data`, which is renamed over.
        for version in ["v1", "v2"] {
            fs::create_dir(path(version)).expect("made");
            fs::write(path(version).join("tls.crt"), "of the same length").expect("written");
        }
        symlink("v1", path("..data")).expect("linked");
        symlink("..data/tls.crt", path("tls.crt")).expect("linked");
        let mut watch = Watch::new(vec![path("tls.crt")]);
        symlink("v2", path("..data_tmp")).expect("linked");
        fs::rename(path("..data_tmp"), path("..data")).expect("renamed");
        watch.look();
        assert!(watch.look());
    }
}
