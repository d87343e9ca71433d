//! Rules about several settings together, and about the files they name.

use std::collections::BTreeSet;
use std::io;

use chat_core::base::limits::{CLUSTER_NODES_MAX, ROSTER_REQUEST_BYTES_MAX};
use chat_core::cluster::discovery::siblings;
use chat_net::store::postgres;

use super::layer::{Values, full_name};
use super::origin::ConfigError;
use super::sources::Sources;
use super::suggest::did_you_mean;
use super::table::{self, Setting};
use super::types::StoreUrl;
use super::value::once;
use super::view::View;

/// Most sibling nodes that two numbers may span: a cluster has a handful, a larger span is a slip.
pub const SIBLINGS_MAX: u64 = CLUSTER_NODES_MAX as u64;

const LISTENERS: [&str; 6] =
    ["listen.c2s", "listen.c2s_tls", "listen.s2s", "listen.web", "listen.admin", "listen.cluster"];

/// What the rules found.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    pub errors: Vec<ConfigError>,
    /// What is allowed but looks like a slip.
    pub notes: Vec<String>,
}

/// Applies all rules. Those about a setting in `broken` are left out: its fault is known.
pub(crate) fn check(values: &Values, sources: &Sources, broken: &BTreeSet<&'static str>) -> Checked {
    let mut rules = Rules { view: View { values, domain: None }, sources, broken, found: Checked::default() };
    rules.store();
    rules.cluster();
    rules.lists();
    rules.siblings();
    rules.listeners();
    let served = rules.view.texts("domains");
    let own = values.domains();
    let unknown = own.iter().filter(|d| !served.iter().any(|s| s == *d));
    for domain in unknown.filter(|_| !broken.contains("domains")) {
        let hint = did_you_mean(domain, served.iter().map(String::as_str));
        rules
            .found
            .notes
            .push(format!("domain.\"{domain}\" has settings, but is not one of the domains served{hint}"));
    }
    // Domains without settings of their own share one look at them.
    let mut views: Vec<Option<&str>> =
        served.iter().map(|d| own.contains(&d.as_str()).then_some(d.as_str())).collect();
    views.sort_unstable();
    views.dedup();
    for domain in views {
        rules.view.domain = domain;
        rules.tls();
        rules.auth();
        rules.limits();
    }
    // Domains that share a faulty setting report it once.
    Checked { errors: once(rules.found.errors), notes: once(rules.found.notes) }
}

struct Rules<'a> {
    view: View<'a>,
    sources: &'a Sources,
    broken: &'a BTreeSet<&'static str>,
    found: Checked,
}

