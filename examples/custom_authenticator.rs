//! A server whose users log in with the passwords of a directory that the company has already: an authenticator in
//! asynchronous code, with a time limit, that keeps no password.
//!
//!     cargo run -p examples --example custom_authenticator

use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use chat_net::auth::{AccountDone, AccountError, AccountOp, AccountResult, AsyncAuthenticator, Secret};
use chat_net::server::{Listener, Server};
use chat_net::tls::{Tls, TlsConfig, self_signed};
use examples::Client;

/// The company's directory, as if behind a network.
struct Directory {
    people: HashMap<&'static str, Secret>,
}

impl Directory {
    /// `None`: there is nobody of this name.
    async fn verify(&self, name: &str, password: &Secret) -> Option<bool> {
        tokio::time::sleep(Duration::from_millis(20)).await;
        // Secrets compare in constant time.
        self.people.get(name).map(|right| right == password)
    }
}

impl AsyncAuthenticator for Directory {
    // It is asked about passwords only (SASL PLAIN), which clients send under TLS alone. To serve SCRAM, name its
    // mechanisms in `mechanisms`, and answer `AccountOp::Keys`.
    async fn apply(self: Arc<Self>, op: AccountOp) -> AccountResult {
        let AccountOp::Check { user, password } = op else {
            // Nobody can register here, or change a password.
            return Err(AccountError::Unsupported);
        };
        let name = user.local().unwrap_or_default();
        match tokio::time::timeout(Duration::from_secs(2), self.verify(name, &password)).await {
            Ok(Some(true)) => Ok(AccountDone::Accepted),
            // A wrong password and an unknown name are answered alike: nobody learns who exists.
            Ok(Some(false) | None) => Err(AccountError::Refused),
            // The client is told that the failure is ours, and temporary.
            Err(_) => Err(AccountError::Unavailable),
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let people = HashMap::from([("juliet", "wherefore".into()), ("romeo", "by a name".into())]);
    // `Identity::from_files` reads the certificate of a server that is more than an example.
    let tls = Tls::new(&TlsConfig::new(self_signed(&["example.org"])?.identity())?)?;
    let server = Server::builder()
        .domain("example.org")
        .async_authenticator(Arc::new(Directory { people }))
        .tls(tls)
        .listen(Listener::Clients, "127.0.0.1:0".parse()?)
        .listen(Listener::ClientsTls, "127.0.0.1:0".parse()?)
        .start()?;
    for (kind, address) in server.local_addrs() {
        println!("{kind:?} connect to {address}");
    }

    for (user, password) in [("juliet", "wherefore"), ("juliet", "Wherefore"), ("tybalt", "wherefore")] {
        match Client::login(server.connect_memory()?, user, "example.org", password) {
            Ok(client) => {
                println!("{user} is in with {password:?}");
                client.close()?;
            }
            Err(error) => println!("{user} is not in with {password:?}: {error}"),
        }
    }
    server.shutdown_blocking();
    Ok(())
}
