//! The resolver of our own, against a server that the test plays.

use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc;
use std::time::Duration;

use chat_core::cluster::discovery::{Query, ResolveError, Service};
use hickory_resolver::config::{NameServerConfig, ResolverConfig};

use crate::cluster::resolve::Resolve;
use crate::cluster::resolve::own::Own;
use crate::cluster::{Resolved, Resolver};

/// The name in a query, in labels joined by dots, and where it ends.
fn question(query: &[u8]) -> (String, usize) {
    let (mut name, mut at) = (String::new(), 12);
    while query[at] > 0 {
        let len = usize::from(query[at]);
        name.push_str(std::str::from_utf8(&query[at + 1..=at + len]).unwrap());
        name.push('.');
        at += len + 1;
    }
    (name.to_lowercase(), at + 1)
}

/// Answers queries with records of one name, 7 s long; what has none does not exist.
fn serve(socket: &UdpSocket) {
    let mut query = [0; 512];
    while let Ok((n, from)) = socket.recv_from(&mut query) {
        let (name, end) = question(&query[..n]);
        let kind = u16::from_be_bytes([query[end], query[end + 1]]);
        let records: Vec<Vec<u8>> = match (name.as_str(), kind) {
            ("nodes.test.", 1) => vec![vec![192, 0, 2, 1], vec![192, 0, 2, 2]],
            ("nodes.test.", 28) => {
                vec!["2001:db8::1".parse::<std::net::Ipv6Addr>().unwrap().octets().to_vec()]
            }
            ("_chat._tcp.test.", 33) => [&b"\x01a\x04test\x00"[..], &b"\x01b\x04test\x00"[..]]
                .iter()
                .zip([4369u16, 4370])
                .map(|(target, port)| [&[0, 1, 0, 1][..], &port.to_be_bytes(), target].concat())
                .collect(),
            ("broken.test.", _) => {
                let _ = socket.send_to(
                    &[&query[..2], &[0x81, 0x82], &query[4..6], &[0; 6], &query[12..end + 4]].concat(),
                    from,
                );
                continue;
            }
            _ => Vec::new(),
        };
        let code = if records.is_empty() { 0x83 } else { 0x80 };
        let mut reply = [&query[..2], &[0x81, code, 0, 1, 0, records.len() as u8, 0, 0, 0, 0]].concat();
        reply.extend(&query[12..end + 4]);
        for data in records {
            reply.extend([0xc0, 12]);
            reply.extend(kind.to_be_bytes());
            reply.extend([0, 1, 0, 0, 0, 7]);
            reply.extend((data.len() as u16).to_be_bytes());
            reply.extend(data);
        }
        let _ = socket.send_to(&reply, from);
    }
}

fn ask(resolver: &Own, query: Query) -> Result<Resolved, ResolveError> {
    let (send, receive) = mpsc::channel();
    resolver.ask(query, Box::new(move |result| drop(send.send(result))));
    receive.recv_timeout(Duration::from_secs(20)).expect("an answer in bounded time")
}

#[test]
fn addresses_and_services_come_with_their_lives() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address: SocketAddr = socket.local_addr().unwrap();
    std::thread::spawn(move || serve(&socket));
    let mut server = NameServerConfig::udp(address.ip());
    server.connections[0].port = address.port();
    let resolver = Own::with_config(ResolverConfig::from_name_servers(vec![server]));

    let Ok(Resolved::Addresses { mut ips, ttl }) = ask(&resolver, Query::Addresses("nodes.test".into()))
    else {
        panic!("addresses")
    };
    ips.sort_unstable();
    assert_eq!(
        ips,
        ["192.0.2.1", "192.0.2.2", "2001:db8::1"].map(|ip| ip.parse::<std::net::IpAddr>().unwrap())
    );
    assert!(ttl > Duration::from_secs(5) && ttl <= Duration::from_secs(7), "{ttl:?}");
    let Ok(Resolved::Services { services, ttl }) = ask(&resolver, Query::Services("_chat._tcp.test".into()))
    else {
        panic!("services")
    };
    let service = |host: &str, port| Service { host: host.into(), port };
    assert_eq!(services, [service("a.test", 4369), service("b.test", 4370)]);
    assert!(ttl <= Duration::from_secs(7));
    for (name, error) in [("none.test", ResolveError::NotFound), ("broken.test", ResolveError::Failed)] {
        assert_eq!(ask(&resolver, Query::Addresses(name.into())), Err(error), "{name}");
    }
    assert_eq!(ask(&resolver, Query::Services("_none._tcp.test".into())), Err(ResolveError::NotFound));
}

#[test]
fn what_is_built_in_knows_this_machine() {
    let (send, receive) = mpsc::channel();
    let resolver = Resolver::built_in();
    resolver.ask(Query::Addresses("localhost".into()), Box::new(move |result| drop(send.send(result))));
    let result = receive.recv_timeout(Duration::from_secs(20)).expect("an answer in bounded time");
    let Ok(Resolved::Addresses { ips, .. }) = result else { panic!("{result:?}") };
    assert!(ips.iter().all(|ip| ip.is_loopback()) && !ips.is_empty(), "{ips:?}");
}
