//! The authority of a cluster whose nodes know each other by certificates.

use std::fs;
use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, OtherNameValue, SanType,
};

/// The settings of a node in whose directory [`Authority::put`] has put everything.
pub const CERTIFIED: [(&str, &str); 3] =
    [("cluster.cert", "node.pem"), ("cluster.key", "node.key"), ("cluster.ca", "ca.pem")];

/// An authority.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// Of this name.
    pub fn new(name: &str) -> Authority {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Authority(CertifiedIssuer::self_signed(params, key).expect("signed"))
    }

    /// Puts a certificate for a node, its key and the authority's own certificate into a directory, each at once as good
    /// tools do.
    pub fn put(&self, directory: &Path, node: &str) {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        // id-on-xmppAddr.
        let address = (vec![1, 3, 6, 1, 5, 5, 7, 8, 5], OtherNameValue::Utf8String(node.to_owned()));
        params.subject_alt_names.push(SanType::OtherName(address));
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.0).expect("signed");
        let [cert_file, key_file, ca_file] = CERTIFIED.map(|(_, file)| file);
        for (file, text) in
            [(key_file, key.serialize_pem()), (cert_file, certificate.pem()), (ca_file, self.0.pem())]
        {
            let new = directory.join(format!("{file}.new"));
            fs::write(&new, text).expect("written");
            fs::rename(new, directory.join(file)).expect("renamed");
        }
    }
}
