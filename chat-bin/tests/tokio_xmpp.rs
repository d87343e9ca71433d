//! A second stock client against the program over real sockets: tokio-xmpp, each scenario over STARTTLS and direct TLS.

#[path = "tokio_xmpp/client.rs"]
mod client;
#[path = "tokio_xmpp/connect.rs"]
mod connect;
#[path = "tokio_xmpp/resume.rs"]
mod resume;
mod support;

use std::path::Path;

use client::{Client, acknowledged, befriend, body, message};
use connect::Connector;
use rustls::pki_types::CertificateDer;
use sasl::common::{ChannelBinding, Credentials};
use support::nodes::Nodes;
use support::{TestServer, put};
use tokio_xmpp::client_login;
use tokio_xmpp::connect::ServerConnector as _;
use tokio_xmpp::error::{AuthError, Error};
use tokio_xmpp::jid::{BareJid, Jid};
use tokio_xmpp::parsers::blocking::{Block, BlocklistRequest, BlocklistResult, Unblock};
use tokio_xmpp::parsers::carbons::{Enable, Received, Sent};
use tokio_xmpp::parsers::iq::Iq;
use tokio_xmpp::parsers::ns;
use tokio_xmpp::parsers::ping::Ping;
use tokio_xmpp::parsers::presence::Type;
use tokio_xmpp::parsers::roster::{Roster, Subscription};
use tokio_xmpp::parsers::sasl::DefinedCondition as SaslCondition;
use tokio_xmpp::parsers::stanza_error::DefinedCondition;
use tokio_xmpp::xmlstream::Timeouts;

const ROMEO: &str = "romeo@localhost";
const JULIET: &str = "juliet@localhost";
const PASSWORD: &str = "a rose by any other name";

/// Makes a certificate in a directory, with its key.
fn certificate(directory: &Path) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("made");
    put(&directory.join("cert.pem"), &made.cert.pem());
    put(&directory.join("key.pem"), &made.signing_key.serialize_pem());
    CertificateDer::from(made.cert.der().to_vec())
}

/// A server with romeo and juliet, and the way to it.
struct World {
    connector: Connector,
    _server: TestServer,
}

impl World {
    fn new(direct: bool) -> World {
        let directory = tempfile::tempdir().expect("a directory");
        let certificate = certificate(directory.path());
        let settings = [
            ("domains", "localhost"),
            ("tls.cert", "cert.pem"),
            ("tls.key", "key.pem"),
            ("net.workers", "2"),
        ];
        let server = TestServer::start_in(directory, &settings);
        for jid in [ROMEO, JULIET] {
            server.add_user(jid, PASSWORD);
        }
        let address = if direct { server.c2s_tls } else { server.c2s };
        World { connector: Connector::new(address, direct, certificate), _server: server }
    }

    /// The two ways to come to a server.
    fn both() -> [World; 2] {
        [World::new(false), World::new(true)]
    }

    /// Logs in and goes online.
    async fn client(&self, account: &str, resource: &str) -> Client {
        let jid = format!("{account}/{resource}");
        let mut client = Client::log_in(self.connector.clone(), &jid, PASSWORD).await;
        client.go_online().await;
        client
    }
}

fn bare(jid: &Jid) -> BareJid {
    jid.to_bare()
}

#[tokio::test]
async fn logs_in_and_talks() {
    for world in World::both() {
        let mut orchard = world.client(ROMEO, "orchard").await;
        let mut balcony = world.client(JULIET, "balcony").await;
        let token = orchard.say(&balcony.jid, "she speaks").await;
        balcony.expect_message("she speaks", &orchard.jid).await;
        acknowledged(token).await;
        balcony.say(&bare(&orchard.jid).into(), "wherefore <art> thou & \u{1F339}").await;
        orchard.expect_message("wherefore <art> thou & \u{1F339}", &balcony.jid).await;
        orchard.leave().await;
        balcony.leave().await;
    }
}

