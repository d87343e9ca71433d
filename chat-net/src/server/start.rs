//! Starting: from a builder to running workers.

use std::collections::{BTreeMap, HashMap};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Context;

use chat_core::base::{HashKey, Span, WorkerId};
use chat_core::effect::{self, Settings};
use chat_core::engine::{Command, KickReason};
use chat_core::jid::BareJid;
use chat_core::sasl::{Mechanism, Secret};
use chat_core::session::Listener;

use super::builder::{Domain, WORKERS_MAX};
use super::cluster::Cluster;
use super::handle::Inner;
use super::mechanisms;
use super::{EventHub, Life, Member, ServerBuilder, ServerHandle, StartError};
use crate::auth::{Authenticator, KeyPool, NewAccountError, StoreAuthenticator, create_account};
use crate::net::{Acceptor, Clock, Detached, Incoming, Runtime, bind};
use crate::proxy::TrustedProxies;
use crate::spawn::Spawner;
use crate::store::{Accounts, Memory, Store};
use crate::worker::{Counters, Inbox, Letter, Seat, Seated, Shared, Worker};

pub(super) fn start(
    mut builder: ServerBuilder,
    runtime: Runtime,
    own_threads: bool,
) -> Result<ServerHandle, StartError> {
    if builder.workers == 0 || builder.workers > WORKERS_MAX {
        return Err(StartError::Workers(builder.workers));
    }
    let names = std::mem::take(&mut builder.domains);
    if !own_threads && builder.spawner.is_none() {
        builder.spawner = Some(runtime.spawner_here());
    }
    let (store, mut services) = services(&mut builder);
    services.make_accounts(&builder.accounts_to_make)?;
    let mut asked = BTreeMap::new();
    let (domains, authenticators) = check_domains(names, &mut services, &mut asked)?;
    // Without a listener there is a way in all the same: connections inside the process count as secured.
    if builder.tls.is_none()
        && !builder.listeners.is_empty()
        && let Some(closed) = domains.iter().find(|domain| !domain.plaintext)
    {
        return Err(StartError::NoWayIn { name: closed.name.clone() });
    }
    let (listeners, kinds, addresses) = listen(&builder)?;
    let cluster = Cluster::of(&mut builder);
    let salt_secret = builder.secret.unwrap_or_else(random);
    let mut settings = Settings::new(domains, HashKey::from_bytes(random()), salt_secret);
    settings.limits = builder.limits;
    settings.workers = builder.workers;
    settings.starttls = builder.tls.is_some();
    settings.extensions_disabled = builder.extensions_disabled;
    settings.cluster = cluster.name();
    if let Some(software) = builder.software {
        (settings.software, settings.version) = software;
    }
    let shared = Arc::new(Shared {
        runtime,
        clock: Clock::new(),
        inboxes: (0..builder.workers).map(|_| Arc::new(Inbox::default())).collect(),
        seats: (0..builder.workers).map(|_| Seat::default()).collect(),
        post: cluster.post(),
        settings,
        store: store.clone(),
        authenticators,
        asked: Mutex::new(asked),
        extensions: builder.extensions,
        tls: builder.tls,
        events: Arc::new(EventHub::default()),
        counters: (0..builder.workers).map(|_| Counters::default()).collect(),
        shutdown_timeout: Span(u64::try_from(builder.shutdown_timeout.as_nanos()).unwrap_or(u64::MAX)),
        accepted: AtomicU64::new(0),
        engines: AtomicUsize::new(usize::from(builder.workers)),
        workers: AtomicUsize::new(usize::from(builder.workers)),
    });
    watch_accounts(&shared);
    let life = Life::new(store, shared.events.clone());
    let troubled = Arc::new(AtomicBool::new(false));
    // All are members before any runs, so that the first to end is not taken for the last.
    let worker = |id| Seated::new(Worker::new(WorkerId(id), shared.clone(), life.join()));
    let workers: Vec<Seated> = (0..builder.workers).map(worker).collect();
    let gate = Gate {
        shared: shared.clone(),
        life: life.clone(),
        kinds,
        proxies: builder.proxies,
        next: 0,
        _member: life.join(),
    };
    let acceptor = Acceptor::new(listeners, Box::new(gate), runtime, shared.clock, troubled.clone());
    let cluster = cluster.start(runtime, &shared, &life)?;
    let pings = Mutex::default();
    let handle = ServerHandle::new(Inner { shared, life, addresses, troubled, pings, cluster });
    run(&handle, workers, acceptor, own_threads)?;
    Ok(handle)
}