impl Rules<'_> {
    /// An error of the first of `names`, unless one of them has a fault of its own.
    fn error(&mut self, names: &[&'static str], message: &str) {
        if names.iter().any(|n| self.broken.contains(n)) {
            return;
        }
        let origin = self.view.given(names[0]).origin.clone();
        let domain = self.view.domain.filter(|d| self.view.values.of_domain(d, names[0]).is_some());
        let name = full_name(domain, names[0]);
        self.found.errors.push(ConfigError::new(origin, format!("{name}: {message}")));
    }

    fn store(&mut self) {
        if let StoreUrl::Postgres(url) = self.view.store("store.url")
            && let Err(error) = postgres::Options::new(url.expose())
        {
            self.error(&["store.url"], &error.to_string());
        }
    }

    fn cluster(&mut self) {
        let is_cluster = |s: &&Setting| s.name.starts_with("cluster.") || s.name.starts_with("memtabd.");
        // A default that somebody wrote down asks for nothing.
        let defaults = Values::defaults(&self.sources.machine(false));
        let given = |name| self.view.given(name).value != defaults.global(name).value;
        let set: Vec<&'static str> =
            table::all().filter(is_cluster).map(|s| s.name).filter(|n| given(n)).collect();
        if matches!(self.view.store("store.url"), StoreUrl::Sqlite(_)) {
            let from = &self.view.given("store.url").origin;
            let message = format!(
                "a cluster needs a store that its nodes share, and store.url is a SQLite file ({from}): \
                 set store.url to postgres://…, or leave the cluster's settings out"
            );
            for name in set {
                self.error(&[name, "store.url"], &message);
            }
            return;
        }
        self.link_certificates();
        // Of one alone it is said that it needs the others.
        let trusts = ["cluster.secret", "cluster.cert", "cluster.key", "cluster.ca"];
        let is_trusting = trusts.iter().any(|name| self.view.is_set(name));
        for name in ["cluster.nodes", "cluster.dns", "memtabd.nodes", "memtabd.high_limit"] {
            if !is_trusting && set.contains(&name) {
                self.error(
                    &[name, "cluster.secret", "cluster.cert"],
                    "the cluster's members need cluster.secret, or certificates (cluster.cert), to trust each other",
                );
            }
        }
        for name in ["cluster.role", "cluster.active_wanted"] {
            if !is_trusting && set.contains(&name) {
                self.error(
                    &[name, "cluster.secret", "cluster.cert"],
                    "means something in a cluster only, and without cluster.secret or cluster.cert the node stays alone",
                );
            }
        }
    }

    /// All of them or none, and no secret beside them: a node that takes either is as weak as the weaker of the two.
    fn link_certificates(&mut self) {
        let (cert, key, ca) = ("cluster.cert", "cluster.key", "cluster.ca");
        for (name, others) in [(cert, [key, ca]), (key, [cert, ca]), (ca, [cert, key])] {
            if !self.view.is_set(name) {
                continue;
            }
            let missing: Vec<_> = others.into_iter().filter(|other| !self.view.is_set(other)).collect();
            if !missing.is_empty() {
                self.error(
                    &[name, others[0], others[1]],
                    &format!("needs {} as well", missing.join(" and ")),
                );
            }
            self.file_exists(name);
        }
        if self.view.is_set(cert) && self.view.is_set("cluster.secret") {
            let message = "cluster.secret is set as well: nodes know each other by the one or by the other";
            self.error(&[cert, "cluster.secret"], message);
        }
    }

    fn lists(&mut self) {
        for name in ["cluster.nodes", "memtabd.nodes"] {
            let listed = self.view.nodes(name).len();
            if listed > CLUSTER_NODES_MAX {
                self.error(&[name], &format!("{listed} nodes are more than {CLUSTER_NODES_MAX}"));
            }
        }
    }

    fn siblings(&mut self) {
        let Some(high) = self.view.int_or_none("memtabd.high_limit") else { return };
        let low = self.view.int("memtabd.low_limit");
        let names = ["memtabd.high_limit", "memtabd.low_limit"];
        if low > high {
            return self.error(&names, &format!("{high} is less than memtabd.low_limit, {low}"));
        }
        if high - low >= SIBLINGS_MAX {
            return self.error(&names, &format!("{low} to {high} are more than {SIBLINGS_MAX} siblings"));
        }
        let [node] = self.view.nodes("node.name") else { return };
        if siblings(&node.node, low, high).is_none() {
            let host = node.node.host();
            let message = format!("siblings need a host name whose first part ends in a number, not {host}");
            self.error(&["memtabd.high_limit", "node.name"], &message);
        }
    }

    fn listeners(&mut self) {
        let mut taken = Vec::new();
        for name in LISTENERS {
            for address in self.view.addresses(name) {
                let other = taken.iter().find(|(a, _)| a == address).map(|(_, other)| *other);
                match other {
                    // Port 0 asks the system for a free port each time.
                    _ if address.port() == 0 => {}
                    Some(other) if other == name => {
                        self.error(&[name], &format!("{address} is listed twice"))
                    }
                    Some(other) => {
                        // The one that somebody wrote is to be mended, not the default.
                        let mut names = [name, other];
                        names.sort_by_key(|n| std::cmp::Reverse(self.view.given(n).layer));
                        self.error(&names, &format!("{address} is taken by {}", names[1]));
                    }
                    None => taken.push((*address, name)),
                }
            }
        }
    }

    fn limits(&mut self) {
        for (small, large) in [
            ("limits.stanza_bytes_unauthenticated_max", "limits.stanza_bytes_max"),
            ("limits.spool_after", "limits.store_timeout"),
        ] {
            if self.view.int(small) <= self.view.int(large) {
                continue;
            }
            // The one that somebody wrote last is to be mended.
            if self.view.strength(large) > self.view.strength(small) {
                let at_least = &self.view.given(small).value;
                self.error(&[large, small], &format!("must not be less than {small}, {at_least}"));
            } else {
                let at_most = &self.view.given(large).value;
                self.error(&[small, large], &format!("must not be more than {large}, {at_most}"));
            }
        }
        let (requests_max, bytes_max) = ("limits.roster_requests_max", "limits.roster_bytes_max");
        let requests = self.view.int(requests_max) * ROSTER_REQUEST_BYTES_MAX as u64;
        if requests > self.view.int(bytes_max) / 2 {
            let own = |d: &&str| {
                [requests_max, bytes_max].iter().any(|n| self.view.values.of_domain(d, n).is_some())
            };
            let name = full_name(self.view.domain.filter(own), requests_max);
            let note = format!(
                "{name} lets strangers fill a roster: their requests may have {requests} bytes, which is over half \
                 of {bytes_max}"
            );
            self.found.notes.push(note);
        }
    }

    fn tls(&mut self) {
        for (name, other) in [("tls.cert", "tls.key"), ("tls.key", "tls.cert")] {
            if self.view.is_set(name) && !self.view.is_set(other) {
                self.error(&[name, other], &format!("needs {other} as well"));
            }
            self.file_exists(name);
        }
    }

    fn auth(&mut self) {
        self.file_exists("auth.client_ca");
        self.file_exists("auth.jwt_key_file");
        let (secret, file) = ("auth.jwt_secret", "auth.jwt_key_file");
        let both = self.view.is_set(secret) && self.view.is_set(file);
        if both && self.view.strength(secret) == self.view.strength(file) {
            self.error(&[secret, file], "auth.jwt_key_file is set as well");
        }
        let methods = self.view.texts("auth.method");
        if methods.len() > 1 && methods.iter().any(|m| m == "anonymous") {
            let message =
                "anonymous stands alone: nothing about guests is kept, so they need a domain of their own";
            self.error(&["auth.method"], message);
        }
        if methods.iter().any(|m| m == "jwt") {
            let algorithm = self.view.text("auth.jwt_algorithm");
            let shared = algorithm.starts_with("HS");
            if !self.view.is_set(file) && (!shared || !self.view.is_set(secret)) {
                let needs = if shared { "auth.jwt_secret or auth.jwt_key_file" } else { "auth.jwt_key_file" };
                let message = format!("jwt with {algorithm} needs {needs}");
                self.error(&["auth.method", secret, file, "auth.jwt_algorithm"], &message);
            }
            let bytes = self.view.secrets(secret).first().map_or(usize::MAX, |s| s.expose().len());
            if shared && bytes < 32 {
                let note = "auth.jwt_secret is short: RFC 7518 §3.2 asks for as many bytes as the hash has, 32 to 64";
                self.found.notes.push(note.into());
            }
        }
        if methods.iter().any(|m| m == "http") && !self.view.is_set("auth.http_url") {
            self.error(&["auth.method", "auth.http_url"], "http needs auth.http_url");
        }
    }

    /// Only its absence is an error here: whoever checks the configuration may not be allowed to read a key.
    fn file_exists(&mut self, name: &'static str) {
        let Some(path) = self.view.path_or_none(name) else { return };
        let missing = |e: &io::Error| e.kind() == io::ErrorKind::NotFound;
        if self.sources.locate(path).metadata().is_err_and(|e| missing(&e)) {
            self.error(&[name], &format!("there is no file {}", path.display()));
        }
    }
}
