use proptest::prelude::*;

use super::super::{Context, Exchange, Failure, ScramKeys, Step};
use super::*;

const SCRAM: [Mechanism; 6] = [
    Mechanism::ScramSha1,
    Mechanism::ScramSha1Plus,
    Mechanism::ScramSha256,
    Mechanism::ScramSha256Plus,
    Mechanism::ScramSha512,
    Mechanism::ScramSha512Plus,
];

fn context() -> Context {
    Context { exporter: Some([5; 32]), plus_offered: true, tls: true, nonce: [3; 24], fake_salt_key: [9; 16] }
}

fn fitting(mechanism: Mechanism) -> Binding {
    if mechanism.is_plus() { Binding::Exporter([5; 32]) } else { Binding::Unsupported }
}

fn client(mechanism: Mechanism, username: &str, password: &str, binding: Binding) -> ScramClient {
    ScramClient::new(mechanism, username, password, binding, [4; 24]).expect("name and password may be used")
}

/// What a server with keys of `stored` (`None`: no such user) does to that client.
fn converse(mechanism: Mechanism, client: &mut ScramClient, stored: Option<&str>) -> (Step, Option<Fault>) {
    let mut server = Exchange::start(mechanism, &context());
    let mut step = server.begin(Some(&client.first()));
    if let Step::NeedKeys { hash, .. } = &step {
        let keys = stored.map(|p| ScramKeys::derive(*hash, &saslprep(p).expect("allowed"), b"salt", 2));
        step = server.keys(keys);
    }
    if let Step::Challenge(challenge) = &step {
        step = server.respond(&client.respond(challenge).expect("a sound challenge"));
    }
    (step, server.fault())
}

