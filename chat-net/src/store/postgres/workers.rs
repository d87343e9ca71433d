//! The tasks that do the work: one for each connection, and one that looks around.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chat_core::effect::StoreError;
use chat_core::jid::BareJid;
use tokio::time::{sleep, timeout};

use super::connection::{Connections, Fault, Trouble, WORK_TIMEOUT, discard};
use super::outage::Outage;
use super::queue::{Kind, Queue, Work};
use super::{batch, ops};
use crate::store::AccountRemoved;
use crate::store::jobs::Outcome;

/// Between looks at the log of purged accounts, and at a database that is away. A node notices within a second.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How long a look may take before the database counts as away.
const LOOK_TIMEOUT: Duration = Duration::from_secs(3);

/// Between tries, doubling from the first to the last. The first repeat comes at once: most broken connections are old
/// ones of a database that is there.
const PAUSES: [Duration; 2] = [Duration::from_millis(50), Duration::from_millis(800)];

/// Collisions in a row that are nothing unusual.
const COLLISIONS_MAX: u32 = 5;

/// What the tasks of one store share.
pub(super) struct Shared {
    pub(super) queue: Queue,
    pub(super) connections: Connections,
    pub(super) outage: Outage,
    pub(super) removed: Mutex<Vec<AccountRemoved>>,
}

/// The place of one task among those who take work.
struct Taker<'a>(&'a Queue);

impl Drop for Taker<'_> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// Work under way. If its task ends before it does, it is answered all the same.
struct Turn<'a> {
    queue: &'a Queue,
    work: Option<Work>,
}

impl Turn<'_> {
    fn end(mut self, outcomes: Vec<Outcome>) {
        if let Some(work) = self.work.take() {
            self.queue.answer(work, outcomes);
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Some(work) = self.work.take() {
            let outcomes = refuse(&work);
            self.queue.answer(work, outcomes);
        }
    }
}

fn refuse(work: &Work) -> Vec<Outcome> {
    work.jobs.iter().map(|job| job.failure(StoreError::Unavailable)).collect()
}

/// Takes work until the store is closed. Whoever starts this has joined the queue.
pub(super) async fn work(shared: Arc<Shared>) {
    let queue = &shared.queue;
    let _taker = Taker(queue);
    while let Some(work) = queue.take().await {
        let turn = Turn { queue, work: Some(work) };
        let work = turn.work.as_ref().expect("it was just taken");
        let outcomes = shared.carry_out(work).await.unwrap_or_else(|| refuse(work));
        turn.end(outcomes);
    }
}

impl Shared {
    /// Tries until it works; none if that takes too long.
    async fn carry_out(&self, work: &Work) -> Option<Vec<Outcome>> {
        let (mut tries, mut pause, mut collisions) = (0, PAUSES[0], 0);
        loop {
            // Whether reads work shows by trying; for writes somebody else tries.
            if work.kind == Kind::Write && self.outage.is_long() {
                return None;
            }
            let trouble = match self.try_once(work, tries > 0).await {
                Ok(outcomes) => {
                    if work.kind == Kind::Write {
                        self.outage.end();
                    }
                    return Some(outcomes);
                }
                Err(trouble) => trouble,
            };
            tries += 1;
            if trouble.fault == Fault::Collision && collisions < COLLISIONS_MAX {
                collisions += 1;
                continue;
            }
            self.outage.begin(&trouble.reason);
            // The first try may have found an old connection.
            if tries > 1 && self.outage.is_long() {
                return None;
            }
            if tries > 1 {
                sleep(pause).await;
                pause = PAUSES[1].min(pause * 2);
            }
        }
    }

    async fn try_once(&self, work: &Work, repeat: bool) -> Result<Vec<Outcome>, Trouble> {
        let client = self.connections.get().await?;
        let done = timeout(WORK_TIMEOUT, async {
            match work.kind {
                Kind::Write => batch::write(&client, &work.jobs, repeat).await,
                Kind::Read => batch::read(&client, &work.jobs).await,
            }
        });
        let done = done.await.unwrap_or_else(|_| Err(Trouble::surroundings("there is no answer")));
        if let Err(Trouble { fault: Fault::Surroundings, .. }) = &done {
            discard(client);
        }
        done
    }

    /// The number of the last purge that is in the log.
    pub(super) async fn last_purge(&self) -> Result<i64, Trouble> {
        let client = self.connections.get().await?;
        let last = client.query_one("SELECT coalesce(max(seq), 0) FROM chat_account_log", &[]).await?;
        ops::get(&last, 0)
    }

    /// Tells whom others have purged; `seen` is the last purge that was told.
    async fn look(&self, seen: &mut i64) -> Result<(), Trouble> {
        let client = self.connections.get().await?;
        let looked = timeout(LOOK_TIMEOUT, async {
            let sql = "SELECT seq, jid FROM chat_account_log WHERE seq > $1 ORDER BY seq";
            let sql = client.prepare_cached(sql).await?;
            let rows = client.query(&sql, &[&*seen]).await?;
            if self.outage.is_on() {
                let sql = "INSERT INTO chat_health VALUES (1, 1)
                    ON CONFLICT (id) DO UPDATE SET probes = chat_health.probes + 1";
                client.execute(sql, &[]).await?;
                self.outage.end();
            }
            Ok(rows)
        });
        let looked = looked.await.unwrap_or_else(|_| Err(Trouble::surroundings("there is no answer")));
        let rows = match looked {
            Ok(rows) => rows,
            Err(trouble) => {
                discard(client);
                return Err(trouble);
            }
        };
        for row in &rows {
            *seen = ops::get(row, 0)?;
            let Ok(user) = BareJid::parse(ops::get(row, 1)?) else { continue };
            let callbacks = self.removed.lock().unwrap_or_else(PoisonError::into_inner).clone();
            callbacks.iter().for_each(|callback| callback(&user));
        }
        Ok(())
    }
}

/// Looks for purged accounts, and for a database that went away or came back while there is no work, until the store is
/// closed.
pub(super) async fn look_around(shared: Arc<Shared>, mut seen: i64) {
    while !shared.queue.is_closed() {
        if let Err(trouble) = shared.look(&mut seen).await {
            shared.outage.begin(&trouble.reason);
        }
        sleep(LOOK_EVERY).await;
    }
    shared.connections.close();
}
