//! Every cell of RFC 6121 §8.5. Each row names what arrives and what becomes of it in five situations.

use super::*;
use Decision::{Ignore as DROP, Keep as KEEP, Serve as SERVE, ServiceUnavailable as BOUNCE};
use proptest::prelude::*;

const fn available(priority: i8) -> ResourceView {
    ResourceView { available: true, priority }
}

const CONNECTED: ResourceView = ResourceView { available: false, priority: 0 };

/// The columns: nobody; one that sent no presence; one of priority 1; one of priority -1; and five of them, of which
/// 0, 1, 2 and 4 are available and 0, 2 and 4 of non-negative priority.
const SITUATIONS: [&[ResourceView]; 5] = [
    &[],
    &[CONNECTED],
    &[available(1)],
    &[available(-1)],
    &[available(5), available(-1), available(0), CONNECTED, available(127)],
];

/// To these resources, the first being the rightmost digit.
const fn to(mask: u64) -> Decision {
    Decision::Deliver(Resources(mask))
}

const fn msg(kind: MessageType) -> What {
    What::Message { kind, keep: true }
}

const fn unkept(kind: MessageType) -> What {
    What::Message { kind, keep: false }
}

const fn pres(kind: PresenceType) -> What {
    What::Presence(kind)
}

const CHAT: What = msg(MessageType::Chat);
const NORMAL: What = msg(MessageType::Normal);
const HEADLINE: What = msg(MessageType::Headline);
const GROUPCHAT: What = msg(MessageType::Groupchat);
const MESSAGE_ERROR: What = msg(MessageType::Error);
const AVAILABLE: What = pres(PresenceType::Available);
const UNAVAILABLE: What = pres(PresenceType::Unavailable);
const SUBSCRIBE: What = pres(PresenceType::Subscribe);
const SUBSCRIBED: What = pres(PresenceType::Subscribed);
const UNSUBSCRIBE: What = pres(PresenceType::Unsubscribe);
const UNSUBSCRIBED: What = pres(PresenceType::Unsubscribed);
const PROBE: What = pres(PresenceType::Probe);
const PRESENCE_ERROR: What = pres(PresenceType::Error);
const GET: What = What::Iq(IqType::Get);
const SET: What = What::Iq(IqType::Set);
const RESULT: What = What::Iq(IqType::Result);
const IQ_ERROR: What = What::Iq(IqType::Error);

/// Every kind of stanza, those that are not kept last.
const EVERYTHING: [What; 22] = [
    CHAT,
    NORMAL,
    HEADLINE,
    GROUPCHAT,
    MESSAGE_ERROR,
    AVAILABLE,
    UNAVAILABLE,
    SUBSCRIBE,
    SUBSCRIBED,
    UNSUBSCRIBE,
    UNSUBSCRIBED,
    PROBE,
    PRESENCE_ERROR,
    GET,
    SET,
    RESULT,
    IQ_ERROR,
    unkept(MessageType::Chat),
    unkept(MessageType::Normal),
    unkept(MessageType::Headline),
    unkept(MessageType::Groupchat),
    unkept(MessageType::Error),
];

fn check(target: Target, table: &[(&str, What, [Decision; 5])]) {
    for what in EVERYTHING {
        assert!(table.iter().any(|row| row.1 == what), "{target:?} has no row for {what:?}");
    }
    for (section, what, expected) in table {
        for (resources, expected) in SITUATIONS.into_iter().zip(expected) {
            let decided = decide(*what, target, resources);
            assert_eq!(decided, *expected, "RFC 6121 §{section}: {what:?} for {resources:?}");
        }
    }
}

