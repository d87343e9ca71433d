//! The resolver of the system, through the runtime.

use std::io;
use std::net::{IpAddr, SocketAddr};
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
        runtime.spawn_here(async move {
            // The system does not tell a name that is not there from a server that is not.
            let failed = |_| ResolveError::Failed;
            let ips = lookup(runtime, &host).await;
            then(ips.map(|ips| Resolved::Addresses { ips, ttl: TTL }).map_err(failed));
        });
    }
}

async fn lookup(runtime: Runtime, host: &str) -> io::Result<Vec<IpAddr>> {
    match runtime {
        #[cfg(feature = "tokio")]
        Runtime::Tokio => {
            let all = tokio::net::lookup_host((host, 0)).await?;
            Ok(all.map(|address: SocketAddr| address.ip()).collect())
        }
        #[cfg(feature = "async-std")]
        Runtime::AsyncStd => {
            use async_std::net::ToSocketAddrs as _;
            let all = (host, 0).to_socket_addrs().await?;
            Ok(all.map(|address: SocketAddr| address.ip()).collect())
        }
    }
}
