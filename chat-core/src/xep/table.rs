//! Which extensions there are, and in which order they see a stanza.

use super::{Blocking, Caps, Carbons, ClientState, Disco, Identity, Ping, Register, Time, Version};
use crate::effect::Settings;
use crate::ext::Extension;

/// What stands for each extension of [`standard`] in [`Settings::extensions_disabled`].
pub const NAMES: [&str; 9] =
    ["xep0030", "xep0077", "xep0092", "xep0115", "xep0191", "xep0199", "xep0202", "xep0280", "xep0352"];

/// The extensions of this server, but for those that the settings leave out. In the order of their hooks: what is
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
    let managed = settings.domains.iter().any(|domain| domain.account_management);
    table.retain(|e| match short(e.as_ref()) {
        "xep0077" if !managed => false,
        name => !settings.extensions_disabled.iter().any(|off| off == name || off == e.name()),
    });
    table
}

/// `xep0280` of `xep0280_carbons`.
fn short(extension: &dyn Extension) -> &'static str {
    let name = extension.name();
    name.split_once('_').map_or(name, |(number, _)| number)
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
        standard(settings).iter().map(|e| short(e.as_ref())).collect()
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
    fn registration_is_announced_only_where_it_can_work() {
        let mut settings = settings();
        let announced = |settings: &Settings| {
            Host::new(standard(settings)).catalog().features.contains(&"jabber:iq:register")
        };
        assert!(announced(&settings));
        settings.domains[0].account_management = false;
        assert!(!announced(&settings));
    }

    #[test]
    fn the_catalog_and_the_stream_features_are_whole() {
        let host = Host::new(standard(&settings()));
        assert_eq!(
            host.catalog().features,
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
        let features = host.stream_features();
        let caps = "<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='urn:x-chat:server' ver='";
        assert!(features.starts_with(caps), "{features}");
        assert!(features.ends_with("<csi xmlns='urn:xmpp:csi:0'/>"), "{features}");
    }
}