/// Workers and acceptor run from now on.
fn run(
    handle: &ServerHandle,
    workers: Vec<Seated>,
    acceptor: Acceptor,
    own_threads: bool,
) -> Result<(), StartError> {
    let (shared, life) = (handle.shared(), handle.life());
    let runtime = shared.runtime;
    if !own_threads {
        for worker in workers {
            runtime.spawn_here(worker);
        }
        runtime.spawn_here(acceptor);
        return Ok(());
    }
    for (id, worker) in workers.into_iter().enumerate() {
        let inbox = shared.inboxes[id].clone();
        let thread =
            runtime.run_on_thread(format!("chat-worker-{id}"), worker, move |ready| inbox.ready_here(ready));
        // Those that run already end, as the handle asks them to.
        life.keep(thread.map_err(|error| abandon(handle, error))?);
    }
    let thread = runtime.run_on_thread("chat-accept".into(), acceptor, |_| {});
    life.keep(thread.map_err(|error| abandon(handle, error))?);
    Ok(())
}

fn abandon(handle: &ServerHandle, error: std::io::Error) -> StartError {
    handle.begin_shutdown();
    StartError::Thread(error)
}

/// Who may decide about logins.
struct Services {
    authenticator: Option<Arc<dyn Authenticator>>,
    accounts: Option<Arc<dyn Accounts>>,
    /// Made when it is first needed.
    keys: Option<KeyPool>,
}

impl Services {
    /// Makes those accounts that do not exist.
    fn make_accounts(&self, wanted: &[(String, Secret)]) -> Result<(), StartError> {
        for (name, password) in wanted {
            let fault = |reason| StartError::Account { name: name.clone(), reason };
            let Some(accounts) = &self.accounts else {
                return Err(fault("the server has no accounts".into()));
            };
            match create_account(&**accounts, name, password.expose()) {
                Ok(()) | Err(NewAccountError::Exists) => {}
                Err(error) => return Err(fault(error.to_string())),
            }
        }
        Ok(())
    }

    /// The authenticator of a domain that has none of its own.
    fn authenticator(&mut self, domain: &str) -> Result<Arc<dyn Authenticator>, StartError> {
        if let Some(authenticator) = &self.authenticator {
            return Ok(authenticator.clone());
        }
        let Some(accounts) = &self.accounts else {
            return Err(StartError::NoAuthenticator { name: domain.to_owned() });
        };
        let keys = match &self.keys {
            Some(keys) => keys.clone(),
            None => self.keys.insert(KeyPool::new().map_err(StartError::Thread)?).clone(),
        };
        Ok(Arc::new(StoreAuthenticator::new(domain, accounts.clone(), keys)))
    }
}

/// The store and the server's own authenticator; both in memory if neither is given.
fn services(builder: &mut ServerBuilder) -> (Arc<dyn Store>, Services) {
    let (store, authenticator) = (builder.store.take(), builder.authenticator.take());
    let mut accounts = builder.accounts.take();
    let mut spawner = builder.spawner.take();
    let mut spawner = || spawner.get_or_insert_with(Spawner::service).clone();
    let store = match store {
        Some(make) => make(&mut spawner),
        None => {
            let memory = Arc::new(Memory::new());
            if accounts.is_none() {
                accounts = Some(memory.clone());
            }
            memory
        }
    };
    let authenticator = authenticator.map(|make| make(&mut spawner));
    (store, Services { authenticator, accounts, keys: None })
}

