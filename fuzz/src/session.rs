//! One stream that is fed with anything.
//!
//! Owns: the target `session`. Not here: answers that are late or wrong, and other workers (`inputs`).

use chat_core::base::Span;
use chat_core::effect::TlsInfo;
use chat_core::engine::Command;
use chat_core::session::Listener;

use crate::bytes::Bytes;
use crate::rig::Rig;

/// The first byte chooses where the bytes begin: at once; or after a login, with or without stream management, with
/// somebody else online who may be written to. The rest is chunks: a length, and that many bytes. Greater numbers than
/// 245 are events: time passes, the client stops reading or begins to, a message arrives, the connection breaks; the
/// client acknowledges what it got, or goes on with its session on another connection (nobody guesses its id).
pub fn session(data: &[u8]) {
    let mut bytes = Bytes(data);
    let mode = bytes.byte();
    let mut rig = Rig::new(1, |settings| {
        settings.starttls = mode & 4 != 0;
        if mode & 8 != 0 {
            settings.limits.rate_bytes_per_second = 0;
        }
    });
    if mode & 1 != 0 {
        let other = rig.accept(0, Listener::Clients, 2);
        rig.login(other, "b", "r", false);
        rig.receive(other, b"<presence/>");
    }
    let mut c = rig.accept(0, Listener::Clients, 1);
    if mode & 1 != 0 {
        let login = if mode & 128 == 0 { Rig::login } else { Rig::login_scram };
        login(&mut rig, c, "a", "r", mode & 2 != 0);
    }
    if mode & 16 != 0 {
        rig.receive(c, b"<presence/>");
    }
    while !bytes.is_empty() {
        match bytes.byte() {
            255 => {
                let seconds = u64::from(bytes.byte());
                rig.pass(Span::secs(seconds));
            }
            254 => rig.pass(Span::millis(260)),
            253 => {
                rig.conns[c].listens = !rig.conns[c].listens;
                rig.trickle(c, 1_000);
            }
            252 => rig.trickle(c, 7),
            251 => {
                let message =
                    b"<message from='b@x/r' to='a@x' type='chat' id='1'><body>hello</body></message>";
                rig.command(&Command::Send { stanza: message[..].into() });
            }
            250 => {
                let iq = b"<iq from='b@x/r' to='a@x/r' type='get' id='1'><query xmlns='urn:x'/></iq>";
                rig.command(&Command::Send { stanza: iq[..].into() });
            }
            249 => rig.secure(c, handshake(mode)),
            248 => {
                rig.cut(c);
                break;
            }
            247 => rig.acknowledge(c, 0),
            246 => {
                let choice = bytes.byte();
                if choice & 1 != 0 {
                    rig.cut(c);
                }
                c = rig.resume(c, 0, u32::from(choice >> 6)).unwrap_or(c);
            }
            n => {
                let chunk = bytes.take(usize::from(n) + 1);
                rig.receive(c, chunk);
            }
        }
    }
    rig.finish();
}

/// What was negotiated: with a certificate or not, of TLS 1.3 or not.
fn handshake(mode: u8) -> TlsInfo {
    TlsInfo {
        exporter: (mode & 64 != 0).then_some([1; 32]),
        server_name: None,
        client_addresses: if mode & 32 != 0 { vec!["a@x".into()] } else { Vec::new() },
    }
}
