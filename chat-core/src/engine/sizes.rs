//! How large everything is that there is for each connection, session, user or message: printed, and bounded.
//!
//! A bound is the size that was thought about. Whoever exceeds one looks whether the new field is worth its bytes times
//! a million, or can stand in a box that few have, and then changes the number here. What a session takes in all is
//! bounded in `benches/micro/tests/memory`.

use std::mem::offset_of;

use crate::base::{ByteQueue, TimerId, slots, timer};
use crate::effect::{
    Batch, Deadline, Envelope, Mail, Output, Promise, Request, SettleTo, TlsInfo, Unacked, Unsettled,
    WIRE_SIZES,
};
use crate::engine::Input;
use crate::jid::{BareJid, Jid};
use crate::sasl::Exchange;
use crate::session::{HandOver, Identity, Inbox, Session, Sm};
use crate::user::recent::Recent;
use crate::user::roster::Roster;
use crate::user::{Blocked, Change, Flight, Flights, Held, Resource, Underway, User};

/// What, its bytes now, and the bytes that it may have.
fn table() -> Vec<(&'static str, usize, usize)> {
    let [(outbox, outbox_bytes), (mark, mark_bytes)] = WIRE_SIZES;
    let [(entry, entry_bytes), (expired, expired_bytes)] = super::tables::SIZES;
    vec![
        // For each connection.
        ("Session", size_of::<Option<Session>>(), 256),
        ("its Inbox", size_of::<Inbox>(), 32),
        ("its Identity", size_of::<Identity>(), 24),
        (outbox, outbox_bytes, 64),
        ("a timer", timer::timer_size::<Deadline>(), 64),
        ("who armed it", size_of::<Option<(TimerId, crate::base::Mono)>>(), 24),
        // For each connection, for a while.
        ("Exchange (SASL)", size_of::<Exchange>(), 312),
        ("TlsInfo", size_of::<TlsInfo>(), 88),
        ("HandOver", size_of::<HandOver>(), 104),
        (mark, mark_bytes, 80),
        // For each user.
        ("User", size_of::<User>(), 288),
        ("its place", slots::place_size::<User>(), 320),
        ("its Roster", size_of::<Roster>(), 16),
        ("its Blocked", size_of::<Blocked>(), 8),
        ("its Flights", size_of::<Flights>(), 24),
        ("its Recent", size_of::<Recent>(), 8),
        (entry, entry_bytes, 32),
        // For each user, for a while.
        ("Change", size_of::<Change>(), 112),
        ("Underway", size_of::<Underway>(), 32),
        // For each resource.
        ("Resource", size_of::<Resource>(), 96),
        ("Sm", size_of::<Sm>(), 112),
        ("Held", size_of::<Held>(), 48),
        (expired, expired_bytes, 88),
        // For each message on its way.
        ("Flight", size_of::<Flight>(), 64),
        ("Unacked", size_of::<Unacked>(), 16),
        ("Unsettled", size_of::<Unsettled>(), 8),
        ("Promise", size_of::<Promise>(), 64),
        ("SettleTo", size_of::<SettleTo>(), 24),
        ("Envelope", size_of::<Envelope>(), 128),
        ("Batch", size_of::<Batch>(), 8),
        ("Mail", size_of::<Mail>(), 32),
        ("Request", size_of::<Request>(), 80),
        // What these are made of, and what goes in and out.
        ("Jid", size_of::<Jid>(), 24),
        ("BareJid", size_of::<BareJid>(), 24),
        ("ByteQueue", size_of::<ByteQueue>(), 24),
        ("Input", size_of::<Input<'_>>(), 96),
        ("Output", size_of::<Output>(), 64),
    ]
}

#[test]
fn everything_is_as_small_as_was_thought() {
    let table = table();
    let text: String = table.iter().map(|(what, now, max)| format!("{now:5} of {max:4}  {what}\n")).collect();
    assert!(table.iter().all(|(_, now, max)| now <= max), "larger than was thought of:\n{text}");
    #[allow(clippy::print_stdout, reason = "the table is for reading: cargo test … -- --nocapture")]
    {
        std::println!("{text}");
    }
}

/// A line of the processor's caches.
const LINE: usize = 64;

/// With a million users each line of a record that is looked at is a wait for memory. (`Slots` puts the record eight bytes
/// behind the begin of a line.)
#[test]
fn what_a_message_touches_of_a_user_lies_in_two_lines() {
    let resource = 8 + offset_of!(User, resources);
    assert_eq!(
        resource + offset_of!(Resource, conn),
        LINE,
        "whether there is one resource or a list of them"
    );
    let flag = size_of::<usize>();
    assert_eq!(resource + offset_of!(Resource, presence) + flag, 2 * LINE, "whether there is presence");
}

#[test]
fn what_a_stanza_touches_of_its_connection_lies_in_three_lines() {
    assert_eq!(offset_of!(Session, ns), 2 * LINE, "what the stream header said");
    assert_eq!(offset_of!(Session, delayed), 3 * LINE, "what only logins need");
}
