//! The spool: unique ids, limits, pages, deletion.

use chat_core::base::MsgId;
use chat_core::effect::{SpoolSeq, StoreError, StoreOp};

use super::{Bench, Case, jid, put, row};

pub(super) const CASES: &[Case] = &[
    ("rows come back oldest first, as they were", as_it_was),
    ("a message is spooled once", unique),
    ("ids are unique for each user, not for all", unique_per_user),
    ("a full spool refuses the next row only", limit),
    ("pages by rows", pages_by_rows),
    ("pages by bytes", pages_by_bytes),
    ("deletion takes what is named", deletion),
    ("those with rows are found among others", waiting),
    ("numbers are never given twice", numbers),
];

fn as_it_was(bench: &Bench) {
    let juliet = jid("juliet@example.org");
    for n in [7u128, 3, 9] {
        let mut row = row(n, format!("<message id='{n}'/>").as_bytes());
        row.at.0 = -(n as i64);
        bench.done(StoreOp::SpoolPut { user: juliet.clone(), row, rows_max: 10 });
    }
    let rows = bench.read(&juliet, SpoolSeq(0), 10, u32::MAX);
    let seen: Vec<_> =
        rows.iter().map(|(_, row)| (row.id.0, row.at.0, String::from_utf8_lossy(&row.stanza))).collect();
    let expected = [7i64, 3, 9].map(|n| (n as u128, -n, format!("<message id='{n}'/>").into()));
    assert_eq!(seen, expected);
    assert!(rows.is_sorted_by_key(|(seq, _)| *seq));
    assert_eq!(bench.load(&juliet).spooled, 3);
    assert!(!bench.load(&juliet).exists, "a message makes no account");
}

fn unique(bench: &Bench) {
    let juliet = jid("juliet@example.org");
    bench.done(put(&juliet, 1, b"first"));
    bench.done(put(&juliet, 2, b"second"));
    bench.done(put(&juliet, 1, b"first"));
    bench.done(put(&juliet, 1, b"not the same bytes, yet the same message"));
    let rows = bench.read(&juliet, SpoolSeq(0), 10, u32::MAX);
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0].1, row(1, b"first"), "the first stays, at its place");
    assert_eq!(bench.load(&juliet).spooled, 2);
}

fn unique_per_user(bench: &Bench) {
    for user in ["juliet@example.org", "romeo@example.org"] {
        bench.done(put(&jid(user), 5, user.as_bytes()));
    }
    for user in ["juliet@example.org", "romeo@example.org"] {
        let rows = bench.read(&jid(user), SpoolSeq(0), 10, u32::MAX);
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].1, row(5, user.as_bytes()));
    }
}

fn waiting(bench: &Bench) {
    let [juliet, romeo, nurse, nobody] =
        ["juliet", "romeo", "nurse", "nobody"].map(|name| jid(&format!("{name}@example.org")));
    bench.done(put(&juliet, 1, b"one"));
    bench.done(put(&juliet, 2, b"two"));
    bench.done(put(&nurse, 1, b"three"));
    bench.done(StoreOp::Touch { user: romeo.clone() });
    let users = vec![romeo, juliet.clone(), nobody, nurse.clone()];
    assert_eq!(bench.waiting(&users), [juliet.clone(), nurse.clone()]);
    bench.done(StoreOp::SpoolDelete { user: juliet.clone(), ids: vec![MsgId(1)] });
    assert_eq!(bench.waiting(&users), [juliet.clone(), nurse.clone()]);
    bench.done(StoreOp::SpoolDelete { user: juliet, ids: vec![MsgId(2)] });
    assert_eq!(bench.waiting(&users), [nurse]);
}

fn limit(bench: &Bench) {
    let (juliet, romeo) = (jid("juliet@example.org"), jid("romeo@example.org"));
    let limited =
        |user: &_, id| StoreOp::SpoolPut { user: Clone::clone(user), row: row(id, b"m"), rows_max: 3 };
    for id in 0..3 {
        bench.done(limited(&juliet, id));
    }
    assert!(matches!(bench.ask(limited(&juliet, 3)), Err(StoreError::Full)));
    bench.done(limited(&juliet, 1));
    bench.done(limited(&romeo, 3));
    assert_eq!(bench.spooled(&juliet), [0, 1, 2]);
    bench.done(StoreOp::SpoolDelete { user: juliet.clone(), ids: vec![MsgId(1)] });
    bench.done(limited(&juliet, 3));
    assert_eq!(bench.spooled(&juliet), [0, 2, 3]);
    let nothing = StoreOp::SpoolPut { user: jid("new@example.org"), row: row(1, b"m"), rows_max: 0 };
    assert!(matches!(bench.ask(nothing), Err(StoreError::Full)));
}

