//! Putting a server together.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chat_core::base::Limits;
use chat_core::effect;
use chat_core::ext::Extension;
use chat_core::sasl::{Mechanism, Secret};
use chat_core::session::Listener;

use super::ServerHandle;
use crate::auth::{self, Anonymous, AsyncAuthenticator, Authenticator};
#[cfg(feature = "rustls")]
use crate::cluster::Cluster;
use crate::net::{BindError, Runtime};
use crate::proxy::TrustedProxies;
use crate::spawn::Spawner;
use crate::store::{self, Accounts, AsyncStore, Store};
use crate::worker::{MakeExtension, Tls};

/// How long a shutdown waits for streams to close and for the store, unless set otherwise.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(25);
/// Workers of one server.
pub(super) const WORKERS_MAX: u16 = 1024;

/// Operations of an asynchronous store or authenticator that may be under way; beyond it they are refused at once.
const UNDER_WAY_MAX: usize = 16_384;

/// A chat server, to be put together with [`Server::builder`].
#[derive(Debug)]
pub enum Server {}

impl Server {
    /// A server without domain and listener. The least it needs is a [domain](ServerBuilder::domain): without a store
    /// and an authenticator, accounts and messages live in memory.
    #[must_use]
    pub fn builder() -> ServerBuilder {
        ServerBuilder {
            domains: Vec::new(),
            store: None,
            accounts: None,
            accounts_to_make: Vec::new(),
            authenticator: None,
            spawner: None,
            listeners: Vec::new(),
            tls: None,
            #[cfg(feature = "rustls")]
            cluster: None,
            extensions: Vec::new(),
            extensions_disabled: Vec::new(),
            secret: None,
            software: None,
            limits: Limits::default(),
            workers: 1,
            proxies: TrustedProxies::default(),
            runtime: None,
            shutdown_timeout: SHUTDOWN_TIMEOUT,
        }
    }
}

/// One domain of a server.
#[derive(Debug, Clone)]
pub struct Domain {
    /// Without mechanisms: those of its authenticator.
    pub(super) settings: effect::Domain,
    pub(super) authenticator: Option<Arc<dyn Authenticator>>,
}

impl Domain {
    /// A domain with accounts: logins and in-band registration as the authenticator can serve them, passwords under TLS
    /// only, registration closed.
    #[must_use]
    pub fn new(name: &str) -> Domain {
        let settings = effect::Domain { mechanisms: Vec::new(), ..effect::Domain::new(name) };
        Domain { settings, authenticator: None }
    }

    /// A domain for guests (SASL ANONYMOUS): anybody gets a name that ends with the session, nothing is stored.
    #[must_use]
    pub fn anonymous(name: &str) -> Domain {
        let mut domain = Domain::new(name).authenticator(Arc::new(Anonymous));
        domain.settings.ephemeral = true;
        domain.settings.account_management = false;
        domain
    }

    /// Whether clients may log in without TLS: for tests and trusted networks.
    #[must_use]
    pub fn plaintext(mut self, allowed: bool) -> Domain {
        self.settings.plaintext = allowed;
        self
    }

    /// Whether anybody may register an account in-band (XEP-0077).
    #[must_use]
    pub fn registration(mut self, open: bool) -> Domain {
        self.settings.registration = open;
        self
    }

    /// Whether users may change their password and remove their account in-band (XEP-0077); they may, unless set.
    #[must_use]
    pub fn account_management(mut self, allowed: bool) -> Domain {
        self.settings.account_management = allowed;
        self
    }

    /// Other SASL mechanisms than the authenticator names, in the order to offer them.
    #[must_use]
    pub fn mechanisms(mut self, mechanisms: Vec<Mechanism>) -> Domain {
        self.settings.mechanisms = mechanisms;
        self
    }

    /// Other limits than the server's, for its users and their streams. Those that concern a whole worker are the
    /// server's all the same; [`Limits`] says which they are.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Domain {
        self.settings.limits = Some(limits);
        self
    }

    /// Other extensions left out than [the server's](ServerBuilder::without_extension): neither announced nor served
    /// for this domain, and not called for its users. By number, as there, or by the [name](Extension::name) of one of
    /// your own.
    #[must_use]
    pub fn without_extensions<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Domain {
        self.settings.extensions_disabled = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// An authenticator of its own, instead of the server's.
    #[must_use]
    pub fn authenticator(mut self, authenticator: Arc<dyn Authenticator>) -> Domain {
        self.authenticator = Some(authenticator);
        self
    }
}

impl From<effect::Domain> for Domain {
    fn from(settings: effect::Domain) -> Domain {
        Domain { settings, authenticator: None }
    }
}

impl From<&str> for Domain {
    fn from(name: &str) -> Domain {
        Domain::new(name)
    }
}

/// Makes a store or an authenticator of asynchronous code, once it is known where that runs.
pub(super) type OnSpawner<T> = Box<dyn FnOnce(&mut dyn FnMut() -> Spawner) -> Arc<T> + Send>;

