use proptest::prelude::*;

use super::*;

const EXPORTER: [u8; 32] = [0xab; 32];

/// A stream under TLS that announces -PLUS.
fn context() -> Context {
    Context {
        exporter: Some(EXPORTER),
        plus_offered: true,
        tls: true,
        nonce: [3; 24],
        fake_salt_key: [9; 16],
    }
}

fn keys(hash: Hash) -> ScramKeys {
    ScramKeys::derive(hash, "pencil", b"0123456789abcdef", 2)
}

/// Runs up to the challenge with keys of "pencil" and returns the exchange and the server's nonce and all.
fn challenged(mechanism: Mechanism, first: &str) -> (Exchange, String) {
    let mut exchange = Exchange::start(mechanism, &context());
    let Step::NeedKeys { hash, .. } = exchange.begin(Some(first.as_bytes())) else {
        panic!("{first} is a sound first message: {exchange:?}")
    };
    let Step::Challenge(challenge) = exchange.keys(Some(keys(hash))) else { panic!("keys fit") };
    let challenge = String::from_utf8(challenge).expect("our own message");
    let nonce = challenge.split(',').next().expect("a nonce").strip_prefix("r=").expect("r=").to_owned();
    (exchange, nonce)
}

/// The published conversations: mechanism, client's first, server's first, client's final, server's final.
#[test]
fn published_examples() {
    for (mechanism, first, challenge, last, success) in [
        // RFC 5802 §5.
        (
            Mechanism::ScramSha1,
            "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
            "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
            "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
            "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
        ),
        // RFC 7677 §3.
        (
            Mechanism::ScramSha256,
            "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
             p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
            "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
        ),
        // No RFC has one for SHA-512; this conversation is in the tests of several AMQP implementations.
        (
            Mechanism::ScramSha512,
            "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
            "r=rOprNGfwEbeRWgbNEkqO02431b08-2f89-4bad-a4e6-80c0564ec865,\
             s=Yin2FuHTt/M0kJWb0t9OI32n2VmOGi3m+JfjOvuDF88=,i=4096",
            "c=biws,r=rOprNGfwEbeRWgbNEkqO02431b08-2f89-4bad-a4e6-80c0564ec865,\
             p=Hc5yec3NmCD7t+kFRw4/3yD6/F3SQHc7AVYschRja+Bc3sbdjlA0eH1OjJc0DD4ghn1tnXN5/Wr6qm9xmaHt4A==",
            "v=BQuhnKHqYDwQWS5jAw4sZed+C9KFUALsbrq81bB0mh+bcUUbbMPNNmBIupnS2AmyyDnG5CTBQtkjJ9kyY4kzmw==",
        ),
    ] {
        let hash = mechanism.hash().expect("SCRAM");
        let (_, client_nonce) = first.split_once("r=").expect("nonce");
        let fields: Vec<&str> = challenge.split(',').collect();
        let server_nonce = &fields[0][2 + client_nonce.len()..];
        let salt = STANDARD.decode(&fields[1][2..]).expect("salt");
        let mut exchange = Exchange::start_with_nonce(mechanism, &context(), server_nonce.to_owned());
        assert_eq!(
            exchange.begin(Some(first.as_bytes())),
            Step::NeedKeys { username: "user".into(), hash },
            "{mechanism:?}"
        );
        let keys = ScramKeys::derive(hash, "pencil", &salt, 4096);
        assert_eq!(exchange.keys(Some(keys)), Step::Challenge(challenge.into()), "{mechanism:?}");
        assert_eq!(
            exchange.respond(last.as_bytes()),
            Step::Success { username: "user".into(), authzid: None, data: Some(success.into()) },
            "{mechanism:?}"
        );
    }
}

