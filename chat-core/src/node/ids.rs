//! Which connection of the driver is which connection of which worker.

use std::collections::BTreeMap;

use crate::base::{ConnId, Slots, WorkerId};

/// The connections of a node. The driver names them once; each worker has names of its own.
pub(super) struct Conns {
    by_outer: BTreeMap<ConnId, (WorkerId, ConnId)>,
    /// The names that each worker uses, and the driver's.
    by_worker: Vec<Slots<ConnId>>,
}

impl Conns {
    /// No connections of so many workers.
    pub(super) fn new(workers: u16) -> Self {
        Conns { by_outer: BTreeMap::new(), by_worker: (0..workers).map(|_| Slots::new()).collect() }
    }

    /// A new connection at a worker.
    ///
    /// # Panics
    /// If the driver uses the name already.
    pub(super) fn open(&mut self, outer: ConnId, worker: WorkerId) -> ConnId {
        let inner = ConnId(self.by_worker[usize::from(worker.0)].insert(outer));
        let old = self.by_outer.insert(outer, (worker, inner));
        assert!(old.is_none(), "the driver gave the id {outer:?} to two live connections");
        inner
    }

    /// Where a connection is.
    pub(super) fn inner(&self, outer: ConnId) -> Option<(WorkerId, ConnId)> {
        self.by_outer.get(&outer).copied()
    }

    /// What the driver calls a connection of a worker.
    pub(super) fn outer(&self, worker: WorkerId, inner: ConnId) -> Option<ConnId> {
        self.by_worker[usize::from(worker.0)].get(inner.0).copied()
    }

    /// The end of a connection; returns what the driver calls it.
    pub(super) fn close(&mut self, worker: WorkerId, inner: ConnId) -> Option<ConnId> {
        let outer = self.by_worker[usize::from(worker.0)].remove(inner.0)?;
        self.by_outer.remove(&outer);
        Some(outer)
    }

    /// A connection goes to another worker; returns what the driver calls it and what the other worker does.
    pub(super) fn move_to(
        &mut self,
        from: WorkerId,
        inner: ConnId,
        to: WorkerId,
    ) -> Option<(ConnId, ConnId)> {
        let outer = self.by_worker[usize::from(from.0)].remove(inner.0)?;
        let inner = ConnId(self.by_worker[usize::from(to.0)].insert(outer));
        self.by_outer.insert(outer, (to, inner));
        Some((outer, inner))
    }
}
