//! The bytes between nodes, and what is refused.

use super::*;
use crate::base::limits::{REGISTRY_CHANGES_MAX, REGISTRY_RESETS_MAX};
use crate::cluster::identity::Incarnation;
use crate::cluster::wire::{Kind, WireFault, Writer};

#[test]
fn the_bytes_of_frames_stay() {
    for version in [1, 2] {
        let mut frames = Vec::new();
        frames_of(version, &mut frames);
        // Incarnation, number, seq; of a snapshot, that this is its first and last part; the number of changes, and each.
        let put_a = "01 03614062 0172 05 00 00000001 00 0000000000000001";
        let remove_a = "02 03614062 0172";
        let put_c = "01 03634064 0173 05 00 00000002 00 0000000000000002";
        let expected = [
            ("n1 RegistrySnapshot ", format!("ac02 01 01 03 01 {put_a}")),
            ("n1 RegistryRecords ", format!("ac02 02 03 02 {remove_a} {put_c}")),
        ];
        assert_eq!(frames, expected.map(|(what, hex)| format!("{what}{}", hex.replace(' ', ""))));
    }
}

/// A snapshot and some changes, for a node that reads this version.
fn frames_of(version: u16, frames: &mut Vec<String>) {
    let mut log = Log::new(&name(0), Incarnation(300), KEY);
    let mut drain = |log: &mut Log| {
        while let Some(LogOutput::Send { to, kind, body }) = log.poll_output() {
            let hex: String = body.iter().map(|b| format!("{b:02x}")).collect();
            frames.push(format!("{to:?} {kind:?} {hex}"));
        }
    };
    log.handle(LogInput::Changed(Change::Put(record("a@b", "r", 1))));
    log.handle(LogInput::Fresh { node: NodeId(1), version });
    log.handle(LogInput::Room(NodeId(1)));
    log.handle(LogInput::Changed(Change::Remove { user: "a@b", resource: "r" }));
    log.handle(LogInput::Changed(Change::Put(record("c@d", "s", 2))));
    log.handle(LogInput::Flush);
    drain(&mut log);
}

fn part(number: u8, flags: u8) -> [u8; 6] {
    [0xac, 2, number, 0, flags, 0]
}

fn records(number: u8) -> [u8; 5] {
    [0xac, 2, number, 0, 0]
}

/// Whatever is missing, the next frame shows it, and asks with its number.
#[test]
fn a_missing_frame_is_asked_for_until_a_snapshot_begins() {
    let (snapshot, changes) = (Kind::RegistrySnapshot, Kind::RegistryRecords);
    let mut r = Replica::new(Incarnation(300), 1);
    let says = |r: &mut Replica, kind, body: &[u8]| match r.receive(kind, body) {
        Ok(Received::Nothing) => "nothing".to_owned(),
        Ok(Received::Changes { afresh, .. }) => format!("changes, afresh {afresh}, whole {}", r.is_whole()),
        Ok(Received::Gap { ask }) => format!("gap {ask:?}"),
        Err(fault) => format!("{fault:?}"),
    };
    // The first part of the snapshot is missing, then nothing is.
    assert_eq!(says(&mut r, snapshot, &part(2, 0)), "gap [172, 2, 2]");
    assert_eq!(says(&mut r, changes, &records(3)), "gap [172, 2, 3]");
    assert_eq!(says(&mut r, snapshot, &part(4, 1)), "changes, afresh false, whole false");
    assert_eq!(says(&mut r, changes, &records(5)), "changes, afresh false, whole false");
    assert_eq!(says(&mut r, snapshot, &part(6, 2)), "changes, afresh false, whole true");
    assert_eq!(says(&mut r, changes, &records(6)), "nothing");
    assert_eq!(says(&mut r, changes, &records(7)), "changes, afresh false, whole true");
    // Parts that belong to nothing.
    assert_eq!(says(&mut r, snapshot, &part(8, 2)), "Turn(16)");
    assert_eq!(says(&mut r, snapshot, &part(8, 1)), "Turn(16)");
    // The last part is missing.
    assert_eq!(says(&mut r, changes, &records(9)), "gap [172, 2, 9]");
    assert_eq!(says(&mut r, snapshot, &part(10, 1)), "changes, afresh true, whole false");
    assert_eq!(says(&mut r, changes, &records(12)), "gap [172, 2, 12]");
    assert_eq!(says(&mut r, snapshot, &part(13, 3)), "changes, afresh true, whole true");
    // Another life says nothing about this one.
    assert_eq!(r.receive(changes, &[9, 99, 0, 0]), Ok(Received::Nothing));
    // It goes on like this.
    let mut number = 14;
    while let Ok(Received::Gap { .. }) = r.receive(changes, &records(number + 1)) {
        r.receive(snapshot, &part(number + 2, 3)).unwrap();
        number += 3;
    }
    assert_eq!(usize::from(number - 14) / 3, REGISTRY_RESETS_MAX - 3);
}

