use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

type S = Subscription;

const MAX: RosterMax = RosterMax { items: 100, requests: 10, bytes: 100_000 };

#[test]
fn the_format_is_golden() {
    let mut roster = Roster::new();
    roster.set_item("juliet@capulet.lit", "Jule", &["Friends", "Love"], MAX).unwrap();
    roster.set_subscription("juliet@capulet.lit", S::BOTH, b"", MAX).unwrap();
    roster.set_subscription("a@b", S::REQUEST, b"<p/>", MAX).unwrap();
    roster.set_version(0x0102_0304);
    let golden = b"\x01\x04\x03\x02\x01\0\0\0\0\x02\0\0\0\x0c\0\0\0\x34\0\0\0\
        \x08\x03a@b\0\x04<p/>\0\
        \x23\x12juliet@capulet.lit\x04Jule\0\x02\x07Friends\x04Love";
    assert_eq!(roster.as_bytes().escape_ascii().to_string(), golden.escape_ascii().to_string());
    assert_eq!(Roster::decode(golden).unwrap(), roster);
    assert_eq!(Roster::new().as_bytes(), b"\x01\0\0\0\0\0\0\0\0\0\0\0\0");
}

#[test]
fn ten_contacts_keep_to_the_budget() {
    let mut roster = Roster::new();
    for i in 0..10 {
        let jid = format!("contact.number{i}@example.org");
        roster.set_item(&jid, "Somebody Known", &["Friends"], MAX).unwrap();
        roster.set_subscription(&jid, S::BOTH, b"", MAX).unwrap();
    }
    assert_eq!(roster.len(), 10);
    assert!(roster.as_bytes().len() <= 640, "{}", roster.as_bytes().len());
    assert_eq!(size_of::<Roster>(), 2 * size_of::<usize>());
}

#[test]
fn a_state_keeps_name_and_groups_and_an_item_keeps_state_and_request() {
    let mut roster = Roster::new();
    assert_eq!(roster.subscription("a@b"), S::ABSENT);
    roster.set_subscription("a@b", S::REQUEST, b"<presence>first</presence>", MAX).unwrap();
    roster.set_subscription("a@b", S::REQUEST, b"<presence>second</presence>", MAX).unwrap();
    roster.set_item("a@b", "Anna", &["x", "y"], MAX).unwrap();
    let item = roster.get("a@b").unwrap();
    assert_eq!(item.subscription, S::NONE_IN);
    assert_eq!(item.request, b"<presence>first</presence>", "the first request wins");
    assert_eq!(roster.requests().collect::<Vec<_>>(), [("a@b", item.request)]);

    roster.set_subscription("a@b", S::FROM, b"", MAX).unwrap();
    let item = roster.get("a@b").unwrap();
    assert_eq!((item.name, item.request), ("Anna", &b""[..]), "an answered request is forgotten");
    assert_eq!(item.groups, Groups::list(&["x", "y"]));
    assert_eq!(roster.requests().count(), 0);

    roster.set_subscription("a@b", S::FROM_OUT, b"ignored", MAX).unwrap();
    assert_eq!(roster.get("a@b").unwrap().request, b"");
    roster.set_item("a@b", "", &[], MAX).unwrap();
    assert_eq!(roster.get("a@b").unwrap().groups.iter().count(), 0);
    assert_eq!(roster.subscription("a@b"), S::FROM_OUT);

    roster.set_subscription("a@b", S::ABSENT, b"", MAX).unwrap();
    assert_eq!(roster, Roster::new());
    roster.set_subscription("a@b", S::ABSENT, b"", MAX).unwrap();
    assert_eq!(roster.remove("a@b"), None);
}

#[test]
fn contacts_come_in_the_order_of_their_jids() {
    let mut roster = Roster::new();
    for (jid, state) in [
        ("d@x", S::TO),
        ("a@x", S::BOTH),
        ("c@x", S::FROM),
        ("b@x", S::NONE_OUT),
        ("a@x.org", S::FROM_OUT),
        ("é@x", S::TO_IN),
    ] {
        roster.set_subscription(jid, state, b"", MAX).unwrap();
    }
    let all: Vec<_> = roster.iter().map(|i| i.jid).collect();
    assert_eq!(all, ["a@x", "a@x.org", "b@x", "c@x", "d@x", "é@x"]);
    assert_eq!(roster.subscribers().collect::<Vec<_>>(), ["a@x", "a@x.org", "c@x"]);
    assert_eq!(roster.subscriptions().collect::<Vec<_>>(), ["a@x", "d@x", "é@x"]);
    assert_eq!(roster.remove("c@x"), Some(S::FROM));
    assert_eq!(roster.subscription("c@x"), S::ABSENT);
    assert_eq!(roster.subscription("d@x"), S::TO);
}

