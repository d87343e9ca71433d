//! Work in transactions: many jobs in one, and those that must be alone.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use chat_core::effect::{StoreError, StoreOp};
use deadpool_postgres::Client;
use tokio_postgres::Row;

use super::connection::{Fault, Trouble};
use super::ops::get;
use super::pipeline::{Sent, in_order};
use super::statements::{Sql, Statements};
use super::{accounts, ops};
use crate::store::AccountsOp;
use crate::store::jobs::{Job, Outcome};

/// How often the lock of users who are made and removed at the same time is tried.
const LOCK_TRIES: usize = 5;

/// Carries out jobs, each transaction after the one before. On an error some may have been carried out: all may be
/// repeated, with `repeat` set, in the same order.
pub(super) async fn write(client: &Client, jobs: &[Job], repeat: bool) -> Result<Vec<Outcome>, Trouble> {
    let statements = Statements::of(client).await?;
    let mut outcomes = Vec::with_capacity(jobs.len());
    for part in parts(jobs) {
        let jobs = &jobs[part];
        match transaction(client, &statements, jobs, repeat).await {
            Ok(done) => outcomes.extend(done),
            Err(Trouble { fault: Fault::Statement(error), .. }) if jobs.len() == 1 => {
                outcomes.push(jobs[0].failure(error));
            }
            // One job is at fault: find out which by trying each alone.
            Err(Trouble { fault: Fault::Statement(_), .. }) => {
                for job in jobs.chunks(1) {
                    match transaction(client, &statements, job, repeat).await {
                        Ok(done) => outcomes.extend(done),
                        Err(Trouble { fault: Fault::Statement(error), reason }) => {
                            tracing::warn!(%reason, "an operation of the store failed");
                            outcomes.push(job[0].failure(error));
                        }
                        Err(trouble) => return Err(trouble),
                    }
                }
            }
            Err(trouble) => return Err(trouble),
        }
    }
    Ok(outcomes)
}

/// Carries out reads.
pub(super) async fn read(client: &Client, jobs: &[Job]) -> Result<Vec<Outcome>, Trouble> {
    let statements = Statements::of(client).await?;
    let sent = jobs.iter().map(|job| send(client, &statements, None, job, false)).collect();
    let mut outcomes = Vec::with_capacity(jobs.len());
    for (job, answer) in jobs.iter().zip(in_order(sent).await) {
        outcomes.push(match answer {
            Ok(Answer::Outcome(outcome)) => outcome,
            Ok(Answer::Rows(_)) => unreachable!("a job has an outcome"),
            Err(Trouble { fault: Fault::Statement(error), .. }) => job.failure(error),
            Err(trouble) => return Err(trouble),
        });
    }
    Ok(outcomes)
}

/// Where one transaction ends and the next begins: some jobs are alone, and nothing comes behind the removal of a user
/// for the same user, whose number is another one by then.
fn parts(jobs: &[Job]) -> Vec<Range<usize>> {
    let (mut parts, mut start) = (Vec::new(), 0);
    let mut removed = HashSet::new();
    for (place, job) in jobs.iter().enumerate() {
        let again = job.user().is_some_and(|user| removed.contains(user));
        let cut = again || is_alone(job) || (place > start && is_alone(&jobs[place - 1]));
        if cut && place > start {
            parts.push(start..place);
            start = place;
            removed.clear();
        }
        if let Job::Store { op, .. } = job
            && let StoreOp::RemoveUser { user } = &**op
        {
            removed.insert(user);
        }
    }
    if start < jobs.len() {
        parts.push(start..jobs.len());
    }
    parts
}

fn is_alone(job: &Job) -> bool {
    matches!(job, Job::Account { op, .. } if matches!(**op, AccountsOp::Purge { .. } | AccountsOp::Import { .. }))
}

/// What a statement of a batch gives.
enum Answer {
    Rows(Vec<Row>),
    Outcome(Outcome),
}

type Result1 = Result<Answer, Trouble>;

async fn transaction(
    client: &Client,
    statements: &Statements,
    jobs: &[Job],
    repeat: bool,
) -> Result<Vec<Outcome>, Trouble> {
    let result = in_transaction(client, statements, jobs, repeat).await;
    if let Err(Trouble { fault: Fault::Statement(_) | Fault::Collision, .. }) = &result {
        // It may have ended already; then this does nothing.
        client.batch_execute("ROLLBACK").await?;
    }
    result
}