/// The parts of a server that does not run yet.
pub struct ServerBuilder {
    pub(super) domains: Vec<Domain>,
    pub(super) store: Option<OnSpawner<dyn Store>>,
    pub(super) accounts: Option<Arc<dyn Accounts>>,
    pub(super) accounts_to_make: Vec<(String, Secret)>,
    pub(super) authenticator: Option<OnSpawner<dyn Authenticator>>,
    pub(super) spawner: Option<Spawner>,
    pub(super) listeners: Vec<(Listener, SocketAddr)>,
    pub(super) tls: Option<Tls>,
    #[cfg(feature = "rustls")]
    pub(super) cluster: Option<Cluster>,
    pub(super) extensions: Vec<MakeExtension>,
    pub(super) extensions_disabled: Vec<String>,
    pub(super) secret: Option<[u8; 16]>,
    pub(super) software: Option<(&'static str, &'static str)>,
    pub(super) limits: Limits,
    pub(super) workers: u16,
    pub(super) proxies: TrustedProxies,
    pub(super) runtime: Option<Runtime>,
    pub(super) shutdown_timeout: Duration,
}

impl ServerBuilder {
    /// One more domain: a name, or a [`Domain`] with settings of its own.
    #[must_use]
    pub fn domain(mut self, domain: impl Into<Domain>) -> Self {
        self.domains.push(domain.into());
        self
    }

    /// Where users and their messages are kept. The server closes its store when it ends.
    #[must_use]
    pub fn store(mut self, store: Arc<dyn Store>) -> Self {
        self.store = Some(Box::new(|_| store));
        self
    }

    /// The same, written in asynchronous code: it runs on the [spawner](ServerBuilder::spawner).
    #[must_use]
    pub fn async_store<S: AsyncStore>(mut self, store: Arc<S>) -> Self {
        self.store =
            Some(Box::new(|spawner| Arc::new(store::Asynchronous::new(store, spawner(), UNDER_WAY_MAX))));
        self
    }

    /// The accounts of all domains for which there is no authenticator: often the same object as the store.
    #[must_use]
    pub fn accounts(mut self, accounts: Arc<dyn Accounts>) -> Self {
        self.accounts = Some(accounts);
        self
    }

    /// An account that is to exist when the server starts: made then, among the [accounts](ServerBuilder::accounts),
    /// unless there is one of this name (`juliet@example.org`); its password stays what it is. For tests, bots and the
    /// first administrator.
    #[must_use]
    pub fn account(mut self, user: impl Into<String>, password: impl Into<Secret>) -> Self {
        self.accounts_to_make.push((user.into(), password.into()));
        self
    }

    /// Who decides about logins to domains that have no authenticator of their own.
    #[must_use]
    pub fn authenticator(mut self, authenticator: Arc<dyn Authenticator>) -> Self {
        self.authenticator = Some(Box::new(|_| authenticator));
        self
    }

    /// The same, written in asynchronous code: it runs on the [spawner](ServerBuilder::spawner).
    #[must_use]
    pub fn async_authenticator<A: AsyncAuthenticator>(mut self, authenticator: Arc<A>) -> Self {
        self.authenticator = Some(Box::new(|spawner| {
            Arc::new(auth::Asynchronous::new(authenticator, spawner(), UNDER_WAY_MAX))
        }));
        self
    }

    /// Where asynchronous stores and authenticators run. Else they do on the caller's runtime if the workers do, and
    /// on one thread of the server's own if not.
    #[must_use]
    pub fn spawner(mut self, spawner: Spawner) -> Self {
        self.spawner = Some(spawner);
        self
    }

    /// One more address to listen on. With port 0 the system chooses ([`ServerHandle::local_addrs`] tells). IPv6
    /// addresses take IPv6 only, so `[::]` goes beside `0.0.0.0`.
    #[must_use]
    pub fn listen(mut self, listener: Listener, address: SocketAddr) -> Self {
        self.listeners.push((listener, address));
        self
    }

    /// TLS, for STARTTLS and for listeners of direct TLS. A clone of the same handle can be given new certificates
    /// while the server runs.
    #[cfg(feature = "rustls")]
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// The server is a node of this cluster: its users can be reached from every other node, and reach those of all others.
    /// The nodes have to serve the same domains, and to share their store and accounts. If the node cannot be part of the
    /// cluster (its name is taken), the server ends; [`ServerHandle::cluster`] says why.
    #[cfg(feature = "rustls")]
    #[must_use]
    pub fn cluster(mut self, cluster: Cluster) -> Self {
        self.cluster = Some(cluster);
        self
    }

