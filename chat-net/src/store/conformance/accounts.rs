//! Credentials.

use chat_core::effect::{Loaded, StoreOp};
use chat_core::jid::BareJid;
use chat_core::sasl::{Hash, ScramKeys};

use super::super::{Accounts, AccountsDone, AccountsError, AccountsOp, Credentials, Existing};
use super::{Bench, Case, jid, put, roster};

pub(super) const CASES: &[Case] = &[
    ("an account has the keys it was given", insert),
    ("credentials change", replace),
    ("more keys for the same password", complete),
    ("credentials end, data stays", remove),
    ("a purge ends everything", purge),
    ("accounts in bulk", import),
    ("accounts in pages", list),
    ("accounts counted", count),
];

fn keys(hash: Hash, fill: u8) -> ScramKeys {
    ScramKeys {
        salt: vec![fill; 16],
        iterations: 4096 + u32::from(fill),
        stored_key: vec![fill; hash.output_bytes()],
        server_key: vec![255 - fill; hash.output_bytes()],
    }
}

fn credentials(fill: u8) -> Credentials {
    let mut credentials = Credentials::default();
    for hash in [Hash::Sha1, Hash::Sha256] {
        credentials.set(hash, keys(hash, fill));
    }
    credentials
}

fn get(accounts: &dyn Accounts, user: &BareJid) -> Option<Credentials> {
    match accounts.call(AccountsOp::Get { user: user.clone() }) {
        Ok(AccountsDone::Found(credentials)) => credentials,
        other => panic!("Get gave {other:?}"),
    }
}

fn add(accounts: &dyn Accounts, user: &BareJid, fill: u8) {
    let op = AccountsOp::Insert { user: user.clone(), credentials: credentials(fill) };
    assert_eq!(accounts.call(op), Ok(AccountsDone::Done));
}

fn insert(bench: &Bench) {
    let Some(accounts) = &bench.accounts else { return };
    let juliet = jid("juliet@example.org");
    assert_eq!(get(&**accounts, &juliet), None);
    add(&**accounts, &juliet, 1);
    let op = AccountsOp::Insert { user: juliet.clone(), credentials: credentials(2) };
    assert_eq!(accounts.call(op), Err(AccountsError::Exists));
    assert_eq!(get(&**accounts, &juliet), Some(credentials(1)));
    assert_eq!(get(&**accounts, &jid("romeo@example.org")), None);
    assert_eq!(bench.load(&juliet), Loaded { exists: true, ..Loaded::default() });
}

fn replace(bench: &Bench) {
    let Some(accounts) = &bench.accounts else { return };
    let juliet = jid("juliet@example.org");
    let op = AccountsOp::Replace { user: juliet.clone(), credentials: credentials(2) };
    assert_eq!(accounts.call(op.clone()), Err(AccountsError::NoSuchUser));
    assert_eq!(get(&**accounts, &juliet), None);
    add(&**accounts, &juliet, 1);
    assert_eq!(accounts.call(op), Ok(AccountsDone::Done));
    assert_eq!(get(&**accounts, &juliet), Some(credentials(2)));
}

fn complete(bench: &Bench) {
    let Some(accounts) = &bench.accounts else { return };
    let juliet = jid("juliet@example.org");
    let mut more = credentials(9);
    more.set(Hash::Sha512, keys(Hash::Sha512, 9));
    let op = |present| AccountsOp::Complete { user: juliet.clone(), present, more: more.clone() };
    assert_eq!(accounts.call(op(credentials(1))), Err(AccountsError::NoSuchUser));
    add(&**accounts, &juliet, 1);
    assert_eq!(accounts.call(op(credentials(2))), Ok(AccountsDone::Done));
    assert_eq!(get(&**accounts, &juliet), Some(credentials(1)), "the password is another one by now");
    assert_eq!(accounts.call(op(credentials(1))), Ok(AccountsDone::Done));
    let mut all = credentials(1);
    all.set(Hash::Sha512, keys(Hash::Sha512, 9));
    assert_eq!(get(&**accounts, &juliet), Some(all), "what was there stays");
}

fn remove(bench: &Bench) {
    let Some(accounts) = &bench.accounts else { return };
    let juliet = jid("juliet@example.org");
    let op = AccountsOp::Remove { user: juliet.clone() };
    assert_eq!(accounts.call(op.clone()), Err(AccountsError::NoSuchUser));
    add(&**accounts, &juliet, 1);
    bench.done(roster(&juliet, 0, b"roster"));
    assert_eq!(accounts.call(op.clone()), Ok(AccountsDone::Done));
    assert_eq!(accounts.call(op), Err(AccountsError::NoSuchUser));
    assert_eq!(get(&**accounts, &juliet), None);
    let left = bench.load(&juliet);
    assert_eq!((left.exists, left.roster.0), (false, 1));

    add(&**accounts, &juliet, 2);
    bench.done(put(&juliet, 1, b"<message/>"));
    bench.done(StoreOp::RemoveUser { user: juliet.clone() });
    assert_eq!(get(&**accounts, &juliet), Some(credentials(2)), "this account was made anew");
    assert_eq!(bench.load(&juliet), Loaded { exists: true, ..Loaded::default() }, "and begins with nothing");
}

