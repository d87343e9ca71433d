//! The PROXY protocol in front of a connection.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use chat_core::effect::Event;
use chat_net::net::Runtime;
use chat_net::server::{Events, ServerEvent, ServerHandle};

use crate::client::{Client, address, builder, tcp};
use crate::secure;

fn behind_a_proxy(runtime: Runtime) -> ServerHandle {
    let trusted = "127.0.0.1".parse().expect("a list");
    builder(runtime).proxy_from(trusted).tls(secure::tls()).start().expect("it starts")
}

/// The peer of the next client that comes online.
fn next_peer(events: &mut Events) -> IpAddr {
    loop {
        if let Some(ServerEvent::Engine(Event::Bound { peer, .. })) = events.recv_blocking() {
            return peer;
        }
    }
}

pub fn version_1(runtime: Runtime) {
    let server = behind_a_proxy(runtime);
    let mut events = server.events();
    let mut client = Client::connect(&server);
    client.send("PROXY TCP4 192.0.2.7 192.0.2.1 40000 5222\r\n");
    client.login("romeo");
    assert_eq!(next_peer(&mut events), IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)));
    drop(client);
    server.shutdown_blocking();
}

/// Cut into single bytes, and the TLS handshake right behind it.
pub fn version_2_before_tls(runtime: Runtime) {
    let server = behind_a_proxy(runtime);
    let mut events = server.events();
    let mut stream = tcp(address(&server));
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c".to_vec();
    header.extend([198, 51, 100, 9, 192, 0, 2, 1, 0x9c, 0x40, 0x14, 0x66]);
    for byte in header {
        stream.write_all(&[byte]).expect("the server reads");
        stream.flush().expect("the server reads");
    }
    let mut client = secure::upgrade(stream);
    client.login("romeo");
    assert_eq!(next_peer(&mut events), IpAddr::V4(Ipv4Addr::new(198, 51, 100, 9)));
    drop(client);
    server.shutdown_blocking();
}

/// Without a header a trusted peer is nobody.
pub fn a_bad_header_closes(runtime: Runtime) {
    let server = behind_a_proxy(runtime);
    let mut client = Client::connect(&server);
    client.send("<?xml version='1.0'?>");
    client.expect_any_end();
    // From an address that is not trusted none is expected, and one that comes is no XMPP.
    let server_without = builder(runtime).start().expect("it starts");
    let mut client = Client::connect(&server_without);
    client.send("PROXY TCP4 192.0.2.7 192.0.2.1 40000 5222\r\n");
    client.expect("</stream:error>");
    drop(client);
    server.shutdown_blocking();
    server_without.shutdown_blocking();
}

/// A header that does not come does not keep the connection.
pub fn a_silent_proxy_is_closed(runtime: Runtime) {
    let server = behind_a_proxy(runtime);
    let mut client = Client::connect(&server);
    client.send("PROXY ");
    let begin = Instant::now();
    client.expect_any_end();
    assert!(begin.elapsed() > Duration::from_secs(4));
    drop(client);
    server.shutdown_blocking();
}
