//! Nobody succeeds without the proof, whatever is sent, answered and in which order.
//!
//! Owns: the target `sasl`. Not here: the elements around the messages (`session`).

use std::sync::OnceLock;

use chat_core::sasl::client::{Binding, ScramClient};
use chat_core::sasl::{Context, Exchange, Hash, Mechanism, ScramKeys, Step, payload, saslprep};

use crate::bytes::Bytes;

const MECHANISMS: [Mechanism; 9] = [
    Mechanism::ScramSha1,
    Mechanism::ScramSha256,
    Mechanism::ScramSha512,
    Mechanism::ScramSha1Plus,
    Mechanism::ScramSha256Plus,
    Mechanism::ScramSha512Plus,
    Mechanism::Plain,
    Mechanism::Anonymous,
    Mechanism::External,
];

fn keys(hash: Hash) -> ScramKeys {
    static KEYS: OnceLock<[ScramKeys; 3]> = OnceLock::new();
    let all = KEYS.get_or_init(|| {
        [Hash::Sha1, Hash::Sha256, Hash::Sha512]
            .map(|hash| ScramKeys::derive(hash, "secret", b"salt of a fuzzer", 1))
    });
    match hash {
        Hash::Sha1 => all[0].clone(),
        Hash::Sha256 => all[1].clone(),
        Hash::Sha512 => all[2].clone(),
    }
}

/// What server and client make of their connection; they need not agree.
fn stage(circumstances: u8) -> (Context, Binding) {
    let context = Context {
        exporter: (circumstances & 1 != 0).then_some([7; 32]),
        plus_offered: circumstances & 2 != 0,
        tls: circumstances & 4 != 0,
        nonce: [9; 24],
        fake_salt_key: [3; 16],
    };
    let binding = match circumstances >> 3 & 3 {
        0 => Binding::Unsupported,
        1 => Binding::NotOffered,
        _ => Binding::Exporter([circumstances >> 5; 32]),
    };
    (context, binding)
}

fn message<'d>(bytes: &mut Bytes<'d>) -> &'d [u8] {
    let n = usize::from(bytes.short()) % 6_000;
    bytes.take(n)
}

/// Mechanism, circumstances, then steps: a kind and, for messages, a length and the bytes. A client that may know the
/// password takes part if it is asked to; its proof may be spoiled.
pub fn sasl(data: &[u8]) {
    let mut bytes = Bytes(data);
    let mechanism = MECHANISMS[bytes.below(MECHANISMS.len())];
    let circumstances = bytes.byte();
    let (context, binding) = stage(circumstances);
    let password = if circumstances & 128 != 0 { "secret" } else { "guess" };
    let mut client = ScramClient::new(mechanism, "romeo", password, binding, [5; 24]);
    let mut exchange = Exchange::start(mechanism, &context);
    let (mut last, mut over) = (None, false);
    while !bytes.is_empty() {
        let mut proved = false;
        let step = match bytes.below(6) {
            0 => exchange.begin(None),
            1 => {
                let message = message(&mut bytes);
                exchange.begin(Some(message))
            }
            2 => {
                let message = message(&mut bytes);
                exchange.respond(message)
            }
            3 => {
                let answer = match bytes.byte() % 5 {
                    0 => None,
                    1 => Some(keys(Hash::Sha1)),
                    2 => Some(keys(Hash::Sha512)),
                    _ => mechanism.hash().map(keys),
                };
                exchange.keys(answer)
            }
            4 => match &client {
                Some(client) => exchange.begin(Some(&client.first())),
                None => break,
            },
            _ => {
                let (Some(client), Some(challenge)): (_, Option<Vec<u8>>) = (client.as_mut(), last.take())
                else {
                    break;
                };
                let Ok(mut message) = client.respond(&challenge) else { break };
                let (at, with) = (usize::from(bytes.byte()), bytes.byte());
                let at = at % message.len();
                message[at] ^= with;
                proved = with == 0 && password == "secret";
                exchange.respond(&message)
            }
        };
        assert!(!over || matches!(step, Step::Failure(_)), "an exchange that is over stays over");
        match step {
            Step::Challenge(data) => last = Some(data),
            Step::NeedKeys { .. } => {}
            Step::Success { .. } => {
                assert!(proved, "success without the proof");
                over = true;
            }
            Step::CheckPassword { .. } => {
                assert!(mechanism == Mechanism::Plain && context.tls, "a password in the clear");
                over = true;
            }
            Step::Anonymous { trace } => {
                assert_eq!(mechanism, Mechanism::Anonymous);
                assert!(trace.is_none_or(|t| !t.contains(char::is_control)));
                over = true;
            }
            Step::External { .. } => {
                assert_eq!(mechanism, Mechanism::External);
                over = true;
            }
            Step::Failure(_) => over = true,
        }
    }
    if let Ok(text) = std::str::from_utf8(data) {
        texts(text);
    }
}

/// Payloads are read as they are written, and a password that is prepared stays as it is.
fn texts(text: &str) {
    let initial = payload::decode_initial(text);
    if let Ok(decoded) = payload::decode(text) {
        assert_eq!(payload::decode(&payload::encode(&decoded)).as_ref(), Ok(&decoded));
        let initial = initial.expect("it is the same base64");
        assert_eq!(payload::decode_initial(&payload::encode_optional(initial.as_deref())), Ok(initial));
    } else {
        assert!(initial.is_err());
    }
    if let Some(prepared) = saslprep(text) {
        assert_eq!(saslprep(&prepared).as_ref(), Some(&prepared));
    }
}
