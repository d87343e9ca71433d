//! XEP-0030 (Service Discovery): what the server and its accounts are, can do and contain.
//!
//! What others may learn of an account is what presence shows them anyway (§8): only who has a subscription to it is
//! answered, everybody else gets the `service-unavailable` that a missing account gives. For `disco#items` the XEP
//! asks for an empty result in both cases; RFC 6121 §8.5.1 has the error for the missing account, so both give that.

use super::xep0115_caps;
use crate::effect::Settings;
use crate::ext::{Answer, Asked, At, Extension, Iq};
use crate::stanza::Condition;
use crate::user::User;
use crate::xml::Element;

const INFO: &str = "http://jabber.org/protocol/disco#info";
const ITEMS: &str = "http://jabber.org/protocol/disco#items";
/// Messages wait for who is offline (XEP-0160 §4): no extension here, but the server can do it.
const OFFLINE: &str = "msgoffline";

/// What an entity is (§3.1; categories and types are registered).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// `server`, `account`, …
    pub category: &'static str,
    /// The type within the category.
    pub kind: &'static str,
    /// For people.
    pub name: Option<&'static str>,
}

impl Identity {
    /// The server's.
    pub fn server(settings: &Settings) -> Identity {
        Identity { category: "server", kind: "im", name: Some(settings.software) }
    }

    /// An account's.
    const ACCOUNT: Identity = Identity { category: "account", kind: "registered", name: None };

    /// That of an account that is gone with its last session.
    const ANONYMOUS: Identity = Identity { category: "account", kind: "anonymous", name: None };
}

/// Answers for the server and its accounts.
pub struct Disco;

impl Extension for Disco {
    fn name(&self) -> &'static str {
        "xep0030_disco"
    }
    fn features(&self) -> &'static [&'static str] {
        &[INFO, ITEMS, OFFLINE]
    }
    fn account_features(&self) -> &'static [&'static str] {
        &[INFO, ITEMS]
    }
    fn iq_namespaces(&self) -> &'static [&'static str] {
        &[INFO, ITEMS]
    }
    fn on_iq(&mut self, iq: &Iq<'_>, at: &mut At<'_>) -> Answer {
        let info = iq.gets("query", INFO);
        if !info && !iq.gets("query", ITEMS) {
            return Answer::NotMine;
        }
        let node = iq.payload.attr("node").filter(|node| !node.is_empty());
        match (iq.asked, at.user.as_deref()) {
            (Asked::Server, _) if info => server_info(node, at),
            (Asked::Server, _) => match node {
                None => Answer::element(&Element::new("query", ITEMS)),
                Some(_) => Condition::ItemNotFound.into(),
            },
            (_, Some(user)) if may_know(iq, user) => match node {
                Some(_) => Condition::ItemNotFound.into(),
                None if info => account_info(user, at),
                None => account_items(user),
            },
            _ => Condition::ServiceUnavailable.into(),
        }
    }
}

/// Whether who asks may know what presence shows of the account (§8).
fn may_know(iq: &Iq<'_>, user: &User) -> bool {
    iq.asked == Asked::Own || user.roster.subscription(iq.stanza.from.bare().as_str()).from()
}

fn info(node: Option<&str>, identity: &Identity, features: &[&str]) -> Answer {
    let feature = |var: &&str| Element::new("feature", INFO).with_attr("var", *var);
    let identity = Element::new("identity", INFO)
        .with_attr("category", identity.category)
        .with_attr("type", identity.kind)
        .with_attr_opt("name", identity.name);
    let query = Element::new("query", INFO).with_attr_opt("node", node).with_child(identity);
    Answer::element(&query.with_children(features.iter().map(feature)))
}

fn server_info(node: Option<&str>, at: &At<'_>) -> Answer {
    let identity = Identity::server(&at.cx.settings);
    // XEP-0115 §6.2: what the hash in the stream features stands for.
    if node.is_some_and(|node| !xep0115_caps::is_node(node, at.catalog, &identity)) {
        return Condition::ItemNotFound.into();
    }
    info(node, &identity, &at.catalog.features)
}

fn account_info(user: &User, at: &At<'_>) -> Answer {
    let identity = if user.ephemeral { Identity::ANONYMOUS } else { Identity::ACCOUNT };
    info(None, &identity, &at.catalog.account_features)
}