#[test]
fn scram_first_messages() {
    let plus = Mechanism::ScramSha256Plus;
    let bare = Mechanism::ScramSha256;
    for (mechanism, message, username, authzid) in [
        (bare, "n,,n=juliet,r=x", "juliet", None),
        (plus, "p=tls-exporter,,n=juliet,r=x", "juliet", None),
        (bare, "n,a=juliet@capulet.example,n=juliet,r=x", "juliet", Some("juliet@capulet.example")),
        (bare, "n,a=a=2Cb=3Dc,n==2C=3D=3D2C,r=x", ",==2C", Some("a,b=c")),
        (bare, "n,,n=жюльет,r=!+-~", "жюльет", None),
        // Optional extensions are ignored (RFC 5802 §5.1).
        (bare, "n,,n=juliet,r=x,z=1,d=a=b", "juliet", None),
    ] {
        let mut exchange = Exchange::start(mechanism, &context());
        let step = exchange.begin(Some(message.as_bytes()));
        assert_eq!(step, Step::NeedKeys { username: username.into(), hash: Hash::Sha256 }, "{message}");
        let State::Keys(first) = &exchange.state else { panic!("keys are awaited") };
        assert_eq!(first.authzid.as_deref(), authzid, "{message}");
    }
}

#[test]
fn scram_first_messages_refused() {
    let plus = Mechanism::ScramSha1Plus;
    let bare = Mechanism::ScramSha1;
    let long = |head: &str, n: usize, tail: &str| format!("{head}{}{tail}", "a".repeat(n));
    for (mechanism, message, fault, failure) in [
        // RFC 5802 §7: the grammar.
        (bare, String::new(), Fault::Grammar, Failure::MalformedRequest),
        (bare, "n".into(), Fault::Grammar, Failure::MalformedRequest),
        (bare, "n,".into(), Fault::Grammar, Failure::MalformedRequest),
        (bare, "n,,".into(), Fault::Grammar, Failure::MalformedRequest),
        (bare, "n,,n=juliet".into(), Fault::Grammar, Failure::MalformedRequest),
        (bare, "n,,r=x".into(), Fault::Grammar, Failure::MalformedRequest),
        (bare, "n,,r=x,n=juliet".into(), Fault::Grammar, Failure::MalformedRequest),
        (bare, "n,,n=,r=x".into(), Fault::Grammar, Failure::MalformedRequest),
        (bare, "n,,n=juliet,r=".into(), Fault::Grammar, Failure::MalformedRequest),
        (bare, "n,,n=juliet,r=a b".into(), Fault::Grammar, Failure::MalformedRequest),
        (bare, "n,,n=juliet,r=é".into(), Fault::Grammar, Failure::MalformedRequest),
        (bare, "n,,n=juliet,r=\u{7f}".into(), Fault::Grammar, Failure::MalformedRequest),
        (bare, "n,,n=juliet,r=x,".into(), Fault::Grammar, Failure::MalformedRequest),
        (bare, "n,,n=juliet,r=x,z".into(), Fault::Grammar, Failure::MalformedRequest),
        (bare, "n,,n=juliet,r=x,z=".into(), Fault::Grammar, Failure::MalformedRequest),
        (bare, "n,,n=juliet,r=x,1=2".into(), Fault::Grammar, Failure::MalformedRequest),
        (bare, "N,,n=juliet,r=x".into(), Fault::Grammar, Failure::MalformedRequest),
        (bare, "x,,n=juliet,r=x".into(), Fault::Grammar, Failure::MalformedRequest),
        (bare, ",,n=juliet,r=x".into(), Fault::Grammar, Failure::MalformedRequest),
        (bare, "n,juliet,n=juliet,r=x".into(), Fault::Grammar, Failure::MalformedRequest),
        (bare, "n,a=,n=juliet,r=x".into(), Fault::Grammar, Failure::MalformedRequest),
        (bare, "n,,n=jul\0iet,r=x".into(), Fault::Grammar, Failure::MalformedRequest),
        // RFC 5802 §5.1: escapes of a name.
        (bare, "n,,n=a=,r=x".into(), Fault::Grammar, Failure::MalformedRequest),
        (bare, "n,,n=a=2,r=x".into(), Fault::Grammar, Failure::MalformedRequest),
        (bare, "n,,n=a=2c,r=x".into(), Fault::Grammar, Failure::MalformedRequest),
        (bare, "n,,n=a=3d,r=x".into(), Fault::Grammar, Failure::MalformedRequest),
        (bare, "n,,n=a=41,r=x".into(), Fault::Grammar, Failure::MalformedRequest),
        (bare, "n,a=a=b,n=juliet,r=x".into(), Fault::Grammar, Failure::MalformedRequest),
        // RFC 5802 §5.1: `m` is reserved for what must be understood.
        (bare, "n,,m=x,n=juliet,r=x".into(), Fault::MandatoryExtension, Failure::MalformedRequest),
        (bare, "n,,n=juliet,m=x,r=x".into(), Fault::MandatoryExtension, Failure::MalformedRequest),
        (bare, "n,,n=juliet,r=x,m=x".into(), Fault::MandatoryExtension, Failure::MalformedRequest),
        // Limits.
        (bare, long("n,,n=", 1024, ",r=x"), Fault::TooLong, Failure::MalformedRequest),
        (bare, long("n,,n=juliet,r=", 257, ""), Fault::TooLong, Failure::MalformedRequest),
        (bare, long("n,a=", 3072, ",n=juliet,r=x"), Fault::TooLong, Failure::MalformedRequest),
        (bare, long("n,,n=juliet,r=x,z=", 4079, ""), Fault::TooLong, Failure::MalformedRequest),
        // RFC 5802 §6: channel binding.
        (bare, "y,,n=juliet,r=x".into(), Fault::Downgrade, Failure::NotAuthorized),
        (bare, "p=tls-exporter,,n=juliet,r=x".into(), Fault::BindingMisused, Failure::MalformedRequest),
        (plus, "n,,n=juliet,r=x".into(), Fault::BindingMisused, Failure::MalformedRequest),
        (plus, "y,,n=juliet,r=x".into(), Fault::BindingMisused, Failure::MalformedRequest),
        (plus, "p=tls-unique,,n=juliet,r=x".into(), Fault::BindingType, Failure::MalformedRequest),
        (plus, "p=TLS-EXPORTER,,n=juliet,r=x".into(), Fault::BindingType, Failure::MalformedRequest),
        (plus, "p=tls-server-end-point,,n=juliet,r=x".into(), Fault::BindingType, Failure::MalformedRequest),
        (plus, "p=,,n=juliet,r=x".into(), Fault::Grammar, Failure::MalformedRequest),
        (plus, "p=tls exporter,,n=juliet,r=x".into(), Fault::Grammar, Failure::MalformedRequest),
        (plus, "p,,n=juliet,r=x".into(), Fault::Grammar, Failure::MalformedRequest),
    ] {
        let mut exchange = Exchange::start(mechanism, &context());
        assert_eq!(exchange.begin(Some(message.as_bytes())), Step::Failure(failure), "{message}");
        assert_eq!(exchange.fault(), Some(fault), "{message}");
        assert_eq!(exchange.respond(b"n,,n=juliet,r=x"), Step::Failure(Failure::MalformedRequest), "over");
    }
    let mut exchange = Exchange::start(bare, &context());
    assert_eq!(exchange.begin(Some(b"n,,n=\xff,r=x")), Step::Failure(Failure::MalformedRequest));
    assert_eq!(exchange.fault(), Some(Fault::NotUtf8));
}

