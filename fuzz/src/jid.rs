//! Preparing an address twice is preparing it once, and the fast way says what the slow one says.
//!
//! Owns: the target `jid`. Not here: comparison with other preparations, a property test beside the code (`chat-core/src/jid`).

use chat_core::jid::{self, BareJid, JID_BYTES_MAX, Jid, PART_BYTES_MAX};

/// The bytes are an address.
pub fn jid(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (mut scratch, mut again) = (String::new(), String::new());
    let owned = Jid::parse(text);
    let Ok(parsed) = jid::parse(text, &mut scratch) else {
        return assert!(owned.is_err(), "{text:?}");
    };
    let prepared = parsed.as_str();
    assert!(prepared.len() <= JID_BYTES_MAX);
    assert_eq!(
        jid::parse(prepared, &mut again).map(|j| j.as_str().to_owned()).as_deref(),
        Ok(prepared),
        "{text:?}"
    );
    let owned = owned.expect("both ways accept it");
    assert_eq!(owned.as_str(), prepared);
    let parts = [parsed.local(), Some(parsed.domain()), parsed.resource()];
    assert!(parts.iter().flatten().all(|p| (1..=PART_BYTES_MAX).contains(&p.len())), "{prepared:?}");
    let mut joined = String::new();
    if let Some(local) = parsed.local() {
        joined = format!("{local}@");
        assert_eq!(jid::prepare_local(local).as_deref(), Ok(local));
    }
    joined.push_str(parsed.domain());
    assert_eq!(jid::prepare_domain(parsed.domain()).as_deref(), Ok(parsed.domain()));
    let bare = parsed.to_bare();
    assert_eq!((bare.as_str(), parsed.bare().as_str()), (joined.as_str(), joined.as_str()));
    assert_eq!(BareJid::parse(&joined).as_ref(), Ok(&bare));
    if let Some(resource) = parsed.resource() {
        assert_eq!(jid::prepare_resource(resource).as_deref(), Ok(resource));
        joined = format!("{joined}/{resource}");
    }
    assert_eq!(joined, prepared);
    assert!(!prepared.contains(['\n', '\r', '\0']), "block lists keep one address a line");
}