fn pages_by_rows(bench: &Bench) {
    let juliet = jid("juliet@example.org");
    for id in 0..25 {
        bench.done(put(&juliet, 100 - id, b"m"));
        bench.done(put(&jid("romeo@example.org"), id, b"between"));
    }
    let (mut after, mut sizes, mut ids) = (SpoolSeq(0), Vec::new(), Vec::new());
    loop {
        let page = bench.read(&juliet, after, 10, u32::MAX);
        sizes.push(page.len());
        ids.extend(page.iter().map(|(_, row)| row.id.0));
        let Some((last, _)) = page.last() else { break };
        after = *last;
    }
    assert_eq!(sizes, [10, 10, 5, 0]);
    assert_eq!(ids, (0..25).map(|id| 100 - id).collect::<Vec<_>>());
    assert_eq!(bench.read(&juliet, SpoolSeq(i64::MAX), 10, u32::MAX), []);
}

fn pages_by_bytes(bench: &Bench) {
    let juliet = jid("juliet@example.org");
    for (id, len) in [100usize, 100, 100, 5_000, 1, 1].into_iter().enumerate() {
        bench.done(put(&juliet, id as u128, &vec![b'm'; len]));
    }
    let page = |after, bytes| {
        let page = bench.read(&juliet, after, 100, bytes);
        (page.iter().map(|(_, row)| row.id.0).collect::<Vec<_>>(), page.last().expect("a row").0)
    };
    let (ids, _) = page(SpoolSeq(0), 0);
    assert_eq!(ids, [0], "at least one row");
    let (ids, _) = page(SpoolSeq(0), 100);
    assert_eq!(ids, [0], "no further row once the bytes are reached");
    let (ids, last) = page(SpoolSeq(0), 101);
    assert_eq!(ids, [0, 1]);
    let (ids, last) = page(last, 200);
    assert_eq!(ids, [2, 3], "the row that passes the limit is still returned");
    let (ids, _) = page(last, 200);
    assert_eq!(ids, [4, 5]);
}

fn deletion(bench: &Bench) {
    let juliet = jid("juliet@example.org");
    for id in 0..6 {
        bench.done(put(&juliet, id, b"m"));
        bench.done(put(&jid("romeo@example.org"), id, b"m"));
    }
    let delete = |ids: &[u128]| StoreOp::SpoolDelete {
        user: juliet.clone(),
        ids: ids.iter().copied().map(MsgId).collect(),
    };
    bench.done(delete(&[1, 4, 4, 77]));
    assert_eq!(bench.spooled(&juliet), [0, 2, 3, 5]);
    bench.done(delete(&[1, 4, 4, 77]));
    bench.done(delete(&[]));
    assert_eq!(bench.spooled(&juliet), [0, 2, 3, 5]);
    assert_eq!(bench.load(&juliet).spooled, 4);
    bench.done(delete(&[0, 2, 3, 5]));
    assert_eq!(bench.spooled(&juliet), [] as [u128; 0]);
    assert_eq!(bench.spooled(&jid("romeo@example.org")).len(), 6);
    bench.done(put(&juliet, 1, b"again"));
    assert_eq!(bench.spooled(&juliet), [1]);
}

/// Else a page that starts behind a deleted row would miss the row that has its number now.
fn numbers(bench: &Bench) {
    let juliet = jid("juliet@example.org");
    let mut last = SpoolSeq(0);
    for id in 0..5 {
        bench.done(put(&juliet, id, b"m"));
        let rows = bench.read(&juliet, last, 10, u32::MAX);
        assert_eq!(rows.iter().map(|(_, row)| row.id.0).collect::<Vec<_>>(), [id]);
        last = rows[0].0;
        bench.done(StoreOp::SpoolDelete { user: juliet.clone(), ids: vec![MsgId(id)] });
    }
}