#[test]
fn the_bare_jid_of_a_user() {
    check(
        Target::Bare,
        &[
            // §8.5.2.2.1 rules the first two columns (no available resource), §8.5.2.1.1 the others.
            ("8.5.2.1.1", CHAT, [KEEP, KEEP, to(0b1), KEEP, to(0b10101)]),
            ("8.5.2.1.1", NORMAL, [KEEP, KEEP, to(0b1), KEEP, to(0b10101)]),
            ("8.5.2.1.1", HEADLINE, [DROP, DROP, to(0b1), DROP, to(0b10101)]),
            ("8.5.2.1.1", GROUPCHAT, [BOUNCE; 5]),
            ("8.5.2.1.1", MESSAGE_ERROR, [DROP; 5]),
            // XEP-0160 §3: chat states and what a hint forbids are not kept.
            ("8.5.2.1.1", unkept(MessageType::Chat), [DROP, DROP, to(0b1), DROP, to(0b10101)]),
            ("8.5.2.1.1", unkept(MessageType::Normal), [DROP, DROP, to(0b1), DROP, to(0b10101)]),
            ("8.5.2.1.1", unkept(MessageType::Headline), [DROP, DROP, to(0b1), DROP, to(0b10101)]),
            ("8.5.2.1.1", unkept(MessageType::Groupchat), [BOUNCE; 5]),
            ("8.5.2.1.1", unkept(MessageType::Error), [DROP; 5]),
            // To all available resources, of whatever priority.
            ("8.5.2.1.2", AVAILABLE, [DROP, DROP, to(0b1), to(0b1), to(0b10111)]),
            ("8.5.2.1.2", UNAVAILABLE, [DROP, DROP, to(0b1), to(0b1), to(0b10111)]),
            ("8.5.2.1.2", PRESENCE_ERROR, [DROP, DROP, to(0b1), to(0b1), to(0b10111)]),
            ("8.5.2.1.2, 3.1.3", SUBSCRIBE, [SERVE; 5]),
            ("8.5.2.1.2, 3.1.6", SUBSCRIBED, [SERVE; 5]),
            ("8.5.2.1.2, 3.3.3", UNSUBSCRIBE, [SERVE; 5]),
            ("8.5.2.1.2, 3.2.3", UNSUBSCRIBED, [SERVE; 5]),
            ("8.5.2.1.2, 4.3.2", PROBE, [SERVE; 5]),
            // Never to a resource: the server answers on behalf of the user.
            ("8.5.2.1.3", GET, [SERVE; 5]),
            ("8.5.2.1.3", SET, [SERVE; 5]),
            ("8.5.2.1.3", RESULT, [SERVE; 5]),
            ("8.5.2.1.3", IQ_ERROR, [SERVE; 5]),
        ],
    );
}

#[test]
fn the_full_jid_of_a_resource_that_is_not_there() {
    check(
        Target::Full(None),
        &[
            ("8.5.3.2.1", CHAT, [KEEP, KEEP, to(0b1), KEEP, to(0b10101)]),
            // Like chat: the module says why.
            ("8.5.3.2.1", NORMAL, [KEEP, KEEP, to(0b1), KEEP, to(0b10101)]),
            ("8.5.3.2.1", HEADLINE, [DROP; 5]),
            ("8.5.3.2.1", GROUPCHAT, [BOUNCE; 5]),
            ("8.5.3.2.1", MESSAGE_ERROR, [DROP; 5]),
            ("8.5.3.2.1", unkept(MessageType::Chat), [DROP, DROP, to(0b1), DROP, to(0b10101)]),
            ("8.5.3.2.1", unkept(MessageType::Normal), [DROP, DROP, to(0b1), DROP, to(0b10101)]),
            ("8.5.3.2.1", unkept(MessageType::Headline), [DROP; 5]),
            ("8.5.3.2.1", unkept(MessageType::Groupchat), [BOUNCE; 5]),
            ("8.5.3.2.1", unkept(MessageType::Error), [DROP; 5]),
            ("8.5.3.2.2", AVAILABLE, [DROP; 5]),
            ("8.5.3.2.2", UNAVAILABLE, [DROP; 5]),
            ("8.5.3.2.2", PRESENCE_ERROR, [DROP; 5]),
            ("8.5.3.2.2, 3.1.3", SUBSCRIBE, [SERVE; 5]),
            ("8.5.3.2.2", SUBSCRIBED, [DROP; 5]),
            ("8.5.3.2.2", UNSUBSCRIBE, [DROP; 5]),
            ("8.5.3.2.2", UNSUBSCRIBED, [DROP; 5]),
            ("8.5.3.2.2, 4.3.2", PROBE, [SERVE; 5]),
            ("8.5.3.2.3", GET, [BOUNCE; 5]),
            ("8.5.3.2.3", SET, [BOUNCE; 5]),
            // RFC 6120 §8.2.3: nobody answers an answer.
            ("8.5.3.2.3", RESULT, [DROP; 5]),
            ("8.5.3.2.3", IQ_ERROR, [DROP; 5]),
        ],
    );
}

