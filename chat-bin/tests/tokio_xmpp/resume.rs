//! The scenario that shows most in little time: two clients log in, meet, talk, and one of them loses its connection.

use std::net::SocketAddr;

use tokio_xmpp::Stanza;
use tokio_xmpp::parsers::presence::Type;
use tokio_xmpp::stanzastream::{Event, StanzaStage, StreamEvent};

use super::client::{Client, acknowledged, befriend, body};
use super::connect::{Connector, Proxy};

/// XEP-0198 §5: the TCP connection is cut; nothing is lost, doubled or out of order, and nobody sees him leave. He comes back to
/// the next of these servers, which have romeo and juliet at localhost.
pub async fn resumes_when_the_connection_was_cut(
    connector: &Connector,
    servers: &[SocketAddr],
    password: &str,
) {
    let proxy = Proxy::start(connector.address).await;
    let through = connector.by_way_of(proxy.address);
    let mut orchard = Client::log_in(through, "romeo@localhost/orchard", password).await;
    orchard.go_online().await;
    let mut balcony = Client::log_in(connector.clone(), "juliet@localhost/balcony", password).await;
    balcony.go_online().await;
    befriend(&mut orchard, &mut balcony).await;

    for (turn, next) in ["first", "second"].into_iter().zip(servers.iter().cycle().skip(1)) {
        orchard.forget();
        // One that may be on its way when the connection dies, and one that is sent while there is none.
        let mut dying = orchard.say(&balcony.jid, &format!("{turn}: dying")).await;
        dying.wait_for(StanzaStage::Sent).await.expect("it is sent");
        proxy.cut();
        let there = |event: &Event| matches!(event, Event::Stream(StreamEvent::Suspended)).then_some(());
        orchard.expect("the cut", there).await;
        let cut_off = orchard.say(&balcony.jid, &format!("{turn}: cut off")).await;
        for n in 0..5 {
            balcony.say(&orchard.jid, &format!("{turn}: {n}")).await;
        }
        balcony.settle().await;
        proxy.lead_to(*next);
        proxy.mend();
        orchard
            .expect("the resumption", |event| match event {
                Event::Stream(StreamEvent::Resumed) => Some(()),
                Event::Stream(other) => panic!("instead of a resumption: {other:?}"),
                Event::Stanza(_) => None,
            })
            .await;
        acknowledged(dying).await;
        acknowledged(cut_off).await;

        // The stream goes on both ways; whatever comes before the last words is all that came.
        orchard.say(&balcony.jid, "last").await;
        balcony.say(&orchard.jid, "last").await;
        let expected = ["dying", "cut off"].map(|text| format!("{turn}: {text}"));
        assert_eq!(until_last(&mut balcony).await, expected);
        let expected: Vec<_> = (0..5).map(|n| format!("{turn}: {n}")).collect();
        assert_eq!(until_last(&mut orchard).await, expected);
    }
    let gone =
        |event: &Event| matches!(event, Event::Stanza(Stanza::Presence(p)) if p.type_ == Type::Unavailable);
    balcony.never("the presence of one who came back in time", gone);

    let left = orchard.jid.clone();
    orchard.leave().await;
    balcony.expect_presence(Type::Unavailable, &left).await;
    balcony.leave().await;
}

/// What messages say until one says `last`.
async fn until_last(client: &mut Client) -> Vec<String> {
    let mut said = Vec::new();
    loop {
        let message = client.next_message().await;
        let text = body(&message).expect("a body").to_owned();
        if text == "last" {
            return said;
        }
        said.push(text);
    }
}
