//! Names of nodes, asked for.
//!
//! With the feature `dns` by a resolver of our own, which knows SRV records and how long answers live, and needs nothing of
//! the system's C library; without it, or if the system's `/etc/resolv.conf` cannot be read, by what the runtime has:
//! addresses only.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use chat_core::base::Span;
use chat_core::cluster::discovery::{Answer, Query, ResolveError, Service};

#[cfg(feature = "dns")]
pub(super) mod own;
mod system;

/// What DNS said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolved {
    /// The addresses of a host.
    Addresses {
        /// All of them.
        ips: Vec<IpAddr>,
        /// How long they live.
        ttl: Duration,
    },
    /// The targets of a service.
    Services {
        /// All of them.
        services: Vec<Service>,
        /// How long they live.
        ttl: Duration,
    },
}

/// To be called once, from any thread.
pub type Then = Box<dyn FnOnce(Result<Resolved, ResolveError>) + Send>;

/// Somebody who knows names.
pub trait Resolve: Send + Sync {
    /// Asks, without blocking, and calls `then` in bounded time. Called from inside the runtime of the cluster's thread.
    fn ask(&self, query: Query, then: Then);
}

/// Who is asked for names. Cheap to clone.
#[derive(Clone)]
pub struct Resolver(Arc<dyn Resolve>);

impl Resolver {
    /// One of the caller's.
    pub fn new(resolve: impl Resolve + 'static) -> Resolver {
        Resolver(Arc::new(resolve))
    }

    /// What this build has for the names of this system.
    ///
    /// # Panics
    /// With the feature `dns`, if the system has no thread to give.
    #[must_use]
    pub fn built_in() -> Resolver {
        #[cfg(feature = "dns")]
        match own::Own::of_system() {
            Ok(own) => return Resolver::new(own),
            Err(error) => {
                tracing::warn!(%error, "the system's DNS settings cannot be read: its own resolver is asked for addresses");
            }
        }
        Resolver::new(system::System)
    }

    pub(super) fn ask(&self, query: Query, then: Then) {
        self.0.ask(query, then);
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resolver")
    }
}

impl Resolved {
    /// In the words of the core.
    pub(super) fn answer(&self) -> Answer<'_> {
        let span = |ttl: &Duration| Span(u64::try_from(ttl.as_nanos()).unwrap_or(u64::MAX));
        match self {
            Resolved::Addresses { ips, ttl } => Answer::Addresses { ips, ttl: span(ttl) },
            Resolved::Services { services, ttl } => Answer::Services { services, ttl: span(ttl) },
        }
    }
}
