//! Certificates: which ones the configuration names, and whether their files have changed.

use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use chat_net::tls::{CertificateSummary, Identity, Tls, TlsConfig, TlsError, self_signed};

use crate::Failure;
use crate::config::{Config, TlsFiles};
use crate::files::{self, Readers};

/// The self-signed certificate and its key, beside the data.
const SELF_SIGNED_CERT: &str = "self-signed.crt";
const SELF_SIGNED_KEY: &str = "self-signed.key";

/// Where the certificates come from.
pub(super) struct Certificates {
    /// For domains without one of their own.
    default: Source,
    by_domain: Vec<(String, TlsFiles)>,
    client_ca: Option<PathBuf>,
    /// Of domains with another one, or with none.
    client_ca_by_domain: Vec<(String, Option<PathBuf>)>,
    /// Whether the node has signed [`Certificates::default`] itself.
    pub(super) self_signed: bool,
}

enum Source {
    Files(TlsFiles),
    /// For a node that leaves nothing behind.
    Memory(Identity),
}

impl Certificates {
    /// Those of the configuration; makes what the node must sign itself, once.
    pub(super) fn new(config: &Config, directory: Option<&Path>) -> Result<Certificates, Failure> {
        let common = config.common().tls.clone();
        let own = |domain: &String| {
            let tls = config.for_domain(domain).tls.clone().filter(|tls| Some(tls) != common.as_ref());
            tls.map(|tls| (domain.clone(), tls))
        };
        let by_domain: Vec<_> = config.domains.iter().filter_map(own).collect();
        let client_ca = config.common().client_ca.clone();
        let own_ca = |domain: &String| {
            let own = config.for_domain(domain).client_ca.clone();
            (own != client_ca).then(|| (domain.clone(), own))
        };
        let client_ca_by_domain = config.domains.iter().filter_map(own_ca).collect();
        // A client that names no domain is shown one that exists, rather than one that was made up.
        let all_have_their_own = by_domain.len() == config.domains.len();
        let named =
            common.or_else(|| by_domain.first().filter(|_| all_have_their_own).map(|(_, t)| t.clone()));
        let self_signed = named.is_none();
        let default = match named {
            Some(files) => Source::Files(files),
            None => {
                let without: Vec<_> = (config.domains.iter())
                    .filter(|domain| !by_domain.iter().any(|(other, _)| other == *domain))
                    .cloned()
                    .collect();
                own_certificate(&without, directory)?
            }
        };
        Ok(Certificates { default, by_domain, client_ca, client_ca_by_domain, self_signed })
    }

    /// Reads the files.
    ///
    /// # Errors
    /// A file cannot be read. Whether its contents are good shows in [`Tls`].
    pub(super) fn load(&self) -> Result<TlsConfig, TlsError> {
        let read = |files: &TlsFiles| Identity::from_files(&files.cert, &files.key);
        let default = match &self.default {
            Source::Files(files) => read(files)?,
            Source::Memory(identity) => identity.clone(),
        };
        let mut tls = TlsConfig::new(default)?;
        for (domain, files) in &self.by_domain {
            tls = tls.with_domain(domain, read(files)?);
        }
        if let Some(path) = &self.client_ca {
            tls = tls.with_client_ca_file(path)?;
        }
        for (domain, path) in &self.client_ca_by_domain {
            tls = match path {
                Some(path) => tls.with_domain_client_ca_file(domain, path)?,
                None => tls.without_domain_client_ca(domain),
            };
        }
        Ok(tls)
    }

    /// What each certificate says of itself, with the domain it is for; `None`: all that have none of their own.
    pub(super) fn summaries(&self) -> Vec<(Option<&str>, CertificateSummary)> {
        let read = |files: &TlsFiles| Identity::from_files(&files.cert, &files.key)?.summary();
        let default = match &self.default {
            Source::Files(files) => read(files),
            Source::Memory(identity) => identity.summary(),
        };
        let own = self.by_domain.iter().map(|(domain, files)| (Some(domain.as_str()), read(files)));
        [(None, default)].into_iter().chain(own).filter_map(|(d, s)| s.ok().map(|s| (d, s))).collect()
    }

