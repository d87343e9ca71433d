//! What the engine is told at its start.

use crate::base::{HashKey, Limits, WorkerId};
use crate::sasl::Mechanism;

/// The settings of one engine; the same on every worker but for [`Settings::worker`].
#[derive(Debug, Clone)]
pub struct Settings {
    /// The domains served, at least one.
    pub domains: Vec<Domain>,
    /// The limits; a domain may have others ([`Domain::limits`]).
    pub limits: Limits,
    /// The number of this worker.
    pub worker: WorkerId,
    /// The number of workers; at least one.
    pub workers: u16,
    /// Decides the home of a bare JID; the same on every worker of a node.
    pub home_key: HashKey,
    /// Makes the salts of users that do not exist; the same on every worker and across restarts, so that nobody
    /// finds out who exists (RFC 5802 §9).
    pub fake_salt_key: [u8; 16],
    /// The name of this node in its cluster, as all its nodes write it; ties are broken by it. Without one there is no
    /// cluster: nothing is told to other nodes, and nothing kept of them.
    pub cluster: Option<String>,
    /// The driver has TLS to offer: STARTTLS is among the features.
    pub starttls: bool,
    /// The name of the software, for XEP-0092.
    pub software: &'static str,
    /// Its version.
    pub version: &'static str,
    /// A bug that the simulator plants, to see whether it finds it.
    #[cfg(feature = "sim")]
    #[doc(hidden)]
    pub plant: Option<super::Plant>,
    /// Extensions left out, by number (`xep0280`; `xep::NAMES`) or by whole name. Names of no extension mean nothing. A
    /// domain may have another list ([`Domain::extensions_disabled`]).
    pub extensions_disabled: Vec<String>,
}

/// The settings of one domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain {
    /// Its prepared name (RFC 7622).
    pub name: String,
    /// The SASL mechanisms its authenticators can serve, in the order of preference. Which of them are offered
    /// depends on the state of TLS.
    pub mechanisms: Vec<Mechanism>,
    /// Login without TLS is allowed (tests, trusted networks).
    pub plaintext: bool,
    /// In-band registration is open (XEP-0077).
    pub registration: bool,
    /// Accounts can change their password and end themselves in-band (XEP-0077 §3.2, §3.3).
    pub account_management: bool,
    /// Users exist only while they are connected: nothing about them is stored.
    pub ephemeral: bool,
    /// Limits of its own, instead of [`Settings::limits`]; those that concern a whole worker are read there all the
    /// same ([`Limits`] says which they are).
    pub limits: Option<Limits>,
    /// Extensions left out for it, instead of [`Settings::extensions_disabled`]: neither announced nor served there,
    /// and not called for its users.
    pub extensions_disabled: Option<Vec<String>>,
}

impl Domain {
    /// A domain with accounts and the mechanisms of a store: SCRAM in all forms, PLAIN under TLS, EXTERNAL if the
    /// client has a certificate.
    pub fn new(name: &str) -> Self {
        Domain {
            name: name.to_owned(),
            mechanisms: vec![
                Mechanism::External,
                Mechanism::ScramSha512Plus,
                Mechanism::ScramSha256Plus,
                Mechanism::ScramSha1Plus,
                Mechanism::ScramSha512,
                Mechanism::ScramSha256,
                Mechanism::ScramSha1,
                Mechanism::Plain,
            ],
            plaintext: false,
            registration: false,
            account_management: true,
            ephemeral: false,
            limits: None,
            extensions_disabled: None,
        }
    }
}

impl Settings {
    /// One worker that serves these domains, keyed by the seed.
    pub fn new(domains: Vec<Domain>, home_key: HashKey, fake_salt_key: [u8; 16]) -> Self {
        Settings {
            domains,
            limits: Limits::default(),
            worker: WorkerId(0),
            workers: 1,
            home_key,
            fake_salt_key,
            cluster: None,
            starttls: true,
            software: "chat",
            version: env!("CARGO_PKG_VERSION"),
            #[cfg(feature = "sim")]
            plant: None,
            extensions_disabled: Vec::new(),
        }
    }

    /// Whether this bug is planted; never without the feature `sim`.
    #[cfg(feature = "sim")]
    pub(crate) fn has(&self, plant: super::Plant) -> bool {
        self.plant == Some(plant)
    }

    /// The domain of this prepared name.
    pub fn domain(&self, name: &str) -> Option<&Domain> {
        self.domains.iter().find(|d| d.name == name)
    }

    /// The place in [`Settings::domains`] of the domain of this prepared name: what sessions and users remember of it.
    pub fn domain_index(&self, name: &str) -> Option<u16> {
        self.domains.iter().position(|d| d.name == name).map(|index| index as u16)
    }

    /// The limits that hold for the domain at this place.
    ///
    /// # Panics
    /// Without such a domain.
    pub fn limits_of(&self, domain: u16) -> &Limits {
        self.domains[usize::from(domain)].limits.as_ref().unwrap_or(&self.limits)
    }

    /// Whether an extension, given by its whole name (`xep0280_carbons`), is left out for the domain.
    pub fn leaves_out(&self, domain: &Domain, extension: &str) -> bool {
        let list = domain.extensions_disabled.as_ref().unwrap_or(&self.extensions_disabled);
        let number = extension.split_once('_').map_or(extension, |(number, _)| number);
        list.iter().any(|off| off == number || off == extension)
    }

    /// The worker where everything about a bare JID happens.
    pub fn home(&self, bare: &str) -> WorkerId {
        if self.workers <= 1 {
            return WorkerId(0);
        }
        WorkerId((self.home_key.hash(bare.as_bytes()) % u64::from(self.workers)) as u16)
    }
}
