//! Bodies that are read and written again, for tests and fuzzers: there is one way to write each.

use super::*;

/// Reads a body of this kind and version and writes what was read. Both are the same bytes, but for a [`Kind::Hello`], which may
/// go on behind what is known. Bodies that belong to others are carried as they are.
///
/// # Errors
/// What is wrong with the body.
pub fn rewritten(kind: Kind, body: &[u8], version: u16) -> Result<Vec<u8>, WireFault> {
    let mut out = Vec::new();
    match kind {
        Kind::Hello => Hello::read(body)?.write(&mut out),
        Kind::Proof => Proof::read(body)?.write(&mut out),
        Kind::Refuse => Refusal::read(body)?.write(&mut out),
        Kind::Join | Kind::Receipt | Kind::Ping | Kind::Pong | Kind::Bye => {
            Control::read(kind, body, version)?.write(&mut out, version);
        }
        Kind::Envelope => Envelope::read(body, version)?.write(&mut out, version),
        Kind::EnvelopeResult => {
            let (mut result, mut rest) = EnvelopeResult::read(body, version)?;
            result.write(&mut out, version);
            while !rest.is_empty() {
                (result, rest) = EnvelopeResult::read(rest, version)?;
                result.write(&mut out, version);
            }
        }
        Kind::Poke => Poke::read(body, version)?.write(&mut out, version),
        Kind::UserChanged => UserChanged::read(body, version)?.write(&mut out, version),
        Kind::SessionAsk => SessionAsk::read(body, version)?.write(&mut out, version),
        Kind::SessionState => {
            let part = SessionPart::read(body, version)?;
            let mut state = Vec::new();
            let bytes = match read_session(part.bytes, version) {
                Ok(session) => {
                    write_session(&session, &mut state, version);
                    &state[..]
                }
                // A session in several parts is none by one of them.
                Err(_) => part.bytes,
            };
            SessionPart { bytes, ..part }.write(&mut out, version);
        }
        Kind::SessionRefuse => SessionRefuse::read(body, version)?.write(&mut out, version),
        Kind::SessionInstalled | Kind::SessionRelease => {
            SessionWord::read(body, version)?.write(&mut out, version);
        }
        Kind::SessionOffer => SessionOffer::read(body, version)?.write(&mut out, version),
        Kind::SessionAnswer => SessionAnswer::read(body, version)?.write(&mut out, version),
        Kind::Leaving => Leaving::read(body, version)?.write(&mut out, version),
        Kind::Status => Status::read(body, version)?.write(&mut out, version),
        Kind::Health => Health::read(body, version)?.write(&mut out, version),
        _ => out.extend_from_slice(body),
    }
    Ok(out)
}