    fn stamp(&self) -> Vec<Option<Stamp>> {
        let default = match &self.default {
            Source::Files(files) => Some(files),
            Source::Memory(_) => None,
        };
        let pairs = default.into_iter().chain(self.by_domain.iter().map(|(_, files)| files));
        let authorities =
            self.client_ca.iter().chain(self.client_ca_by_domain.iter().filter_map(|(_, p)| p.as_ref()));
        let paths = pairs.flat_map(|files| [&files.cert, &files.key]).chain(authorities);
        paths.map(|path| Stamp::of(path)).collect()
    }
}

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

/// Looks for changes of the files. Not a watch of the system's: those miss what happens behind the links that
/// Kubernetes swaps, and on network file systems; asking for a handful of files twice a second costs nothing.
pub(super) struct Watch {
    pub(super) certificates: Certificates,
    /// When they were last loaded, or failed to.
    tried: Vec<Option<Stamp>>,
    /// At the last look.
    seen: Vec<Option<Stamp>>,
}

impl Watch {
    /// Loads the certificates for the first time.
    pub(super) fn start(certificates: Certificates) -> Result<(Watch, Tls), Failure> {
        let stamp = certificates.stamp();
        let tls = Tls::new(&certificates.load()?)?;
        Ok((Watch { certificates, tried: stamp.clone(), seen: stamp }, tls))
    }

    /// Whether the files have changed, and have stayed as they are since the last look: a certificate and its key are
    /// seldom replaced in the same instant.
    pub(super) fn look(&mut self) -> bool {
        let now = self.certificates.stamp();
        let settled = now == self.seen;
        self.seen = now;
        settled && self.seen != self.tried
    }

    /// Loads the certificates again. If they are no good, those in force stay, and the next try is made when the files
    /// change once more.
    pub(super) fn reload(&mut self, tls: &Tls) {
        self.tried = self.certificates.stamp();
        self.seen = self.tried.clone();
        match self.certificates.load().and_then(|config| tls.reload(&config)) {
            Ok(()) => {
                tracing::info!("certificates loaded anew");
                self.log();
            }
            Err(error) => tracing::error!(%error, "the new certificates are not used; the old ones stay"),
        }
    }

    /// Logs which certificates are in force, and what is wrong with them.
    pub(super) fn log(&self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        for (domain, summary) in self.certificates.summaries() {
            let (domain, fingerprint) = (domain.unwrap_or("-"), &summary.fingerprint);
            let days = summary.validity.map(|(_, last)| (last - now).div_euclid(86_400));
            match summary.validity {
                Some((_, last)) if last < now => {
                    tracing::warn!(domain, %fingerprint, "the certificate has expired");
                }
                Some((first, _)) if first > now => {
                    tracing::warn!(domain, %fingerprint, "the certificate is not valid yet");
                }
                _ => tracing::info!(domain, %fingerprint, days, "certificate (SHA-256)"),
            }
        }
    }
}