/// One attempt with one mechanism, bound to this channel instead of its own if there is one. Returns the channel it ran
/// over.
async fn authenticate(
    connector: &Connector,
    mechanism: &str,
    bound_to: Option<ChannelBinding>,
) -> (ChannelBinding, Result<(), Error>) {
    let jid = Jid::new(ROMEO).expect("a JID");
    let (pending, channel) =
        connector.connect(&jid, ns::JABBER_CLIENT, Timeouts::tight()).await.expect("connected");
    let (features, stream) = pending.recv_features().await.expect("features");
    assert!(features.sasl_mechanisms.contains(mechanism), "{:?}", features.sasl_mechanisms);
    let credentials = Credentials::default()
        .with_username("romeo")
        .with_password(PASSWORD)
        .with_channel_binding(bound_to.unwrap_or_else(|| channel.clone()));
    let outcome = client_login(stream, [mechanism.to_owned()].into(), credentials).await;
    (channel, outcome.map(drop))
}

fn assert_not_authorized(outcome: Result<(), Error>) {
    let Err(Error::Auth(AuthError::Fail(condition))) = outcome else { panic!("{outcome:?}") };
    assert_eq!(condition, SaslCondition::NotAuthorized);
}

/// RFC 5802 §6 with the tls-exporter binding of RFC 9266: the login belongs to its TLS connection.
#[tokio::test]
async fn binds_the_login_to_the_channel() {
    for world in World::both() {
        for mechanism in ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS"] {
            let (channel, outcome) = authenticate(&world.connector, mechanism, None).await;
            outcome.expect(mechanism);
            // Somebody in the middle has another channel to the server than the client has to him.
            let (_, outcome) = authenticate(&world.connector, mechanism, Some(channel)).await;
            assert_not_authorized(outcome);
        }
        let plain = "SCRAM-SHA-256";
        let (_, outcome) = authenticate(&world.connector, plain, Some(ChannelBinding::None)).await;
        outcome.expect("without a channel binding");
        // Who could bind and was not told that the server can has been lied to (RFC 5802 §6, the flag `y`).
        let (_, outcome) = authenticate(&world.connector, plain, Some(ChannelBinding::Unsupported)).await;
        assert_not_authorized(outcome);
    }
}

#[tokio::test]
async fn keeps_a_roster_and_subscribes() {
    for world in World::both() {
        let mut orchard = world.client(ROMEO, "orchard").await;
        let mut balcony = world.client(JULIET, "balcony").await;
        assert!(orchard.roster().await.is_empty());
        befriend(&mut orchard, &mut balcony).await;
        for (client, contact) in [(&mut orchard, JULIET), (&mut balcony, ROMEO)] {
            let roster = client.roster().await;
            let [item] = &roster[..] else { panic!("{roster:?}") };
            assert_eq!(item.jid.as_str(), contact);
            assert_eq!(item.subscription, Subscription::Both);
        }
        // A name of her own, which the server tells her as it stores it (RFC 6121 §2.1.6).
        balcony.forget();
        let mut item = balcony.roster().await.remove(0);
        item.name = Some("Romeo".to_owned());
        balcony.ask(Iq::from_set("", Roster { ver: None, items: vec![item] })).await.expect("stored");
        let push: Roster = balcony.expect_push("a roster push").await;
        assert_eq!(push.items[0].name.as_deref(), Some("Romeo"));
        assert_eq!(push.items[0].subscription, Subscription::Both);

        // Who leaves is seen to leave, and who comes finds who is there.
        let left = orchard.jid.clone();
        orchard.leave().await;
        balcony.expect_presence(Type::Unavailable, &left).await;
        let mut street = world.client(ROMEO, "street").await;
        balcony.expect_presence(Type::None, &street.jid).await;
        street.expect_presence(Type::None, &balcony.jid).await;
        street.leave().await;
        balcony.leave().await;
    }
}

/// XEP-0280 between two resources.
#[tokio::test]
async fn gets_carbons() {
    for world in World::both() {
        let mut orchard = world.client(ROMEO, "orchard").await;
        let mut street = world.client(ROMEO, "street").await;
        let mut balcony = world.client(JULIET, "balcony").await;
        for client in [&mut orchard, &mut street] {
            client.ask(Iq::from_set("", Enable)).await.expect("carbons");
        }
        let romeo = Some(Jid::from(bare(&orchard.jid)));

        balcony.say(&orchard.jid, "good night").await;
        orchard.expect_message("good night", &balcony.jid).await;
        let mut carbon = street.next_message().await;
        assert_eq!(carbon.from, romeo);
        let copy = carbon.extract_payload::<Received>().expect("well-formed").expect("a carbon");
        let copy = copy.forwarded.message;
        assert_eq!(body(&copy), Some("good night"));
        assert_eq!((&copy.from, &copy.to), (&Some(balcony.jid.clone()), &Some(orchard.jid.clone())));

        orchard.say(&balcony.jid, "till it be morrow").await;
        balcony.expect_message("till it be morrow", &orchard.jid).await;
        let mut carbon = street.next_message().await;
        assert_eq!(carbon.from, romeo);
        let copy = carbon.extract_payload::<Sent>().expect("well-formed").expect("a carbon");
        let copy = copy.forwarded.message;
        assert_eq!(body(&copy), Some("till it be morrow"));
        assert_eq!((&copy.from, &copy.to), (&Some(orchard.jid.clone()), &Some(balcony.jid.clone())));

        // Nobody gets a copy of what is his own.
        orchard.settle().await;
        orchard.never("a copy of his own", |event| message(event).is_some());
        for client in [orchard, street, balcony] {
            client.leave().await;
        }
    }
}