    /// One more extension of the protocol. Each worker gets its own, from `make`, and another one if it must begin anew
    /// after a panic.
    #[must_use]
    pub fn extension<E: Extension + 'static>(mut self, make: impl Fn() -> E + Send + Sync + 'static) -> Self {
        self.extensions.push(Box::new(move || Box::new(make())));
        self
    }

    /// One extension less, by its number: `xep0280`; see `chat_core::xep::NAMES`. A domain may have a list of its own
    /// ([`Domain::without_extensions`]).
    #[must_use]
    pub fn without_extension(mut self, name: impl Into<String>) -> Self {
        self.extensions_disabled.push(name.into());
        self
    }

    /// What keeps it secret, across restarts, which users do not exist: they get salts made from this (RFC 5802 §9).
    /// Without one, a client that asks before and after a restart can tell.
    #[must_use]
    pub fn salt_secret(mut self, secret: [u8; 16]) -> Self {
        self.secret = Some(secret);
        self
    }

    /// The name and the version that the server gives to those who ask (XEP-0092).
    #[must_use]
    pub fn software(mut self, name: &'static str, version: &'static str) -> Self {
        self.software = Some((name, version));
        self
    }

    /// Other limits; a domain may have its own ([`Domain::limits`]).
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// How many worker threads [`start`](ServerBuilder::start) makes: 1 unless set, 1,024 at most.
    #[must_use]
    pub fn workers(mut self, workers: u16) -> Self {
        self.workers = workers;
        self
    }

    /// From whom PROXY headers are believed, and due: a connection from such an address must begin with one.
    #[must_use]
    pub fn proxy_from(mut self, proxies: TrustedProxies) -> Self {
        self.proxies = proxies;
        self
    }

    /// Which runtime [`start`](ServerBuilder::start) uses on its own threads: none ([`Runtime::Threads`]) unless set.
    #[must_use]
    pub fn runtime(mut self, runtime: Runtime) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// How long a shutdown may take, 25 seconds unless set: connections that will not close, and stores that do not
    /// answer, are given up then.
    #[must_use]
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.shutdown_timeout = timeout;
        self
    }

    /// Starts the server on threads of its own. May be called from inside any runtime, or without one. It asks the
    /// authenticators for their mechanisms, and some look into their store for that: this may block for a moment.
    ///
    /// # Errors
    /// Anything wrong with the settings, addresses that cannot be listened on, no threads to be had. Nothing runs
    /// then.
    pub fn start(self) -> Result<ServerHandle, StartError> {
        let runtime = self.runtime.unwrap_or(Runtime::Threads);
        super::start::start(self, runtime, true)
    }

    /// Starts the server as `workers` tasks on the runtime that this is called from.
    ///
    /// # Errors
    /// As [`start`](ServerBuilder::start), and [`StartError::NoRuntime`] if this is not called from inside a runtime of
    /// this build.
    pub fn on_current_runtime(mut self, workers: u16) -> Result<ServerHandle, StartError> {
        self.workers = workers;
        let runtime = Runtime::current().ok_or(StartError::NoRuntime)?;
        super::start::start(self, runtime, false)
    }
}

impl std::fmt::Debug for ServerBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerBuilder")
            .field("domains", &self.domains)
            .field("listeners", &self.listeners)
            .field("workers", &self.workers)
            .finish_non_exhaustive()
    }
}

/// Why a server does not start. Nothing of it runs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// There is no domain.
    #[error("a server needs a domain")]
    NoDomain,
    /// The name of a domain is none.
    #[error("{name:?} is not the name of a domain: {reason}")]
    BadDomain {
        /// As given.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A domain was given twice.
    #[error("the domain {name:?} is there twice")]
    DomainTwice {
        /// Its prepared name.
        name: String,
    },
    /// Nobody knows the accounts of a domain.
    #[error("the domain {name:?} has no authenticator: give the builder `accounts` or an `authenticator`")]
    NoAuthenticator {
        /// Its prepared name.
        name: String,
    },
    /// An account that was asked for cannot be made.
    #[error("cannot make the account {name:?}: {reason}")]
    Account {
        /// As given.
        name: String,
        /// Why not.
        reason: String,
    },
    /// Nobody who connects could ever log in to a domain: passwords travel under TLS only there, and there is no TLS.
    #[error(
        "nobody can log in to the domain {name:?}: it wants TLS, and the server has none \
         (give the builder `tls`, or the domain `plaintext(true)`)"
    )]
    NoWayIn {
        /// Its prepared name.
        name: String,
    },
    /// There is to be no worker, or more than there may be.
    #[error("a server has 1 to 1024 workers, not {0}")]
    Workers(u16),
    /// A listener of direct TLS needs TLS.
    #[error("listening for direct TLS on {address} needs TLS settings")]
    NoTls {
        /// Its address.
        address: SocketAddr,
    },
    /// An address cannot be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The system has no thread, or no reactor for it.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] std::io::Error),
    /// There is no runtime here to run on.
    #[error("not called from inside a runtime that this build knows")]
    NoRuntime,
}
