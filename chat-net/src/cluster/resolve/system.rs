//! The resolver of the system, through the runtime or on a thread of its own.

use std::io;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use chat_core::cluster::discovery::{Query, ResolveError};

use super::{Resolve, Resolved, Then};
use crate::net::Runtime;

/// The system does not say how long an answer lives.
const TTL: Duration = Duration::from_secs(15);

/// See the [module](self).
pub(super) struct System;

impl Resolve for System {
    fn ask(&self, query: Query, then: Then) {
        let Query::Addresses(host) = query else {
            tracing::debug!(name = %query.name(), "SRV records need a build with the feature dns");
            return then(Err(ResolveError::Failed));
        };
        let Some(runtime) = Runtime::current() else { return then(Err(ResolveError::Failed)) };
        if runtime == Runtime::Threads {
            return on_thread(host.to_string(), then);
        }
        runtime.spawn_here(async move { answer(lookup(runtime, &host).await, then) });
    }
}

/// The system's own call blocks.
fn on_thread(host: String, then: Then) {
    let (give, take) = mpsc::channel::<(String, Then)>();
    let asked = move || take.into_iter().for_each(|(host, then)| answer(addresses(&host), then));
    match thread::Builder::new().name("chat-resolve".into()).spawn(asked) {
        Ok(_) => drop(give.send((host, then))),
        Err(error) => answer(Err(error), then),
    }
}

fn answer(ips: io::Result<Vec<IpAddr>>, then: Then) {
    // The system does not tell a name that is not there from a server that is not.
    then(ips.map(|ips| Resolved::Addresses { ips, ttl: TTL }).map_err(|_| ResolveError::Failed));
}

fn addresses(host: &str) -> io::Result<Vec<IpAddr>> {
    Ok((host, 0).to_socket_addrs()?.map(|address| address.ip()).collect())
}

async fn lookup(runtime: Runtime, host: &str) -> io::Result<Vec<IpAddr>> {
    match runtime {
        Runtime::Threads => addresses(host),
        #[cfg(feature = "tokio")]
        Runtime::Tokio => {
            let all = tokio::net::lookup_host((host, 0)).await?;
            Ok(all.map(|address| address.ip()).collect())
        }
        #[cfg(feature = "async-std")]
        Runtime::AsyncStd => {
            let all = async_std::net::ToSocketAddrs::to_socket_addrs(&(host, 0)).await?;
            Ok(all.map(|address| address.ip()).collect())
        }
    }
}
