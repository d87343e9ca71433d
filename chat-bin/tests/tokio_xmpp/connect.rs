//! How tokio-xmpp comes to a server under test: by address instead of by SRV record, trusting one certificate and nothing
//! else, over STARTTLS (RFC 6120 §5) or direct TLS (XEP-0368); and a proxy on the way that can cut the connection.
//!
//! The connectors that tokio-xmpp brings itself trust the roots of the machine and need a resolver; it takes others
//! through its `ServerConnector`.

use std::borrow::Cow;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::{SinkExt as _, StreamExt as _};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use sasl::common::ChannelBinding;
use tokio::io::{BufStream, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_xmpp::Error;
use tokio_xmpp::connect::ServerConnector;
use tokio_xmpp::jid::Jid;
use tokio_xmpp::parsers::starttls::{Nonza, Request};
use tokio_xmpp::xmlstream::{
    FallibleStreamElement, PendingFeaturesRecv, StreamHeader, Timeouts, XmppStream, XmppStreamElement,
    initiate_stream,
};

/// Comes to one address in one way.
#[derive(Clone, Debug)]
pub struct Connector {
    pub address: SocketAddr,
    direct: bool,
    tls: Arc<ClientConfig>,
}

impl Connector {
    /// Trusts this certificate for the name that it bears.
    pub fn new(address: SocketAddr, direct: bool, certificate: CertificateDer<'static>) -> Connector {
        let mut roots = RootCertStore::empty();
        roots.add(certificate).expect("a certificate");
        let mut tls = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider has them")
            .with_root_certificates(roots)
            .with_no_client_auth();
        if direct {
            // XEP-0368 §2.
            tls.alpn_protocols = vec![b"xmpp-client".to_vec()];
        }
        Connector { address, direct, tls: Arc::new(tls) }
    }

    /// The same server, come to through another address.
    pub fn by_way_of(&self, address: SocketAddr) -> Connector {
        Connector { address, ..self.clone() }
    }
}

impl ServerConnector for Connector {
    type Stream = BufStream<TlsStream<TcpStream>>;

    async fn connect(
        &self,
        jid: &Jid,
        ns: &'static str,
        timeouts: Timeouts,
    ) -> Result<(PendingFeaturesRecv<Self::Stream>, ChannelBinding), Error> {
        let mut tcp = TcpStream::connect(self.address).await?;
        if !self.direct {
            tcp = starttls(tcp, jid, ns, timeouts).await?;
        }
        let name = ServerName::try_from(jid.domain().as_str().to_owned()).map_err(io::Error::other)?;
        let stream = TlsConnector::from(self.tls.clone()).connect(name, tcp).await?;
        // RFC 9266 §2.
        let (_, connection) = stream.get_ref();
        let exported = connection
            .export_keying_material(vec![0; 32], b"EXPORTER-Channel-Binding", None)
            .map_err(io::Error::other)?;
        let pending = initiate_stream(BufStream::new(stream), ns, to(jid), timeouts).await?;
        Ok((pending, ChannelBinding::TlsExporter(exported)))
    }
}

/// Asks for TLS and returns the connection at the point where the handshake begins.
async fn starttls(
    tcp: TcpStream,
    jid: &Jid,
    ns: &'static str,
    timeouts: Timeouts,
) -> Result<TcpStream, Error> {
    let pending = initiate_stream(BufStream::new(tcp), ns, to(jid), timeouts).await?;
    let (features, mut stream): (_, XmppStream<_>) = pending.recv_features().await?;
    assert!(features.can_starttls(), "STARTTLS is not offered");
    assert!(features.sasl_mechanisms.is_empty(), "passwords are asked for without TLS");
    stream.send(&XmppStreamElement::Starttls(Nonza::Request(Request))).await?;
    match stream.next().await {
        Some(Ok(FallibleStreamElement::Ok(XmppStreamElement::Starttls(Nonza::Proceed(_))))) => {
            Ok(stream.into_inner().into_inner())
        }
        other => Err(io::Error::other(format!("instead of <proceed/>: {other:?}")).into()),
    }
}

fn to(jid: &Jid) -> StreamHeader<'_> {
    StreamHeader { to: Some(Cow::Borrowed(jid.domain().as_str())), from: None, id: None }
}

/// Passes connections on to a server until they are cut.
pub struct Proxy {
    pub address: SocketAddr,
    open: watch::Sender<bool>,
    server: watch::Sender<SocketAddr>,
}

impl Proxy {
    /// Needs the runtime of the test, and ends with it.
    pub async fn start(server: SocketAddr) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (open, gate) = watch::channel(true);
        let (server, way) = watch::channel(server);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, way.clone(), gate.clone()));
            }
        });
        Proxy { address, open, server }
    }

    /// New connections go to this server from now on.
    pub fn lead_to(&self, server: SocketAddr) {
        self.server.send_replace(server);
    }

    /// Cuts every connection. New ones wait until [`Proxy::mend`].
    pub fn cut(&self) {
        self.open.send_replace(false);
    }

    /// Passes new connections on again.
    pub fn mend(&self) {
        self.open.send_replace(true);
    }
}

async fn pass(mut client: TcpStream, way: watch::Receiver<SocketAddr>, mut gate: watch::Receiver<bool>) {
    if gate.wait_for(|open| *open).await.is_err() {
        return;
    }
    let server = *way.borrow();
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut server) => (),
        _ = gate.wait_for(|open| !*open) => (),
    }
}