#[test]
fn limits_refuse_and_change_nothing() {
    let max = RosterMax { items: 2, requests: 1, bytes: 200 };
    let mut roster = Roster::new();
    roster.set_item("a@x", "", &[], max).unwrap();
    roster.set_item("b@x", "", &[], max).unwrap();
    roster.set_subscription("r@x", S::REQUEST, b"<presence/>", max).unwrap();
    let before = roster.clone();
    assert_eq!(roster.set_item("c@x", "", &[], max), Err(RosterError::Full));
    assert_eq!(roster.set_subscription("c@x", S::NONE_OUT, b"", max), Err(RosterError::Full));
    assert_eq!(roster.set_subscription("c@x", S::REQUEST, b"", max), Err(RosterError::TooManyRequests));
    // A request that becomes an item counts as one.
    assert_eq!(roster.set_subscription("r@x", S::FROM, b"", max), Err(RosterError::Full));
    assert_eq!(roster.set_item("r@x", "", &[], max), Err(RosterError::Full));
    assert_eq!(roster.set_item("a@x", &"n".repeat(200), &[], max), Err(RosterError::TooLarge));
    assert_eq!(roster, before);
    // What exists can still change, also where limits were lowered since.
    let max = RosterMax { items: 0, requests: 0, bytes: 200 };
    roster.set_item("a@x", "Anna", &[], max).unwrap();
    roster.set_subscription("a@x", S::BOTH, b"", max).unwrap();
    roster.set_subscription("r@x", S::ABSENT, b"", max).unwrap();
    // Also its bytes, unless that makes them more.
    let max = RosterMax { items: 0, requests: 0, bytes: 20 };
    roster.set_item("a@x", "Ann", &[], max).unwrap();
    assert_eq!(roster.set_item("a@x", "Anna", &[], max), Err(RosterError::TooLarge));
}

#[test]
fn damaged_bytes_are_refused() {
    let one = |item: &[u8]| {
        let mut bytes = b"\x01\0\0\0\0\0\0\0\0\x01\0\0\0".to_vec();
        bytes.extend((item.len() as u32).to_le_bytes());
        bytes.extend(item);
        Roster::decode(&bytes).map(|r| r.len())
    };
    assert_eq!(one(b"\x20\x03a@b\0\0\0"), Ok(1));
    for (why, item) in [
        ("no byte", &b""[..]),
        ("only a state", b"\x20"),
        ("absent", b"\x00\x03a@b\0\0\0"),
        ("an illegal state", b"\x29\x03a@b\0\0\0"),
        ("an empty JID", b"\x20\0\0\0\0"),
        ("a JID beyond the end", b"\x20\x09a@b\0\0\0"),
        ("a JID that is not UTF-8", b"\x20\x03a\xffb\0\0\0"),
        ("a name that is not UTF-8", b"\x20\x03a@b\x01\xff\0\0"),
        ("a group that is not UTF-8", b"\x20\x03a@b\0\0\x01\x01\xff"),
        ("a group missing", b"\x20\x03a@b\0\0\x01"),
        ("a byte too many", b"\x20\x03a@b\0\0\0\0"),
        ("a length not in its shortest form", b"\x20\x83\0a@b\0\0\0"),
        ("a length without end", b"\x20\x03a@b\xff\xff\xff\xff\xff\xff"),
        ("a length over 32 bits", b"\x20\x03a@b\xff\xff\xff\xff\x7f"),
        ("more groups than bytes", b"\x20\x03a@b\0\0\xff\xff\xff\xff\x0f"),
    ] {
        assert_eq!(one(item), Err(RosterError::Damaged), "{why}");
    }
    assert_eq!(Roster::decode(b""), Err(RosterError::Damaged));
    assert_eq!(Roster::decode(b"\x01\0\0"), Err(RosterError::Damaged));
    assert_eq!(Roster::decode(b"\x02\0\0"), Err(RosterError::UnknownFormat(2)));
    let head = b"\x01\0\0\0\0\0\0\0\0";
    assert_eq!(Roster::decode(&[&head[..], b"\xff\xff\xff\xff"].concat()), Err(RosterError::Damaged));
    assert_eq!(Roster::decode(&[&head[..], b"\0\0\0\0x"].concat()), Err(RosterError::Damaged));
    let twice = b"\x02\0\0\0\x08\0\0\0\x10\0\0\0\x20\x03a@b\0\0\0\x20\x03a@b\0\0\0";
    assert_eq!(Roster::decode(&[&head[..], twice].concat()), Err(RosterError::Damaged), "the same JID twice");
    let back = b"\x02\0\0\0\x10\0\0\0\x08\0\0\0\x20\x03a@b\0\0\0\x20\x03c@b\0\0\0";
    assert_eq!(Roster::decode(&[&head[..], back].concat()), Err(RosterError::Damaged), "ends that go back");
}

