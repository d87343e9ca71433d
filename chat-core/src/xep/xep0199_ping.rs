//! XEP-0199 (XMPP Ping): the server and the own account answer (§4.2). Pings between clients pass as any iq (§4.4).

use crate::ext::{Answer, Asked, At, Extension, Iq};

const NS: &str = "urn:xmpp:ping";

/// Answers pings.
pub struct Ping;

impl Extension for Ping {
    fn name(&self) -> &'static str {
        "xep0199_ping"
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
    fn on_iq(&mut self, iq: &Iq<'_>, _: &mut At<'_>) -> Answer {
        // Another account that answers would tell that it exists.
        if iq.gets("ping", NS) && iq.asked != Asked::Other { Answer::done() } else { Answer::NotMine }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Bench, get};
    use super::*;

    #[test]
    fn server_and_own_account_answer() {
        let (mut bench, ping) = (Bench::new(), "<ping xmlns='urn:xmpp:ping'/>");
        assert_eq!(bench.ask(&mut Ping, Asked::Server, get(ping)), "result");
        assert_eq!(bench.ask(&mut Ping, Asked::Own, get(ping)), "result");
        assert_eq!(bench.ask(&mut Ping, Asked::Other, get(ping)), "not mine");
    }
}