#[test]
fn the_full_jid_of_a_connected_resource() {
    // §8.5.3.1: also one of negative priority (1) and one that sent no presence (3).
    let five = SITUATIONS[4];
    for (what, expected) in [
        (CHAT, [to(0b1), to(0b10), to(0b100), to(0b1000), to(0b10000)]),
        (NORMAL, [to(0b1), to(0b10), to(0b100), to(0b1000), to(0b10000)]),
        (HEADLINE, [to(0b1), to(0b10), to(0b100), to(0b1000), to(0b10000)]),
        (GROUPCHAT, [to(0b1), to(0b10), to(0b100), to(0b1000), to(0b10000)]),
        (MESSAGE_ERROR, [to(0b1), to(0b10), to(0b100), to(0b1000), to(0b10000)]),
        (unkept(MessageType::Chat), [to(0b1), to(0b10), to(0b100), to(0b1000), to(0b10000)]),
        (unkept(MessageType::Normal), [to(0b1), to(0b10), to(0b100), to(0b1000), to(0b10000)]),
        (unkept(MessageType::Headline), [to(0b1), to(0b10), to(0b100), to(0b1000), to(0b10000)]),
        (unkept(MessageType::Groupchat), [to(0b1), to(0b10), to(0b100), to(0b1000), to(0b10000)]),
        (unkept(MessageType::Error), [to(0b1), to(0b10), to(0b100), to(0b1000), to(0b10000)]),
        (AVAILABLE, [to(0b1), to(0b10), to(0b100), to(0b1000), to(0b10000)]),
        (UNAVAILABLE, [to(0b1), to(0b10), to(0b100), to(0b1000), to(0b10000)]),
        (PRESENCE_ERROR, [to(0b1), to(0b10), to(0b100), to(0b1000), to(0b10000)]),
        (SUBSCRIBE, [SERVE; 5]), // by §3.1.3
        (SUBSCRIBED, [DROP; 5]),
        (UNSUBSCRIBE, [DROP; 5]),
        (UNSUBSCRIBED, [DROP; 5]),
        (PROBE, [SERVE; 5]), // by §4.3.2
        (GET, [to(0b1), to(0b10), to(0b100), to(0b1000), to(0b10000)]),
        (SET, [to(0b1), to(0b10), to(0b100), to(0b1000), to(0b10000)]),
        (RESULT, [to(0b1), to(0b10), to(0b100), to(0b1000), to(0b10000)]),
        (IQ_ERROR, [to(0b1), to(0b10), to(0b100), to(0b1000), to(0b10000)]),
    ] {
        for (i, expected) in expected.into_iter().enumerate() {
            assert_eq!(decide(what, Target::Full(Some(i)), five), expected, "§8.5.3.1: {what:?} for {i}");
        }
    }
}

