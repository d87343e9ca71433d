//! Which extensions there are, and in which order they see a stanza.

use super::{Blocking, Caps, Carbons, ClientState, Disco, Identity, Ping, Register, Time, Version};
use crate::effect::Settings;
use crate::ext::Extension;

/// What stands for each extension of [`standard`] in [`Settings::extensions_disabled`] and in that of a domain.
pub const NAMES: [&str; 9] =
    ["xep0030", "xep0077", "xep0092", "xep0115", "xep0191", "xep0199", "xep0202", "xep0280", "xep0352"];

/// The extensions of this server, but for those that no domain has. In the order of their hooks: what is
/// refused to or from somebody blocked is seen by no other, and so is not copied either.
pub fn standard(settings: &Settings) -> Vec<Box<dyn Extension>> {
    let mut table: Vec<Box<dyn Extension>> = vec![
        Box::new(Blocking),
        Box::new(Carbons),
        Box::new(Disco),
        Box::new(Caps { identity: Identity::server(settings) }),
        Box::new(ClientState),
        Box::new(Ping),
        Box::new(Register),
        Box::new(Time),
        Box::new(Version),
    ];
    table.retain(|e| settings.domains.iter().any(|d| e.suits(d) && !settings.leaves_out(d, e.name())));
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::HashKey;
    use crate::effect::Domain;
    use crate::ext::Host;

    fn settings() -> Settings {
        Settings::new(vec![Domain::new("montague.example")], HashKey::from_bytes([1; 16]), [2; 16])
    }

    fn names(settings: &Settings) -> Vec<&'static str> {
        standard(settings).iter().filter_map(|e| e.name().split('_').next()).collect()
    }

    #[test]
    fn every_name_stands_for_one_extension() {
        let mut all = names(&settings());
        assert_eq!(all[..2], ["xep0191", "xep0280"], "what is blocked is not copied");
        all.sort_unstable();
        assert_eq!(all, NAMES);
    }

    #[test]
    fn extensions_can_be_left_out() {
        let mut settings = settings();
        settings.extensions_disabled =
            vec!["xep0280".to_owned(), "xep0199_ping".to_owned(), "xep9999".to_owned()];
        let left = names(&settings);
        assert_eq!(left.len(), 7);
        assert!(!left.contains(&"xep0280") && !left.contains(&"xep0199"));
    }

    #[test]
    fn a_domain_leaves_out_others_than_the_rest() {
        let mut settings = settings();
        settings.extensions_disabled = vec!["xep0199".to_owned(), "xep0202".to_owned()];
        let capulet = Domain {
            extensions_disabled: Some(vec!["xep0280".to_owned()]),
            ..Domain::new("capulet.example")
        };
        settings.domains.push(capulet);
        settings
            .domains
            .push(Domain { extensions_disabled: Some(Vec::new()), ..Domain::new("verona.example") });
        settings.domains.push(Domain::new("mantua.example"));
        assert_eq!(names(&settings).len(), NAMES.len(), "verona has all of them");
        let host = Host::new(standard(&settings), &settings);
        let has = |feature| [0, 1, 2, 3].map(|domain| host.catalog(domain).features.contains(&feature));
        assert_eq!(has("urn:xmpp:ping"), [false, true, true, false]);
        assert_eq!(has("urn:xmpp:carbons:2"), [true, false, true, true]);
        assert_eq!(has("urn:xmpp:blocking"), [true; 4]);
        // The hash in the stream features is that of what the domain announces (XEP-0115 §6.3).
        let features = host.stream_features();
        assert_eq!(features[0], features[3]);
        assert!(features[0] != features[1] && features[1] != features[2] && features[0] != features[2]);
        settings.domains.remove(2);
        assert_eq!(names(&settings).len(), NAMES.len(), "what one domain leaves out another has");
        settings.domains.remove(1);
        assert_eq!(names(&settings).len(), NAMES.len() - 2);
    }

    #[test]
    fn registration_is_announced_only_where_it_can_work() {
        let mut settings = settings();
        let announced = |settings: &Settings| {
            let host = Host::new(standard(settings), settings);
            [0, 1].map(|domain| host.catalog(domain).features.contains(&"jabber:iq:register"))
        };
        settings.domains.push(Domain::new("capulet.example"));
        assert_eq!(announced(&settings), [true, true]);
        settings.domains[0].account_management = false;
        assert_eq!(announced(&settings), [false, true]);
        settings.domains[1].account_management = false;
        assert_eq!(announced(&settings), [false, false]);
    }

    #[test]
    fn the_catalog_and_the_stream_features_are_whole() {
        let settings = settings();
        let host = Host::new(standard(&settings), &settings);
        assert_eq!(
            host.catalog(0).features,
            [
                "http://jabber.org/protocol/caps",
                "http://jabber.org/protocol/disco#info",
                "http://jabber.org/protocol/disco#items",
                "jabber:iq:register",
                "jabber:iq:version",
                "msgoffline",
                "urn:xmpp:blocking",
                "urn:xmpp:carbons:2",
                "urn:xmpp:ping",
                "urn:xmpp:time",
            ]
        );
        let features = &host.stream_features()[0];
        let caps = "<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='urn:x-chat:server' ver='";
        assert!(features.starts_with(caps), "{features}");
        assert!(features.ends_with("<csi xmlns='urn:xmpp:csi:0'/>"), "{features}");
    }
}
