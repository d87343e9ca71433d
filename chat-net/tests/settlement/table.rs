//! The table: what settles a message, crossed with what may go wrong at the writer.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use crate::cell::Romeo::{self, *};
use crate::cell::Settled::{self, *};
use crate::cell::Writer::{self, *};
use crate::cell::{Seen, run};

/// Cells that are played at a time: mostly they wait.
const AT_A_TIME: usize = 24;

struct Row {
    /// The message, in the words of the settlement table.
    message: &'static str,
    romeo: Romeo,
    /// `{m}` is its name: m1, then m2.
    stanza: &'static str,
    settled: Settled,
    /// What is seen, for each fault; the columns of [`Seen`].
    cells: [(Writer, &'static str, &'static str, &'static str, &'static str); 8],
}

const CHAT: &str = "<message type='chat' to='romeo@localhost' id='{m}'><body>{m}</body></message>";
const NO_STORE: &str = "<message type='chat' to='romeo@localhost' id='{m}'><body>{m}</body>\
    <no-store xmlns='urn:xmpp:hints'/></message>";
const HEADLINE: &str = "<message type='headline' to='romeo@localhost' id='{m}'><body>{m}</body></message>";
const TO_NOBODY: &str = "<message type='chat' to='nobody@localhost' id='{m}'><body>{m}</body></message>";
const ELSEWHERE: &str = "<message type='chat' to='a@elsewhere.example' id='{m}'><body>{m}</body></message>";
const IQ_TO_NOBODY: &str =
    "<iq type='get' to='romeo@localhost/gone' id='{m}'><ping xmlns='urn:xmpp:ping'/></iq>";
const IQ_TO_SERVER: &str = "<iq type='get' to='localhost' id='{m}'><ping xmlns='urn:xmpp:ping'/></iq>";
const PRESENCE: &str = "<presence to='romeo@localhost' id='{m}'/>";

