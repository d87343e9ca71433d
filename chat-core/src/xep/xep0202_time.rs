//! XEP-0202 (Entity Time): the server's time, always given in UTC.

use crate::ext::{Answer, Asked, At, Extension, Iq};
use crate::xml::Element;

const NS: &str = "urn:xmpp:time";

/// Tells the time.
pub struct Time;

impl Extension for Time {
    fn name(&self) -> &'static str {
        "xep0202_time"
    }
    fn features(&self) -> &'static [&'static str] {
        &[NS]
    }
    fn account_features(&self) -> &'static [&'static str] {
        &[NS]
    }
    fn iq_namespaces(&self) -> &'static [&'static str] {
        &[NS]
    }
    fn on_iq(&mut self, iq: &Iq<'_>, at: &mut At<'_>) -> Answer {
        if !iq.gets("time", NS) || iq.asked == Asked::Other {
            return Answer::NotMine;
        }
        let field = |name, text| Element::new(name, NS).with_text(text);
        let fields = [field("tzo", "+00:00"), field("utc", &at.cx.now.utc.datetime())];
        Answer::element(&Element::new("time", NS).with_children(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Bench, get};
    use super::*;
    use crate::base::Utc;

    #[test]
    fn the_time_is_that_of_the_input() {
        let mut bench = Bench::new();
        bench.cx.now.utc = Utc(1_166_551_115_000);
        // §2: both children are required, XEP-0082 formats.
        let told =
            "result <time xmlns='urn:xmpp:time'><tzo>+00:00</tzo><utc>2006-12-19T17:58:35.000Z</utc></time>";
        let question = || get("<time xmlns='urn:xmpp:time'/>");
        assert_eq!(bench.ask(&mut Time, Asked::Server, question()), told);
        assert_eq!(bench.ask(&mut Time, Asked::Own, question()), told);
        assert_eq!(bench.ask(&mut Time, Asked::Other, question()), "not mine");
    }
}
