//! What clients say in the target `inputs`.
//!
//! Owns: phrases and addresses, by number. Not here: who says which of them when (`inputs`). New ones are added at the
//! end, so that the inputs of the corpus go on meaning what they mean.

use crate::bytes::Bytes;

/// `{}` is an address, chosen by the fuzzer.
const PHRASES: [&str; 68] = [
    "<presence/>",
    "<presence type='unavailable'/>",
    "<presence><priority>-1</priority></presence>",
    "<presence to='{}'/>",
    "<presence to='{}' type='unavailable'/>",
    "<presence to='{}' type='subscribe'/>",
    "<presence to='{}' type='subscribed'/>",
    "<presence to='{}' type='unsubscribe'/>",
    "<presence to='{}' type='unsubscribed'/>",
    "<presence to='{}' type='probe'/>",
    "<message to='{}' type='chat' id='m'><body>hello</body></message>",
    "<message to='{}' type='headline'><body>news</body></message>",
    "<message to='{}' type='error' id='m'><body>hello</body></message>",
    "<message to='{}'><body>a longer one, of a hundred bytes or so, so that the limits of bytes are reached</body></message>",
    "<iq type='get' id='1'><query xmlns='jabber:iq:roster'/></iq>",
    "<iq type='set' id='2'><query xmlns='jabber:iq:roster'><item jid='{}' name='n'><group>g</group></item></query></iq>",
    "<iq type='set' id='3'><query xmlns='jabber:iq:roster'><item jid='{}' subscription='remove'/></query></iq>",
    "<iq type='set' id='4'><block xmlns='urn:xmpp:blocking'><item jid='{}'/></block></iq>",
    "<iq type='set' id='5'><unblock xmlns='urn:xmpp:blocking'/></iq>",
    "<iq type='set' id='6'><enable xmlns='urn:xmpp:carbons:2'/></iq>",
    "<iq type='get' id='7' to='{}'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>",
    "<iq type='get' id='8' to='{}'><ping xmlns='urn:xmpp:ping'/></iq>",
    "<iq type='result' id='8' to='{}'/>",
    "<iq type='set' id='9'><query xmlns='jabber:iq:register'><remove/></query></iq>",
    "<iq type='set' id='0'><query xmlns='jabber:iq:register'><username>a</username><password>p</password></query></iq>",
    "<enable xmlns='urn:xmpp:sm:3' resume='true'/>",
    "<enable xmlns='urn:xmpp:sm:3' resume='true' max='1'/>",
    "<r xmlns='urn:xmpp:sm:3'/>",
    "<a xmlns='urn:xmpp:sm:3' h='1'/>",
    "<a xmlns='urn:xmpp:sm:3' h='4'/>",
    "<inactive xmlns='urn:xmpp:csi:0'/>",
    "<active xmlns='urn:xmpp:csi:0'/>",
    "</stream:stream>",
    "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
    "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>",
    "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>",
    "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>YUB4</auth>",
    "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGEAcQ==</auth>",
    "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-1'>biwsbj1hLHI9YQ==</auth>",
    "<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>Yz1iaXdzLHI9YSxwPWE=</response>",
    "<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
    "<resume xmlns='urn:xmpp:sm:3' previd='nobodys' h='0'/>",
    "<enable xmlns='urn:xmpp:sm:3'/>",
    "<presence><priority>5</priority><show>away</show></presence>",
    "<presence><priority>500</priority></presence>",
    "<presence type='bogus'/>",
    "<presence to='{}' type='error' id='p'/>",
    "<message to='{}' type='groupchat'><body>hello</body></message>",
    "<message to='{}' type='chat'><body>hello</body><private xmlns='urn:xmpp:carbons:2'/></message>",
    "<message to='{}' type='chat'><body>hello</body><no-store xmlns='urn:xmpp:hints'/><no-copy xmlns='urn:xmpp:hints'/></message>",
    "<message to='{}' type='chat'><active xmlns='http://jabber.org/protocol/chatstates'/></message>",
    "<message to='{}'><x xmlns='http://jabber.org/protocol/muc#user'><invite to='a@x'/></x></message>",
    "<message to='{}'><received xmlns='urn:xmpp:carbons:2'/></message>",
    "<message to='{}' from='c@x'><body>not mine</body></message>",
    "<iq type='set' id='c'><disable xmlns='urn:xmpp:carbons:2'/></iq>",
    "<iq type='get' id='d' to='{}'><query xmlns='http://jabber.org/protocol/disco#items'/></iq>",
    "<iq type='get' id='e' to='{}'><query xmlns='http://jabber.org/protocol/disco#info' node='n'/></iq>",
    "<iq type='get' id='f' to='{}'><query xmlns='jabber:iq:version'/></iq>",
    "<iq type='get' id='g' to='{}'><time xmlns='urn:xmpp:time'/></iq>",
    "<iq type='get' id='h' to='{}'><unknown xmlns='urn:x'/></iq>",
    "<iq type='error' id='8' to='{}'><error type='cancel'/></iq>",
    "<iq type='get' id='i'><a xmlns='urn:x'/><b xmlns='urn:x'/></iq>",
    "<iq type='get' id='j'><query xmlns='jabber:iq:roster' ver='1'/></iq>",
    "<iq type='set' id='k'><query xmlns='jabber:iq:roster'><item jid='{}'><group>g</group><group>g</group></item></query></iq>",
    "<iq type='get' id='l'><blocklist xmlns='urn:xmpp:blocking'/></iq>",
    "<iq type='set' id='m'><unblock xmlns='urn:xmpp:blocking'><item jid='{}'/></unblock></iq>",
    "<iq type='get' id='n'><query xmlns='jabber:iq:register'/></iq>",
    "<unknown xmlns='urn:x'/>",
];

/// Whom one may write to, and from where an embedder may.
pub(crate) const ADDRESSES: [&str; 12] =
    ["a@x", "b@x", "c@x", "a@x/r", "b@x/r", "b@x/s", "nobody@x", "x", "who@elsewhere", "@@", "y", "who@y"];

/// A phrase and, if it needs one, an address.
pub(crate) fn phrase(bytes: &mut Bytes<'_>) -> String {
    PHRASES[bytes.below(PHRASES.len())].replace("{}", ADDRESSES[bytes.below(ADDRESSES.len())])
}