#[test]
fn the_limits_themselves_are_allowed() {
    for message in [
        format!("n,,n={},r={}", "a".repeat(1023), "b".repeat(256)),
        format!("n,a={},n=juliet,r=x", "a".repeat(3071)),
        format!("n,,n=juliet,r=x,z={}", "a".repeat(4078)),
    ] {
        let mut exchange = Exchange::start(Mechanism::ScramSha256, &context());
        assert!(matches!(exchange.begin(Some(message.as_bytes())), Step::NeedKeys { .. }));
    }
}

#[test]
fn y_is_sound_where_no_plus_was_announced() {
    let cx = Context { plus_offered: false, exporter: None, ..context() };
    let mut exchange = Exchange::start(Mechanism::ScramSha256, &cx);
    assert!(matches!(exchange.begin(Some(b"y,,n=juliet,r=x")), Step::NeedKeys { .. }));
}

#[test]
fn scram_final_messages_refused() {
    // `p=` of 20 and of 32 zero bytes.
    let short = "AAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let zeros = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    for (message, fault, failure) in [
        // RFC 5802 §7: the grammar. NONCE stands for the right nonce.
        ("".into(), Fault::Grammar, Failure::MalformedRequest),
        ("c=biws".into(), Fault::Grammar, Failure::MalformedRequest),
        ("c=biws,r=NONCE".into(), Fault::Grammar, Failure::MalformedRequest),
        (format!("p={zeros}"), Fault::Grammar, Failure::MalformedRequest),
        (format!("c=biws,p={zeros}"), Fault::Grammar, Failure::MalformedRequest),
        (format!("r=NONCE,p={zeros}"), Fault::Grammar, Failure::MalformedRequest),
        (format!("r=NONCE,c=biws,p={zeros}"), Fault::Grammar, Failure::MalformedRequest),
        (format!("c=,r=NONCE,p={zeros}"), Fault::Grammar, Failure::MalformedRequest),
        (format!("c=b!ws,r=NONCE,p={zeros}"), Fault::Grammar, Failure::MalformedRequest),
        (format!("c=biws,r=,p={zeros}"), Fault::Grammar, Failure::MalformedRequest),
        ("c=biws,r=NONCE,p=".into(), Fault::Grammar, Failure::MalformedRequest),
        ("c=biws,r=NONCE,p=AAA".into(), Fault::Grammar, Failure::MalformedRequest),
        (format!("c=biws,r=NONCE,p={short}"), Fault::Grammar, Failure::MalformedRequest),
        (format!("c=biws,r=NONCE,p={zeros},z=1"), Fault::Grammar, Failure::MalformedRequest),
        (format!("c=biws,r=NONCE,z,p={zeros}"), Fault::Grammar, Failure::MalformedRequest),
        (format!("c=biws,r=NONCE,p={zeros}\0"), Fault::Grammar, Failure::MalformedRequest),
        (format!("c=biws,r=NONCE,m=x,p={zeros}"), Fault::MandatoryExtension, Failure::MalformedRequest),
        (format!("m=x,c=biws,r=NONCE,p={zeros}"), Fault::MandatoryExtension, Failure::MalformedRequest),
        (
            format!("c=biws,r=NONCE,z={},p={zeros}", "a".repeat(4096)),
            Fault::TooLong,
            Failure::MalformedRequest,
        ),
        // RFC 5802 §5.1: the nonce is the whole one, exactly.
        (format!("c=biws,r=x,p={zeros}"), Fault::Nonce, Failure::NotAuthorized),
        (format!("c=biws,r=NONCEx,p={zeros}"), Fault::Nonce, Failure::NotAuthorized),
        (format!("c=biws,r=xNONCE,p={zeros}"), Fault::Nonce, Failure::NotAuthorized),
        // RFC 5802 §5.1, §6: the header is the one of the first message: `y,,`, `n,a=x,`, `n,,` and a byte.
        (format!("c=eSws,r=NONCE,p={zeros}"), Fault::BindingMismatch, Failure::NotAuthorized),
        (format!("c=bixhPXgs,r=NONCE,p={zeros}"), Fault::BindingMismatch, Failure::NotAuthorized),
        (format!("c=biwsAA==,r=NONCE,p={zeros}"), Fault::BindingMismatch, Failure::NotAuthorized),
        (format!("c=biws,r=NONCE,p={zeros}"), Fault::Proof, Failure::NotAuthorized),
        (format!("c=biws,r=NONCE,z=1,p={zeros}"), Fault::Proof, Failure::NotAuthorized),
    ] {
        let (mut exchange, nonce) = challenged(Mechanism::ScramSha256, "n,,n=juliet,r=x");
        let message: String = message.replace("NONCE", &nonce);
        assert_eq!(exchange.respond(message.as_bytes()), Step::Failure(failure), "{message}");
        assert_eq!(exchange.fault(), Some(fault), "{message}");
    }
}

