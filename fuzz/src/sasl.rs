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
    let knows = circumstances & 128 != 0;
    let password = if knows { "secret" } else { "guess" };
    let mut play = Play {
        mechanism,
        client: ScramClient::new(mechanism, "romeo", password, binding, [5; 24]),
        knows,
        exchange: Exchange::start(mechanism, &context),
        last: None,
    };
    let mut over = false;
    while !bytes.is_empty() {
        let Some((step, proved)) = play.act(&mut bytes) else { break };
        assert!(!over || matches!(step, Step::Failure(_)), "an exchange that is over stays over");
        over |= !matches!(step, Step::Challenge(_) | Step::NeedKeys { .. });
        match step {
            Step::Challenge(data) => play.last = Some(data),
            Step::Success { .. } => assert!(proved, "success without the proof"),
            Step::CheckPassword { .. } => {
                assert!(mechanism == Mechanism::Plain && context.tls, "a password in the clear");
            }
            Step::Anonymous { trace } => {
                assert_eq!(mechanism, Mechanism::Anonymous);
                assert!(trace.is_none_or(|t| !t.contains(char::is_control)));
            }
            Step::External { .. } => assert_eq!(mechanism, Mechanism::External),
            Step::NeedKeys { .. } | Step::Failure(_) => {}
        }
    }
    if let Ok(text) = std::str::from_utf8(data) {
        texts(text);
    }
}

/// An exchange, and a client that may know the password.
struct Play {
    mechanism: Mechanism,
    client: Option<ScramClient>,
    knows: bool,
    exchange: Exchange,
    /// The challenge that the client has not answered.
    last: Option<Vec<u8>>,
}

impl Play {
    /// What comes next, whether or not it is due; whether it was an honest proof. `None` if the client cannot go on.
    fn act(&mut self, bytes: &mut Bytes<'_>) -> Option<(Step, bool)> {
        let step = match bytes.below(6) {
            0 => self.exchange.begin(None),
            1 => self.exchange.begin(Some(message(bytes))),
            2 => self.exchange.respond(message(bytes)),
            3 => {
                let answer = match bytes.byte() % 5 {
                    0 => None,
                    1 => Some(keys(Hash::Sha1)),
                    2 => Some(keys(Hash::Sha512)),
                    _ => self.mechanism.hash().map(keys),
                };
                self.exchange.keys(answer)
            }
            4 => self.exchange.begin(Some(&self.client.as_ref()?.first())),
            _ => {
                let (client, challenge) = (self.client.as_mut()?, self.last.take()?);
                let mut message = client.respond(&challenge).ok()?;
                let (at, with) = (usize::from(bytes.byte()), bytes.byte());
                let at = at % message.len();
                message[at] ^= with;
                return Some((self.exchange.respond(&message), with == 0 && self.knows));
            }
        };
        Some((step, false))
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
