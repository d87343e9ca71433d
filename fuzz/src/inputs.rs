//! Two engines that get any inputs, in any order: connections, bytes, answers that are late, wrong or nobody's, mail that
//! is late, commands, time.
//!
//! Owns: the target `inputs`. Not here: the driver that it steers (`rig`).

use chat_core::base::{RequestId, Span};
use chat_core::effect::{AccountDone, AccountError, Loaded, StoreDone, StoreError, TlsInfo};
use chat_core::engine::{Command, KickReason};
use chat_core::session::Listener;

use crate::bytes::Bytes;
use crate::rig::{HEADER, Rig, plain};

const USERS: [&str; 3] = ["a", "b", "c"];

/// What clients say; `{}` is an address, chosen by the fuzzer.
const PHRASES: [&str; 34] = [
    "<presence/>",
    "<presence type='unavailable'/>",
    "<presence><priority>-1</priority></presence>",
    "<presence to='{}'/>",
    "<presence to='{}' type='unavailable'/>",
    "<presence to='{}' type='subscribe'/>",
    "<presence to='{}' type='subscribed'/>",
    "<presence to='{}' type='unsubscribe'/>",
    "<presence to='{}' type='unsubscribed'/>",
    "<presence to='{}' type='probe'/>",
    "<message to='{}' type='chat' id='m'><body>hello</body></message>",
    "<message to='{}' type='headline'><body>news</body></message>",
    "<message to='{}' type='error' id='m'><body>hello</body></message>",
    "<message to='{}'><body>a longer one, of a hundred bytes or so, so that the limits of bytes are reached</body></message>",
    "<iq type='get' id='1'><query xmlns='jabber:iq:roster'/></iq>",
    "<iq type='set' id='2'><query xmlns='jabber:iq:roster'><item jid='{}' name='n'><group>g</group></item></query></iq>",
    "<iq type='set' id='3'><query xmlns='jabber:iq:roster'><item jid='{}' subscription='remove'/></query></iq>",
    "<iq type='set' id='4'><block xmlns='urn:xmpp:blocking'><item jid='{}'/></block></iq>",
    "<iq type='set' id='5'><unblock xmlns='urn:xmpp:blocking'/></iq>",
    "<iq type='set' id='6'><enable xmlns='urn:xmpp:carbons:2'/></iq>",
    "<iq type='get' id='7' to='{}'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>",
    "<iq type='get' id='8' to='{}'><ping xmlns='urn:xmpp:ping'/></iq>",
    "<iq type='result' id='8' to='{}'/>",
    "<iq type='set' id='9'><query xmlns='jabber:iq:register'><remove/></query></iq>",
    "<iq type='set' id='0'><query xmlns='jabber:iq:register'><username>a</username><password>p</password></query></iq>",
    "<enable xmlns='urn:xmpp:sm:3' resume='true'/>",
    "<enable xmlns='urn:xmpp:sm:3' resume='true' max='1'/>",
    "<r xmlns='urn:xmpp:sm:3'/>",
    "<a xmlns='urn:xmpp:sm:3' h='1'/>",
    "<a xmlns='urn:xmpp:sm:3' h='4'/>",
    "<inactive xmlns='urn:xmpp:csi:0'/>",
    "<active xmlns='urn:xmpp:csi:0'/>",
    "</stream:stream>",
    "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
];

const ADDRESSES: [&str; 10] =
    ["a@x", "b@x", "c@x", "a@x/r", "b@x/r", "b@x/s", "nobody@x", "x", "who@elsewhere", "@@"];

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
        match bytes.below(20) {
            0 => {
                let listener = if bytes.byte() & 1 == 0 { Listener::Clients } else { Listener::ClientsTls };
                let (worker, peer) = (bytes.below(2), bytes.byte() & 3);
                rig.accept(worker, listener, peer);
            }
            1 | 2 => {
                let worker = bytes.below(2);
                let c = rig.accept(worker, Listener::Clients, 1);
                let (user, resource) = (USERS[bytes.below(3)], ["r", "s", "t", "u"][bytes.below(4)]);
                let sm = bytes.byte() & 1 != 0;
                rig.login(c, user, resource, sm);
            }
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
            14 => {
                let user = format!("{}@x", USERS[bytes.below(3)]).parse().expect("a bare JID");
                let reason =
                    if bytes.byte() & 1 == 0 { KickReason::Operator } else { KickReason::AccountRemoved };
                rig.command(&Command::Kick { user, reason });
            }
            15 => {
                let (from, phrase) = (ADDRESSES[bytes.below(ADDRESSES.len())], phrase(&mut bytes));
                let stanza = phrase.replacen(' ', &format!(" from='{from}' "), 1).into_bytes();
                rig.command(&Command::Send { stanza: stanza.into() });
            }
            16 => {
                let n = bytes.below(256);
                let stanza = bytes.take(n).into();
                rig.command(&Command::Send { stanza });
            }
            17 => rig.lazy = !rig.lazy,
            18 => {
                let Some(c) = choose(&rig, &mut bytes) else { continue };
                let n = bytes.byte();
                rig.trickle(c, usize::from(n) * 8);
            }
            _ => {
                if bytes.byte() == 255 {
                    shut = true;
                    rig.command(&Command::Shutdown);
                }
            }
        }
    }
    rig.finish();
    assert_eq!(rig.stopped, if shut { 2 } else { 0 }, "a shutdown ends, once on each worker");
}

fn choose(rig: &Rig, bytes: &mut Bytes<'_>) -> Option<usize> {
    let choice = usize::from(bytes.byte());
    (!rig.conns.is_empty()).then(|| rig.conns.len() - 1 - choice % rig.conns.len())
}

fn phrase(bytes: &mut Bytes<'_>) -> String {
    PHRASES[bytes.below(PHRASES.len())].replace("{}", ADDRESSES[bytes.below(ADDRESSES.len())])
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
                client_addresses: if facts & 2 != 0 { vec!["a@x".into()] } else { Vec::new() },
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
    let result = match kind % 10 {
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
