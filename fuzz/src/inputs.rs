//! Two engines that get any inputs, in any order: connections, bytes, answers that are late, wrong or nobody's, mail that
//! is late, commands, time.
//!
//! Owns: the target `inputs`. Not here: the driver that it steers (`rig`).

use chat_core::base::{MsgId, RequestId, Span, Utc};
use chat_core::effect::{
    AccountDone, AccountError, Domain, Loaded, SpoolRow, SpoolSeq, StoreDone, StoreError, TlsInfo,
};
use chat_core::engine::{Command, KickReason};
use chat_core::session::Listener;

use crate::bytes::Bytes;
use crate::phrases::{ADDRESSES, phrase};
use crate::rig::{HEADER, Rig, plain};

const USERS: [&str; 3] = ["a", "b", "c"];

/// A sequence of operations, each a byte and its arguments.
pub fn inputs(data: &[u8]) {
    let mut bytes = Bytes(data);
    let mode = bytes.byte();
    let mut rig = Rig::new(2, |settings| {
        settings.starttls = mode & 2 != 0;
        if mode & 4 != 0 {
            settings.limits.rate_bytes_per_second = 0;
        }
    });
    rig.lazy = mode & 1 != 0;
    let mut shut = false;
    while !bytes.is_empty() {
        match bytes.below(32) {
            op @ (0..=2 | 21 | 22) => arrive(&mut rig, &mut bytes, op),
            3..=7 => on_connection(&mut rig, &mut bytes),
            8 => {
                let Some(c) = choose(&rig, &mut bytes) else { continue };
                rig.cut(c);
            }
            9 => answer_store(&mut rig, &mut bytes),
            10 => answer_account(&mut rig, &mut bytes),
            11 => {
                let (from, to) = (bytes.below(2), bytes.below(2));
                rig.carry(from, to);
            }
            12 => rig.settle(),
            13 => {
                let units = u64::from(bytes.byte());
                rig.pass(if units < 128 { Span::millis(units * 20) } else { Span::secs(units - 127) });
            }
            op @ (14..=16 | 23) => rig.command(&command(&mut bytes, op)),
            17 => rig.lazy = !rig.lazy,
            18 => {
                let Some(c) = choose(&rig, &mut bytes) else { continue };
                let n = bytes.byte();
                rig.trickle(c, usize::from(n) * 8);
            }
            19 => {
                if bytes.byte() == 255 {
                    shut = true;
                    rig.command(&Command::Shutdown);
                }
            }
            20 => {
                let Some(c) = choose(&rig, &mut bytes) else { continue };
                rig.acknowledge(c, u32::from(bytes.byte() & 3).wrapping_sub(1));
            }
            24 => {
                let Some(c) = choose(&rig, &mut bytes) else { continue };
                let (n, phrase) = (bytes.below(16), phrase(&mut bytes));
                rig.receive(c, phrase.repeat(n).as_bytes());
            }
            _ => on_connection(&mut rig, &mut bytes),
        }
    }
    rig.finish();
    assert_eq!(rig.stopped, if shut { 2 } else { 0 }, "a shutdown ends, once on each worker");
}

/// Somebody connects: who does not say yet what for, or logs in, or goes on with a session.
fn arrive(rig: &mut Rig, bytes: &mut Bytes<'_>, op: usize) {
    match op {
        0 => {
            let listener = if bytes.byte() & 1 == 0 { Listener::Clients } else { Listener::ClientsTls };
            let (worker, peer) = (bytes.below(2), bytes.byte() & 3);
            rig.accept(worker, listener, peer);
        }
        21 => {
            let Some(c) = choose(rig, bytes) else { return };
            let choice = bytes.byte();
            rig.resume(c, usize::from(choice & 1), u32::from(choice >> 6));
        }
        22 => {
            let worker = bytes.below(2);
            let c = rig.accept(worker, Listener::Clients, 2);
            let sm = bytes.byte() & 1 != 0;
            rig.login_anonymous(c, "r", sm);
        }
        _ => {
            let worker = bytes.below(2);
            let c = rig.accept(worker, Listener::Clients, 1);
            let (user, resource) = (USERS[bytes.below(3)], ["r", "s", "t", "u"][bytes.below(4)]);
            let choice = bytes.byte();
            let login = if choice & 2 == 0 { Rig::login } else { Rig::login_scram };
            login(rig, c, user, resource, choice & 1 != 0);
        }
    }
}