/// The certificate that the node signs itself: the one beside the data if it is for these domains, else a new one.
fn own_certificate(domains: &[String], directory: Option<&Path>) -> Result<Source, Failure> {
    let Some(directory) = directory else { return Ok(Source::Memory(self_signed(domains)?.identity())) };
    let files = TlsFiles { cert: directory.join(SELF_SIGNED_CERT), key: directory.join(SELF_SIGNED_KEY) };
    let failed = |path: &Path, error: io::Error| Failure::new(format!("{}: {error}", path.display()));
    if files.cert.exists() && files.key.exists() {
        let summary = Identity::from_files(&files.cert, &files.key)?.summary()?;
        // Certificates hold names of other alphabets in a form of their own; what was made for them is taken as it is.
        let missing = domains.iter().find(|domain| domain.is_ascii() && !summary.covers(domain));
        match missing {
            None => return Ok(Source::Files(files)),
            Some(domain) => {
                tracing::warn!(domain, "the self-signed certificate lacks a domain: making a new one");
            }
        }
    }
    let made = self_signed(domains)?;
    // The key first: a certificate without key would look like a pair.
    files::write(&files.key, made.key_pem.as_bytes(), Readers::Owner)
        .map_err(|error| failed(&files.key, error))?;
    files::write(&files.cert, made.certificate_pem.as_bytes(), Readers::Everybody)
        .map_err(|error| failed(&files.cert, error))?;
    Ok(Source::Files(files))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domains(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn fingerprint(source: &Source) -> String {
        let Source::Files(files) = source else { panic!("files were made") };
        Identity::from_files(&files.cert, &files.key).expect("read").summary().expect("good").fingerprint
    }

    #[test]
    fn the_own_certificate_is_made_once_and_again_for_more_domains() {
        let directory = tempfile::tempdir().expect("a directory");
        let make = |names: &[&str]| own_certificate(&domains(names), Some(directory.path())).expect("made");
        let first = fingerprint(&make(&["localhost"]));
        assert_eq!(fingerprint(&make(&["localhost"])), first);
        let more = fingerprint(&make(&["localhost", "chat.example"]));
        assert_ne!(more, first);
        assert_eq!(fingerprint(&make(&["chat.example"])), more, "fewer domains need no new one");
    }

    fn put(files: &TlsFiles, name: &str) {
        let made = self_signed(&[name]).expect("made");
        fs::write(&files.key, made.key_pem.as_bytes()).expect("written");
        fs::write(&files.cert, &made.certificate_pem).expect("written");
    }

    #[test]
    fn changes_are_seen_once_they_have_settled() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = |name: &str| directory.path().join(name);
        let files = TlsFiles { cert: path("cert.pem"), key: path("key.pem") };
        put(&files, "one.example");
        let certificates = Certificates {
            default: Source::Files(files.clone()),
            by_domain: Vec::new(),
            client_ca: None,
            client_ca_by_domain: Vec::new(),
            self_signed: false,
        };
        let (mut watch, tls) = Watch::start(certificates).expect("good");
        let names = |tls: &Tls| tls.summary().dns_names;
        assert!(!watch.look());

        put(&files, "two.example");
        assert!(!watch.look(), "it may still be changing");
        assert!(watch.look());
        watch.reload(&tls);
        assert_eq!(names(&tls), ["two.example"]);
        assert!(!watch.look());

        fs::write(&files.key, "no key").expect("written");
        assert!(!watch.look());
        assert!(watch.look());
        watch.reload(&tls);
        assert_eq!(names(&tls), ["two.example"], "the old one stays");
        assert!(!watch.look(), "no second try with the same files");

        put(&files, "three.example");
        watch.look();
        assert!(watch.look());
        watch.reload(&tls);
        assert_eq!(names(&tls), ["three.example"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_that_points_elsewhere_is_a_change() {
        use std::os::unix::fs::symlink;
        let directory = tempfile::tempdir().expect("a directory");
        let path = |name: &str| directory.path().join(name);
        // As Kubernetes mounts a Secret: the files are links through `..data`, which is renamed over.
        for (version, name) in [("v1", "one.example"), ("v2", "two.example")] {
            fs::create_dir(path(version)).expect("made");
            put(&TlsFiles { cert: path(version).join("tls.crt"), key: path(version).join("tls.key") }, name);
        }
        symlink("v1", path("..data")).expect("linked");
        let files = TlsFiles { cert: path("tls.crt"), key: path("tls.key") };
        symlink("..data/tls.crt", &files.cert).expect("linked");
        symlink("..data/tls.key", &files.key).expect("linked");
        let certificates = Certificates {
            default: Source::Files(files),
            by_domain: Vec::new(),
            client_ca: None,
            client_ca_by_domain: Vec::new(),
            self_signed: false,
        };
        let (mut watch, tls) = Watch::start(certificates).expect("good");
        symlink("v2", path("..data_tmp")).expect("linked");
        fs::rename(path("..data_tmp"), path("..data")).expect("renamed");
        watch.look();
        assert!(watch.look());
        watch.reload(&tls);
        assert_eq!(tls.summary().dns_names, ["two.example"]);
    }
}
