//! A stock client (tokio-xmpp) against a server on each runtime: on threads of the server's own, and as a guest. The
//! scenario is one that the program passes, too (`chat-bin/tests/tokio_xmpp/`).

#[path = "../../chat-bin/tests/tokio_xmpp/client.rs"]
#[allow(dead_code)] // Other scenarios use more of it.
mod client;
#[path = "../../chat-bin/tests/tokio_xmpp/connect.rs"]
mod connect;
#[path = "../../chat-bin/tests/tokio_xmpp/resume.rs"]
mod resume;

use chat_net::net::Runtime;
use chat_net::server::{Listener, Server, ServerBuilder, ServerHandle};
use chat_net::tls::{Tls, TlsConfig, self_signed};
use connect::Connector;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

mod support {
    use std::time::Duration;

    /// Nothing takes longer, on a machine that has other things to do as well.
    pub const PATIENCE: Duration = Duration::from_secs(60);
}

const PASSWORD: &str = "a rose by any other name";

/// A server with romeo and juliet, made to run by `start`, and one way to come to it.
fn serve(start: &dyn Fn(ServerBuilder) -> ServerHandle, listener: Listener) -> (ServerHandle, Connector) {
    let made = self_signed(&["localhost"]).expect("a certificate");
    let builder = Server::builder()
        .domain("localhost")
        .account("romeo@localhost", PASSWORD)
        .account("juliet@localhost", PASSWORD)
        .tls(Tls::new(&TlsConfig::new(made.identity()).expect("a provider")).expect("TLS"))
        .listen(listener, "127.0.0.1:0".parse().expect("an address"));
    let server = start(builder);
    let address = server.local_addr(listener).expect("it listens");
    let certificate = CertificateDer::from_pem_slice(made.certificate_pem.as_bytes()).expect("a certificate");
    (server, Connector::new(address, listener == Listener::ClientsTls, certificate))
}

/// Two clients come over STARTTLS, and over direct TLS to another server; they talk, and one goes on with its session
/// after its connection was cut. They have a runtime of their own, of one thread: on several, tokio-xmpp may sleep
/// through what arrives while it sends.
fn smoke(start: &dyn Fn(ServerBuilder) -> ServerHandle) {
    for listener in [Listener::Clients, Listener::ClientsTls] {
        let (server, connector) = serve(start, listener);
        let clients = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        clients.block_on(resume::resumes_when_the_connection_was_cut(
            &connector,
            &[connector.address],
            PASSWORD,
        ));
        assert_eq!(server.stats().panics, 0);
        server.shutdown_blocking();
    }
}

fn on_own_threads(runtime: Runtime) {
    smoke(&|server| server.runtime(runtime).workers(2).start().expect("it starts"));
}

#[test]
fn on_threads() {
    on_own_threads(Runtime::Threads);
}

#[test]
fn on_tokio() {
    on_own_threads(Runtime::Tokio);
}

#[test]
fn on_async_std() {
    on_own_threads(Runtime::AsyncStd);
}

#[test]
fn as_a_guest_of_tokio() {
    let host = tokio::runtime::Runtime::new().expect("a runtime");
    smoke(&|server| host.block_on(async { server.on_current_runtime(2).expect("it starts") }));
}

#[test]
fn as_a_guest_of_async_std() {
    smoke(&|server| async_std::task::block_on(async { server.on_current_runtime(2).expect("it starts") }));
}