async fn in_transaction(
    client: &Client,
    statements: &Statements,
    jobs: &[Job],
    repeat: bool,
) -> Result<Vec<Outcome>, Trouble> {
    let owners = lock(client, statements, jobs).await?;
    let owner = |job: &Job| job.user().and_then(|user| owners.get(user.as_str()).copied());
    if let [Job::Account { op, .. }] = jobs
        && is_alone(&jobs[0])
    {
        let answer = match &**op {
            AccountsOp::Purge { user } => {
                accounts::purge(client, statements, owner(&jobs[0]), user, repeat).await?
            }
            AccountsOp::Import { accounts, existing } => {
                accounts::import(client, statements, &owners, accounts, *existing).await?
            }
            _ => unreachable!("only these are alone"),
        };
        client.batch_execute("COMMIT").await?;
        return Ok(vec![Outcome::Account(answer)]);
    }
    let mut sent: Vec<Sent<'_, Result1>> =
        jobs.iter().map(|job| send(client, statements, owner(job), job, repeat)).collect();
    // If one of the statements fails, this rolls back, and that failure is what counts.
    sent.push(execute(client, "COMMIT"));
    let mut outcomes = Vec::with_capacity(jobs.len());
    for answer in in_order(sent).await {
        match answer? {
            Answer::Outcome(outcome) => outcomes.push(outcome),
            Answer::Rows(_) => {}
        }
    }
    Ok(outcomes)
}

/// Begins a transaction and locks the rows of all users of whom something is to be written, in the order of their names.
/// Returns their numbers. Those who are not there are made, if a job needs them.
async fn lock(
    client: &Client,
    statements: &Statements,
    jobs: &[Job],
) -> Result<HashMap<String, i64>, Trouble> {
    let mut owners = HashMap::new();
    let (mut names, mut needed) = (Vec::new(), Vec::new());
    for job in jobs.iter().filter(|job| job.is_write()) {
        match job {
            Job::Account { op, .. } => {
                let users: Vec<_> = match &**op {
                    AccountsOp::Import { accounts, .. } => accounts.iter().map(|(user, _)| user).collect(),
                    op => op.user().into_iter().collect(),
                };
                let users = users.into_iter().map(|user| user.as_str());
                names.extend(users.clone());
                needed.extend(users.filter(|_| accounts::makes_user(op)));
            }
            Job::Store { op, .. } => {
                names.push(op.user().as_str());
                needed.extend(ops::makes_user(op).then(|| op.user().as_str()));
            }
        }
    }
    for list in [&mut names, &mut needed] {
        list.sort_unstable();
        list.dedup();
    }
    let begun = in_order(vec![execute(client, "BEGIN"), rows(client, statements, Sql::Lock, &names)]).await;
    for answer in begun {
        found(answer?, &mut owners)?;
    }
    for _ in 0..LOCK_TRIES {
        needed.retain(|name| !owners.contains_key(*name));
        if needed.is_empty() {
            return Ok(owners);
        }
        let both =
            vec![rows(client, statements, Sql::Make, &needed), rows(client, statements, Sql::Lock, &needed)];
        for answer in in_order(both).await {
            found(answer?, &mut owners)?;
        }
    }
    let reason = "users are made and removed at the same time".to_owned();
    Err(Trouble { fault: Fault::Collision, reason })
}

fn found(answer: Answer, owners: &mut HashMap<String, i64>) -> Result<(), Trouble> {
    let Answer::Rows(rows) = answer else { return Ok(()) };
    for row in &rows {
        owners.insert(get(row, 0)?, get(row, 1)?);
    }
    Ok(())
}

fn execute<'a>(client: &'a Client, sql: &'a str) -> Sent<'a, Result1> {
    Box::pin(async move {
        client.batch_execute(sql).await?;
        Ok(Answer::Rows(Vec::new()))
    })
}

fn rows<'a>(
    client: &'a Client,
    statements: &'a Statements,
    sql: Sql,
    names: &'a [&'a str],
) -> Sent<'a, Result1> {
    Box::pin(async move { Ok(Answer::Rows(client.query(statements.get(sql), &[&names]).await?)) })
}

fn send<'a>(
    client: &'a Client,
    statements: &'a Statements,
    owner: Option<i64>,
    job: &'a Job,
    repeat: bool,
) -> Sent<'a, Result1> {
    Box::pin(async move {
        let answer = match job {
            Job::Store { op, .. } => ops::send(client, statements, owner, op).await.map(Outcome::Store),
            Job::Account { op, .. } => {
                accounts::send(client, statements, owner, op, repeat).await.map(Outcome::Account)
            }
        };
        match answer {
            Ok(outcome) => Ok(Answer::Outcome(outcome)),
            Err(Trouble { fault: Fault::Value, reason }) => {
                tracing::error!(%reason, "the database holds what nobody wrote");
                Ok(Answer::Outcome(job.failure(StoreError::Damaged)))
            }
            Err(trouble) => Err(trouble),
        }
    })
}
