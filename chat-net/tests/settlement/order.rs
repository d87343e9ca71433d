//! A store without room: what is refused for now is not overtaken by what comes later.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chat_net::store::StoreOp;
use chat_net::store::sqlite::{Fault, Options};

use crate::cell::log_in;
use crate::client::{Client, attr, error};
use crate::stage::{Friendly, PATIENCE, STORE_TIMEOUT, Stage, jid, limits};

/// A store that takes so many operations at a time; romeo's record is in memory.
fn stage(unanswered_max: usize) -> Stage {
    let options = |mut options: Options| {
        options.unanswered_max = unanswered_max;
        options
    };
    let stage = Stage::build(limits(), options, |builder, _| builder.authenticator(Arc::new(Friendly)));
    Client::login(&stage.server, "romeo", "r").available().close();
    stage
}

fn message(text: &str) -> String {
    format!("<message type='chat' to='romeo@localhost' id='{text}'><body>{text}</body></message>")
}

#[test]
fn a_message_that_was_refused_for_now_is_stored_first() {
    let stage = stage(1);
    let mut juliet = Client::login(&stage.server, "juliet", "balcony").managed();
    stage.settle();
    stage.faults.hold();
    let other = stage.begin(StoreOp::Touch { user: jid("nurse") });
    juliet.send(&message("m1"));
    // Answered where romeo is at home, after m1 was decided on.
    juliet.send("<iq type='get' to='romeo@localhost/gone' id='i'><ping xmlns='urn:xmpp:ping'/></iq>");
    juliet.expect("<iq");
    juliet.send("<r xmlns='urn:xmpp:sm:3'/>");
    juliet.expect("<a xmlns='urn:xmpp:sm:3' h='0'");
    stage.faults.release();
    other.recv_timeout(PATIENCE).expect("an answer").expect("carried out");
    // There is room now, and m1 asks for it only 250 ms after it was refused.
    juliet.send(&message("m2"));
    juliet.send("<r xmlns='urn:xmpp:sm:3'/>");
    juliet.expect("<a xmlns='urn:xmpp:sm:3' h='3'");
    assert_eq!(log_in(&stage), ["m1", "m2"]);
    stage.shutdown();
}

/// Many messages for one user, with room for a few: each is stored, in order, or comes back.
#[test]
fn a_crowd_keeps_its_order() {
    let stage = stage(8);
    let mut juliet = Client::login(&stage.server, "juliet", "balcony").managed();
    stage.settle();
    let begin = Instant::now();
    const MESSAGES: usize = 200;
    let name = |n: usize| format!("m{n:03}");
    stage.faults.always(Fault::Stall(Duration::from_millis(5)));
    // Twenty meet the store in the same turn, the next while those before wait.
    for burst in 0..MESSAGES / 20 {
        juliet.send(&(20 * burst..20 * (burst + 1)).map(|n| message(&name(n))).collect::<String>());
        std::thread::sleep(Duration::from_millis(30));
    }
    let (mut bounced, mut h) = (BTreeSet::new(), 0);
    while h < MESSAGES {
        assert!(begin.elapsed() < STORE_TIMEOUT * 3, "h stays {h}");
        juliet.send("<r xmlns='urn:xmpp:sm:3'/>");
        while let Some(element) = juliet.poll(Duration::from_millis(20)) {
            if element.starts_with("<a ") {
                h = attr(&element, "h").and_then(|h| h.parse().ok()).expect("a number");
            } else if let Some((kind, _)) = error(&element) {
                assert_eq!(kind, "wait");
                assert!(bounced.insert(attr(&element, "id").expect("an id")), "{element} comes twice");
            } else {
                assert!(element.starts_with("<r "), "{element}");
                juliet.acknowledge();
            }
        }
    }
    println!("{} of {MESSAGES} came back; {:?}", bounced.len(), begin.elapsed());
    let stored: Vec<String> = (0..MESSAGES).map(name).filter(|m| !bounced.contains(m)).collect();
    assert_eq!(log_in(&stage), stored);
    stage.shutdown();
}
