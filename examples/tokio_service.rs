//! A chat server inside a tokio service: its workers are tasks on the service's runtime, the service is told who comes
//! and goes, and speaks to its users.
//!
//!     cargo run -p examples --example tokio_service

use std::error::Error;
use std::net::{SocketAddr, TcpStream};

use chat_net::server::{Domain, Event, Events, Listener, Server, ServerEvent, ServerHandle};
use chat_net::xml::Element;
use examples::Client;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = Server::builder()
        // On the loopback only. A server that others can reach gets `.tls(…)` instead.
        .domain(Domain::new("localhost").plaintext(true))
        .account("juliet@localhost", "wherefore")
        .account("romeo@localhost", "by a name")
        .listen(Listener::Clients, "127.0.0.1:0".parse()?)
        .on_current_runtime(2)?;
    let address = server.local_addr(Listener::Clients).expect("it has such a listener");
    println!("clients connect to {address}");

    // Whatever else the service does goes on beside the server, on the same runtime.
    let greeter = tokio::spawn(greet(server.clone(), server.events()));

    // The clients of this example block, so they get a thread.
    for line in tokio::task::spawn_blocking(move || talk(address)).await?? {
        println!("{line}");
    }

    // When the service ends, the server does before it: streams are closed, everything is stored.
    server.shutdown().await;
    println!("{} greeted", greeter.await?);
    Ok(())
}

/// Greets everybody who comes online, until the server ends.
async fn greet(server: ServerHandle, mut events: Events) -> u32 {
    let mut greeted = 0;
    while let Some(event) = events.recv().await {
        let ServerEvent::Engine(Event::Bound { jid, .. }) = event else { continue };
        let name = jid.local().unwrap_or("nobody");
        // To the account rather than to the session: it waits until a client says that it is available. Built as an
        // element rather than as text: nothing in a name can break out of it.
        let greeting = Element::new("message", "jabber:client")
            .with_attr("from", "localhost")
            .with_attr("to", jid.to_bare().as_str())
            .with_child(Element::new("body", "jabber:client").with_text(&format!("Welcome, {name}")));
        if server.send(greeting.to_bytes()).is_ok() {
            greeted += 1;
        }
    }
    greeted
}

/// Two clients; returns what they saw.
fn talk(address: SocketAddr) -> std::io::Result<Vec<String>> {
    let mut seen = Vec::new();
    let mut juliet = Client::login(TcpStream::connect(address)?, "juliet", "localhost", "wherefore")?;
    seen.push(format!("juliet reads: {}", juliet.hear()?));
    let mut romeo = Client::login(TcpStream::connect(address)?, "romeo", "localhost", "by a name")?;
    seen.push(format!("romeo reads: {}", romeo.hear()?));
    romeo.say("juliet@localhost", "I take thee at thy word")?;
    seen.push(format!("juliet reads: {}", juliet.hear()?));
    romeo.close()?;
    juliet.close()?;
    Ok(seen)
}