#[test]
fn questions_that_cross_a_snapshot_start_no_other() {
    let mut log = Log::new(&name(0), Incarnation(300), KEY);
    let begins = |log: &mut Log, number: u8| {
        log.handle(LogInput::Reset { node: NodeId(1), body: &[0xac, 2, number] });
        log.wants_room(NodeId(1))
    };
    assert!(!begins(&mut log, 1), "nothing is known of that node");
    log.handle(LogInput::Fresh { node: NodeId(1), version: 2 });
    log.handle(LogInput::Room(NodeId(1)));
    for i in 0..4 {
        log.handle(LogInput::Changed(Change::Put(record("a@b", "r", i))));
        log.handle(LogInput::Flush);
    }
    assert!(!log.wants_room(NodeId(1)));
    assert!(begins(&mut log, 3), "frame 2 was lost");
    assert!(begins(&mut log, 4));
    log.handle(LogInput::Room(NodeId(1)));
    assert!(!begins(&mut log, 5), "this crossed the snapshot, which is frame 6");
    log.handle(LogInput::Reset { node: NodeId(1), body: &[1, 6] });
    assert!(!log.wants_room(NodeId(1)), "this is about another life");
    log.handle(LogInput::Changed(Change::Remove { user: "a@b", resource: "r" }));
    log.handle(LogInput::Flush);
    while log.poll_output().is_some() {}
    assert!(!begins(&mut log, 8));
    let fault = WireFault::Sequence { expected: 8, found: 8 };
    assert_eq!(log.poll_output(), Some(LogOutput::Fault { node: NodeId(1), fault }), "it was never sent");
    // Frame 7 came, and 6 did not; and so on, until it is too much.
    let mut resets = 1;
    let mut number = 7;
    while begins(&mut log, number) {
        resets += 1;
        log.handle(LogInput::Room(NodeId(1)));
        log.handle(LogInput::Changed(Change::Put(record("a@b", "r", number.into()))));
        log.handle(LogInput::Flush);
        while log.poll_output().is_some() {}
        number += 2;
    }
    assert_eq!(resets, REGISTRY_RESETS_MAX);
    let fault = WireFault::Turn(0x12);
    assert_eq!(log.poll_output(), Some(LogOutput::Fault { node: NodeId(1), fault }));
}

#[test]
fn frames_that_are_none_are_refused() {
    let mut replica = Replica::new(Incarnation(1), 1);
    for (kind, body, fault) in [
        (Kind::RegistrySnapshot, &[1, 1, 0, 4, 0][..], WireFault::Value),
        (Kind::RegistrySnapshot, &[1, 1, 0], WireFault::Cut),
        (Kind::RegistrySnapshot, &[1, 1, 0, 3, 0, 9], WireFault::Trailing),
        (Kind::RegistryRecords, &[1, 1, 1, 1, 0, 0, 0, 0, 0], WireFault::Value),
        (Kind::RegistryRecords, &[1, 1, 1, 100], WireFault::Cut),
    ] {
        assert_eq!(replica.receive(kind, body), Err(fault), "{body:?}");
    }
    let mut many = vec![1, 1, 1];
    Writer::new(&mut many, 1).number(REGISTRY_CHANGES_MAX as u64 + 1);
    assert_eq!(replica.receive(Kind::RegistryRecords, &many), Err(WireFault::TooLong));
    let mut log = Log::new(&name(0), Incarnation(1), KEY);
    log.handle(LogInput::Reset { node: NodeId(3), body: &[1] });
    assert_eq!(log.poll_output(), Some(LogOutput::Fault { node: NodeId(3), fault: WireFault::Cut }));
    let mut replica = Replica::new(Incarnation(1), 2);
    for user in ["@b", "a@", "a@b/c"] {
        let mut batch = Batch::new();
        batch.push(&Change::Remove { user, resource: "r" });
        let mut body = vec![1, 1, 1];
        batch.write(&mut Writer::new(&mut body, 2), 2);
        assert_eq!(replica.receive(Kind::RegistryRecords, &body), Err(WireFault::Value), "{user}");
    }
}
