//! The reader threads.

use rusqlite::Connection;

use super::queue::{Queue, Via};
use super::writer::{Alive, Health, apply, read_failure};

/// Reads taken at once: enough to share a wake, few enough to leave some for the other readers.
const READS_AT_ONCE: usize = 16;

/// Carries out reads until the store is closed. A connection that only reads needs no transaction: each operation is
/// one statement, or several of which only the first decides what exists.
pub(super) fn run(connection: &Connection, queue: &Queue, health: &Health) {
    let _alive = Alive(queue, health);
    while let Some(jobs) = queue.take_for_reader(READS_AT_ONCE) {
        let read = |job| apply(connection, job).unwrap_or_else(|error| read_failure(job, &error));
        let outcomes = jobs.iter().map(read).collect();
        queue.answer(jobs, outcomes, Via::Reader);
    }
}