/// The available resources (§4.1).
fn account_items(user: &User) -> Answer {
    let item = |(i, _)| Element::new("item", ITEMS).with_attr("jid", user.full_jid(i).as_str());
    let available = user.resources.iter().enumerate().filter(|(_, r)| r.presence.is_some());
    Answer::element(&Element::new("query", ITEMS).with_children(available.map(item)))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Bench, get, set};
    use super::*;
    use crate::user::subscription::Subscription;

    fn bench() -> Bench {
        let mut bench = Bench::new();
        bench.catalog.features = vec![INFO, "urn:xmpp:ping"];
        bench.catalog.account_features = vec!["urn:xmpp:carbons:2"];
        bench.bind("orchard");
        bench.bind("garden");
        bench.user.resources[1].presence = Some(b"<presence/>".as_slice().into());
        bench
    }

    fn query(kind: &str) -> String {
        get(&format!("<query xmlns='http://jabber.org/protocol/disco#{kind}'/>"))
    }

    const ACCOUNT: &str = "result <query xmlns='http://jabber.org/protocol/disco#info'>\
        <identity category='account' type='registered'/><feature var='urn:xmpp:carbons:2'/></query>";
    const RESOURCES: &str = "result <query xmlns='http://jabber.org/protocol/disco#items'>\
        <item jid='romeo@montague.example/garden'/></query>";

    #[test]
    fn the_server_says_what_it_is_and_can_do() {
        let info = bench().ask(&mut Disco, Asked::Server, query("info"));
        let told = "result <query xmlns='http://jabber.org/protocol/disco#info'>\
            <identity category='server' type='im' name='chat'/>\
            <feature var='http://jabber.org/protocol/disco#info'/><feature var='urn:xmpp:ping'/></query>";
        assert_eq!(info, told); // §3.1
        let items = bench().ask(&mut Disco, Asked::Server, query("items"));
        assert_eq!(items, "result <query xmlns='http://jabber.org/protocol/disco#items'/>"); // §4.1
    }

    #[test]
    fn unknown_nodes_are_not_found() {
        for kind in ["info", "items"] {
            let node = get(&format!("<query xmlns='http://jabber.org/protocol/disco#{kind}' node='x'/>"));
            for asked in [Asked::Server, Asked::Own] {
                let answer = bench().ask(&mut Disco, asked, &node);
                assert_eq!(answer, "error cancel item-not-found", "{kind} {asked:?}");
            }
            assert_eq!(bench().ask(&mut Disco, Asked::Other, &node), "error cancel service-unavailable");
        }
    }

    #[test]
    fn an_account_tells_its_owner() {
        assert_eq!(bench().ask(&mut Disco, Asked::Own, query("info")), ACCOUNT); // §3.1
        assert_eq!(bench().ask(&mut Disco, Asked::Own, query("items")), RESOURCES); // §4.1
    }

    #[test]
    fn an_account_tells_those_who_see_its_presence() {
        let refused = "error cancel service-unavailable";
        for (subscription, may) in [
            (Subscription::BOTH, true), // §8
            (Subscription::FROM, true),
            (Subscription::TO, false),
            (Subscription::NONE_IN, false),
        ] {
            let mut bench = bench();
            bench.contact("juliet@capulet.example", subscription);
            for (kind, told) in [("info", ACCOUNT), ("items", RESOURCES)] {
                let answer = bench.ask(&mut Disco, Asked::Other, query(kind));
                assert_eq!(answer, if may { told } else { refused }, "{kind} {subscription:?}");
            }
        }
        assert_eq!(bench().ask(&mut Disco, Asked::Other, query("info")), refused, "not in the roster");
    }

    #[test]
    fn an_account_without_store_is_anonymous() {
        let mut bench = bench();
        bench.user.ephemeral = true;
        let answer = bench.ask(&mut Disco, Asked::Own, query("info"));
        assert!(answer.contains("<identity category='account' type='anonymous'/>"), "{answer}");
    }

    #[test]
    fn nothing_can_be_set() {
        let order = set("<query xmlns='http://jabber.org/protocol/disco#info'/>");
        assert_eq!(bench().ask(&mut Disco, Asked::Server, order), "not mine");
    }
}