fn purge(bench: &Bench) {
    let Some(accounts) = &bench.accounts else { return };
    let (juliet, romeo) = (jid("juliet@example.org"), jid("romeo@example.org"));
    let op = AccountsOp::Purge { user: juliet.clone() };
    assert_eq!(accounts.call(op.clone()), Err(AccountsError::NoSuchUser));
    for user in [&juliet, &romeo] {
        add(&**accounts, user, 1);
        bench.done(roster(user, 0, b"roster"));
        bench.done(put(user, 1, b"<message/>"));
    }
    assert_eq!(accounts.call(op.clone()), Ok(AccountsDone::Done));
    assert_eq!(accounts.call(op), Err(AccountsError::NoSuchUser));
    assert_eq!(bench.load(&juliet), Loaded::default());
    assert_eq!(get(&**accounts, &juliet), None);
    assert_eq!(bench.load(&romeo).spooled, 1);
    assert_eq!(get(&**accounts, &romeo), Some(credentials(1)));
}

fn import(bench: &Bench) {
    let Some(accounts) = &bench.accounts else { return };
    add(&**accounts, &jid("user7@example.org"), 1);
    let all: Vec<_> = (0..500).map(|n| (jid(&format!("user{n}@example.org")), credentials(2))).collect();
    let op = |existing| AccountsOp::Import { accounts: all.clone(), existing };
    let done = accounts.call(op(Existing::Keep));
    assert_eq!(done, Ok(AccountsDone::Imported { added: 499, replaced: 0, kept: 1 }));
    assert_eq!(get(&**accounts, &jid("user7@example.org")), Some(credentials(1)));
    let done = accounts.call(op(Existing::Replace));
    assert_eq!(done, Ok(AccountsDone::Imported { added: 0, replaced: 500, kept: 0 }));
    assert_eq!(get(&**accounts, &jid("user7@example.org")), Some(credentials(2)));
    assert!(bench.load(&jid("user499@example.org")).exists);
}

fn list(bench: &Bench) {
    let Some(accounts) = &bench.accounts else { return };
    let mut names = Vec::new();
    for n in 0..25 {
        let user = jid(&format!("user{n:02}@example.org"));
        add(&**accounts, &user, n);
        names.push(user);
        bench.done(StoreOp::Touch { user: jid(&format!("guest{n}@example.org")) });
    }
    add(&**accounts, &jid("other@sub.example.org"), 1);
    add(&**accounts, &jid("other@example_org"), 1);
    let page = |domain: Option<&str>, after: Option<BareJid>| {
        let op = AccountsOp::List { domain: domain.map(str::to_owned), after, rows_max: 10 };
        match accounts.call(op) {
            Ok(AccountsDone::Listed(names)) => names,
            other => panic!("List gave {other:?}"),
        }
    };
    let mut seen = Vec::new();
    loop {
        let next = page(Some("example.org"), seen.last().cloned());
        let end = next.len() < 10;
        seen.extend(next);
        if end {
            break;
        }
    }
    assert_eq!(seen, names);
    assert_eq!(page(Some("sub.example.org"), None), [jid("other@sub.example.org")]);
    assert!(page(Some("nowhere.example"), None).is_empty());
    let all = page(None, None);
    assert_eq!(all[..2], [jid("other@example_org"), jid("other@sub.example.org")]);
}

fn count(bench: &Bench) {
    let Some(accounts) = &bench.accounts else { return };
    for n in 0..3 {
        add(&**accounts, &jid(&format!("user{n}@example.org")), n);
    }
    add(&**accounts, &jid("user@other.example"), 1);
    bench.done(StoreOp::Touch { user: jid("guest@example.org") });
    let mut more = Credentials::default();
    more.set(Hash::Sha512, keys(Hash::Sha512, 1));
    let present = credentials(1);
    let op = AccountsOp::Complete { user: jid("user1@example.org"), present, more };
    assert_eq!(accounts.call(op), Ok(AccountsDone::Done));
    for (domain, lacking, most, expected) in [
        (None, None, None, 4),
        (Some("example.org"), None, None, 3),
        (Some("example.org"), None, Some(2), 2),
        (Some("example.org"), Some(Hash::Sha512), None, 2),
        (Some("example.org"), Some(Hash::Sha512), Some(1), 1),
        (Some("other.example"), Some(Hash::Sha512), Some(2), 1),
        (None, Some(Hash::Sha1), Some(1), 0),
        (Some("nowhere.example"), None, None, 0),
    ] {
        let op = AccountsOp::Count { domain: domain.map(str::to_owned), lacking, most };
        assert_eq!(accounts.call(op), Ok(AccountsDone::Counted(expected)), "{domain:?} {lacking:?}");
    }
}
