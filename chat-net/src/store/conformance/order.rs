//! Order, concurrency, repeats and closing.

use std::sync::Arc;

use chat_core::base::{MsgId, RequestId};
use chat_core::effect::{SpoolSeq, StoreDone, StoreError, StoreOp};

use super::super::StoreSink;
use super::{Bench, Case, Collect, jid, put, roster};

pub(super) const CASES: &[Case] = &[
    ("reads and writes of one user keep their order", order),
    ("many submit at once", concurrent),
    ("a repeat of what is under way has one answer", repeats),
    ("two workers may use the same ids", two_sinks),
    ("closing answers everything", close),
];

fn order(bench: &Bench) {
    let juliet = jid("juliet@example.org");
    // Nothing waits for an answer: every read must see exactly the writes that were asked before it.
    let (mut reads, mut writes) = (Vec::new(), Vec::new());
    for n in 0..200u64 {
        writes.push(bench.begin(roster(&juliet, n, &n.to_be_bytes())));
        writes.push(bench.begin(put(&juliet, u128::from(n), b"m")));
        if n % 3 == 0 {
            let ids = vec![MsgId(u128::from(n))];
            writes.push(bench.begin(StoreOp::SpoolDelete { user: juliet.clone(), ids }));
        }
        for _ in 0..n % 4 {
            reads.push((n, bench.begin(StoreOp::LoadUser { user: juliet.clone() })));
        }
        if n % 50 == 49 {
            // Let the store run dry, so that reads go the other way too.
            bench.load(&juliet);
        }
    }
    for (n, id) in reads {
        let Ok(StoreDone::User(loaded)) = bench.collect.wait(id) else { panic!("a read fails") };
        assert_eq!(loaded.roster, (n + 1, n.to_be_bytes().as_slice().into()), "after write {n}");
        assert_eq!(u64::from(loaded.spooled), n - n / 3, "after write {n}");
    }
    // Reads may overtake reads; nothing overtakes a write, and no write overtakes anything.
    let order = bench.collect.order();
    let mut greatest = RequestId(0);
    for (place, id) in order.iter().enumerate() {
        if writes.contains(id) {
            assert!(greatest < *id, "{id:?} was answered after {greatest:?}");
            assert!(order[place + 1..].iter().all(|later| later > id), "something overtook {id:?}");
        }
        greatest = greatest.max(*id);
    }
}

fn concurrent(bench: &Bench) {
    const THREADS: u64 = 4;
    const OPS: u64 = 300;
    let sinks: Vec<_> = (0..THREADS).map(|_| Arc::new(Collect::default())).collect();
    std::thread::scope(|scope| {
        for (thread, collect) in sinks.iter().enumerate() {
            scope.spawn(move || {
                let sink: Arc<dyn StoreSink> = collect.clone();
                // Two threads share each user: the spool is written by whoever has a message for it.
                let user = jid(&format!("user{}@example.org", thread / 2));
                let own = jid(&format!("own{thread}@example.org"));
                for n in 0..OPS {
                    let id = u128::from(n) << 8 | thread as u128;
                    bench.store.submit(RequestId(2 * n), Arc::new(put(&user, id, b"m")), &sink);
                    bench.store.submit(RequestId(2 * n + 1), Arc::new(roster(&own, n, b"r")), &sink);
                }
            });
        }
    });
    for collect in &sinks {
        for id in 0..2 * OPS {
            let result = collect.wait(RequestId(id));
            assert!(matches!(result, Ok(StoreDone::Done)), "{id}: {result:?}");
        }
    }
    for thread in 0..THREADS {
        assert_eq!(bench.load(&jid(&format!("own{thread}@example.org"))).roster.0, OPS);
    }
    for user in 0..THREADS / 2 {
        let ids = bench.spooled(&jid(&format!("user{user}@example.org")));
        assert_eq!(ids.len() as u64, 2 * OPS);
        for thread in [2 * user, 2 * user + 1] {
            assert!(ids.iter().filter(|id| **id & 0xff == u128::from(thread)).is_sorted());
        }
    }
}

fn repeats(bench: &Bench) {
    let juliet = jid("juliet@example.org");
    let collect = Arc::new(Collect::default());
    let sink: Arc<dyn StoreSink> = collect.clone();
    for n in 0..50 {
        let op = Arc::new(put(&juliet, u128::from(n), b"m"));
        bench.store.submit(RequestId(n), op.clone(), &sink);
        let result = collect.wait(RequestId(n));
        assert!(matches!(result, Ok(StoreDone::Done)), "{result:?}");
        // The answer got lost on its way, say: the same again.
        bench.store.submit(RequestId(n), op.clone(), &sink);
        let result = collect.wait(RequestId(n));
        assert!(matches!(result, Ok(StoreDone::Done)), "{result:?}");
    }
    assert_eq!(bench.spooled(&juliet), (0..50).collect::<Vec<u128>>());
}

fn two_sinks(bench: &Bench) {
    let collects = [Arc::new(Collect::default()), Arc::new(Collect::default())];
    let users = [jid("juliet@example.org"), jid("romeo@example.org")];
    for n in 0..100 {
        for (collect, user) in collects.iter().zip(&users) {
            let sink: Arc<dyn StoreSink> = collect.clone();
            bench.store.submit(RequestId(n), Arc::new(put(user, u128::from(n), b"m")), &sink);
        }
    }
    for (collect, user) in collects.iter().zip(&users) {
        for n in 0..100 {
            let result = collect.wait(RequestId(n));
            assert!(matches!(result, Ok(StoreDone::Done)), "{result:?}");
        }
        assert_eq!(bench.load(user).spooled, 100);
    }
}

fn close(bench: &Bench) {
    let juliet = jid("juliet@example.org");
    let ids: Vec<_> = (0..100).map(|n| bench.begin(put(&juliet, n, b"m"))).collect();
    let read = bench.begin(StoreOp::SpoolRead {
        user: juliet.clone(),
        after: SpoolSeq(0),
        rows_max: 1,
        bytes_max: 1,
    });
    bench.store.close();
    for id in ids {
        assert!(matches!(bench.collect.wait(id), Ok(StoreDone::Done)));
    }
    assert!(matches!(bench.collect.wait(read), Ok(StoreDone::Spool(_))));
    for op in [put(&juliet, 1, b"m"), StoreOp::LoadUser { user: juliet }] {
        let late = bench.ask(op);
        assert!(matches!(late, Err(StoreError::Unavailable)), "{late:?}");
    }
    bench.store.close();
}
