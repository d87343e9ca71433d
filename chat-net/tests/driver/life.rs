//! Beginning, trouble, end.

use std::fs::File;
use std::io::ErrorKind;
use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;

use chat_core::base::RequestId;
use chat_core::effect::{Event, StoreError, StoreOp, StoreResult};
use chat_core::jid::BareJid;
use chat_net::net::{Runtime, block_on};
use chat_net::server::{Domain, Gone, Listener, Server, ServerEvent, StartError};
use chat_net::store::{Memory, Store, StoreSink};

use crate::client::{Client, PATIENCE, address, builder, eventually, start, tcp};

/// Answers of a store, forwarded.
struct Answers(std::sync::mpsc::Sender<StoreResult>);

impl StoreSink for Answers {
    fn done(&self, batch: Vec<(RequestId, StoreResult)>) {
        for (_, result) in batch {
            self.0.send(result).expect("the test waits");
        }
    }
}

/// Every stream is closed with a reason, nothing listens any more, the store is closed.
pub fn shutdown_is_orderly(runtime: Runtime) {
    let store = Arc::new(Memory::new());
    let server = builder(runtime).store(store.clone()).workers(2).start().expect("it starts");
    let mut clients: Vec<Client> = (0..8).map(|_| Client::connect(&server)).collect();
    for (n, client) in clients.iter_mut().enumerate() {
        match n {
            0..=5 => client.login(&format!("user{n}")),
            _ => drop(client.open()),
        }
    }
    let (address, mut events, second) = (address(&server), server.events(), server.clone());
    let ending = server.shutdown();
    for client in &mut clients {
        let end = client.expect("</stream:stream>");
        assert!(end.contains("<system-shutdown"), "{end}");
    }
    drop(clients);
    block_on(ending);
    block_on(second.closed());
    assert!(!server.healthy());
    assert_eq!(server.connect_memory().map(drop), Err(Gone));
    let error = TcpStream::connect(address).expect_err("nobody listens");
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    let (send, receive) = std::sync::mpsc::channel();
    let sink: Arc<dyn StoreSink> = Arc::new(Answers(send));
    let user = BareJid::parse("romeo@localhost").expect("a JID");
    store.submit(RequestId(1), Arc::new(StoreOp::LoadUser { user }), &sink);
    let answer = receive.recv().expect("an answer");
    assert!(matches!(answer, Err(StoreError::Unavailable)), "{answer:?}");
    while events.recv_blocking().is_some() {}
}

/// A panic in a worker's turn ends the connections of that worker, and nothing else.
pub fn a_panic_costs_one_worker(runtime: Runtime) {
    let server = start(runtime);
    let mut events = server.events();
    let mut witness = Client::connect(&server);
    witness.login("witness");
    let mut culprit = Client::connect(&server);
    culprit.open();
    culprit.authenticate("panic", "secret");
    culprit.expect_any_end();
    witness.expect_any_end();
    assert_eq!(server.stats().panics, 1);
    loop {
        if let Some(ServerEvent::WorkerPanicked { worker, message }) = events.recv_blocking() {
            assert_eq!((worker, message.as_str()), (0, "as the test wants"));
            break;
        }
    }
    let mut next = Client::connect(&server);
    next.login("witness");
    next.say("witness", "again");
    next.expect("<body>again</body>");
    assert!(server.healthy());
    drop((witness, culprit, next));
    server.shutdown_blocking();
}

/// Nothing starts that is wrong, and what is wrong is said.
pub fn wrong_settings_are_named(runtime: Runtime) {
    let name = |result: Result<_, StartError>| match result {
        Ok(_) => panic!("it starts"),
        Err(error) => error.to_string(),
    };
    let any = "127.0.0.1:0".parse().expect("an address");
    let bare = || Server::builder().runtime(runtime);
    assert_eq!(name(bare().start()), "a server needs a domain");
    assert_eq!(
        name(bare().domain("localhost").domain("LOCALHOST").start()),
        "the domain \"localhost\" is there twice"
    );
    let error = name(bare().domain("romeo@localhost").start());
    assert!(error.starts_with("\"romeo@localhost\" is not the name of a domain: "), "{error}");
    let store = Arc::new(Memory::new());
    assert_eq!(
        name(bare().domain("localhost").store(store).start()),
        "the domain \"localhost\" has no authenticator: give the builder `accounts` or an `authenticator`"
    );
    assert_eq!(name(bare().domain("localhost").workers(0).start()), "a server has 1 to 1024 workers, not 0");
    assert_eq!(
        name(bare().domain("localhost").listen(Listener::Clients, any).start()),
        "nobody can log in to the domain \"localhost\": it wants TLS, and the server has none \
         (give the builder `tls`, or the domain `plaintext(true)`)"
    );
    let account = |name| bare().domain("localhost").account(name, "secret");
    let error = name(account("localhost").start());
    assert!(error.starts_with("cannot make the account \"localhost\": "), "{error}");
    let store = Arc::new(Memory::new());
    assert_eq!(
        name(account("romeo@localhost").store(store).start()),
        "cannot make the account \"romeo@localhost\": the server has no accounts"
    );
    let server = start(runtime);
    let taken = address(&server);
    let open = || bare().domain(Domain::new("localhost").plaintext(true));
    let error = name(open().listen(Listener::Clients, taken).start());
    assert!(error.starts_with(&format!("cannot listen on {taken}: ")), "{error}");
    let direct = "127.0.0.1:5223".parse().expect("an address");
    assert_eq!(
        name(open().listen(Listener::ClientsTls, direct).start()),
        "listening for direct TLS on 127.0.0.1:5223 needs TLS settings"
    );
    server.shutdown_blocking();
}

