//! A chat server inside an async-std service: its workers are tasks of async-std's executor. The service follows the
//! events while two clients talk.
//!
//!     cargo run -p examples --no-default-features --features async-std --example async_std_service
//!
//! An embedder asks for `chat-net` with `default-features = false` and the feature `async-std`; no tokio is built then.

use std::error::Error;
use std::net::{SocketAddr, TcpStream};

use async_std::task;
use chat_net::server::{Domain, Event, Events, Listener, Server, ServerEvent};
use examples::Client;

fn main() -> Result<(), Box<dyn Error>> {
    task::block_on(serve())
}

async fn serve() -> Result<(), Box<dyn Error>> {
    let server = Server::builder()
        // On the loopback only. A server that others can reach gets `.tls(…)` instead.
        .domain(Domain::new("localhost").plaintext(true))
        .account("juliet@localhost", "wherefore")
        .account("romeo@localhost", "by a name")
        .listen(Listener::Clients, "127.0.0.1:0".parse()?)
        .on_current_runtime(1)?;
    let address = server.local_addr(Listener::Clients).expect("it has such a listener");
    println!("clients connect to {address}");

    let mut events = server.events();
    let clients = task::spawn_blocking(move || talk(address));
    // Until both have come and gone.
    for _ in 0..4 {
        println!("{}", next_session_event(&mut events).await?);
    }
    println!("juliet reads: {}", clients.await?);

    server.shutdown().await;
    println!("the server is down");
    Ok(())
}

/// The next thing that happens to a session, in words.
async fn next_session_event(events: &mut Events) -> Result<String, &'static str> {
    while let Some(event) = events.recv().await {
        match event {
            ServerEvent::Engine(Event::Bound { jid, .. }) => {
                return Ok(format!("{} is online", jid.to_bare()));
            }
            ServerEvent::Engine(Event::Unbound { jid }) => {
                return Ok(format!("{} is offline", jid.to_bare()));
            }
            _ => {}
        }
    }
    Err("the server ended")
}

/// Two clients on a blocking thread; returns what arrived.
fn talk(address: SocketAddr) -> std::io::Result<String> {
    let mut juliet = Client::login(TcpStream::connect(address)?, "juliet", "localhost", "wherefore")?;
    let mut romeo = Client::login(TcpStream::connect(address)?, "romeo", "localhost", "by a name")?;
    romeo.say("juliet@localhost", "I take thee at thy word")?;
    let heard = juliet.hear()?;
    romeo.close()?;
    juliet.close()?;
    Ok(heard)
}
