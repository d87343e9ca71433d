//! Several workers.

use chat_net::net::Runtime;

use crate::client::{Client, builder};
use crate::secure;

/// Clients are accepted by one worker and live on another: their connections move, in clear and under TLS, and what
/// they send meanwhile is not lost.
pub fn connections_move_home(runtime: Runtime) {
    let server = builder(runtime).tls(secure::tls()).workers(3).start().expect("it starts");
    let mut clients: Vec<Client> = Vec::new();
    for n in 0..24 {
        let mut client = match n % 3 {
            0 => Client::connect(&server),
            1 => secure::starttls(&server),
            _ => Client::memory(&server),
        };
        client.login(&format!("user{n}"));
        clients.push(client);
    }
    for round in 0..20 {
        for (n, client) in clients.iter_mut().enumerate() {
            client.say(&format!("user{}", (n * 7 + round) % 24), &format!("b{n}.{round}"));
        }
    }
    for n in 0_usize..24 {
        for round in 0..20 {
            let to = (n * 7 + round) % 24;
            clients[to].expect_somewhere(&format!("<body>b{n}.{round}</body>"));
        }
    }
    // Each stays where it is with a probability of one in three.
    assert!(server.stats().moved > 0);
    assert_eq!(server.stats().connections, 24);
    drop(clients);
    server.shutdown_blocking();
}

/// A client that does not wait for the answers: what follows its login is handled where it lives, in order.
pub fn a_client_in_a_hurry(runtime: Runtime) {
    let server = builder(runtime).workers(4).start().expect("it starts");
    for n in 0..12 {
        let mut client = Client::connect(&server);
        client.open();
        client.authenticate(&format!("hasty{n}"), "secret");
        client.send(crate::client::HEADER);
        client.send("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>");
        client.say(&format!("hasty{n}"), "nobody");
        client.expect("<success");
        client.expect("</stream:features>");
        client.expect("<jid>");
    }
    server.shutdown_blocking();
}
