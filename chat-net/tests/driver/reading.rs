//! Accepting, reading and writing.

use std::io::{Read, Write};
use std::net::Shutdown;

use chat_core::base::Limits;
use chat_net::net::Runtime;
use chat_net::server::{Listener, SendError, ServerEvent};

use crate::client::{Client, HEADER, address, builder, eventually, limits, start, tcp};

/// Several addresses of both families, with ports that the system chose.
pub fn several_addresses(runtime: Runtime) {
    let server = builder(runtime)
        .listen(Listener::Clients, "127.0.0.1:0".parse().expect("an address"))
        .listen(Listener::Clients, "[::1]:0".parse().expect("an address"))
        .start()
        .expect("it starts");
    let addresses = server.local_addrs().to_vec();
    assert_eq!(addresses.len(), 3);
    for (listener, address) in addresses {
        assert!(listener == Listener::Clients && address.port() != 0);
        let features = Client::new(tcp(address)).open();
        assert!(features.contains("from='localhost'"), "{features}");
    }
    eventually("three connections are counted", || server.stats().accepted == 3);
    assert!(server.healthy());
    server.shutdown_blocking();
}

/// Many at once: more than std's backlog of 128 would hold.
pub fn a_storm_of_connections(runtime: Runtime) {
    let server = builder(runtime).workers(2).start().expect("it starts");
    let mut clients: Vec<Client> = (0..300).map(|_| Client::connect(&server)).collect();
    for client in &mut clients {
        client.send(HEADER);
    }
    for client in &mut clients {
        client.expect("</stream:features>");
    }
    eventually("all are counted", || server.stats().connections == 300);
    drop(clients);
    eventually("all are gone", || server.stats().connections == 0);
    server.shutdown_blocking();
}

/// Two clients, a conversation in both directions, in order, each sending faster than it is answered.
pub fn messages_keep_their_order(runtime: Runtime) {
    let server = start(runtime);
    let (mut romeo, mut juliet) = (Client::connect(&server), Client::memory(&server));
    romeo.login("romeo");
    juliet.login("juliet");
    for n in 0..500 {
        romeo.say("juliet", &format!("r{n}"));
        juliet.say("romeo", &format!("j{n}"));
    }
    for n in 0..500 {
        juliet.expect(&format!("<body>r{n}</body>"));
        romeo.expect(&format!("<body>j{n}</body>"));
    }
    drop((romeo, juliet));
    server.shutdown_blocking();
}

/// A client that sends everything it has to say, and closes its half, gets everything it has coming.
pub fn a_half_closed_client_is_answered(runtime: Runtime) {
    let server = start(runtime);
    let mut stream = tcp(address(&server));
    stream.write_all(HEADER.as_bytes()).expect("the server reads");
    stream.write_all(b"</stream:stream>").expect("the server reads");
    stream.shutdown(Shutdown::Write).expect("it is open");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("a proper end");
    assert!(answer.contains("</stream:features>") && answer.ends_with("</stream:stream>"), "{answer}");
    drop(stream);
    server.shutdown_blocking();
}

/// The last words reach a client that is still sending: the connection is not reset under them.
pub fn last_words_arrive(runtime: Runtime) {
    let server = start(runtime);
    let mut client = Client::connect(&server);
    client.open();
    client.send("<a/>");
    client.expect("</stream:error>");
    for _ in 0..50 {
        client.send(&"x".repeat(4096));
    }
    assert!(client.expect_end().ends_with("</stream:stream>"));
    eventually("it is gone", || server.stats().connections == 0);
    drop(client);
    server.shutdown_blocking();
}

/// A client that does not read is closed when its queue is full; who writes to it, and the others, notice nothing.
pub fn a_slow_reader_is_closed(runtime: Runtime) {
    let limits = Limits { outbox_bytes_max: 256 * 1024, ..limits() };
    let server = builder(runtime).limits(limits).start().expect("it starts");
    let (mut lazy, mut romeo) = (Client::connect(&server), Client::connect(&server));
    lazy.login("lazy");
    romeo.login("romeo");
    let body = "z".repeat(32 * 1024);
    let stanza = format!("<message from='localhost' to='lazy@localhost/r'><body>{body}</body></message>");
    // More than the sockets' buffers and the queue together hold.
    for _ in 0..1000 {
        while server.send(stanza.as_bytes()) == Err(SendError::Busy) {
            std::thread::yield_now();
        }
    }
    eventually("the lazy one is closed", || server.stats().connections == 1);
    romeo.say("romeo", "still here");
    romeo.expect("still here");
    drop((lazy, romeo));
    server.shutdown_blocking();
}

/// A big stanza comes through whole, however its bytes are cut.
pub fn large_stanzas(runtime: Runtime) {
    let server = start(runtime);
    let (mut romeo, mut juliet) = (Client::connect(&server), Client::connect(&server));
    romeo.login("romeo");
    juliet.login("juliet");
    for size in [1, 4095, 4096, 4097, 65_535, 65_536, 200_000] {
        let body = "y".repeat(size);
        romeo.say("juliet", &body);
        let got = juliet.expect("</message>");
        assert!(got.contains(&format!("<body>{body}</body>")), "{size} bytes");
    }
    drop((romeo, juliet));
    server.shutdown_blocking();
}

/// What the embedder sends arrives, what it kicks goes, and it is told of both.
pub fn the_handle_speaks(runtime: Runtime) {
    let server = start(runtime);
    let mut events = server.events();
    let mut romeo = Client::connect(&server);
    romeo.login("romeo");
    let stanza = "<message from='localhost' to='romeo@localhost/r'><body>hear</body></message>";
    server.send(stanza.as_bytes()).expect("it runs");
    romeo.expect("<body>hear</body>");
    server.send(&b"<message"[..]).expect("it runs");
    server.kick(&chat_core::jid::BareJid::parse("romeo@localhost").expect("a JID"));
    romeo.expect("<policy-violation");
    let mut heard = Vec::new();
    while heard.len() < 3 {
        match events.recv_blocking().expect("it runs") {
            ServerEvent::Engine(event) => {
                let text = format!("{event:?}");
                let name = text.split([' ', '{']).next().unwrap_or_default().to_owned();
                if ["Bound", "BadSend", "Unbound"].contains(&name.as_str()) {
                    heard.push(name);
                }
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(heard, ["Bound", "BadSend", "Unbound"]);
    drop(romeo);
    server.shutdown_blocking();
    assert_eq!(server.send(&b""[..]), Err(SendError::Gone));
}