/// What a roster should hold, by JID.
type Model = BTreeMap<String, (S, String, Vec<String>, Vec<u8>)>;

#[derive(Debug, Clone)]
enum Op {
    State(String, S, Vec<u8>),
    Item(String, String, Vec<String>),
    Remove(String),
}

fn op() -> impl Strategy<Value = Op> {
    let jid = "[abé]{1,2}@[xy](\\.[xy])?";
    prop_oneof![
        (jid, prop::sample::select(&S::ALL[..]), prop::collection::vec(any::<u8>(), 0..200))
            .prop_map(|(j, s, r)| Op::State(j, s, r)),
        (jid, "\\PC{0,150}", prop::collection::vec("\\PC{0,9}", 0..4))
            .prop_map(|(j, n, g)| Op::Item(j, n, g)),
        jid.prop_map(Op::Remove),
    ]
}

fn apply(model: &mut Model, op: &Op) {
    match op {
        Op::State(jid, S::ABSENT, _) | Op::Remove(jid) => {
            model.remove(jid);
        }
        Op::State(jid, state, request) => {
            let entry = model.entry(jid.clone()).or_default();
            entry.0 = *state;
            if !state.pending_in() {
                entry.3.clear();
            } else if entry.3.is_empty() {
                entry.3.clone_from(request);
            }
        }
        Op::Item(jid, name, groups) => {
            let entry = model.entry(jid.clone()).or_default();
            (entry.0, entry.1, entry.2) = (entry.0.list(), name.clone(), groups.clone());
        }
    }
}

proptest! {
    #[test]
    fn it_behaves_as_a_sorted_map(ops in prop::collection::vec(op(), 0..40)) {
        let mut model = Model::new();
        let mut roster = Roster::new();
        for op in &ops {
            apply(&mut model, op);
            match op {
                Op::State(jid, state, request) => roster.set_subscription(jid, *state, request, MAX_OF_ALL).unwrap(),
                Op::Item(jid, name, groups) => {
                    let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
                    roster.set_item(jid, name, &groups, MAX_OF_ALL).unwrap();
                }
                Op::Remove(jid) => {
                    roster.remove(jid);
                }
            }
            let held: Vec<_> = roster
                .iter()
                .map(|i| {
                    let groups: Vec<String> = i.groups.iter().map(str::to_owned).collect();
                    (i.jid.to_owned(), (i.subscription, i.name.to_owned(), groups, i.request.to_owned()))
                })
                .collect();
            prop_assert_eq!(held, model.clone().into_iter().collect::<Vec<_>>());
        }
        for (jid, entry) in &model {
            prop_assert_eq!(roster.subscription(jid), entry.0);
        }
        prop_assert_eq!(Roster::decode(roster.as_bytes()), Ok(roster));
    }

    /// Bytes that were changed anywhere are refused, or are a roster that reads back as the same bytes.
    #[test]
    fn damage_never_panics(ops in prop::collection::vec(op(), 1..6), at in any::<prop::sample::Index>(), by in 1u8..) {
        let mut roster = Roster::new();
        for op in &ops {
            if let Op::Item(jid, name, _) = op {
                roster.set_item(jid, name, &["g"], MAX_OF_ALL).unwrap();
            }
        }
        let mut bytes = roster.as_bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= by;
        touch(&bytes);
        touch(&bytes[..at]);
    }

    #[test]
    fn any_bytes_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..80), small in any::<bool>()) {
        if small && bytes.len() > HEAD {
            bytes[0] = FORMAT;
            bytes[9..HEAD].copy_from_slice(&[1, 0, 0, 0]);
        }
        touch(&bytes);
    }
}

const MAX_OF_ALL: RosterMax = RosterMax { items: u32::MAX, requests: u32::MAX, bytes: u32::MAX };

fn touch(bytes: &[u8]) {
    if let Ok(roster) = Roster::decode(bytes) {
        assert_eq!(roster.as_bytes(), bytes);
        let mut again = Roster::new();
        again.set_version(roster.version());
        for item in roster.iter() {
            again.put(item, MAX_OF_ALL).unwrap();
        }
        assert_eq!(again, roster, "there is one way to write a roster");
    }
}
