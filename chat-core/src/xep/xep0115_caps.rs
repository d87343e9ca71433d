//! XEP-0115 (Entity Capabilities), the server's own: a hash over its service discovery in the stream features, so
//! that clients that know it need not ask (§6.3). Those of clients travel in presence, which the server never reads.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha1::{Digest, Sha1};

use super::Identity;
use crate::ext::{Catalog, Extension};
use crate::xml::Element;

const NS: &str = "http://jabber.org/protocol/caps";
/// Names the software (§4).
const NODE: &str = "urn:x-chat:server";

/// Announces the server's capabilities.
pub struct Caps {
    /// What the server is.
    pub identity: Identity,
}

impl Extension for Caps {
    fn name(&self) -> &'static str {
        "xep0115_caps"
    }
    fn features(&self) -> &'static [&'static str] {
        &[NS]
    }
    fn stream_features(&self, catalog: &Catalog) -> String {
        caps_feature(catalog, &self.identity)
    }
}

/// The `<c/>` element for the stream features, written out (§6.3).
pub fn caps_feature(catalog: &Catalog, identity: &Identity) -> String {
    let caps = Element::new("c", NS)
        .with_attr("hash", "sha-1")
        .with_attr("node", NODE)
        .with_attr("ver", ver(identity, &catalog.features));
    String::from_utf8(caps.to_bytes()).expect("elements are written in UTF-8")
}

/// Whether a disco node is the one that [`caps_feature`] announces (§6.2).
pub(super) fn is_node(node: &str, catalog: &Catalog, identity: &Identity) -> bool {
    let asked = node.strip_prefix(NODE).and_then(|rest| rest.strip_prefix('#'));
    asked.is_some_and(|asked| asked == ver(identity, &catalog.features)) && catalog.features.contains(&NS)
}

/// The verification string (§5.1) of one identity and of features in byte order, each once.
fn ver(identity: &Identity, features: &[&str]) -> String {
    let mut hash = Sha1::new();
    let name = identity.name.unwrap_or_default();
    hash.update(format!("{}/{}//{name}<", identity.category, identity.kind));
    for feature in features {
        hash.update(feature);
        hash.update("<");
    }
    BASE64_STANDARD.encode(hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Bench, get};
    use super::super::xep0030_disco::Disco;
    use super::*;
    use crate::ext::{Asked, Host};

    #[test]
    fn the_hash_is_that_of_the_xeps_own_example() {
        let identity = Identity { category: "client", kind: "pc", name: Some("Exodus 0.9.1") };
        let features = [
            "http://jabber.org/protocol/caps",
            "http://jabber.org/protocol/disco#info",
            "http://jabber.org/protocol/disco#items",
            "http://jabber.org/protocol/muc",
        ];
        assert_eq!(ver(&identity, &features), "QgayPKawpkPSDYmwT/WM94uAlu0="); // §5.2
    }

    /// What a client does with the feature: it asks for the node, and hashes the answer anew (§5.4).
    #[test]
    fn the_hash_in_the_features_is_that_of_the_disco_answer() {
        let mut bench = Bench::new();
        let identity = Identity::server(&bench.cx.settings);
        let host = Host::new(vec![Box::new(Disco), Box::new(Caps { identity })], &bench.cx.settings);
        bench.catalog = host.catalog(0).clone();
        let features = &host.stream_features()[0];
        let attr =
            |name: &str| features.split(&format!("{name}='")).nth(1).unwrap().split('\'').next().unwrap();
        assert!(
            features.starts_with("<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' "),
            "{features}"
        );
        let node = format!("{}#{}", attr("node"), attr("ver"));
        let ask = |bench: &mut Bench, node: &str| {
            let query = format!("<query xmlns='http://jabber.org/protocol/disco#info' node='{node}'/>");
            bench.ask(&mut Disco, Asked::Server, get(&query))
        };
        let answer = ask(&mut bench, &node);
        assert!(answer.contains(&format!("node='{node}'")), "§6.2: the node comes back: {answer}");
        let features: Vec<&str> =
            answer.split("<feature var='").skip(1).map(|f| f.split('\'').next().unwrap()).collect();
        assert!(features.contains(&"http://jabber.org/protocol/caps"), "§7");
        assert!(answer.contains("<identity category='server' type='im' name='chat'/>"));
        assert_eq!(ver(&identity, &features), attr("ver"));
        assert_eq!(ask(&mut bench, &format!("{node}x")), "error cancel item-not-found");
        assert_eq!(ask(&mut bench, &node.replace('#', "")), "error cancel item-not-found");
    }
}