type Authenticators = HashMap<String, Arc<dyn Authenticator>>;

fn check_domains(
    domains: Vec<Domain>,
    services: &mut Services,
    asked: &mut BTreeMap<String, Vec<Mechanism>>,
) -> Result<(Vec<effect::Domain>, Authenticators), StartError> {
    if domains.is_empty() {
        return Err(StartError::NoDomain);
    }
    let mut authenticators = Authenticators::new();
    let mut all = Vec::new();
    for Domain { mut settings, authenticator } in domains {
        settings.name = prepare(settings.name)?;
        let authenticator = match authenticator {
            Some(authenticator) => authenticator,
            None => services.authenticator(&settings.name)?,
        };
        if settings.mechanisms.is_empty() {
            settings.mechanisms = mechanisms::of(&*authenticator, settings.ephemeral);
            asked.insert(settings.name.clone(), settings.mechanisms.clone());
        }
        if authenticators.insert(settings.name.clone(), authenticator).is_some() {
            return Err(StartError::DomainTwice { name: settings.name });
        }
        all.push(settings);
    }
    Ok((all, authenticators))
}

/// The prepared form of a domain's name (RFC 7622 §3.2).
fn prepare(name: String) -> Result<String, StartError> {
    match BareJid::parse(&name) {
        Ok(jid) if jid.local().is_none() => Ok(jid.domain().to_owned()),
        Ok(_) => Err(StartError::BadDomain { name, reason: "there is a localpart before it".into() }),
        Err(error) => Err(StartError::BadDomain { name, reason: error.to_string() }),
    }
}

type Listening = (Vec<TcpListener>, Vec<Listener>, Vec<(Listener, SocketAddr)>);

fn listen(builder: &ServerBuilder) -> Result<Listening, StartError> {
    let (mut listeners, mut kinds, mut addresses) = (Vec::new(), Vec::new(), Vec::new());
    for &(kind, address) in &builder.listeners {
        if kind == Listener::ClientsTls && builder.tls.is_none() {
            return Err(StartError::NoTls { address });
        }
        let listener = bind(address)?;
        let bound = listener.local_addr().map_err(|source| crate::net::BindError { address, source })?;
        listeners.push(listener);
        kinds.push(kind);
        addresses.push((kind, bound));
    }
    Ok((listeners, kinds, addresses))
}

/// Sessions of accounts that are removed behind the engines' backs are closed.
fn watch_accounts(shared: &Arc<Shared>) {
    let shared_again = Arc::downgrade(shared);
    shared.store.on_account_removed(Arc::new(move |user| {
        if let Some(shared) = shared_again.upgrade() {
            let home = shared.settings.home(user.as_str());
            let kick = Command::Kick { user: user.clone(), reason: KickReason::AccountRemoved };
            shared.inboxes[usize::from(home.0)].post(Letter::Command(kick));
        }
    }));
}

fn random() -> [u8; 16] {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the system gives randomness");
    bytes
}

/// Gives accepted connections to the workers, in turn.
struct Gate {
    shared: Arc<Shared>,
    life: Arc<Life>,
    /// Of the listeners.
    kinds: Vec<Listener>,
    proxies: TrustedProxies,
    next: usize,
    _member: Member,
}

impl Incoming for Gate {
    fn accepted(&mut self, listener: usize, stream: TcpStream, peer: SocketAddr) {
        let inbox = &self.shared.inboxes[self.next];
        self.next = (self.next + 1) % self.shared.inboxes.len();
        self.shared.accepted.fetch_add(1, Ordering::Relaxed);
        let peer = peer.ip().to_canonical();
        inbox.post(Letter::Accepted {
            socket: Detached::Tcp(stream),
            listener: self.kinds[listener],
            peer,
            proxied: self.proxies.contains(peer),
        });
    }

    fn poll_stop(&mut self, cx: &mut Context<'_>) -> bool {
        self.life.poll_doors(cx).is_ready()
    }
}
