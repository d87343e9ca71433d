//! Stream features (RFC 6120 §4.3.2).

use crate::xml::Sink;

/// What we offer at one stage of a client stream.
#[derive(Debug, Clone, Copy)]
pub enum Features<'a> {
    /// Before TLS. Without mechanisms, STARTTLS is required (RFC 6120 §5.3.1).
    Tls {
        /// Names of the SASL mechanisms that may be used without TLS, if the operator allows that.
        mechanisms: &'a [&'static str],
        /// Whether in-band registration is open (XEP-0077 §5).
        register: bool,
    },
    /// Before authentication, under TLS or where there is none to be had.
    Auth {
        /// Names of the SASL mechanisms, in the order of our preference.
        mechanisms: &'a [&'static str],
        /// Whether the `tls-exporter` channel binding can be used (XEP-0440).
        exporter: bool,
        /// Whether in-band registration is open (XEP-0077 §5).
        register: bool,
    },
    /// After authentication.
    Bind {
        /// Elements that extensions add, already written (XEP-0115 §6.3).
        more: &'a str,
    },
}

fn mechanisms(out: &mut dyn Sink, list: &[&str]) {
    if list.is_empty() {
        return;
    }
    out.put(b"<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>");
    for name in list {
        out.put(b"<mechanism>");
        out.put(name.as_bytes());
        out.put(b"</mechanism>");
    }
    out.put(b"</mechanisms>");
}

fn registration(out: &mut dyn Sink, on: bool) {
    if on {
        out.put(b"<register xmlns='http://jabber.org/features/iq-register'/>");
    }
}

/// Writes `<stream:features/>`.
pub fn write_features(out: &mut dyn Sink, features: &Features<'_>) {
    out.put(b"<stream:features>");
    match *features {
        Features::Tls { mechanisms: list, register } => {
            if list.is_empty() {
                out.put(b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>");
            } else {
                out.put(b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
                mechanisms(out, list);
                registration(out, register);
            }
        }
        Features::Auth { mechanisms: list, exporter, register } => {
            mechanisms(out, list);
            if exporter {
                // XEP-0440 §3: which channel bindings the server can do.
                out.put(b"<sasl-channel-binding xmlns='urn:xmpp:sasl-cb:0'><channel-binding type='tls-exporter'/></sasl-channel-binding>");
            }
            registration(out, register);
        }
        Features::Bind { more } => {
            out.put(b"<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>");
            // RFC 3921 §3 is a no-op now; stock clients of its time ask for it unless told it is optional.
            out.put(b"<session xmlns='urn:ietf:params:xml:ns:xmpp-session'><optional/></session>");
            out.put(b"<sm xmlns='urn:xmpp:sm:3'/>");
            // RFC 6121 §2.6.1 and §3.4.
            out.put(
                b"<ver xmlns='urn:xmpp:features:rosterver'/><sub xmlns='urn:xmpp:features:pre-approval'/>",
            );
            out.put(more.as_bytes());
        }
    }
    out.put(b"</stream:features>");
}
