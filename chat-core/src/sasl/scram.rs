//! The grammar of SCRAM messages (RFC 5802 §7): what each says, as ranges of the original text, because proofs
//! are over exact bytes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::fault::Fault;
use crate::base::limits::{
    SASL_AUTHZID_BYTES_MAX, SASL_MESSAGE_BYTES_MAX, SASL_NONCE_BYTES_MAX, SASL_USERNAME_BYTES_MAX,
};

/// `gs2-cbind-flag`: what the client says of channel binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BindingFlag<'a> {
    /// `n`: the client cannot bind.
    Unsupported,
    /// `y`: the client can, and believes that the server cannot.
    NotOffered,
    /// `p=`: the client binds, with data of this type.
    Used(&'a str),
}

/// `client-first-message`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ClientFirst<'a> {
    /// `gs2-header`, up to and with its second comma.
    pub(super) gs2_header: &'a str,
    pub(super) binding: BindingFlag<'a>,
    pub(super) authzid: Option<String>,
    /// `client-first-message-bare`.
    pub(super) bare: &'a str,
    pub(super) username: String,
    pub(super) nonce: &'a str,
}

/// `client-final-message`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ClientFinal<'a> {
    /// `client-final-message-without-proof`.
    pub(super) without_proof: &'a str,
    /// `cbind-input`, decoded.
    pub(super) binding: Vec<u8>,
    pub(super) nonce: &'a str,
    pub(super) proof: Vec<u8>,
}

/// `server-first-message`, as the client reads it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ServerFirst<'a> {
    pub(super) nonce: &'a str,
    pub(super) salt: Vec<u8>,
    pub(super) iterations: u32,
}

impl<'a> ClientFirst<'a> {
    pub(super) fn parse(data: &'a [u8]) -> Result<Self, Fault> {
        let text = text(data)?;
        let (flag, rest) = text.split_once(',').ok_or(Fault::Grammar)?;
        let (authzid, bare) = rest.split_once(',').ok_or(Fault::Grammar)?;
        let binding = match flag {
            "n" => BindingFlag::Unsupported,
            "y" => BindingFlag::NotOffered,
            _ => BindingFlag::Used(binding_name(flag)?),
        };
        let authzid = match authzid.strip_prefix("a=") {
            Some(name) => Some(saslname(name, SASL_AUTHZID_BYTES_MAX)?),
            None if authzid.is_empty() => None,
            None => return Err(Fault::Grammar),
        };
        let mut attributes = bare.split(',');
        let username = saslname(attribute(attributes.next(), "n=")?, SASL_USERNAME_BYTES_MAX)?;
        let nonce = nonce(attribute(attributes.next(), "r=")?)?;
        attributes.try_for_each(extension)?;
        let gs2_header = &text[..text.len() - bare.len()];
        Ok(ClientFirst { gs2_header, binding, authzid, bare, username, nonce })
    }
}

impl<'a> ClientFinal<'a> {
    pub(super) fn parse(data: &'a [u8]) -> Result<Self, Fault> {
        let text = text(data)?;
        // No value holds a comma, so the last `,p=` begins the proof, or the proof does not decode.
        let (without_proof, proof) = text.rsplit_once(",p=").ok_or(Fault::Grammar)?;
        let mut attributes = without_proof.split(',');
        let binding = base64(attribute(attributes.next(), "c=")?)?;
        // Ours is appended to the client's, so the limit of the client's does not hold here; the message's does.
        let nonce = attribute(attributes.next(), "r=")?;
        attributes.try_for_each(extension)?;
        Ok(ClientFinal { without_proof, binding, nonce, proof: base64(proof)? })
    }
}

impl<'a> ServerFirst<'a> {
    pub(super) fn parse(data: &'a [u8]) -> Result<Self, Fault> {
        let mut attributes = text(data)?.split(',');
        let nonce = attribute(attributes.next(), "r=")?;
        let salt = base64(attribute(attributes.next(), "s=")?)?;
        let count = attribute(attributes.next(), "i=")?;
        attributes.try_for_each(extension)?;
        // `posit-number` has no sign and no leading zero, unlike what `parse` takes.
        if !count.starts_with(|c: char| matches!(c, '1'..='9')) {
            return Err(Fault::Grammar);
        }
        let iterations = count.parse().map_err(|_| Fault::Grammar)?;
        Ok(ServerFirst { nonce, salt, iterations })
    }
}

/// Writes a `saslname`: `,` and `=` escaped.
pub(super) fn escape(name: &str) -> String {
    name.replace('=', "=3D").replace(',', "=2C")
}

/// The message as text: no longer than the limit, in UTF-8, without NUL (RFC 5802 §5.1, §7).
fn text(data: &[u8]) -> Result<&str, Fault> {
    if data.len() > SASL_MESSAGE_BYTES_MAX {
        return Err(Fault::TooLong);
    }
    let text = std::str::from_utf8(data).map_err(|_| Fault::NotUtf8)?;
    if text.contains('\0') { Err(Fault::Grammar) } else { Ok(text) }
}

/// The value of an attribute that must stand here. `m=` in its place demands an extension.
fn attribute<'a>(found: Option<&'a str>, name: &str) -> Result<&'a str, Fault> {
    let found = found.ok_or(Fault::Grammar)?;
    match found.strip_prefix(name) {
        Some("") => Err(Fault::Grammar),
        Some(value) => Ok(value),
        None if found.starts_with("m=") => Err(Fault::MandatoryExtension),
        None => Err(Fault::Grammar),
    }
}

/// An optional extension: a letter and a value, otherwise ignored (RFC 5802 §5.1).
fn extension(found: &str) -> Result<(), Fault> {
    match found.as_bytes() {
        [b'm', b'=', ..] => Err(Fault::MandatoryExtension),
        [name, b'=', _, ..] if name.is_ascii_alphabetic() => Ok(()),
        _ => Err(Fault::Grammar),
    }
}

/// `"p=" cb-name`.
fn binding_name(flag: &str) -> Result<&str, Fault> {
    let name = flag.strip_prefix("p=").ok_or(Fault::Grammar)?;
    let sound = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'));
    if sound && !name.is_empty() { Ok(name) } else { Err(Fault::Grammar) }
}

/// `saslname`: one character or more, with `=2C` for a comma and `=3D` for an equals sign and no other `=`.
fn saslname(escaped: &str, bytes_max: usize) -> Result<String, Fault> {
    let mut parts = escaped.split('=');
    let mut name = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        if let Some(rest) = part.strip_prefix("2C") {
            name.push(',');
            name.push_str(rest);
        } else if let Some(rest) = part.strip_prefix("3D") {
            name.push('=');
            name.push_str(rest);
        } else {
            return Err(Fault::Grammar);
        }
    }
    match name.len() {
        0 => Err(Fault::Grammar),
        n if n > bytes_max => Err(Fault::TooLong),
        _ => Ok(name),
    }
}

/// The client's part of the nonce: printable ASCII; the comma is gone already.
fn nonce(value: &str) -> Result<&str, Fault> {
    if !value.bytes().all(|b| b.is_ascii_graphic()) {
        Err(Fault::Grammar)
    } else if value.len() > SASL_NONCE_BYTES_MAX {
        Err(Fault::TooLong)
    } else {
        Ok(value)
    }
}

/// Base64 inside a message. Unlike the payload's own, a fault here is one of grammar.
pub(super) fn base64(value: &str) -> Result<Vec<u8>, Fault> {
    STANDARD.decode(value).map_err(|_| Fault::Grammar)
}
