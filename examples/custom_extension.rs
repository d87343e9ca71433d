//! A server with an extension of its own: it answers an iq of a namespace of ours, announces that in service discovery,
//! and counts and filters what its users send.
//!
//!     cargo run -p examples --example custom_extension

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chat_net::ext::{Answer, Asked, At, Extension, Flow, Iq, Wants};
use chat_net::server::Server;
use chat_net::stanza::{Condition, Kind, Stanza};
use chat_net::xml::Element;
use examples::Client;

const NS: &str = "urn:example:time-of-day";

/// Tells the time of day; counts messages, and refuses those without a body.
///
/// Every worker of the server has one of these to itself, so it needs no lock. What all of them share is shared by
/// whoever makes them.
struct TimeOfDay {
    messages: Arc<AtomicU64>,
}

impl Extension for TimeOfDay {
    fn name(&self) -> &'static str {
        "time_of_day"
    }

    fn features(&self) -> &'static [&'static str] {
        &[NS]
    }

    fn iq_namespaces(&self) -> &'static [&'static str] {
        &[NS]
    }

    fn on_iq(&mut self, iq: &Iq<'_>, at: &mut At<'_>) -> Answer {
        if !iq.gets("time", NS) || iq.asked != Asked::Server {
            return Answer::NotMine;
        }
        // Extensions have no clock of their own: the time is that of the input, so a test can replay it.
        let now = at.cx.now.utc.datetime();
        let time = now.split(['T', '.']).nth(1).unwrap_or_default();
        Answer::element(&Element::new("time", NS).with_text(time))
    }

    fn wants(&self) -> Wants {
        Wants { outbound: true, ..Wants::default() }
    }

    fn on_outbound(&mut self, stanza: &Stanza<'_>, _: &mut At<'_>) -> Flow {
        if !matches!(stanza.kind, Kind::Message(_)) {
            return Flow::Go;
        }
        if !stanza.view.has_child("body", "jabber:client") {
            return Flow::Bounce(Condition::PolicyViolation.into());
        }
        self.messages.fetch_add(1, Ordering::Relaxed);
        Flow::Go
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let messages = Arc::new(AtomicU64::new(0));
    let counter = messages.clone();
    // No listener: the clients of this example are in the process.
    let server = Server::builder()
        .domain("example.org")
        .account("juliet@example.org", "wherefore")
        .extension(move || TimeOfDay { messages: counter.clone() })
        .start()?;
    let mut juliet = Client::login(server.connect_memory()?, "juliet", "example.org", "wherefore")?;

    juliet.send(
        "<iq type='get' id='1' to='example.org'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>",
    )?;
    println!("announced: {}", juliet.wait_for("</iq>")?.contains(NS));

    juliet.send(&format!("<iq type='get' id='2' to='example.org'><time xmlns='{NS}'/></iq>"))?;
    let answer = juliet.wait_for("</iq>")?;
    println!("the server answers: {answer}");

    for line in ["What's in a name?", "That which we call a rose", "by any other name"] {
        juliet.say("juliet@example.org", line)?;
        println!("she reads: {}", juliet.hear()?);
    }
    juliet.send("<message to='juliet@example.org'><subject>nothing</subject></message>")?;
    let refused = juliet.wait_for("</message>")?.contains("<policy-violation");
    println!("without a body, refused: {refused}");
    juliet.close()?;
    println!("messages so far: {}", messages.load(Ordering::Relaxed));

    server.shutdown_blocking();
    Ok(())
}