#[test]
fn the_rfc_7677_example_from_the_clients_side() {
    let nonce = "rOprNGfwEbeRWgbNEkqO".to_owned();
    let mut client =
        ScramClient::new_with_nonce(Mechanism::ScramSha256, "user", "pencil", Binding::Unsupported, nonce)
            .expect("SCRAM");
    assert_eq!(client.first(), b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
    assert_eq!(client.finish(b"v="), Err(Fault::OutOfTurn));
    let last = client
        .respond(b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096")
        .expect("the RFC's challenge");
    assert_eq!(
        last,
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
          p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    );
    assert_eq!(client.finish(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="), Ok(()));
    assert_eq!(client.finish(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=,z=1"), Ok(()));
    for (data, fault) in [
        (&b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5="[..], Fault::Grammar),
        (b"v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", Fault::Proof),
        (b"v=", Fault::Proof),
        (b"", Fault::Grammar),
        (b"e=other-error", Fault::Grammar),
        (b"v=\xff", Fault::NotUtf8),
    ] {
        assert_eq!(client.finish(data), Err(fault));
    }
}

#[test]
fn challenges_refused() {
    for (challenge, fault) in [
        ("", Fault::Grammar),
        ("r=NONCE,s=c2FsdA==,i=2", Fault::Nonce),
        ("r=xNONCEx,s=c2FsdA==,i=2", Fault::Nonce),
        ("r=NONCEx,i=2", Fault::Grammar),
        ("r=NONCEx,s=c2FsdA==", Fault::Grammar),
        ("r=NONCEx,s=c2FsdA==,i=", Fault::Grammar),
        ("r=NONCEx,s=c2FsdA==,i=0", Fault::Grammar),
        ("r=NONCEx,s=c2FsdA==,i=02", Fault::Grammar),
        ("r=NONCEx,s=c2FsdA==,i=+2", Fault::Grammar),
        ("r=NONCEx,s=c2FsdA==,i=4294967296", Fault::Grammar),
        ("r=NONCEx,s=c2FsdA,i=2", Fault::Grammar),
        ("m=x,r=NONCEx,s=c2FsdA==,i=2", Fault::MandatoryExtension),
        ("r=NONCEx,s=c2FsdA==,i=2,m=x", Fault::MandatoryExtension),
    ] {
        let mut client = client(Mechanism::ScramSha1, "juliet", "pencil", Binding::Unsupported);
        let nonce = client.nonce.clone();
        let challenge = challenge.replace("NONCE", &nonce);
        assert_eq!(client.respond(challenge.as_bytes()), Err(fault), "{challenge}");
    }
}

#[test]
fn clients_that_cannot_be() {
    let new = |m, u, p| ScramClient::new(m, u, p, Binding::Unsupported, [0; 24]).is_some();
    assert!(!new(Mechanism::Plain, "juliet", "pencil"));
    assert!(!new(Mechanism::ScramSha1, "juliet\u{7}", "pencil"));
    assert!(!new(Mechanism::ScramSha1, "juliet", "pencil\0"));
}

#[test]
fn channel_binding_is_checked() {
    let plus = Mechanism::ScramSha256Plus;
    let bare = Mechanism::ScramSha256;
    for (mechanism, binding, fault, failure) in [
        // Another TLS channel: somebody in the middle (RFC 5802 §6, RFC 9266 §2).
        (plus, Binding::Exporter([6; 32]), Fault::BindingMismatch, Failure::NotAuthorized),
        (plus, Binding::Unsupported, Fault::BindingMisused, Failure::MalformedRequest),
        (plus, Binding::NotOffered, Fault::BindingMisused, Failure::MalformedRequest),
        (bare, Binding::NotOffered, Fault::Downgrade, Failure::NotAuthorized),
        (bare, Binding::Exporter([5; 32]), Fault::BindingMisused, Failure::MalformedRequest),
    ] {
        let mut client = client(mechanism, "juliet", "pencil", binding);
        let got = converse(mechanism, &mut client, Some("pencil"));
        assert_eq!(got, (Step::Failure(failure), Some(fault)), "{mechanism:?} {binding:?}");
    }
}

#[test]
fn authzid_reaches_the_session_and_the_proof() {
    let mechanism = Mechanism::ScramSha512Plus;
    let mut client = client(mechanism, "juliet", "pencil", fitting(mechanism));
    client.set_authzid("juliet@capulet.example,=");
    assert!(client.first().starts_with(b"p=tls-exporter,a=juliet@capulet.example=2C=3D,n=juliet,r="));
    let (Step::Success { username, authzid, data }, _) = converse(mechanism, &mut client, Some("pencil"))
    else {
        panic!("the password is right")
    };
    assert_eq!((username.as_str(), authzid.as_deref()), ("juliet", Some("juliet@capulet.example,=")));
    assert_eq!(client.finish(&data.expect("server's proof")), Ok(()));
}

/// What is sent to an unknown user and to a wrong password has the same shape and the same end (RFC 5802 §9).
#[test]
fn unknown_users_cannot_be_told_from_known_ones() {
    for mechanism in SCRAM {
        let challenge = |nonce| {
            let mut server = Exchange::start(mechanism, &Context { nonce, ..context() });
            server.begin(Some(&client(mechanism, "nobody", "pencil", fitting(mechanism)).first()));
            let Step::Challenge(challenge) = server.keys(None) else { panic!("goes on as if known") };
            String::from_utf8(challenge).expect("text")
        };
        let fields = |c: &str| c.split(',').map(str::to_owned).collect::<Vec<_>>();
        let (first, second) = (fields(&challenge([1; 24])), fields(&challenge([2; 24])));
        assert_ne!(first[0], second[0], "nonces are fresh");
        assert_eq!(first[1..], second[1..], "salt and iterations stay");
        assert_eq!(first[1].len(), "s=".len() + 24, "16 bytes of salt");
        assert_eq!(first[2], "i=4096");

        let mut unknown = client(mechanism, "nobody", "pencil", fitting(mechanism));
        let mut wrong = client(mechanism, "nobody", "pencil", fitting(mechanism));
        let refused = Step::Failure(Failure::NotAuthorized);
        let (step, fault) = converse(mechanism, &mut unknown, None);
        assert_eq!((&step, fault), (&refused, Some(Fault::UnknownUser)));
        let (step, fault) = converse(mechanism, &mut wrong, Some("pen"));
        assert_eq!((&step, fault), (&refused, Some(Fault::Proof)));
    }
}

/// Each byte of the final message is covered: by the proof, by its own check or by the grammar.
#[test]
fn a_changed_byte_anywhere_is_noticed() {
    let mechanism = Mechanism::ScramSha1Plus;
    let run = |flip: Option<(usize, u8)>| {
        let mut client = client(mechanism, "juliet", "pencil", fitting(mechanism));
        let mut server = Exchange::start(mechanism, &context());
        server.begin(Some(&client.first()));
        let keys = ScramKeys::derive(Hash::Sha1, "pencil", b"salt", 2);
        let Step::Challenge(challenge) = server.keys(Some(keys)) else { panic!("keys fit") };
        let mut last = client.respond(&challenge).expect("a sound challenge");
        let len = last.len();
        if let Some((at, bit)) = flip {
            last[at] ^= 1 << bit;
        }
        (len, matches!(server.respond(&last), Step::Success { .. }))
    };
    let (len, untouched) = run(None);
    assert!(untouched);
    for at in 0..len {
        for bit in 0..8 {
            assert!(!run(Some((at, bit))).1, "byte {at} bit {bit}");
        }
    }
}

/// Text that SASLprep allows and that is not prepared to nothing.
fn allowed() -> impl Strategy<Value = String> {
    prop_oneof!["[ -~]{1,20}", "[,=a-z\u{e0}-\u{ff}]{1,20}", "\\PC{1,20}"]
        .prop_filter("SASLprep allows it", |s| saslprep(s).is_some_and(|p| !p.is_empty()))
}

proptest! {
    #[test]
    fn client_and_server_agree(which in 0usize..6, username in allowed(), password in allowed()) {
        let mechanism = SCRAM[which];
        let mut client = client(mechanism, &username, &password, fitting(mechanism));
        let (step, _) = converse(mechanism, &mut client, Some(&password));
        let Step::Success { username: seen, authzid: None, data: Some(data) } = step else {
            return Err(TestCaseError::fail(format!("{step:?}")));
        };
        prop_assert_eq!(Some(seen), saslprep(&username).map(String::from));
        prop_assert_eq!(client.finish(&data), Ok(()));
    }

    #[test]
    fn a_wrong_password_never_succeeds(which in 0usize..6, stored in allowed(), typed in allowed()) {
        prop_assume!(saslprep(&stored) != saslprep(&typed));
        let mechanism = SCRAM[which];
        let mut client = client(mechanism, "juliet", &typed, fitting(mechanism));
        let got = converse(mechanism, &mut client, Some(&stored));
        prop_assert_eq!(got, (Step::Failure(Failure::NotAuthorized), Some(Fault::Proof)));
    }

    #[test]
    fn arbitrary_challenges_are_answered(challenge in proptest::collection::vec(any::<u8>(), 0..80)) {
        let mut client = client(Mechanism::ScramSha1, "juliet", "pencil", Binding::Unsupported);
        prop_assert!(client.respond(&challenge).is_err());
        prop_assert!(client.finish(&challenge).is_err());
    }
}
