//! HTTP on a port of the node: how many may connect, for how long, and how much they may send before they are heard.
//!
//! Decides nothing about requests: whoever serves a port does (`web`, `backdoor`).

use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use crate::Failure;

/// Bytes of a request's head; hyper allows no less.
const HEAD_BYTES_MAX: usize = 8 * 1024;
/// After the system had no descriptor for a connection.
const PAUSE: Duration = Duration::from_millis(250);

/// What a port bears.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Connections at a time; more wait in the backlog.
    pub(super) connections_max: usize,
    /// From the connection to the end of the answer.
    pub(super) connection_timeout: Duration,
    /// For the head of the request.
    pub(super) head_timeout: Duration,
}

/// A listening port.
pub(super) struct Port {
    listeners: Vec<TcpListener>,
    bounds: Bounds,
}

impl Port {
    /// Listens on these addresses; connections wait until [`Port::serve`].
    pub(super) fn listen(addresses: &[SocketAddr], bounds: Bounds) -> Result<Port, Failure> {
        let mut listeners = Vec::new();
        for address in addresses {
            listeners.push(TcpListener::from_std(chat_net::net::bind(*address)?)?);
        }
        Ok(Port { listeners, bounds })
    }

    /// What it listens on.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect()
    }

    /// Answers until the runtime ends. `answer` is told who asks.
    pub(super) fn serve<A, F, B>(self, answer: A)
    where
        A: Fn(Request<Incoming>, SocketAddr) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<B>> + Send + 'static,
        B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
    {
        let places = Arc::new(Semaphore::new(self.bounds.connections_max));
        for listener in self.listeners {
            tokio::spawn(accept(listener, places.clone(), self.bounds, answer.clone()));
        }
    }
}

async fn accept<A, F, B>(listener: TcpListener, places: Arc<Semaphore>, bounds: Bounds, answer: A)
where
    A: Fn(Request<Incoming>, SocketAddr) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::debug!(%error, "an HTTP port cannot accept a connection");
                sleep(PAUSE).await;
                continue;
            }
        };
        let answer = answer.clone();
        tokio::spawn(async move {
            // Whoever is slower does not want an answer.
            let _ = timeout(bounds.connection_timeout, connection(stream, peer, bounds, answer)).await;
            drop(place);
        });
    }
}

async fn connection<A, F, B>(stream: TcpStream, peer: SocketAddr, bounds: Bounds, answer: A)
where
    A: Fn(Request<Incoming>, SocketAddr) -> F,
    F: Future<Output = Response<B>>,
    B: Body<Error: Into<Box<dyn Error + Send + Sync>>> + 'static,
{
    let service = service_fn(|request: Request<Incoming>| {
        let answered = answer(request, peer);
        async move { Ok::<_, Infallible>(answered.await) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.head_timeout)
        .max_buf_size(HEAD_BYTES_MAX)
        // One question each: so a connection never outlives its timeout, and none idles.
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection to an HTTP port failed");
    }
}
