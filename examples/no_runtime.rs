//! A chat server in a program without any asynchronous code: it runs on threads of its own, and everything about it can
//! be waited for by blocking.
//!
//!     cargo run -p examples --example no_runtime

use std::error::Error;
use std::net::{SocketAddr, TcpStream};
use std::thread;

use chat_net::server::{Domain, Event, Events, Listener, Server, ServerEvent};
use examples::Client;

fn main() -> Result<(), Box<dyn Error>> {
    let server = Server::builder()
        // On the loopback only. A server that others can reach gets `.tls(…)` instead.
        .domain(Domain::new("localhost").plaintext(true))
        .account("juliet@localhost", "wherefore")
        .account("romeo@localhost", "by a name")
        .listen(Listener::Clients, "127.0.0.1:0".parse()?)
        .workers(2)
        .start()?;
    let address = server.local_addr(Listener::Clients).expect("it has such a listener");
    println!("clients connect to {address}");

    let events = server.events();
    let watcher = thread::spawn(move || count_logins(events));

    let juliet = thread::spawn(move || listen(address));
    println!("romeo reads: {}", call(address)?);
    println!("juliet reads: {}", juliet.join().expect("her thread")?);

    // Closes every stream and stores what must be; nothing of the server is left when it returns.
    server.shutdown_blocking();
    println!("{} logins", watcher.join().expect("its thread"));
    Ok(())
}

/// Juliet waits for a message and answers.
fn listen(address: SocketAddr) -> std::io::Result<String> {
    let mut juliet = Client::login(TcpStream::connect(address)?, "juliet", "localhost", "wherefore")?;
    let heard = juliet.hear()?;
    juliet.say("romeo@localhost", "How camest thou hither?")?;
    juliet.close()?;
    Ok(heard)
}

/// Romeo writes, whether she is there yet or not: the server keeps what comes too early.
fn call(address: SocketAddr) -> std::io::Result<String> {
    let mut romeo = Client::login(TcpStream::connect(address)?, "romeo", "localhost", "by a name")?;
    romeo.say("juliet@localhost", "I take thee at thy word")?;
    let heard = romeo.hear()?;
    romeo.close()?;
    Ok(heard)
}

/// Counts logins until the server is gone.
fn count_logins(mut events: Events) -> u32 {
    let mut logins = 0;
    while let Some(event) = events.recv_blocking() {
        if let ServerEvent::Engine(Event::Bound { .. }) = event {
            logins += 1;
        }
    }
    logins
}