/// What an embedder or an operator wants.
fn command(bytes: &mut Bytes<'_>, op: usize) -> Command {
    match op {
        14 => {
            let user = format!("{}@x", USERS[bytes.below(3)]).parse().expect("a bare JID");
            let removed = bytes.byte() & 1 != 0;
            let reason = if removed { KickReason::AccountRemoved } else { KickReason::Operator };
            Command::Kick { user, reason }
        }
        15 => {
            let (from, phrase) = (ADDRESSES[bytes.below(ADDRESSES.len())], phrase(bytes));
            let stanza = phrase.replacen(' ', &format!(" from='{from}' "), 1).into_bytes();
            Command::Send { stanza: stanza.into() }
        }
        16 => {
            let n = bytes.below(256);
            Command::Send { stanza: bytes.take(n).into() }
        }
        _ => {
            let choice = bytes.byte();
            let all = Domain::new("x").mechanisms.into_iter().enumerate();
            let mechanisms = all.filter(|(i, _)| choice >> i & 1 == 0).map(|(_, m)| m).collect();
            Command::Offer { domain: "x".to_owned(), mechanisms }
        }
    }
}

fn choose(rig: &Rig, bytes: &mut Bytes<'_>) -> Option<usize> {
    let choice = usize::from(bytes.byte());
    (!rig.conns.is_empty()).then(|| rig.conns.len() - 1 - choice % rig.conns.len())
}

fn on_connection(rig: &mut Rig, bytes: &mut Bytes<'_>) {
    let Some(c) = choose(rig, bytes) else { return };
    match bytes.below(8) {
        0 => {
            let n = bytes.below(256);
            rig.receive(c, bytes.take(n));
        }
        1 => rig.receive(c, HEADER),
        2 => rig.receive(c, &plain(USERS[bytes.below(3)])),
        3 => rig.conns[c].listens = !rig.conns[c].listens,
        4 => {
            let facts = bytes.byte();
            let tls = TlsInfo {
                exporter: (facts & 1 != 0).then_some([1; 32]),
                server_name: None,
                client_addresses: certificate(facts >> 1),
            };
            rig.secure(c, tls);
        }
        _ => {
            let mut said = Vec::new();
            for _ in 0..=bytes.below(4) {
                said.extend_from_slice(phrase(bytes).as_bytes());
            }
            rig.receive(c, &said);
        }
    }
}

/// The addresses that a certificate names.
fn certificate(facts: u8) -> Vec<String> {
    let names = ["a@x", "b@x", "c@y"].into_iter().enumerate();
    names.filter(|(i, _)| facts >> i & 1 != 0).map(|(_, name)| name.to_owned()).collect()
}

fn answer_store(rig: &mut Rig, bytes: &mut Bytes<'_>) {
    let (choice, kind) = (usize::from(bytes.byte()), bytes.byte());
    if kind & 128 != 0 {
        // Nobody asked.
        return rig.stored(choice & 1, RequestId(u64::from(kind) << 40), Ok(StoreDone::Done));
    }
    if rig.stores.is_empty() {
        return;
    }
    let at = choice % rig.stores.len();
    let Some((worker, id, op)) = rig.stores.remove(at) else { return };
    let result = match kind % 12 {
        0 => Err(StoreError::Conflict),
        1 => Err(StoreError::Full),
        2 => Err(StoreError::Overloaded),
        3 => Err(StoreError::Unavailable),
        4 => Err(StoreError::Damaged),
        5 => Ok(StoreDone::Done),
        6 => Ok(StoreDone::Spool(Vec::new())),
        7 => Ok(StoreDone::User(Loaded { exists: true, roster: (1, b"?"[..].into()), ..Loaded::default() })),
        8 => {
            // Carried out, and the answer is lost.
            let _ = rig.shelf.store(&op);
            return;
        }
        10 => {
            let n = bytes.below(256);
            // Whatever is in the store, it is a message or goes.
            let row = SpoolRow { id: MsgId(u128::from(kind)), at: Utc(0), stanza: bytes.take(n).into() };
            Ok(StoreDone::Spool(vec![(SpoolSeq(i64::from(kind)), row)]))
        }
        _ => rig.shelf.store(&op),
    };
    rig.stored(worker, id, result);
}

fn answer_account(rig: &mut Rig, bytes: &mut Bytes<'_>) {
    let (choice, kind) = (usize::from(bytes.byte()), bytes.byte());
    if rig.accounts.is_empty() {
        return rig.checked(choice & 1, RequestId(u64::from(kind) << 40), Ok(AccountDone::Done));
    }
    let at = choice % rig.accounts.len();
    let Some((worker, id, op)) = rig.accounts.remove(at) else { return };
    let result = match kind % 8 {
        0 => Err(AccountError::Refused),
        1 => Err(AccountError::Disabled),
        2 => Err(AccountError::Unavailable),
        3 => Err(AccountError::Exists),
        4 => Ok(AccountDone::Done),
        5 => Ok(AccountDone::Keys(None)),
        _ => rig.shelf.check(&op),
    };
    rig.checked(worker, id, result);
}