/// XEP-0191: who is blocked sees nobody and reaches nobody, and everything is as before once unblocked.
#[tokio::test]
async fn blocks() {
    for world in World::both() {
        let mut balcony = world.client(JULIET, "balcony").await;
        let mut garden = world.client(JULIET, "garden").await;
        let mut orchard = world.client(ROMEO, "orchard").await;
        befriend(&mut balcony, &mut orchard).await;
        let (juliet, romeo) = (Jid::from(bare(&balcony.jid)), Jid::from(bare(&orchard.jid)));
        garden.ask(Iq::from_get("", BlocklistRequest)).await.expect("a list");

        orchard.forget();
        let items = vec![romeo.clone()];
        balcony.ask(Iq::from_set("", Block { items: items.clone() })).await.expect("blocked");
        orchard.expect_presence(Type::Unavailable, &balcony.jid).await;
        let push: Block = garden.expect_push("a push of the block").await;
        assert_eq!(push.items, items);
        let list = balcony.ask(Iq::from_get("", BlocklistRequest)).await.expect("a list").expect("a list");
        assert_eq!(BlocklistResult::try_from(list).expect("a list").items, items);

        // §3.3: errors to the contact do not say why, those to the user do.
        orchard.say(&juliet, "let me in").await;
        orchard.expect_refusal(DefinedCondition::ServiceUnavailable).await;
        let refused = orchard.ask(Iq::from_get("", Ping).with_to(balcony.jid.clone())).await;
        let error = refused.expect_err("refused");
        assert_eq!(error.defined_condition, DefinedCondition::ServiceUnavailable);
        balcony.say(&romeo, "he is gone").await;
        balcony.expect_refusal(DefinedCondition::NotAcceptable).await;
        for client in [&mut balcony, &mut orchard] {
            client.settle().await;
            client.never_message("let me in");
            client.never_message("he is gone");
        }

        orchard.forget();
        balcony.ask(Iq::from_set("", Unblock { items })).await.expect("unblocked");
        orchard.expect_presence(Type::None, &balcony.jid).await;
        garden.expect_push::<Unblock>("a push of the unblock").await;
        orchard.say(&juliet, "thou art back").await;
        balcony.expect_message("thou art back", &orchard.jid).await;
        for client in [balcony, garden, orchard] {
            client.leave().await;
        }
    }
}

#[tokio::test]
async fn resumes_when_the_connection_was_cut() {
    for world in World::both() {
        let connector = &world.connector;
        resume::resumes_when_the_connection_was_cut(connector, &[connector.address], PASSWORD).await;
    }
}

/// Two nodes of one cluster, by turns.
#[tokio::test]
async fn resumes_at_another_node() {
    let directory = tempfile::tempdir().expect("a directory");
    let certificate = certificate(directory.path());
    let path = |name: &str| directory.path().join(name).to_string_lossy().into_owned();
    let (cert, key) = (path("cert.pem"), path("key.pem"));
    let settings = [("tls.cert", &cert[..]), ("tls.key", &key[..]), ("c2s.allow_plaintext", "false")];
    let nodes = Nodes::start_with(&[&settings, &settings]);
    for jid in [ROMEO, JULIET] {
        nodes.nodes[0].add_user(jid, PASSWORD);
    }
    let servers: Vec<_> = nodes.nodes.iter().map(|node| node.c2s).collect();
    let connector = Connector::new(servers[0], false, certificate);
    resume::resumes_when_the_connection_was_cut(&connector, &servers, PASSWORD).await;
}
