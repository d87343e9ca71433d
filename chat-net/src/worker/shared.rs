//! What all workers of a server share.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use chat_core::base::{Span, WorkerId};
use chat_core::effect::Settings;
use chat_core::engine::Engine;
use chat_core::ext::Extension;
use chat_core::sasl::Mechanism;
use chat_core::xep;

use super::Worker;
use super::inbox::{Inbox, Letter};
use super::post::{Note, Post};
use super::seat::Seat;
use super::secure::Tls;
use crate::auth::Authenticator;
use crate::net::{Clock, Runtime};
use crate::server::{EventHub, Member};
use crate::store::Store;

/// Makes an extension for a new engine.
pub(crate) type MakeExtension = Box<dyn Fn() -> Box<dyn Extension> + Send + Sync>;

/// What all workers of a server share.
pub(crate) struct Shared {
    pub(crate) runtime: Runtime,
    pub(crate) clock: Clock,
    /// One for each worker.
    pub(crate) inboxes: Vec<Arc<Inbox>>,
    /// One for each worker.
    pub(crate) seats: Vec<Seat<Worker>>,
    /// What the workers have for the cluster, if the node is part of one.
    pub(crate) post: Option<Arc<Post>>,
    /// Of the engines; each gets its worker's number.
    pub(crate) settings: Settings,
    pub(crate) store: Arc<dyn Store>,
    /// By prepared domain.
    pub(crate) authenticators: HashMap<String, Arc<dyn Authenticator>>,
    /// What the authenticators of those domains said last whose mechanisms follow from that.
    pub(crate) asked: Mutex<BTreeMap<String, Vec<Mechanism>>>,
    /// Each makes an extension for a new engine.
    pub(crate) extensions: Vec<MakeExtension>,
    pub(crate) tls: Option<Tls>,
    pub(crate) events: Arc<EventHub>,
    /// One for each worker.
    pub(crate) counters: Vec<Counters>,
    pub(crate) shutdown_timeout: Span,
    /// Connections accepted so far.
    pub(crate) accepted: AtomicU64,
    /// Workers whose engine has not stopped.
    pub(crate) engines: AtomicUsize,
    /// Workers that are not gone.
    pub(crate) workers: AtomicUsize,
}

/// What a worker counts.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Connections now.
    pub(crate) connections: AtomicUsize,
    /// Turns by its own future so far.
    pub(crate) turns: AtomicU64,
    /// Turns by other workers so far.
    pub(crate) guest_turns: AtomicU64,
    /// Connections given to other workers so far.
    pub(crate) moved: AtomicU64,
    /// Panics so far.
    pub(crate) panics: AtomicU64,
    /// The worker is gone.
    pub(crate) gone: AtomicBool,
}

impl Shared {
    /// A new engine for this worker, with randomness of its own.
    pub(super) fn engine(&self, worker: WorkerId) -> Engine {
        let mut seed = [0; 32];
        // Without randomness there is no security, and the systems that have none do not run servers.
        getrandom::fill(&mut seed).expect("the system gives randomness");
        let mut settings = Settings { worker, ..self.settings.clone() };
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        for domain in &mut settings.domains {
            if let Some(now) = asked.get(&domain.name) {
                domain.mechanisms.clone_from(now);
            }
        }
        drop(asked);
        let mut extensions = xep::standard(&settings);
        extensions.extend(self.extensions.iter().map(|make| make()));
        Engine::new(settings, seed, extensions)
    }

    /// Whether no engine has anything left to tell another.
    pub(super) fn have_all_stopped(&self) -> bool {
        self.engines.load(Ordering::Acquire) == 0
    }
}

/// A worker's part in the end of its server. However the worker ends, also when its runtime drops it, this tells.
pub(crate) struct WorkerEnd {
    shared: Arc<Shared>,
    worker: WorkerId,
    stopped: bool,
    _member: Member,
}

impl WorkerEnd {
    pub(crate) fn new(shared: Arc<Shared>, worker: WorkerId, member: Member) -> WorkerEnd {
        WorkerEnd { shared, worker, stopped: false, _member: member }
    }

    /// The engine has nothing left to do. It goes on working for the engines that have: their mail may still come.
    pub(super) fn engine_stopped(&mut self) {
        if std::mem::replace(&mut self.stopped, true) {
            return;
        }
        if self.shared.engines.fetch_sub(1, Ordering::AcqRel) == 1 {
            for inbox in &self.shared.inboxes {
                inbox.post(Letter::Nudge);
            }
        }
    }
}

impl Drop for WorkerEnd {
    fn drop(&mut self) {
        let index = usize::from(self.worker.0);
        self.shared.counters[index].gone.store(true, Ordering::Relaxed);
        self.shared.inboxes[index].close();
        self.engine_stopped();
        if self.shared.workers.fetch_sub(1, Ordering::AcqRel) == 1
            && let Some(post) = &self.shared.post
        {
            post.put(Note::Gone);
        }
    }
}
