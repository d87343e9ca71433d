//! The writer thread: batches, transactions, and what happens when they fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chat_core::effect::StoreError;
use rusqlite::{Connection, ffi};

use super::fault::{Fault, Script};
use super::queue::{Queue, Taken, Via};
use super::{accounts, ops};
use crate::store::jobs::{Job, Outcome};

/// How often a writer that cannot write tries again, so that health comes back without traffic.
const PROBE_EVERY: Duration = Duration::from_secs(1);

/// A batch that takes longer than this is a sign of a disk that hangs.
const BATCH_SECONDS_MAX: Duration = Duration::from_secs(5);

/// What the writer lets others know of its health.
pub(super) struct Health {
    pub(super) opened: Instant,
    pub(super) broken: AtomicBool,
    /// When the batch under way began, in milliseconds after `opened`, plus one; 0 when there is none.
    pub(super) busy_since: AtomicU64,
}

impl Default for Health {
    fn default() -> Health {
        Health { opened: Instant::now(), broken: AtomicBool::new(false), busy_since: AtomicU64::new(0) }
    }
}

impl Health {
    pub(super) fn is_good(&self) -> bool {
        let busy_since = self.busy_since.load(Ordering::Relaxed);
        let hangs =
            busy_since > 0 && self.millis().saturating_sub(busy_since) > BATCH_SECONDS_MAX.as_millis() as u64;
        !hangs && !self.broken.load(Ordering::Relaxed)
    }

    fn millis(&self) -> u64 {
        self.opened.elapsed().as_millis() as u64 + 1
    }
}

/// The one who writes.
pub(super) struct Writer {
    connection: Connection,
    queue: Arc<Queue>,
    health: Arc<Health>,
    faults: Option<Arc<dyn Script>>,
}

/// Refuses what is left if its thread ends by a panic.
pub(super) struct Alive<'a>(pub(super) &'a Queue, pub(super) &'a Health);

impl Drop for Alive<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.1.broken.store(true, Ordering::Relaxed);
            self.0.abandon();
        }
    }
}

impl Writer {
    pub(super) fn new(
        connection: Connection,
        queue: Arc<Queue>,
        health: Arc<Health>,
        faults: Option<Arc<dyn Script>>,
    ) -> Writer {
        Writer { connection, queue, health, faults }
    }

    pub(super) fn run(self) {
        let _alive = Alive(&self.queue, &self.health);
        loop {
            let patience = self.health.broken.load(Ordering::Relaxed).then_some(PROBE_EVERY);
            match self.queue.take_for_writer(patience) {
                Taken::Batch(jobs) => self.turn(jobs),
                Taken::Nothing => self.probe(),
                Taken::End => return,
            }
        }
    }

    fn turn(&self, jobs: Vec<Job>) {
        self.health.busy_since.store(self.health.millis(), Ordering::Relaxed);
        let fault = self.next_fault();
        let outcomes = match self.batch(&jobs, fault) {
            Ok(outcomes) => {
                self.health.broken.store(false, Ordering::Relaxed);
                outcomes
            }
            Err(error) if ops::is_environment(&error) => {
                self.health.broken.store(true, Ordering::Relaxed);
                self.without_writes(&jobs, &error)
            }
            Err(_) => self.one_by_one(&jobs, fault),
        };
        self.health.busy_since.store(0, Ordering::Relaxed);
        match fault {
            Fault::LoseAnswers => self.queue.lose(&jobs, Via::Writer),
            _ => self.queue.answer(jobs, outcomes, Via::Writer),
        }
    }

    fn next_fault(&self) -> Fault {
        let fault = self.faults.as_ref().map_or(Fault::None, |faults| faults.next());
        if let Fault::Stall(time) = fault {
            std::thread::sleep(time);
        }
        fault
    }

    /// All jobs in one transaction; an error means that nothing of it happened.
    fn batch(&self, jobs: &[Job], fault: Fault) -> rusqlite::Result<Vec<Outcome>> {
        self.transaction(fault, || {
            let mut outcomes = Vec::with_capacity(jobs.len());
            for (place, job) in jobs.iter().enumerate() {
                outcomes.push(self.apply(job, fault == Fault::FailOne(place))?);
            }
            Ok(outcomes)
        })
    }

    fn transaction<T>(
        &self,
        fault: Fault,
        body: impl FnOnce() -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        self.execute("BEGIN IMMEDIATE")?;
        let result = body().and_then(|done| {
            match fault {
                Fault::Fail => return Err(failure(ffi::SQLITE_IOERR)),
                Fault::DiskFull => return Err(failure(ffi::SQLITE_FULL)),
                _ => self.execute("COMMIT")?,
            }
            Ok(done)
        });
        if result.is_err() && !self.connection.is_autocommit() {
            // Some errors have rolled back by themselves already.
            self.execute("ROLLBACK")?;
        }
        result
    }

    fn execute(&self, sql: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.execute(()).map(drop)
    }

    fn apply(&self, job: &Job, fails: bool) -> rusqlite::Result<Outcome> {
        if fails {
            return Err(failure(ffi::SQLITE_TOOBIG));
        }
        apply(&self.connection, job)
    }

    /// Nothing can be written at present: reads are answered all the same.
    fn without_writes(&self, jobs: &[Job], error: &rusqlite::Error) -> Vec<Outcome> {
        let refused = ops::store_error(error);
        let each = jobs.iter().map(|job| match job.is_write() {
            true => job.failure(refused),
            false => {
                apply(&self.connection, job).unwrap_or_else(|error| job.failure(ops::store_error(&error)))
            }
        });
        each.collect()
    }

    /// One job is at fault: find out which by trying each alone.
    fn one_by_one(&self, jobs: &[Job], fault: Fault) -> Vec<Outcome> {
        let each = jobs.iter().enumerate().map(|(place, job)| {
            let alone = self.transaction(fault, || self.apply(job, fault == Fault::FailOne(place)));
            alone.unwrap_or_else(|error| job.failure(ops::store_error(&error)))
        });
        each.collect()
    }

    fn probe(&self) {
        let fault = self.next_fault();
        let sql = "INSERT INTO health VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET probes = probes + 1";
        let written = self.transaction(fault, || self.execute(sql));
        self.health.broken.store(written.is_err(), Ordering::Relaxed);
    }
}

/// Carries a job out; an error means that the transaction around it must be rolled back.
pub(super) fn apply(connection: &Connection, job: &Job) -> rusqlite::Result<Outcome> {
    match job {
        Job::Store { op, .. } => match ops::apply(connection, op) {
            Ok(done) => Ok(Outcome::Store(Ok(done))),
            Err(ops::Fault::Refused(error)) => Ok(Outcome::Store(Err(error))),
            Err(ops::Fault::Sql(error)) => Err(error),
        },
        Job::Account { op, .. } => match accounts::apply(connection, op) {
            Ok(done) => Ok(Outcome::Account(Ok(done))),
            Err(accounts::Fault::Refused(error)) => Ok(Outcome::Account(Err(error))),
            Err(accounts::Fault::Sql(error)) => Err(error),
        },
    }
}

fn failure(code: i32) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(ffi::Error::new(code), Some("injected by a test".to_owned()))
}

/// What a reader says when a read fails.
pub(super) fn read_failure(job: &Job, error: &rusqlite::Error) -> Outcome {
    let error: StoreError = ops::store_error(error);
    job.failure(error)
}
