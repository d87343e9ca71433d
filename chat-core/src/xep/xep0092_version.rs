//! XEP-0092 (Software Version): name and version of the server. The operating system is nobody's business (§5).

use crate::ext::{Answer, Asked, At, Extension, Iq};
use crate::xml::Element;

const NS: &str = "jabber:iq:version";

/// Tells the server's software and its version.
pub struct Version;

impl Extension for Version {
    fn name(&self) -> &'static str {
        "xep0092_version"
    }
    fn features(&self) -> &'static [&'static str] {
        &[NS]
    }
    fn iq_namespaces(&self) -> &'static [&'static str] {
        &[NS]
    }
    fn on_iq(&mut self, iq: &Iq<'_>, at: &mut At<'_>) -> Answer {
        if !iq.gets("query", NS) || iq.asked != Asked::Server {
            return Answer::NotMine;
        }
        let field = |name, text| Element::new(name, NS).with_text(text);
        let settings = &at.cx.settings;
        let fields = [field("name", settings.software), field("version", settings.version)];
        Answer::element(&Element::new("query", NS).with_children(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Bench, get, set};
    use super::*;

    #[test]
    fn the_server_tells_name_and_version() {
        let (mut bench, query) = (Bench::new(), "<query xmlns='jabber:iq:version'/>");
        assert_eq!(
            bench.ask(&mut Version, Asked::Server, get(query)),
            "result <query xmlns='jabber:iq:version'><name>chat</name><version>9.8.7</version></query>" // §2
        );
        assert_eq!(bench.ask(&mut Version, Asked::Server, set(query)), "not mine");
        assert_eq!(bench.ask(&mut Version, Asked::Own, get(query)), "not mine");
    }
}