#[test]
fn keys_that_cannot_be_are_a_temporary_failure() {
    let mut unsalted = keys(Hash::Sha256);
    unsalted.salt.clear();
    let mut unrolled = keys(Hash::Sha256);
    unrolled.iterations = 0;
    for bad in [keys(Hash::Sha1), keys(Hash::Sha512), unsalted, unrolled] {
        let mut exchange = Exchange::start(Mechanism::ScramSha256, &context());
        exchange.begin(Some(b"n,,n=juliet,r=x"));
        assert_eq!(exchange.keys(Some(bad)), Step::Failure(Failure::TemporaryAuthFailure));
        assert_eq!(exchange.fault(), Some(Fault::KeysUnusable));
    }
}

#[test]
fn messages_out_of_turn_end_the_exchange() {
    let mut waiting = Exchange::start(Mechanism::ScramSha256, &context());
    waiting.begin(Some(b"n,,n=juliet,r=x"));
    assert_eq!(waiting.respond(b"c=biws,r=x,p=AAAA"), Step::Failure(Failure::MalformedRequest));
    assert_eq!(waiting.keys(Some(keys(Hash::Sha256))), Step::Failure(Failure::MalformedRequest));
    assert_eq!(waiting.fault(), Some(Fault::OutOfTurn));

    let mut fresh = Exchange::start(Mechanism::ScramSha256, &context());
    assert_eq!(fresh.keys(None), Step::Failure(Failure::MalformedRequest));
    let (mut twice, _) = challenged(Mechanism::ScramSha256, "n,,n=juliet,r=x");
    assert_eq!(twice.begin(None), Step::Failure(Failure::MalformedRequest));
}