/// Guests on one domain, accounts on another.
pub fn domains_differ(runtime: Runtime) {
    let server = builder(runtime)
        .domain(Domain::anonymous("guests.localhost").plaintext(true))
        .start()
        .expect("it starts");
    let mut client = Client::connect(&server);
    let features = client.open();
    assert!(features.contains("<mechanism>PLAIN</mechanism></mechanisms>"), "{features}");
    assert!(!features.contains("<starttls"), "there is no TLS: {features}");
    let mut guest = Client::connect(&server);
    guest.send(&crate::client::HEADER.replace("to='localhost'", "to='guests.localhost'"));
    let features = guest.expect("</stream:features>");
    assert!(features.contains("<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>ANONYMOUS</mechanism></mechanisms>"), "{features}");
    guest.send("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='ANONYMOUS'>=</auth>");
    guest.expect("<success");
    drop((client, guest));
    server.shutdown_blocking();
}

/// Set in the process that a case starts with few descriptors.
const CHILD: &str = "CHAT_NET_TEST_FEW_DESCRIPTORS";

/// Without descriptors nothing is accepted for a while, and then again: nobody who waits is turned away. `test` is the
/// name of the calling test, which is run again in a process of its own.
pub fn out_of_descriptors(runtime: Runtime, test: &str) {
    if std::env::var_os(CHILD).is_some() {
        return few_descriptors(runtime);
    }
    let binary = std::env::current_exe().expect("this test");
    let status = Command::new("sh")
        .args(["-c", "ulimit -n 80 && exec \"$0\" --exact \"$1\" --nocapture"])
        .arg(binary)
        .arg(test)
        .env(CHILD, "1")
        .status()
        .expect("a shell");
    assert!(status.success(), "{status}");
}

fn few_descriptors(runtime: Runtime) {
    let server = start(runtime);
    let address = address(&server);
    let mut before = Client::new(tcp(address));
    before.open();
    let mut fillers = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        fillers.push(file);
    }
    // One for the client, none for the server.
    fillers.pop();
    let waiting = TcpStream::connect(address).expect("the backlog takes it");
    eventually("it has no descriptor left", || !server.healthy());
    // Those that are here already notice nothing.
    before.authenticate("romeo", "wrong");
    before.expect("</failure>");
    drop(fillers);
    waiting.set_read_timeout(Some(PATIENCE)).expect("an option");
    Client::new(waiting).open();
    eventually("it is well again", || server.healthy());
    Client::new(tcp(address)).open();
    drop(before);
    server.shutdown_blocking();
}

/// The workers run on the caller's runtime, and may be spoken to from there.
pub async fn as_guest_of_a_runtime(runtime: Runtime) {
    let server = builder(runtime).on_current_runtime(2).expect("it starts");
    let (client_server, mut events) = (server.clone(), server.events());
    let client = std::thread::spawn(move || {
        let (mut romeo, mut juliet) = (Client::connect(&client_server), Client::memory(&client_server));
        romeo.login("romeo");
        juliet.login("juliet");
        romeo.say("juliet", "hello");
        juliet.expect("<body>hello</body>");
    });
    let mut online = 0;
    while online < 2 {
        if let Some(ServerEvent::Engine(Event::Bound { .. })) = events.recv().await {
            online += 1;
        }
    }
    let stream = server.connect_memory().expect("it runs");
    stream.send_all(crate::client::HEADER.as_bytes()).await.expect("the server reads");
    let mut bytes = [0; 64];
    assert!(stream.recv(&mut bytes).await.expect("the server answers") > 0);
    client.join().expect("the clients are content");
    drop(stream);
    server.shutdown().await;
    // And a server with threads of its own, spoken to from inside.
    let server = start(runtime);
    let stream = server.connect_memory().expect("it runs");
    stream.send_all(crate::client::HEADER.as_bytes()).await.expect("the server reads");
    assert!(stream.recv(&mut bytes).await.expect("the server answers") > 0);
    drop(stream);
    server.shutdown().await;
}
