//! The certificates that nodes of a cluster know each other by, and their renewal.

use chat_core::cluster::NodeName;
use chat_net::cluster::{Authorities, LinkTls};
use chat_net::tls::{CertificateSummary, Identity, Provider};

use super::certificates::Term;
use super::watch::Watch;
use crate::Failure;
use crate::config::LinkFiles;

/// Those of this node, kept up to date.
pub(super) struct LinkCertificates {
    files: LinkFiles,
    node: NodeName,
    watch: Watch,
    tls: LinkTls,
    /// Of what is in force, if it can be read.
    summary: Option<CertificateSummary>,
}

impl LinkCertificates {
    /// Loads them for the first time.
    ///
    /// # Errors
    /// A file is no good, or the certificate is not for this node, whom nobody would believe then.
    pub(super) fn start(files: &LinkFiles, node: &NodeName) -> Result<LinkCertificates, Failure> {
        let watch = Watch::new([&files.own.cert, &files.own.key, &files.ca].map(Clone::clone).to_vec());
        let (identity, authorities) = load(files, node)?;
        let tls = LinkTls::with_authority(&identity, &authorities, Provider::AwsLcRs)?;
        let summary = identity.summary().ok();
        Ok(LinkCertificates { files: files.clone(), node: node.clone(), watch, tls, summary })
    }

    /// What follows every change.
    pub(super) fn tls(&self) -> LinkTls {
        self.tls.clone()
    }

    /// Loads them again if their files have changed.
    pub(super) fn look(&mut self) {
        if self.watch.look() {
            self.reload();
        }
    }

    /// Loads them again, for links that are made from now on. If they are no good, those in force stay, and the next try is
    /// made when the files change once more.
    pub(super) fn reload(&mut self) {
        self.watch.tries();
        let loaded = load(&self.files, &self.node).and_then(|(identity, authorities)| {
            self.tls.reload(&identity, &authorities, Provider::AwsLcRs)?;
            Ok(identity)
        });
        match loaded {
            Ok(identity) => {
                tracing::info!("certificates for links loaded anew");
                self.summary = identity.summary().ok();
                self.log();
            }
            Err(error) => {
                tracing::error!(%error, "the new certificates for links are not used; the old ones stay");
            }
        }
    }

    /// Logs which certificate the node shows, and what is wrong with it.
    pub(super) fn log(&self) {
        let Some(summary) = &self.summary else { return };
        let fingerprint = &summary.fingerprint;
        match Term::of(summary) {
            Term::Expired => tracing::warn!(%fingerprint, "the certificate for links has expired"),
            Term::Early => tracing::warn!(%fingerprint, "the certificate for links is not valid yet"),
            Term::Days(days) => tracing::info!(%fingerprint, days, "certificate for links (SHA-256)"),
        }
    }
}

fn load(files: &LinkFiles, node: &NodeName) -> Result<(Identity, Authorities), Failure> {
    let identity = Identity::from_files(&files.own.cert, &files.own.key)?;
    let names = LinkTls::names(&identity)?;
    if !names.contains(node) {
        let cert = files.own.cert.display();
        let names: Vec<_> = names.iter().map(NodeName::as_str).collect();
        let said = if names.is_empty() { "no node".to_owned() } else { names.join(", ") };
        return Err(Failure::new(format!("{cert} is a certificate for {said}, not for this node, {node}")));
    }
    Ok((identity, Authorities::from_file(&files.ca)?))
}
