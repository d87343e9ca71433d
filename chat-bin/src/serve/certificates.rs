//! Certificates for clients: which ones the configuration names, and their renewal.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use chat_net::tls::{CertificateSummary, Identity, Tls, TlsConfig, TlsError, self_signed};

use super::watch::Watch;
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

    /// All that may change.
    fn paths(&self) -> Vec<PathBuf> {
        let default = match &self.default {
            Source::Files(files) => Some(files),
            Source::Memory(_) => None,
        };
        let pairs = default.into_iter().chain(self.by_domain.iter().map(|(_, files)| files));
        let authorities =
            self.client_ca.iter().chain(self.client_ca_by_domain.iter().filter_map(|(_, p)| p.as_ref()));
        pairs.flat_map(|files| [&files.cert, &files.key]).chain(authorities).cloned().collect()
    }
}

/// The certificates that clients see, kept up to date.
pub(super) struct Renewal {
    pub(super) certificates: Certificates,
    watch: Watch,
    tls: Tls,
}

impl Renewal {
    /// Loads the certificates for the first time.
    pub(super) fn start(certificates: Certificates) -> Result<Renewal, Failure> {
        let watch = Watch::new(certificates.paths());
        let tls = Tls::new(&certificates.load()?)?;
        Ok(Renewal { certificates, watch, tls })
    }

    /// What follows every change.
    pub(super) fn tls(&self) -> &Tls {
        &self.tls
    }

    /// Loads the certificates again if their files have changed.
    pub(super) fn look(&mut self) {
        if self.watch.look() {
            self.reload();
        }
    }

    /// Loads the certificates again. If they are no good, those in force stay, and the next try is made when the files
    /// change once more.
    pub(super) fn reload(&mut self) {
        self.watch.tries();
        match self.certificates.load().and_then(|config| self.tls.reload(&config)) {
            Ok(()) => {
                tracing::info!("certificates loaded anew");
                self.log();
            }
            Err(error) => tracing::error!(%error, "the new certificates are not used; the old ones stay"),
        }
    }

    /// Logs which certificates are in force, and what is wrong with them.
    pub(super) fn log(&self) {
        for (domain, summary) in self.certificates.summaries() {
            let (domain, fingerprint) = (domain.unwrap_or("-"), &summary.fingerprint);
            match Term::of(&summary) {
                Term::Expired => tracing::warn!(domain, %fingerprint, "the certificate has expired"),
                Term::Early => tracing::warn!(domain, %fingerprint, "the certificate is not valid yet"),
                Term::Days(days) => tracing::info!(domain, %fingerprint, days, "certificate (SHA-256)"),
            }
        }
    }
}

/// How long a certificate is good for.
pub(super) enum Term {
    Expired,
    /// It is not valid yet.
    Early,
    /// So many days more, if it says.
    Days(Option<i64>),
}

impl Term {
    /// From now on.
    pub(super) fn of(summary: &CertificateSummary) -> Term {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        match summary.validity {
            Some((_, last)) if last < now => Term::Expired,
            Some((first, _)) if first > now => Term::Early,
            validity => Term::Days(validity.map(|(_, last)| (last - now).div_euclid(86_400))),
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
    use std::fs;

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
    fn changes_count_once_they_have_settled() {
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
        let mut renewal = Renewal::start(certificates).expect("good");
        let names = |renewal: &Renewal| renewal.tls().summary().dns_names;

        put(&files, "two.example");
        renewal.look();
        assert_eq!(names(&renewal), ["one.example"], "they may still be changing");
        renewal.look();
        assert_eq!(names(&renewal), ["two.example"]);

        fs::write(&files.key, "no key").expect("written");
        renewal.look();
        renewal.look();
        assert_eq!(names(&renewal), ["two.example"], "the old one stays");

        put(&files, "three.example");
        renewal.look();
        renewal.look();
        assert_eq!(names(&renewal), ["three.example"]);
    }

    #[cfg(unix)]
    #[test]
    fn what_kubernetes_puts_in_their_place_is_taken() {
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
        let mut renewal = Renewal::start(certificates).expect("good");
        symlink("v2", path("..data_tmp")).expect("linked");
        fs::rename(path("..data_tmp"), path("..data")).expect("renamed");
        renewal.look();
        renewal.look();
        assert_eq!(renewal.tls().summary().dns_names, ["two.example"]);
    }
}
