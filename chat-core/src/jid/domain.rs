//! The domainpart (RFC 7622 §3.2): a host name, an IPv4 address, or an IPv6 address in brackets.

use core::net::Ipv6Addr;
use std::borrow::Cow;

use idna::uts46::{AsciiDenyList, ErrorPolicy, Hyphens, ProcessingSuccess, Uts46};

use super::{JidError, Part, Reason, check_length, check_unprepared_length, fast};

/// All of ASCII but letters, digits, hyphen, dot and `_`.
const DENIED: AsciiDenyList = AsciiDenyList::new(true, "!\"#$%&'()*+,/:;<=>?@[\\]^`{|}~");

/// Bytes of one label in its ASCII form (RFC 1035 §2.3.4).
const LABEL_BYTES_MAX: usize = 63;

const BAD_DOMAIN: JidError = JidError { part: Part::Domain, reason: Reason::BadDomain };

/// Prepares a domain for comparison: lower case, U-labels, no trailing dot; an IPv6 literal as RFC 5952 writes it.
/// Borrows what is prepared ASCII.
pub fn prepare_domain(text: &str) -> Result<Cow<'_, str>, JidError> {
    if fast::is_prepared_domain(text) {
        return Ok(Cow::Borrowed(text));
    }
    normalise(text).map(Cow::Owned)
}

/// [`prepare_domain`] without the shortcut for prepared ASCII.
pub(super) fn normalise(text: &str) -> Result<String, JidError> {
    check_unprepared_length(Part::Domain, text)?;
    if let Some(literal) = text.strip_prefix('[') {
        let address = literal.strip_suffix(']').ok_or(BAD_DOMAIN)?;
        let address: Ipv6Addr = address.parse().map_err(|_| BAD_DOMAIN)?;
        return Ok(format!("[{address}]"));
    }
    if text.is_empty() {
        return Err(JidError { part: Part::Domain, reason: Reason::Empty });
    }
    prepare_host_name(text)
}

fn prepare_host_name(text: &str) -> Result<String, JidError> {
    let mut unicode = String::new();
    let mut ascii = String::new();
    let done = Uts46::new()
        .process(
            text.as_bytes(),
            DENIED,
            Hyphens::CheckFirstLast,
            ErrorPolicy::FailFast,
            |_, _, _| true,
            &mut unicode,
            Some(&mut ascii),
        )
        .map_err(|_| BAD_DOMAIN)?;
    if done == ProcessingSuccess::Passthrough {
        unicode.push_str(text);
    }
    // The trailing dot goes only now: other full stops (`。`) were mapped to it.
    if unicode.ends_with('.') {
        unicode.pop();
    }
    // The ASCII form is written only where it differs.
    let wire = if ascii.is_empty() { unicode.as_str() } else { ascii.strip_suffix('.').unwrap_or(&ascii) };
    check_length(Part::Domain, &unicode)?;
    // What is decoded is not encoded once more (RFC 5890 §2.3.2.1): preparing it again would have to undo that, too.
    if unicode.split('.').any(|label| label.starts_with("xn--")) {
        return Err(BAD_DOMAIN);
    }
    if wire.split('.').any(|label| !matches!(label.len(), 1..=LABEL_BYTES_MAX)) {
        return Err(BAD_DOMAIN);
    }
    Ok(unicode)
}
