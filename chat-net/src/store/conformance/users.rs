//! Users, rosters, block lists: versions, repeats, removal, names and sizes.

use chat_core::effect::{Loaded, StoreError, StoreOp};

use super::{Bench, Case, blocked, jid, put, roster};

pub(super) const CASES: &[Case] = &[
    ("an unknown user is empty", unknown),
    ("a touched user exists", touch),
    ("versions count the changes", versions),
    ("another version is a conflict", conflict),
    ("a repeat of a change is no conflict", repeat),
    ("roster and block list have versions of their own", two_versions),
    ("removal ends everything", remove),
    ("names are told apart by their bytes", names),
    ("large and odd blobs come back whole", blobs),
];

fn unknown(bench: &Bench) {
    let nobody = jid("nobody@example.org");
    assert_eq!(bench.load(&nobody), Loaded::default());
    assert_eq!(bench.spooled(&nobody), [] as [u128; 0]);
    bench.done(StoreOp::SpoolDelete { user: nobody.clone(), ids: vec![chat_core::base::MsgId(1)] });
    bench.done(StoreOp::RemoveUser { user: nobody.clone() });
    assert_eq!(bench.load(&nobody), Loaded::default());
}

fn touch(bench: &Bench) {
    let juliet = jid("juliet@example.org");
    for _ in 0..2 {
        bench.done(StoreOp::Touch { user: juliet.clone() });
        assert_eq!(bench.load(&juliet), Loaded { exists: true, ..Loaded::default() });
    }
    assert!(!bench.load(&jid("romeo@example.org")).exists);
    assert!(!bench.load(&jid("example.org")).exists, "the domain is nobody");
}

fn versions(bench: &Bench) {
    let juliet = jid("juliet@example.org");
    for version in 0..5 {
        let text = format!("roster {version}");
        bench.done(roster(&juliet, version, text.as_bytes()));
        let loaded = bench.load(&juliet);
        assert_eq!(loaded.roster, (version + 1, text.as_bytes().into()));
        assert!(!loaded.exists, "a roster alone is no account");
    }
    bench.done(roster(&juliet, 5, b""));
    assert_eq!(bench.load(&juliet).roster, (6, b"".as_slice().into()), "an emptied roster keeps its version");
}

fn conflict(bench: &Bench) {
    let juliet = jid("juliet@example.org");
    for op in [roster, blocked] {
        assert!(matches!(bench.ask(op(&juliet, 1, b"early")), Err(StoreError::Conflict)));
        bench.done(op(&juliet, 0, b"one"));
        bench.done(op(&juliet, 1, b"two"));
        for (expected, data) in
            [(0, b"one".as_slice()), (0, b"two"), (1, b"other"), (3, b"two"), (u64::MAX, b"two")]
        {
            let result = bench.ask(op(&juliet, expected, data));
            assert!(matches!(result, Err(StoreError::Conflict)), "{expected}: {result:?}");
        }
    }
    let loaded = bench.load(&juliet);
    assert_eq!(loaded.roster, (2, b"two".as_slice().into()));
    assert_eq!(loaded.blocked, (2, b"two".as_slice().into()));
}

fn repeat(bench: &Bench) {
    let juliet = jid("juliet@example.org");
    for op in [roster, blocked] {
        for _ in 0..3 {
            bench.done(op(&juliet, 0, b"one"));
        }
        bench.done(op(&juliet, 1, b"two"));
        bench.done(op(&juliet, 1, b"two"));
    }
    let loaded = bench.load(&juliet);
    assert_eq!((loaded.roster.0, loaded.blocked.0), (2, 2));
}

fn two_versions(bench: &Bench) {
    let (juliet, romeo) = (jid("juliet@example.org"), jid("romeo@example.net"));
    bench.done(roster(&juliet, 0, b"r1"));
    bench.done(roster(&juliet, 1, b"r2"));
    bench.done(blocked(&juliet, 0, b"spam@example.com\n"));
    bench.done(roster(&romeo, 0, b"his"));
    let loaded = bench.load(&juliet);
    assert_eq!(loaded.roster, (2, b"r2".as_slice().into()));
    assert_eq!(loaded.blocked, (1, b"spam@example.com\n".as_slice().into()));
    assert_eq!(bench.load(&romeo).roster, (1, b"his".as_slice().into()));
}

fn remove(bench: &Bench) {
    let (juliet, romeo) = (jid("juliet@example.org"), jid("romeo@example.org"));
    for user in [&juliet, &romeo] {
        bench.done(StoreOp::Touch { user: user.clone() });
        bench.done(roster(user, 0, b"roster"));
        bench.done(blocked(user, 0, b"blocked"));
        bench.done(put(user, 1, b"<message/>"));
    }
    bench.done(StoreOp::RemoveUser { user: juliet.clone() });
    bench.done(StoreOp::RemoveUser { user: juliet.clone() });
    assert_eq!(bench.load(&juliet), Loaded::default());
    assert_eq!(bench.spooled(&juliet), [] as [u128; 0]);
    let his = bench.load(&romeo);
    assert_eq!((his.exists, his.roster.0, his.blocked.0, his.spooled), (true, 1, 1, 1));

    // Whoever takes the name later starts from nothing.
    bench.done(StoreOp::Touch { user: juliet.clone() });
    assert_eq!(bench.load(&juliet), Loaded { exists: true, ..Loaded::default() });
    bench.done(roster(&juliet, 0, b"new"));
    bench.done(put(&juliet, 1, b"<message/>"));
    assert_eq!(bench.spooled(&juliet), [1]);
}

fn names(bench: &Bench) {
    let users = [
        "straße@example.org",
        "strasse@example.org",
        "ювліана@приклад.укр",
        "ジュリエット@例え.jp",
        "juliet@example.org",
        "juliet_@example.org",
        "juliet%@example.org",
        "robert;drop--@example.org",
        "example.org",
        "[2001:db8::1]",
    ];
    for (n, user) in users.iter().enumerate() {
        bench.done(roster(&jid(user), 0, user.as_bytes()));
        bench.done(put(&jid(user), n as u128, user.as_bytes()));
    }
    for (n, user) in users.iter().enumerate() {
        let loaded = bench.load(&jid(user));
        assert_eq!(loaded.roster, (1, user.as_bytes().into()), "{user}");
        assert_eq!(bench.spooled(&jid(user)), [n as u128]);
    }
    bench.done(StoreOp::RemoveUser { user: jid("juliet_@example.org") });
    bench.done(StoreOp::RemoveUser { user: jid("juliet%@example.org") });
    assert_eq!(bench.load(&jid("juliet@example.org")).roster.0, 1, "`_` and `%` are not wild");
}

fn blobs(bench: &Bench) {
    let juliet = jid("juliet@example.org");
    let large: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
    let all: Vec<u8> = (0..=255).collect();
    bench.done(roster(&juliet, 0, &large));
    bench.done(blocked(&juliet, 0, &all));
    bench.done(put(&juliet, u128::MAX, &large[..256 * 1024]));
    bench.done(put(&juliet, 0, &all));
    let loaded = bench.load(&juliet);
    assert!(loaded.roster.1.as_ref() == large.as_slice());
    assert_eq!(loaded.blocked.1.as_ref(), all);
    assert_eq!(bench.spooled(&juliet), [u128::MAX, 0]);
    let rows = bench.read(&juliet, chat_core::effect::SpoolSeq(0), 10, u32::MAX);
    assert!(rows[0].1.stanza.as_ref() == &large[..256 * 1024]);
    assert_eq!(rows[1].1.stanza.as_ref(), all);
}
