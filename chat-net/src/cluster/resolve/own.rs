//! A resolver of our own, by hickory.

use std::time::{Duration, Instant};

use chat_core::cluster::discovery::{Query, ResolveError, Service};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{LookupIpStrategy, ResolverOpts};
use hickory_resolver::net::NetError;
use hickory_resolver::proto::rr::RData;

use super::{Resolve, Resolved, Then};
use crate::spawn::Spawner;

/// How long one server has for an answer; another, or the same again, has as long.
const TIMEOUT: Duration = Duration::from_secs(3);

/// See the [module](self).
pub(in crate::cluster) struct Own {
    resolver: TokioResolver,
    spawner: Spawner,
}

impl Own {
    /// With the servers, search domains and hosts of this system. Its queries run on a service thread, unless this is called
    /// from inside tokio.
    pub(super) fn of_system() -> Result<Own, NetError> {
        let mut builder = TokioResolver::builder_tokio()?;
        set_options(builder.options_mut());
        Ok(Own { resolver: builder.build()?, spawner: Spawner::current().for_tokio() })
    }

    /// With these servers and nothing else.
    #[cfg(test)]
    pub(in crate::cluster) fn with_config(config: hickory_resolver::config::ResolverConfig) -> Own {
        let provider = hickory_resolver::net::runtime::TokioRuntimeProvider::default();
        let mut builder = TokioResolver::builder_with_config(config, provider);
        set_options(builder.options_mut());
        Own { resolver: builder.build().expect("the settings are sound"), spawner: Spawner::service() }
    }
}

fn set_options(options: &mut ResolverOpts) {
    // Discovery remembers answers itself, and asks for a name that does not exist again soon, whatever its zone says.
    options.cache_size = 0;
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    options.timeout = TIMEOUT;
    options.attempts = 1;
}

impl Resolve for Own {
    fn ask(&self, query: Query, then: Then) {
        let resolver = self.resolver.clone();
        self.spawner.spawn(async move {
            let result = match &query {
                Query::Addresses(host) => addresses(&resolver, host).await,
                Query::Services(name) => services(&resolver, name).await,
            };
            then(result.map_err(|error| {
                tracing::debug!(name = %query.name(), %error, "a name does not resolve");
                // Both: the name is not there, and it has no record of that kind.
                if error.is_no_records_found() { ResolveError::NotFound } else { ResolveError::Failed }
            }));
        });
    }
}

async fn addresses(resolver: &TokioResolver, host: &str) -> Result<Resolved, NetError> {
    let found = resolver.lookup_ip(host).await?;
    Ok(Resolved::Addresses { ips: found.iter().collect(), ttl: until(found.valid_until()) })
}

async fn services(resolver: &TokioResolver, name: &str) -> Result<Resolved, NetError> {
    let found = resolver.srv_lookup(name).await?;
    let service = |data: &RData| match data {
        RData::SRV(srv) => {
            let host = srv.target.to_ascii();
            let host = host.strip_suffix('.').unwrap_or(&host);
            // "." says that there is no such service (RFC 2782).
            (!host.is_empty()).then_some(Service { host: host.into(), port: srv.port })
        }
        _ => None,
    };
    let services = found.answers().iter().filter_map(|record| service(&record.data)).collect();
    Ok(Resolved::Services { services, ttl: until(found.valid_until()) })
}

fn until(at: Instant) -> Duration {
    at.saturating_duration_since(Instant::now())
}