#[test]
fn an_address_without_account() {
    check(
        Target::NoSuchUser,
        &[
            ("8.5.1", CHAT, [BOUNCE; 5]),
            ("8.5.1", NORMAL, [BOUNCE; 5]),
            ("8.5.1", HEADLINE, [DROP; 5]),
            ("8.5.1", GROUPCHAT, [BOUNCE; 5]),
            ("8.5.1", MESSAGE_ERROR, [DROP; 5]),
            ("8.5.1", unkept(MessageType::Chat), [BOUNCE; 5]),
            ("8.5.1", unkept(MessageType::Normal), [BOUNCE; 5]),
            ("8.5.1", unkept(MessageType::Headline), [DROP; 5]),
            ("8.5.1", unkept(MessageType::Groupchat), [BOUNCE; 5]),
            ("8.5.1", unkept(MessageType::Error), [DROP; 5]),
            ("8.5.1", AVAILABLE, [DROP; 5]),
            ("8.5.1", UNAVAILABLE, [DROP; 5]),
            ("8.5.1", PRESENCE_ERROR, [DROP; 5]),
            ("8.5.1", SUBSCRIBE, [DROP; 5]),
            ("8.5.1", SUBSCRIBED, [DROP; 5]),
            ("8.5.1", UNSUBSCRIBE, [DROP; 5]),
            ("8.5.1", UNSUBSCRIBED, [DROP; 5]),
            ("8.5.1, 4.3.2", PROBE, [Decision::Unsubscribed; 5]),
            ("8.5.1", GET, [BOUNCE; 5]),
            ("8.5.1", SET, [BOUNCE; 5]),
            ("8.5.1", RESULT, [DROP; 5]),
            ("8.5.1", IQ_ERROR, [DROP; 5]),
        ],
    );
}

#[test]
fn the_server_itself() {
    // RFC 6120 §10.5.1, §10.5.2: whatever it is, the server handles it.
    for what in EVERYTHING {
        assert_eq!(decide(what, Target::Domain, &[]), SERVE);
    }
}

#[test]
fn a_set_of_resources_tells_its_members() {
    let all = [available(0); RESOURCES_MAX];
    let Decision::Deliver(set) = decide(CHAT, Target::Bare, &all) else { panic!("all can have it") };
    assert_eq!(set.len(), 64);
    assert!(set.iter().eq(0..64));
    let Decision::Deliver(set) = decide(CHAT, Target::Full(Some(63)), &all) else { panic!("it is there") };
    assert_eq!(set.iter().collect::<Vec<_>>(), [63]);
    assert!(set.contains(63) && !set.contains(62) && !set.contains(64));
}

fn target(resources: usize) -> impl Strategy<Value = Target> {
    prop_oneof![
        Just(Target::Domain),
        Just(Target::NoSuchUser),
        Just(Target::Bare),
        Just(Target::Full(None)),
        (0..resources.max(1)).prop_map(move |i| Target::Full((resources > 0).then_some(i))),
    ]
}

fn case() -> impl Strategy<Value = (What, Target, Vec<ResourceView>)> {
    let view =
        (any::<bool>(), any::<i8>()).prop_map(|(available, priority)| ResourceView { available, priority });
    prop::collection::vec(view, 0..=RESOURCES_MAX).prop_flat_map(|resources| {
        (prop::sample::select(&EVERYTHING[..]), target(resources.len()), Just(resources))
    })
}

proptest! {
    #[test]
    fn the_laws_of_delivery((what, target, resources) in case()) {
        let decided = decide(what, target, &resources);
        let answer = matches!(what, RESULT | IQ_ERROR | PRESENCE_ERROR)
            || matches!(what, What::Message { kind: MessageType::Error, .. });
        match decided {
            Decision::Deliver(set) => {
                prop_assert!(set.len() > 0 && set.iter().all(|i| i < resources.len() && set.contains(i)));
                prop_assert_eq!(set.iter().count(), set.len());
                if !matches!(target, Target::Full(Some(_))) {
                    let message = matches!(what, What::Message { .. });
                    prop_assert!(set.iter().all(|i| resources[i].available));
                    prop_assert!(!message || set.iter().all(|i| resources[i].priority >= 0));
                    prop_assert!(!matches!(what, What::Iq(_)));
                }
            }
            Decision::Keep => prop_assert!(matches!(what, CHAT | NORMAL)),
            Decision::ServiceUnavailable => {
                prop_assert!(!answer && !matches!(what, What::Presence(_)));
            }
            Decision::Unsubscribed => prop_assert_eq!(what, PROBE),
            // A request always gets an answer, a message worth keeping is never lost without a word.
            Decision::Ignore => prop_assert!(!matches!(what, CHAT | NORMAL | GROUPCHAT | GET | SET)),
            Decision::Serve => {}
        }
    }
}
