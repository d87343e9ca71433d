//! XEP-0352 (Client State Indication): an inactive client is spared what it does not need now.
//!
//! Here a client only says how it is; what may wait, and for how long, is decided where stanzas are sent
//! (`user::Resource::send`). The state does not survive the stream (§5.2): whoever attaches a resource to a new
//! connection clears `held`.

use crate::ext::{At, Catalog, Extension};
use crate::user::Held;
use crate::xml::Element;

const NS: &str = "urn:xmpp:csi:0";

/// Takes note of active and inactive clients.
pub struct ClientState;

impl Extension for ClientState {
    fn name(&self) -> &'static str {
        "xep0352_csi"
    }
    fn stream_features(&self, _: &Catalog) -> String {
        "<csi xmlns='urn:xmpp:csi:0'/>".to_owned()
    }
    fn element_namespaces(&self) -> &'static [&'static str] {
        &[NS]
    }
    fn on_element(&mut self, element: &Element, at: &mut At<'_>) {
        let Some(user) = at.user.as_deref_mut() else { return };
        let held = Held::new(user.limits(&at.cx.settings));
        let Some((resource, cx)) = at.resource() else { return };
        match element.name.as_str() {
            "inactive" if resource.held.is_none() => resource.held = Some(Box::new(held)),
            // §5.1: what waited is on the wire before anything else that the client asked for.
            "active" => {
                resource.release(cx);
                resource.held = None;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Bench;
    use super::*;
    use crate::user::Urgency;

    #[test]
    fn what_can_wait_waits_until_the_client_is_active() {
        let mut bench = Bench::new();
        let phone = bench.bind("phone");
        let send = |bench: &mut Bench, stanza: &str, urgency| {
            let resource = bench.user.resource(phone).unwrap();
            resource.send(&mut bench.cx, stanza.as_bytes(), None, urgency);
            bench.sent("phone")
        };
        let waits = Urgency::CanWait("juliet");
        assert_eq!(send(&mut bench, "<a/>", waits), "<a/>", "§4.2: a stream begins active");
        bench.element(&mut ClientState, "phone", "<inactive xmlns='urn:xmpp:csi:0'/>");
        assert_eq!(send(&mut bench, "<b/>", waits), "");
        bench.element(&mut ClientState, "phone", "<inactive xmlns='urn:xmpp:csi:0'/>");
        assert_eq!(send(&mut bench, "<c/>", waits), "");
        assert_eq!(bench.element(&mut ClientState, "phone", "<active xmlns='urn:xmpp:csi:0'/>"), "<c/>");
        assert_eq!(send(&mut bench, "<d/>", waits), "<d/>");
    }

    #[test]
    fn other_elements_mean_nothing() {
        let mut bench = Bench::new();
        bench.bind("phone");
        bench.element(&mut ClientState, "phone", "<asleep xmlns='urn:xmpp:csi:0'/>");
        assert!(bench.user.resources[0].held.is_none());
    }
}
