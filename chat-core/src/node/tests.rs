//! A node of several workers looks like one.

use core::net::{IpAddr, Ipv4Addr};

use super::Node;
use crate::base::{ConnId, HashKey, Key, Mono, Now, Span, Utc};
use crate::effect::{AccountDone, Domain, Output, Settings};
use crate::engine::{Census, Command, Input};
use crate::session::Listener;

const NOW: Now = Now { mono: Mono(1_000_000_000), utc: Utc(1_780_000_000_000) };

fn node(workers: u16) -> Node {
    let domain = Domain { plaintext: true, ephemeral: true, ..Domain::new("localhost") };
    let settings = Settings::new(vec![domain], HashKey { k0: 1, k1: 2 }, [7; 16]);
    Node::new(&settings, workers, [3; 32], |_| Vec::new())
}

fn conn(n: u32) -> ConnId {
    ConnId(Key { index: n, generation: 1 })
}

/// Everything that is to be sent on one connection, as text; the password is right.
fn turn(node: &mut Node, wanted: ConnId) -> String {
    let mut text = Vec::new();
    loop {
        if let Some(conn) = node.poll_dirty() {
            let mut slices: [&[u8]; 8] = [&[]; 8];
            let n = node.outgoing(conn, &mut slices);
            let bytes = slices[..n].concat();
            if conn == wanted {
                text.extend_from_slice(&bytes);
            }
            node.sent(NOW, conn, bytes.len());
            continue;
        }
        match node.poll_output() {
            Some(Output::Account { id, .. }) => {
                node.handle(NOW, Input::Account { id, result: Ok(AccountDone::Accepted) });
            }
            Some(Output::Mail { .. } | Output::HandOver { .. }) => panic!("that is the node's own business"),
            Some(_) => {}
            None => break,
        }
    }
    String::from_utf8(text).unwrap()
}

#[test]
fn a_connection_keeps_its_name_wherever_its_user_is_at_home() {
    let mut node = node(3);
    let header = b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='localhost' version='1.0'>";
    for (n, auth) in ["AGEAcA==", "AGIAcA==", "AGMAcA==", "AGQAcA=="].iter().enumerate() {
        let c = conn(n as u32);
        let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
        node.handle(NOW, Input::Accepted { conn: c, listener: Listener::Clients, peer });
        node.handle(NOW, Input::Received { conn: c, bytes: header });
        assert!(turn(&mut node, c).contains("PLAIN"));
        let auth = format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{auth}</auth>");
        node.handle(NOW, Input::Received { conn: c, bytes: auth.as_bytes() });
        assert!(turn(&mut node, c).contains("<success"));
        node.handle(NOW, Input::Received { conn: c, bytes: header });
        assert!(turn(&mut node, c).contains("<bind"), "the stream goes on at home");
    }
    assert_eq!(node.census().connections, 4);
    let homes = node.engines().iter().filter(|e| e.census().connections > 0).count();
    assert!(homes > 1, "four users have more than one home");
}

/// A stream of a user of this name, from the header to the bound resource; the header says also `more`.
fn bound(node: &mut Node, c: ConnId, user: char, more: &str) {
    let header = format!(
        "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='localhost' version='1.0'{more}>"
    );
    let auth = match user {
        'a' => "AGEAcA==",
        'b' => "AGIAcA==",
        'c' => "AGMAcA==",
        _ => "AGQAcA==",
    };
    let auth = format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{auth}</auth>");
    let bind = "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>r</resource></bind></iq>";
    let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
    node.handle(NOW, Input::Accepted { conn: c, listener: Listener::Clients, peer });
    for step in [&header, &auth, &header, bind] {
        node.handle(NOW, Input::Received { conn: c, bytes: step.as_bytes() });
        assert!(!turn(node, c).is_empty());
    }
    node.handle(NOW, Input::Received { conn: c, bytes: b"<presence/>" });
    turn(node, c);
}

#[test]
fn a_stanza_arrives_the_same_from_whichever_worker() {
    let stanzas = [
        "<message to='d@localhost/r' type='chat' id='1'><body>ø &amp; <![CDATA[<]]></body></message>",
        "<message to='d@localhost/r' xml:lang='fr' from='FROM'><body>2</body></message>",
        "<p:message xmlns:p='jabber:client' to='d@localhost/r'><p:body>3</p:body></p:message>",
        "<message to='d@localhost/r'><x:y/><body>4</body></message>",
        "<message to='d@localhost/r'><y xmlns='urn:y&amp;z'/><body>5</body></message>",
        "<iq to='d@localhost/r' type='get' id='6'><query xmlns='urn:q'/></iq>",
    ];
    let received = |workers: u16| {
        let mut node = node(workers);
        let more = " xml:lang='de' xmlns:x='urn:x'";
        bound(&mut node, conn(0), 'd', "");
        let mut texts = Vec::new();
        for (n, user) in ['a', 'b', 'c'].into_iter().enumerate() {
            let c = conn(1 + n as u32);
            bound(&mut node, c, user, more);
            let full = format!("{user}@localhost/r");
            for stanza in stanzas {
                node.handle(
                    NOW,
                    Input::Received { conn: c, bytes: stanza.replace("FROM", &full).as_bytes() },
                );
                let text = turn(&mut node, conn(0));
                assert!(text.contains(&full), "{text}");
                texts.push(text);
            }
        }
        texts
    };
    let homes: Vec<_> =
        ["a", "b", "c", "d"].map(|u| node(3).engines()[0].settings().home(&format!("{u}@localhost"))).into();
    assert!(homes[..3].iter().any(|home| *home != homes[3]), "a message crosses workers");
    assert_eq!(received(3), received(1));
}

#[test]
fn a_node_stops_once() {
    let mut node = node(3);
    let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
    node.handle(NOW, Input::Accepted { conn: conn(0), listener: Listener::Clients, peer });
    node.handle(NOW, Input::Command(Command::Shutdown));
    let mut stopped = 0;
    for _ in 0..2 {
        while let Some(conn) = node.poll_dirty() {
            let mut slices: [&[u8]; 8] = [&[]; 8];
            let n = node.outgoing(conn, &mut slices);
            let len = slices[..n].iter().map(|s| s.len()).sum();
            node.sent(NOW, conn, len);
        }
        while let Some(output) = node.poll_output() {
            stopped += u32::from(matches!(output, Output::Stopped));
        }
        node.handle(Now { mono: NOW.mono + Span::secs(60), ..NOW }, Input::Tick);
    }
    assert_eq!((stopped, node.census()), (1, Census::default()));
}