#[test]
fn an_absent_initial_response_is_asked_for() {
    for mechanism in Mechanism::ALL {
        let mut exchange = Exchange::start(mechanism, &context());
        assert_eq!(exchange.begin(None), Step::Challenge(vec![]), "{mechanism:?}");
    }
    let mut exchange = Exchange::start(Mechanism::ScramSha1, &context());
    exchange.begin(None);
    assert!(matches!(exchange.respond(b"n,,n=juliet,r=x"), Step::NeedKeys { .. }));
}

#[test]
fn what_the_stream_does_not_allow_is_refused_at_once() {
    let clear = Context { exporter: None, plus_offered: false, tls: false, ..context() };
    for (mechanism, failure) in [
        (Mechanism::Plain, Failure::EncryptionRequired),
        (Mechanism::ScramSha1Plus, Failure::InvalidMechanism),
        (Mechanism::ScramSha256Plus, Failure::InvalidMechanism),
        (Mechanism::ScramSha512Plus, Failure::InvalidMechanism),
    ] {
        for initial in [None, Some(&b"\0juliet\0pencil"[..])] {
            let mut exchange = Exchange::start(mechanism, &clear);
            assert_eq!(exchange.begin(initial), Step::Failure(failure), "{mechanism:?}");
        }
        assert_eq!(Exchange::start(mechanism, &clear).respond(b"x"), Step::Failure(failure));
    }
}

#[test]
fn plain_messages() {
    let check = |username: &str, password: &str, authzid: Option<&str>| Step::CheckPassword {
        username: username.into(),
        password: password.into(),
        authzid: authzid.map(Into::into),
    };
    let malformed = || Step::Failure(Failure::MalformedRequest);
    let long = |user: usize, password: usize| {
        [b"\0", &b"u".repeat(user)[..], b"\0", &b"p".repeat(password)].concat()
    };
    for (message, step) in [
        // RFC 4616 §4, the examples.
        (b"\0tim\0tanstaaftanstaaf".to_vec(), check("tim", "tanstaaftanstaaf", None)),
        (b"Ursel\0Kurt\0xipj3plmq".to_vec(), check("Kurt", "xipj3plmq", Some("Ursel"))),
        ("\0жюльет\0р оза".into(), check("жюльет", "р оза", None)),
        (long(1023, 3000), check(&"u".repeat(1023), &"p".repeat(3000), None)),
        // RFC 4616 §2: three fields, the last two not empty.
        (b"".to_vec(), malformed()),
        (b"juliet".to_vec(), malformed()),
        (b"\0juliet".to_vec(), malformed()),
        (b"juliet\0pencil".to_vec(), malformed()),
        (b"\0\0pencil".to_vec(), malformed()),
        (b"\0juliet\0".to_vec(), malformed()),
        (b"\0juliet\0pencil\0".to_vec(), malformed()),
        (b"\0juliet\0pen\0cil".to_vec(), malformed()),
        (b"\0juliet\0\xff".to_vec(), malformed()),
        (long(1024, 1), malformed()),
        (long(1, 3001), malformed()),
        (vec![b'a'; 1 << 20], malformed()),
    ] {
        let mut exchange = Exchange::start(Mechanism::Plain, &context());
        assert_eq!(exchange.begin(Some(&message)), step, "{:?}", String::from_utf8_lossy(&message));
        assert_eq!(exchange.respond(&message), malformed(), "the exchange is over");
    }
}