#[rustfmt::skip]
const ROWS: &[Row] = &[
    Row { message: "goes to a resource with stream management, and its client acks it",
        romeo: Acks, stanza: CHAT, settled: Acked, cells: [
        // the writer  the sender hears                          romeo gets  after a crash  at his next login
        (Works,        "h",                                      "m1 m2",    "",            ""),
        (Stalls,       "h",                                      "m1 m2",    "",            ""),
        (Hangs,        "h",                                      "m1 m2",    "",            ""),
        (Fails,        "h",                                      "m1 m2",    "",            ""),
        (FullDisk,     "h",                                      "m1 m2",    "",            ""),
        (FailsOne,     "h",                                      "m1 m2",    "",            ""),
        (LosesOne,     "h",                                      "m1 m2",    "",            ""),
        (LosesAll,     "h",                                      "m1 m2",    "",            ""),
    ] },
    Row { message: "goes to two resources with stream management, and the client of one acks it",
        romeo: AcksOnce, stanza: CHAT, settled: Acked, cells: [
        (Works,        "h",                                      "m1 m2",    "",            ""),
        (Stalls,       "h",                                      "m1 m2",    "",            ""),
        (Hangs,        "h",                                      "m1 m2",    "",            ""),
        (Fails,        "h",                                      "m1 m2",    "",            ""),
        (FullDisk,     "h",                                      "m1 m2",    "",            ""),
        (FailsOne,     "h",                                      "m1 m2",    "",            ""),
        (LosesOne,     "h",                                      "m1 m2",    "",            ""),
        (LosesAll,     "h",                                      "m1 m2",    "",            ""),
    ] },
    // The row is begun 250 ms after the message, the ack comes behind it.
    Row { message: "goes to a resource with stream management, and its client acks it while its row is written",
        romeo: AcksLate, stanza: CHAT, settled: AckedOrKept, cells: [
        (Works,        "h",                                      "m1 m2",    "",            ""),
        (Stalls,       "h",                                      "m1 m2",    "",            ""),
        (Hangs,        "h",                                      "m1 m2",    "",            ""),
        (Fails,        "m1 wait, m2 wait, h",                    "m1 m2",    "",            ""),
        (FullDisk,     "m1 wait, m2 wait, h",                    "m1 m2",    "",            ""),
        (FailsOne,     "m1 wait, h",                             "m1 m2",    "",            ""),
        (LosesOne,     "h",                                      "m1 m2",    "",            ""),
        (LosesAll,     "h",                                      "m1 m2",    "",            ""),
    ] },
    Row { message: "goes to a resource with stream management, and its client never acks it",
        romeo: NeverAcks, stanza: CHAT, settled: Kept, cells: [
        (Works,        "h",                                      "m1 m2",    "m1 m2",       "m1 m2"),
        (Stalls,       "(waits) h",                              "m1 m2",    "m1 m2",       "m1 m2"),
        (Hangs,        "(waits) m1 wait, m2 wait, h",            "m1 m2",    "",            "m1 m2"),
        (Fails,        "m1 wait, m2 wait, h",                    "m1 m2",    "",            ""),
        (FullDisk,     "m1 wait, m2 wait, h",                    "m1 m2",    "",            ""),
        (FailsOne,     "m1 wait, h",                             "m1 m2",    "m2",          "m2"),
        (LosesOne,     "(waits) h",                              "m1 m2",    "m1 m2",       "m1 m2"),
        (LosesAll,     "(waits) m1 wait, m2 wait, h",            "m1 m2",    "m1 m2",       "m1 m2"),
    ] },
    Row { message: "goes to a resource with stream management, whose connection broke",
        romeo: IsDetached, stanza: CHAT, settled: Kept, cells: [
        (Works,        "h",                                      "",         "m1 m2",       "m1 m2"),
        (Stalls,       "(waits) h",                              "",         "m1 m2",       "m1 m2"),
        (Hangs,        "(waits) m1 wait, m2 wait, h",            "",         "",            "m1 m2"),
        (Fails,        "m1 wait, m2 wait, h",                    "",         "",            ""),
        (FullDisk,     "m1 wait, m2 wait, h",                    "",         "",            ""),
        (FailsOne,     "m1 wait, h",                             "",         "m2",          "m2"),
        (LosesOne,     "(waits) h",                              "",         "m1 m2",       "m1 m2"),
        (LosesAll,     "(waits) m1 wait, m2 wait, h",            "",         "m1 m2",       "m1 m2"),
    ] },
    Row { message: "goes only to resources without stream management",
        romeo: IsUnmanaged, stanza: CHAT, settled: Written, cells: [
        (Works,        "h",                                      "m1 m2",    "",            ""),
        (Stalls,       "h",                                      "m1 m2",    "",            ""),
        (Hangs,        "h",                                      "m1 m2",    "",            ""),
        (Fails,        "h",                                      "m1 m2",    "",            ""),
        (FullDisk,     "h",                                      "m1 m2",    "",            ""),
        (FailsOne,     "h",                                      "m1 m2",    "",            ""),
        (LosesOne,     "h",                                      "m1 m2",    "",            ""),
        (LosesAll,     "h",                                      "m1 m2",    "",            ""),
    ] },
    // Not written to the socket within 250 ms: docs/decisions/0006.
    Row { message: "goes only to a resource without stream management, whose client does not read",
        romeo: IsSlow, stanza: CHAT, settled: Kept, cells: [
        (Works,        "h",                                      "m1 m2",    "m1 m2",       ""),
        (Stalls,       "(waits) h",                              "m1 m2",    "m1 m2",       ""),
        (Hangs,        "(waits) m1 wait, m2 wait, h",            "m1 m2",    "",            ""),
        (Fails,        "m1 wait, m2 wait, h",                    "m1 m2",    "",            ""),
        (FullDisk,     "m1 wait, m2 wait, h",                    "m1 m2",    "",            ""),
        (FailsOne,     "m1 wait, h",                             "m1 m2",    "m2",          ""),
        (LosesOne,     "(waits) h",                              "m1 m2",    "m1 m2",       ""),
        (LosesAll,     "(waits) m1 wait, m2 wait, h",            "m1 m2",    "m1 m2",       ""),
    ] },
    Row { message: "finds nobody, and is to be kept",
        romeo: IsOffline, stanza: CHAT, settled: Kept, cells: [
        (Works,        "h",                                      "",         "m1 m2",       "m1 m2"),
        (Stalls,       "(waits) h",                              "",         "m1 m2",       "m1 m2"),
        (Hangs,        "(waits) m1 wait, m2 wait, h",            "",         "",            "m1 m2"),
        (Fails,        "m1 wait, m2 wait, h",                    "",         "",            ""),
        (FullDisk,     "m1 wait, m2 wait, h",                    "",         "",            ""),
        (FailsOne,     "m1 wait, h",                             "",         "m2",          "m2"),
        (LosesOne,     "(waits) h",                              "",         "m1 m2",       "m1 m2"),
        (LosesAll,     "(waits) m1 wait, m2 wait, h",            "",         "m1 m2",       "m1 m2"),
    ] },
    Row { message: "is refused: the spool is full",
        romeo: IsFull, stanza: CHAT, settled: Refused, cells: [
        (Works,        "m1 service-unavailable, m2 service-unavailable, h",         "", "m0", "m0"),
        (Stalls,       "(waits) m1 service-unavailable, m2 service-unavailable, h", "", "m0", "m0"),
        (Hangs,        "(waits) m1 wait, m2 wait, h",                               "", "m0", "m0"),
        (Fails,        "m1 wait, m2 wait, h",                                       "", "m0", "m0"),
        (FullDisk,     "m1 wait, m2 wait, h",                                       "", "m0", "m0"),
        (FailsOne,     "m1 wait, m2 service-unavailable, h",                        "", "m0", "m0"),
        (LosesOne,     "(waits) m1 service-unavailable, m2 service-unavailable, h", "", "m0", "m0"),
        (LosesAll,     "(waits) m1 wait, m2 wait, h",                               "", "m0", "m0"),
    ] },
    Row { message: "is refused: there is no such user",
        romeo: IsOffline, stanza: TO_NOBODY, settled: Refused, cells: [
        (Works,        "m1 service-unavailable, m2 service-unavailable, h", "", "", ""),
        (Stalls,       "m1 service-unavailable, m2 service-unavailable, h", "", "", ""),
        (Hangs,        "m1 service-unavailable, m2 service-unavailable, h", "", "", ""),
        (Fails,        "m1 service-unavailable, m2 service-unavailable, h", "", "", ""),
        (FullDisk,     "m1 service-unavailable, m2 service-unavailable, h", "", "", ""),
        (FailsOne,     "m1 service-unavailable, m2 service-unavailable, h", "", "", ""),
        (LosesOne,     "m1 service-unavailable, m2 service-unavailable, h", "", "", ""),
        (LosesAll,     "m1 service-unavailable, m2 service-unavailable, h", "", "", ""),
    ] },
    // There is no federation yet (DESIGN §9).
    Row { message: "is refused: it is for another domain",
        romeo: IsOffline, stanza: ELSEWHERE, settled: Refused, cells: [
        (Works,        "m1 remote-server-not-found, m2 remote-server-not-found, h", "", "", ""),
        (Stalls,       "m1 remote-server-not-found, m2 remote-server-not-found, h", "", "", ""),
        (Hangs,        "m1 remote-server-not-found, m2 remote-server-not-found, h", "", "", ""),
        (Fails,        "m1 remote-server-not-found, m2 remote-server-not-found, h", "", "", ""),
        (FullDisk,     "m1 remote-server-not-found, m2 remote-server-not-found, h", "", "", ""),
        (FailsOne,     "m1 remote-server-not-found, m2 remote-server-not-found, h", "", "", ""),
        (LosesOne,     "m1 remote-server-not-found, m2 remote-server-not-found, h", "", "", ""),
        (LosesAll,     "m1 remote-server-not-found, m2 remote-server-not-found, h", "", "", ""),
    ] },
    Row { message: "is blocked",
        romeo: Blocks, stanza: CHAT, settled: Refused, cells: [
        (Works,        "m1 service-unavailable, m2 service-unavailable, h", "", "", ""),
        (Stalls,       "m1 service-unavailable, m2 service-unavailable, h", "", "", ""),
        (Hangs,        "m1 service-unavailable, m2 service-unavailable, h", "", "", ""),
        (Fails,        "m1 service-unavailable, m2 service-unavailable, h", "", "", ""),
        (FullDisk,     "m1 service-unavailable, m2 service-unavailable, h", "", "", ""),
        (FailsOne,     "m1 service-unavailable, m2 service-unavailable, h", "", "", ""),
        (LosesOne,     "m1 service-unavailable, m2 service-unavailable, h", "", "", ""),
        (LosesAll,     "m1 service-unavailable, m2 service-unavailable, h", "", "", ""),
    ] },
    Row { message: "is not to be stored, and finds nobody",
        romeo: IsOffline, stanza: NO_STORE, settled: Decided, cells: [
        (Works,        "h", "", "", ""),
        (Stalls,       "h", "", "", ""),
        (Hangs,        "h", "", "", ""),
        (Fails,        "h", "", "", ""),
        (FullDisk,     "h", "", "", ""),
        (FailsOne,     "h", "", "", ""),
        (LosesOne,     "h", "", "", ""),
        (LosesAll,     "h", "", "", ""),
    ] },
    Row { message: "is an undeliverable headline",
        romeo: IsOffline, stanza: HEADLINE, settled: Decided, cells: [
        (Works,        "h", "", "", ""),
        (Stalls,       "h", "", "", ""),
        (Hangs,        "h", "", "", ""),
        (Fails,        "h", "", "", ""),
        (FullDisk,     "h", "", "", ""),
        (FailsOne,     "h", "", "", ""),
        (LosesOne,     "h", "", "", ""),
        (LosesAll,     "h", "", "", ""),
    ] },
    Row { message: "is an IQ for nobody",
        romeo: IsOffline, stanza: IQ_TO_NOBODY, settled: Refused, cells: [
        (Works,        "m1 service-unavailable, m2 service-unavailable, h", "", "", ""),
        (Stalls,       "m1 service-unavailable, m2 service-unavailable, h", "", "", ""),
        (Hangs,        "m1 service-unavailable, m2 service-unavailable, h", "", "", ""),
        (Fails,        "m1 service-unavailable, m2 service-unavailable, h", "", "", ""),
        (FullDisk,     "m1 service-unavailable, m2 service-unavailable, h", "", "", ""),
        (FailsOne,     "m1 service-unavailable, m2 service-unavailable, h", "", "", ""),
        (LosesOne,     "m1 service-unavailable, m2 service-unavailable, h", "", "", ""),
        (LosesAll,     "m1 service-unavailable, m2 service-unavailable, h", "", "", ""),
    ] },
    Row { message: "is an IQ for the server",
        romeo: IsOffline, stanza: IQ_TO_SERVER, settled: Decided, cells: [
        (Works,        "m1 answer, m2 answer, h", "", "", ""),
        (Stalls,       "m1 answer, m2 answer, h", "", "", ""),
        (Hangs,        "m1 answer, m2 answer, h", "", "", ""),
        (Fails,        "m1 answer, m2 answer, h", "", "", ""),
        (FullDisk,     "m1 answer, m2 answer, h", "", "", ""),
        (FailsOne,     "m1 answer, m2 answer, h", "", "", ""),
        (LosesOne,     "m1 answer, m2 answer, h", "", "", ""),
        (LosesAll,     "m1 answer, m2 answer, h", "", "", ""),
    ] },
    Row { message: "is a presence",
        romeo: IsOffline, stanza: PRESENCE, settled: Decided, cells: [
        (Works,        "h", "", "", ""),
        (Stalls,       "h", "", "", ""),
        (Hangs,        "h", "", "", ""),
        (Fails,        "h", "", "", ""),
        (FullDisk,     "h", "", "", ""),
        (FailsOne,     "h", "", "", ""),
        (LosesOne,     "h", "", "", ""),
        (LosesAll,     "h", "", "", ""),
    ] },
];

