//! Several workers.

use std::io::Write;
use std::net::TcpStream;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use chat_core::effect::AccountOp;
use chat_core::sasl::Mechanism;
use chat_net::auth::{AccountAnswer, Authenticator};
use chat_net::net::Runtime;
use chat_net::server::ServerHandle;

use crate::client::{Client, Friendly, address, builder, eventually, tcp};
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

/// A message at a time, from user to user across two workers: the one that sleeps is mostly not woken for it, and no
/// message is late for that.
pub fn mail_for_a_sleeper(runtime: Runtime) {
    let server = builder(runtime).workers(2).start().expect("it starts");
    let mut clients: Vec<Client> = (0..24)
        .map(|n| {
            let mut client = Client::connect(&server);
            client.login(&format!("ring{n}"));
            client
        })
        .collect();
    for n in 0..2_000 {
        let (from, to) = (n % 24, (n * 7 + n / 24) % 24);
        clients[from].say(&format!("ring{to}"), &format!("b{n}"));
        clients[to].expect(&format!("<body>b{n}</body>"));
    }
    assert!(server.stats().guest_turns > 0, "{:?}", server.stats());
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

/// Stops the worker that asks about one user, until the gate is opened.
#[derive(Default)]
struct Stopping {
    open: Mutex<bool>,
    opened: Condvar,
}

impl Authenticator for Stopping {
    fn mechanisms(&self) -> Vec<Mechanism> {
        Friendly.mechanisms()
    }

    fn begin(&self, op: AccountOp, answer: AccountAnswer) {
        if op.user().as_str().starts_with("stop@") {
            let open = self.open.lock().expect("no panic");
            drop(self.opened.wait_while(open, |open| !*open).expect("no panic"));
        }
        Friendly.begin(op, answer);
    }
}

/// Connections of a server with two workers, which are given to them in turn.
struct Turns<'a> {
    server: &'a ServerHandle,
    next: usize,
    users: usize,
}

impl Turns<'_> {
    fn connect(&mut self, worker: usize) -> TcpStream {
        loop {
            let stream = tcp(address(self.server));
            let given = self.next;
            self.next = 1 - given;
            if given == worker {
                return stream;
            }
        }
    }

    /// Logs somebody in whose home is this worker.
    fn login(&mut self, worker: usize) -> (String, Client, TcpStream) {
        loop {
            let name = format!("user{}", self.users);
            self.users += 1;
            let stream = self.connect(worker);
            let mut client = Client::new(stream.try_clone().expect("a descriptor"));
            let moved = self.server.stats().moved;
            client.login(&name);
            if self.server.stats().moved == moved {
                return (name, client, stream);
            }
        }
    }
}

/// A worker that cannot keep up slows those who send to it; their neighbours notice nothing, nothing is lost, and the
/// health check notices.
pub fn a_slow_worker_slows_its_feeders_only(runtime: Runtime) {
    let authenticator = Arc::new(Stopping::default());
    let server = builder(runtime).authenticator(authenticator.clone()).workers(2).start().expect("it starts");
    let mut turns = Turns { server: &server, next: 0, users: 0 };
    let (receiver, mut receiving, _receiving) = turns.login(0);
    let (_, _sending, mut sending) = turns.login(1);
    let (neighbour, mut neighbouring, _neighbouring) = turns.login(1);
    let mut stopper = Client::new(turns.connect(0));
    stopper.open();
    assert!(server.healthy());
    stopper.authenticate("stop", "secret");
    // Twice what may wait and what the sockets' buffers hold.
    sending.set_write_timeout(Some(Duration::from_secs(1))).expect("an option");
    let body = "x".repeat(1000);
    let message = format!("<message to='{receiver}@localhost/r'><body>{body}</body></message>").into_bytes();
    let (mut sent, mut partial) = (0, 0);
    while partial == 0 && sent < 100_000 {
        let mut rest = &message[..];
        while !rest.is_empty() {
            match sending.write(rest) {
                Ok(n) => rest = &rest[n..],
                Err(_) => {
                    partial = message.len() - rest.len();
                    break;
                }
            }
        }
        sent += 1;
    }
    assert!(sent < 50_000, "nothing ever held the sender back: {sent}");
    neighbouring.say(&neighbour, "still here");
    neighbouring.expect("<body>still here</body>");
    eventually("the standstill is noticed", || !server.healthy());
    *authenticator.open.lock().expect("no panic") = true;
    authenticator.opened.notify_all();
    let rest = message[partial..].to_vec();
    let sender = std::thread::spawn(move || {
        sending.set_write_timeout(None).expect("an option");
        sending.write_all(&rest).expect("the server reads");
        sending.write_all(b"<message to='").expect("the server reads");
        sending
    });
    for _ in 0..sent {
        receiving.expect("</message>");
    }
    eventually("it is well again", || server.healthy());
    drop((sender.join(), stopper, receiving, neighbouring));
    server.shutdown_blocking();
}
