//! What a store that cannot write takes from its users, and what it does not (DESIGN §9): writes fail and may be tried again,
//! users who are known log in, the health check tells.

use chat_core::sasl::Hash;
use chat_net::auth::derive;
use chat_net::store::sqlite::Fault;
use chat_net::store::{Accounts, AccountsDone, AccountsOp};

use crate::client::{Client, body, error};
use crate::stage::{Stage, eventually, jid, limits};

/// A server whose users have accounts in the same file.
fn with_accounts(hashes: &[Hash]) -> Stage {
    Stage::build(
        limits(),
        |options| options,
        |builder, store| {
            for name in ["juliet", "romeo", "mercutio", "nurse"] {
                let credentials = derive("secret", hashes, 16).expect("there is randomness");
                let insert = AccountsOp::Insert { user: jid(name), credentials };
                assert_eq!(store.call(insert), Ok(AccountsDone::Done));
            }
            builder.accounts(store.clone())
        },
    )
}

/// Sends something and returns the error that comes back.
fn refused(client: &mut Client, stanza: &str) -> (String, String) {
    client.send(stanza);
    loop {
        let element = client.expect("<");
        if let Some(error) = error(&element) {
            return error;
        }
    }
}

fn message(to: &str, text: &str) -> String {
    format!("<message type='chat' to='{to}@localhost' id='{text}'><body>{text}</body></message>")
}

fn the_disk(fault: Fault) {
    let wait = ("wait".to_owned(), "internal-server-error".to_owned());
    // A login that finds keys missing derives them and writes them: that is no reason to fail.
    let stage = with_accounts(&[Hash::Sha1]);
    let mut juliet = Client::login(&stage.server, "juliet", "balcony").managed().available();
    eventually("all is well", || stage.server.healthy());

    stage.faults.always(fault);
    assert_eq!(refused(&mut juliet, &message("romeo", "m1")), wait);
    let roster =
        "<iq type='set' id='r'><query xmlns='jabber:iq:roster'><item jid='romeo@localhost'/></query></iq>";
    assert_eq!(refused(&mut juliet, roster), wait);
    let block =
        "<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'><item jid='nurse@localhost'/></block></iq>";
    assert_eq!(refused(&mut juliet, block), wait);
    eventually("the health check tells", || !stage.server.healthy());

    let mut romeo = Client::login(&stage.server, "romeo", "orchard").managed().available();
    Client::login(&stage.server, "mercutio", "street").available().close();
    juliet.send(&message("romeo", "m2"));
    assert_eq!(body(&romeo.expect("<message")).as_deref(), Some("m2"), "what needs no store goes on");
    romeo.acknowledge();
    romeo.close();

    stage.heal();
    eventually("the health check tells", || stage.server.healthy());
    juliet.send(&message("romeo", "m3"));
    eventually("it is kept", || stage.rows("m3") == 1);
    assert_eq!((stage.rows("m1"), stage.rows("m2")), (0, 0));
    juliet.send("<r xmlns='urn:xmpp:sm:3'/>");
    juliet.expect("<a xmlns='urn:xmpp:sm:3' h='6'");
    stage.shutdown();
}

#[test]
fn a_full_disk() {
    the_disk(Fault::DiskFull);
}

#[test]
fn a_disk_that_fails() {
    the_disk(Fault::Fail);
}

#[test]
fn a_disk_that_hangs() {
    let stage = with_accounts(&Hash::ALL);
    stage.faults.hold();
    let answer = stage.begin(chat_net::store::StoreOp::Touch { user: jid("nurse") });
    eventually("the writer hangs", || stage.faults.batches() > 0);
    let mut juliet = Client::login(&stage.server, "juliet", "balcony").managed().available();
    for _ in 0..2 {
        Client::login(&stage.server, "romeo", "orchard").available().close();
    }
    let wait = ("wait".to_owned(), "internal-server-error".to_owned());
    assert_eq!(refused(&mut juliet, &message("romeo", "m1")), wait, "after the timeout");
    assert!(!stage.server.healthy(), "a batch takes longer than five seconds");
    stage.faults.release();
    assert!(answer.recv().is_ok());
    eventually("the health check tells", || stage.server.healthy());
    stage.shutdown();
}