/// Every cell: `h` never covers what is not settled, errors come before it, nothing that was acknowledged is lost.
#[test]
fn what_is_acknowledged_is_settled_whatever_the_writer_does() {
    let cells = ROWS.iter().flat_map(|row| row.cells.iter().map(move |cell| (row, cell)));
    let (cells, wrong) = (Mutex::new(cells), Mutex::new(Vec::new()));
    let work = || {
        loop {
            let Some((row, cell)) = cells.lock().expect("no panic").next() else { return };
            let (writer, hears, gets, crash, next) = *cell;
            let played = AssertUnwindSafe(|| run(row.romeo, row.stanza, row.settled, writer));
            let expected = Seen {
                hears: hears.to_owned(),
                gets: gets.to_owned(),
                crash: crash.to_owned(),
                next: next.to_owned(),
            };
            let found = match catch_unwind(played) {
                Ok(seen) if seen == expected => continue,
                Ok(seen) => format!("{seen:?}\n    instead of {expected:?}"),
                Err(panic) => panic.downcast_ref::<String>().cloned().unwrap_or_else(|| "a panic".to_owned()),
            };
            let place = format!("A message {}; the writer: {writer:?}\n    {found}", row.message);
            wrong.lock().expect("no panic").push(place);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(work);
        }
    });
    let wrong = wrong.into_inner().expect("no panic");
    assert!(wrong.is_empty(), "{} cells are not as they should be:\n{}", wrong.len(), wrong.join("\n"));
}
