//! A bot in the same process as the server: an ordinary client (tokio-xmpp) over the in-memory transport. No socket, no
//! TLS, no port; and it could be moved out of the process tomorrow, with another connector.
//!
//!     cargo run -p examples --example bot

use std::borrow::Cow;
use std::error::Error;

use chat_net::net::MemoryStream;
use chat_net::server::{Server, ServerHandle};
use examples::Client as Caller;
use futures_util::StreamExt;
use sasl::common::ChannelBinding;
use tokio::io::BufStream;
use tokio_xmpp::connect::ServerConnector;
use tokio_xmpp::jid::{BareJid, Jid};
use tokio_xmpp::parsers::message::{Lang, Message};
use tokio_xmpp::parsers::presence::Presence;
use tokio_xmpp::xmlstream::{PendingFeaturesRecv, StreamHeader, Timeouts, initiate_stream};
use tokio_xmpp::{Client, Stanza};

/// Connects a client of tokio-xmpp to a server in the same process.
#[derive(Debug, Clone)]
struct InProcess(ServerHandle);

impl ServerConnector for InProcess {
    type Stream = BufStream<MemoryStream>;

    async fn connect(
        &self,
        jid: &Jid,
        ns: &'static str,
        timeouts: Timeouts,
    ) -> Result<(PendingFeaturesRecv<Self::Stream>, ChannelBinding), tokio_xmpp::Error> {
        let stream = self.0.connect_memory().map_err(std::io::Error::other)?;
        let to = Some(Cow::Borrowed(jid.domain().as_str()));
        let header = StreamHeader { to, from: None, id: None };
        Ok((initiate_stream(BufStream::new(stream), ns, header, timeouts).await?, ChannelBinding::None))
    }
}

// On one thread: with several, tokio-xmpp 6.0 may sleep through what arrives while it sends.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = Server::builder()
        .domain("example.org")
        .account("parrot@example.org", "polly")
        .account("juliet@example.org", "wherefore")
        .on_current_runtime(1)?;

    let jid = BareJid::new("parrot@example.org")?;
    let bot = Client::new_with_connector(jid, "polly", InProcess(server.clone()), Timeouts::tight());
    let bot = tokio::spawn(parrot(bot));

    // Whoever talks to it does so from anywhere; here, from a thread of this process.
    let stream = server.connect_memory()?;
    tokio::task::spawn_blocking(move || talk(stream)).await??;

    println!("the parrot answered {} times", bot.await??);
    server.shutdown().await;
    Ok(())
}

/// Repeats what it is told, until it is told to be quiet.
async fn parrot(mut client: Client) -> Result<u32, std::io::Error> {
    let mut answers = 0;
    while let Some(event) = client.next().await {
        if event.is_online() {
            client.send_stanza(Presence::available().into()).await?;
        } else if let Some(Stanza::Message(message)) = event.into_stanza()
            && let (Some((_, body)), Some(from)) = (message.get_best_body_cloned(vec![""]), message.from)
        {
            if body == "quiet" {
                break;
            }
            let answer = Message::chat(from).with_body(Lang::default(), format!("{body}! {body}!"));
            client.send_stanza(answer.into()).await?;
            answers += 1;
        }
    }
    // Any error of the goodbye is one of a stream that is over already.
    let _ = client.send_end().await;
    Ok(answers)
}

fn talk(stream: MemoryStream) -> std::io::Result<()> {
    let mut juliet = Caller::login(stream, "juliet", "example.org", "wherefore")?;
    for word in ["pieces", "cracker"] {
        juliet.say("parrot@example.org", word)?;
        println!("juliet reads: {}", juliet.hear()?);
    }
    juliet.say("parrot@example.org", "quiet")?;
    juliet.close()
}