#[test]
fn anonymous_messages() {
    for (message, step) in [
        // RFC 4505 §3, the example, and §2.
        ("sirhc".to_owned(), Step::Anonymous { trace: Some("sirhc".into()) }),
        (String::new(), Step::Anonymous { trace: None }),
        ("é".repeat(255), Step::Anonymous { trace: Some("é".repeat(255)) }),
        ("é".repeat(256), Step::Failure(Failure::MalformedRequest)),
        ("a\nb".into(), Step::Failure(Failure::MalformedRequest)),
        ("a\0b".into(), Step::Failure(Failure::MalformedRequest)),
    ] {
        let mut exchange = Exchange::start(Mechanism::Anonymous, &context());
        assert_eq!(exchange.begin(Some(message.as_bytes())), step, "{message:?}");
    }
}

#[test]
fn external_messages() {
    for (message, step) in [
        // RFC 4422 Appendix A.1.
        (String::new(), Step::External { authzid: None }),
        ("fred@example.com".into(), Step::External { authzid: Some("fred@example.com".into()) }),
        ("a".repeat(3071), Step::External { authzid: Some("a".repeat(3071)) }),
        ("a".repeat(3072), Step::Failure(Failure::MalformedRequest)),
        ("fred\0".into(), Step::Failure(Failure::MalformedRequest)),
    ] {
        let mut exchange = Exchange::start(Mechanism::External, &context());
        exchange.begin(None);
        assert_eq!(exchange.respond(message.as_bytes()), step, "{message:?}");
    }
}

#[test]
fn nothing_secret_is_printed() {
    let (exchange, _) = challenged(Mechanism::ScramSha256, "n,,n=juliet,r=x");
    assert_eq!(
        format!("{exchange:?}"),
        "Exchange { mechanism: ScramSha256, waits_for: \"proof\", fault: None, .. }"
    );
}

/// Bytes that get past the first checks often enough.
fn message() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..64),
        "[nyp]=?(tls-exporter)?,(a=[a-c=,23CD]{0,4})?,[nrm]=[a-c=23CD]{0,4},[nrm]=[ -~]{0,6}"
            .prop_map(Into::into),
        "c=(biws|eSws|[a-zA-Z=]{0,6}),r=[ -~]{0,6},p=[a-zA-Z=]{0,30}".prop_map(Into::into),
        "[a-c\0]{0,8}".prop_map(Into::into),
    ]
}

proptest! {
    #[test]
    fn arbitrary_messages_never_succeed(
        which in 0usize..9,
        known: bool,
        absent: bool,
        messages in proptest::collection::vec(message(), 1..5),
    ) {
        let mechanism = Mechanism::ALL[which];
        let mut exchange = Exchange::start(mechanism, &context());
        let mut step = if absent { exchange.begin(None) } else { exchange.begin(Some(&messages[0])) };
        for message in &messages {
            if let Step::NeedKeys { hash, .. } = &step {
                let answer = known.then(|| keys(*hash));
                step = exchange.keys(answer);
            }
            let succeeded = matches!(step, Step::Success { .. });
            prop_assert!(!succeeded);
            step = exchange.respond(message);
        }
    }
}
