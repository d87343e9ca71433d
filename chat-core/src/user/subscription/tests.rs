//! Every cell of Appendix A of RFC 6121, then the laws.

use super::*;
use proptest::prelude::*;
use std::collections::VecDeque;

type S = Subscription;

/// One cell: the state, the state afterwards, and what else happens, in words.
type Cell = (S, S, &'static str);

/// The words of an outcome, in the order in which the tables below write them.
fn words(o: &Outcome) -> String {
    let mut words = Vec::new();
    if o.route {
        words.push("route");
    }
    if o.deliver {
        words.push("deliver");
    }
    match o.reply {
        None => {}
        Some(Kind::Subscribed) => words.push("reply-subscribed"),
        Some(_) => words.push("reply-other"),
    }
    if o.push {
        words.push("push");
    }
    match o.presence {
        None => {}
        Some(SendPresence::Current) => words.push("current"),
        Some(SendPresence::Unavailable) => words.push("unavailable"),
    }
    words.join(" ")
}

fn check(section: &str, f: impl Fn(S) -> Outcome, table: [Cell; 14]) {
    for (i, (state, next, expected)) in table.into_iter().enumerate() {
        assert_eq!(state, S::ALL[i], "{section} has a row for each state");
        let o = f(state);
        assert_eq!((o.next, words(&o).as_str()), (next, expected), "{section}: {state:?}");
    }
}

#[test]
fn a_2_1_outbound_subscribe() {
    check(
        "RFC 6121 A.2.1",
        |s| outbound(s, Kind::Subscribe),
        [
            (S::ABSENT, S::NONE_OUT, "route push"), // §3.1.2: the server makes the item
            (S::REQUEST, S::NONE_OUT_IN, "route push"),
            (S::NONE, S::NONE_OUT, "route push"),
            (S::NONE_OUT, S::NONE_OUT, "route"),
            (S::NONE_IN, S::NONE_OUT_IN, "route push"),
            (S::NONE_OUT_IN, S::NONE_OUT_IN, "route"),
            (S::TO, S::TO, "route"),
            (S::TO_IN, S::TO_IN, "route"),
            (S::FROM, S::FROM_OUT, "route push"),
            (S::FROM_OUT, S::FROM_OUT, "route"),
            (S::BOTH, S::BOTH, "route"),
            (S::NONE_APPROVED, S::NONE_OUT_APPROVED, "route push"),
            (S::NONE_OUT_APPROVED, S::NONE_OUT_APPROVED, "route"),
            (S::TO_APPROVED, S::TO_APPROVED, "route"),
        ],
    );
}

#[test]
fn a_2_2_outbound_unsubscribe() {
    check(
        "RFC 6121 A.2.2",
        |s| outbound(s, Kind::Unsubscribe),
        [
            (S::ABSENT, S::ABSENT, "route"),
            (S::REQUEST, S::REQUEST, "route"),
            (S::NONE, S::NONE, "route"),
            (S::NONE_OUT, S::NONE, "route push"),
            (S::NONE_IN, S::NONE_IN, "route"),
            (S::NONE_OUT_IN, S::NONE_IN, "route push"),
            (S::TO, S::NONE, "route push"),
            (S::TO_IN, S::NONE_IN, "route push"),
            (S::FROM, S::FROM, "route"),
            (S::FROM_OUT, S::FROM, "route push"),
            (S::BOTH, S::FROM, "route push"),
            (S::NONE_APPROVED, S::NONE_APPROVED, "route"),
            (S::NONE_OUT_APPROVED, S::NONE_APPROVED, "route push"),
            (S::TO_APPROVED, S::NONE_APPROVED, "route push"),
        ],
    );
}

#[test]
fn a_2_3_outbound_subscribed() {
    check(
        "RFC 6121 A.2.3",
        |s| outbound(s, Kind::Subscribed),
        [
            (S::ABSENT, S::NONE_APPROVED, "push"), // §3.4.2 rule 4: the server makes the item
            (S::REQUEST, S::FROM, "route push current"),
            (S::NONE, S::NONE_APPROVED, "push"), // §3.4.2 rule 3, as the next
            (S::NONE_OUT, S::NONE_OUT_APPROVED, "push"),
            (S::NONE_IN, S::FROM, "route push current"), // §3.4.2 rule 2, §3.1.5
            (S::NONE_OUT_IN, S::FROM_OUT, "route push current"),
            (S::TO, S::TO_APPROVED, "push"),
            (S::TO_IN, S::BOTH, "route push current"),
            (S::FROM, S::FROM, ""), // §3.4.2 rule 1
            (S::FROM_OUT, S::FROM_OUT, ""),
            (S::BOTH, S::BOTH, ""),
            (S::NONE_APPROVED, S::NONE_APPROVED, ""),
            (S::NONE_OUT_APPROVED, S::NONE_OUT_APPROVED, ""),
            (S::TO_APPROVED, S::TO_APPROVED, ""),
        ],
    );
}

#[test]
fn a_2_4_outbound_unsubscribed() {
    check(
        "RFC 6121 A.2.4",
        |s| outbound(s, Kind::Unsubscribed),
        [
            (S::ABSENT, S::ABSENT, ""),
            (S::REQUEST, S::ABSENT, "route"), // the roster never showed it: no push
            (S::NONE, S::NONE, ""),
            (S::NONE_OUT, S::NONE_OUT, ""),
            (S::NONE_IN, S::NONE, "route"),
            (S::NONE_OUT_IN, S::NONE_OUT, "route"),
            (S::TO, S::TO, ""),
            (S::TO_IN, S::TO, "route"),
            (S::FROM, S::NONE, "route push unavailable"), // §3.2.2
            (S::FROM_OUT, S::NONE_OUT, "route push unavailable"),
            (S::BOTH, S::TO, "route push unavailable"),
            (S::NONE_APPROVED, S::NONE, "push"), // §3.2.2: takes the pre-approval back, unrouted
            (S::NONE_OUT_APPROVED, S::NONE_OUT, "push"),
            (S::TO_APPROVED, S::TO, "push"),
        ],
    );
}

#[test]
fn a_3_1_inbound_subscribe() {
    check(
        "RFC 6121 A.3.1",
        |s| inbound(s, Kind::Subscribe),
        [
            (S::ABSENT, S::REQUEST, "deliver"), // §3.1.3: remembered, not pushed
            (S::REQUEST, S::REQUEST, ""),
            (S::NONE, S::NONE_IN, "deliver"),
            (S::NONE_OUT, S::NONE_OUT_IN, "deliver"),
            (S::NONE_IN, S::NONE_IN, ""),
            (S::NONE_OUT_IN, S::NONE_OUT_IN, ""),
            (S::TO, S::TO_IN, "deliver"),
            (S::TO_IN, S::TO_IN, ""),
            (S::FROM, S::FROM, "reply-subscribed current"), // §3.1.3 rule 2
            (S::FROM_OUT, S::FROM_OUT, "reply-subscribed current"),
            (S::BOTH, S::BOTH, "reply-subscribed current"),
            (S::NONE_APPROVED, S::FROM, "reply-subscribed push current"), // §3.4.2
            (S::NONE_OUT_APPROVED, S::FROM_OUT, "reply-subscribed push current"),
            (S::TO_APPROVED, S::BOTH, "reply-subscribed push current"),
        ],
    );
}

#[test]
fn a_3_2_inbound_unsubscribe() {
    check(
        "RFC 6121 A.3.2",
        |s| inbound(s, Kind::Unsubscribe),
        [
            (S::ABSENT, S::ABSENT, ""),
            (S::REQUEST, S::ABSENT, "deliver"), // §3.3.3: the record of the request goes
            (S::NONE, S::NONE, ""),
            (S::NONE_OUT, S::NONE_OUT, ""),
            (S::NONE_IN, S::NONE, "deliver"),
            (S::NONE_OUT_IN, S::NONE_OUT, "deliver"),
            (S::TO, S::TO, ""),
            (S::TO_IN, S::TO, "deliver"),
            (S::FROM, S::NONE, "deliver push unavailable"), // §3.3.3
            (S::FROM_OUT, S::NONE_OUT, "deliver push unavailable"),
            (S::BOTH, S::TO, "deliver push unavailable"),
            (S::NONE_APPROVED, S::NONE_APPROVED, ""),
            (S::NONE_OUT_APPROVED, S::NONE_OUT_APPROVED, ""),
            (S::TO_APPROVED, S::TO_APPROVED, ""),
        ],
    );
}

#[test]
fn a_3_3_inbound_subscribed() {
    check(
        "RFC 6121 A.3.3",
        |s| inbound(s, Kind::Subscribed),
        [
            (S::ABSENT, S::ABSENT, ""),
            (S::REQUEST, S::REQUEST, ""),
            (S::NONE, S::NONE, ""),
            (S::NONE_OUT, S::TO, "deliver push"), // §3.1.6
            (S::NONE_IN, S::NONE_IN, ""),
            (S::NONE_OUT_IN, S::TO_IN, "deliver push"),
            (S::TO, S::TO, ""),
            (S::TO_IN, S::TO_IN, ""),
            (S::FROM, S::FROM, ""),
            (S::FROM_OUT, S::BOTH, "deliver push"),
            (S::BOTH, S::BOTH, ""),
            (S::NONE_APPROVED, S::NONE_APPROVED, ""),
            (S::NONE_OUT_APPROVED, S::TO_APPROVED, "deliver push"),
            (S::TO_APPROVED, S::TO_APPROVED, ""),
        ],
    );
}

#[test]
fn a_3_4_inbound_unsubscribed() {
    check(
        "RFC 6121 A.3.4",
        |s| inbound(s, Kind::Unsubscribed),
        [
            (S::ABSENT, S::ABSENT, ""),
            (S::REQUEST, S::REQUEST, ""),
            (S::NONE, S::NONE, ""),
            (S::NONE_OUT, S::NONE, "deliver push"), // the request is denied
            (S::NONE_IN, S::NONE_IN, ""),
            (S::NONE_OUT_IN, S::NONE_IN, "deliver push"),
            (S::TO, S::NONE, "deliver push"), // §3.2.3
            (S::TO_IN, S::NONE_IN, "deliver push"),
            (S::FROM, S::FROM, ""),
            (S::FROM_OUT, S::FROM, "deliver push"),
            (S::BOTH, S::FROM, "deliver push"),
            (S::NONE_APPROVED, S::NONE_APPROVED, ""),
            (S::NONE_OUT_APPROVED, S::NONE_APPROVED, "deliver push"),
            (S::TO_APPROVED, S::NONE_APPROVED, "deliver push"),
        ],
    );
}

#[test]
fn removing_an_item_ends_what_binds_the_two() {
    // RFC 6121 §2.5.2: `unsubscribe` if to, `unsubscribed` if from, both if both; waiting requests alike.
    for (state, expected) in [
        (S::NONE, ""),
        (S::NONE_OUT, "unsubscribe"),
        (S::NONE_IN, "unsubscribed"),
        (S::NONE_OUT_IN, "unsubscribe unsubscribed"),
        (S::TO, "unsubscribe"),
        (S::TO_IN, "unsubscribe unsubscribed"),
        (S::FROM, "unavailable unsubscribed"),
        (S::FROM_OUT, "unavailable unsubscribe unsubscribed"),
        (S::BOTH, "unavailable unsubscribe unsubscribed"),
        (S::NONE_APPROVED, ""),
        (S::NONE_OUT_APPROVED, "unsubscribe"),
        (S::TO_APPROVED, "unsubscribe"),
    ] {
        let r = removal(state);
        let mut words = Vec::new();
        for (on, word) in
            [(r.unavailable, "unavailable"), (r.unsubscribe, "unsubscribe"), (r.unsubscribed, "unsubscribed")]
        {
            if on {
                words.push(word);
            }
        }
        assert_eq!(words.join(" "), expected, "{state:?}");
    }
}

#[test]
fn the_roster_shows_each_state_as_section_2_1_2_says() {
    for (state, listed, attribute, ask, approved) in [
        (S::ABSENT, false, "none", false, false),
        (S::REQUEST, false, "none", false, false),
        (S::NONE, true, "none", false, false),
        (S::NONE_OUT, true, "none", true, false),
        (S::NONE_IN, true, "none", false, false),
        (S::NONE_OUT_IN, true, "none", true, false),
        (S::TO, true, "to", false, false),
        (S::TO_IN, true, "to", false, false),
        (S::FROM, true, "from", false, false),
        (S::FROM_OUT, true, "from", true, false),
        (S::BOTH, true, "both", false, false),
        (S::NONE_APPROVED, true, "none", false, true),
        (S::NONE_OUT_APPROVED, true, "none", true, true),
        (S::TO_APPROVED, true, "to", false, true),
    ] {
        let shown = (state.listed(), state.attribute(), state.ask(), state.approved());
        assert_eq!(shown, (listed, attribute, ask, approved), "{state:?}");
    }
    assert_eq!(S::ABSENT.list(), S::NONE);
    assert_eq!(S::REQUEST.list(), S::NONE_IN);
}

#[test]
fn stored_bits_are_golden_and_only_legal_ones_are_read() {
    let golden = [0, 8, 32, 36, 40, 44, 34, 42, 33, 37, 35, 48, 52, 50];
    assert_eq!(S::ALL.map(S::bits), golden);
    for bits in 0..=255 {
        let legal = golden.contains(&bits);
        assert_eq!(S::from_bits(bits).map(S::bits), legal.then_some(bits));
    }
}

#[test]
fn the_functions_are_total_and_never_leave_the_legal_states() {
    for state in S::ALL {
        for kind in Kind::ALL {
            for (o, out) in [(outbound(state, kind), true), (inbound(state, kind), false)] {
                assert!(S::ALL.contains(&o.next), "{state:?} {kind:?} {o:?}");
                assert!(!o.push || o.next != state, "a push without change: {state:?} {kind:?}");
                let seen = |s: S| (s.listed(), s.attribute(), s.ask(), s.approved());
                assert_eq!(o.push, seen(o.next) != seen(state), "{state:?} {kind:?}");
                assert!(if out { !o.deliver && o.reply.is_none() } else { !o.route });
                // Presence that begins goes with a subscription that exists, presence that ends with one that is gone.
                match o.presence {
                    Some(SendPresence::Current) => assert!(o.next.from()),
                    Some(SendPresence::Unavailable) => assert!(state.from() && !o.next.from()),
                    None => assert_eq!(o.next.from(), state.from()),
                }
            }
        }
    }
}

/// What one of two users does.
#[derive(Debug, Clone, Copy)]
enum Act {
    Send(Kind),
    Remove,
    Add,
}

/// One step of a run: user 0 or 1 acts, or a stanza for that user arrives.
#[derive(Debug, Clone, Copy)]
enum Step {
    Act(usize, Act),
    Arrive(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let act = prop_oneof![
        6 => prop::sample::select(&Kind::ALL[..]).prop_map(Act::Send),
        1 => Just(Act::Remove),
        1 => Just(Act::Add),
    ];
    prop_oneof![
        (0..2usize, act).prop_map(|(who, act)| Step::Act(who, act)),
        (0..2usize).prop_map(Step::Arrive),
    ]
}

/// Two users on two servers with a FIFO between them in each direction; `queues[i]` is on its way to user i.
#[derive(Default)]
struct Pair {
    states: [S; 2],
    queues: [VecDeque<Kind>; 2],
}

impl Pair {
    fn act(&mut self, who: usize, act: Act) {
        let state = self.states[who];
        match act {
            Act::Send(kind) => {
                let o = outbound(state, kind);
                self.states[who] = o.next;
                if o.route {
                    self.queues[1 - who].push_back(kind);
                }
            }
            Act::Remove if state.listed() => {
                let r = removal(state);
                for (on, kind) in [(r.unsubscribe, Kind::Unsubscribe), (r.unsubscribed, Kind::Unsubscribed)] {
                    if on {
                        self.queues[1 - who].push_back(kind);
                    }
                }
                self.states[who] = S::ABSENT;
            }
            Act::Remove => {}
            Act::Add => self.states[who] = state.list(),
        }
    }

    fn arrive(&mut self, who: usize) {
        if let Some(kind) = self.queues[who].pop_front() {
            let o = inbound(self.states[who], kind);
            self.states[who] = o.next;
            self.queues[1 - who].extend(o.reply);
        }
    }

    fn drain(&mut self) {
        let mut steps = 0;
        while self.queues.iter().any(|q| !q.is_empty()) {
            self.arrive(0);
            self.arrive(1);
            steps += 1;
            assert!(steps < 10_000, "automatic answers must not answer each other for ever");
        }
    }

    /// Whether a stanza about `who`'s subscription to the other is on its way.
    fn in_flight(&self, who: usize) -> bool {
        let asks = |k: &Kind| matches!(k, Kind::Subscribe | Kind::Unsubscribe);
        self.queues[1 - who].iter().any(asks) || self.queues[who].iter().any(|k| !asks(k))
    }

    /// Whether the act concerns a subscription about which a stanza is on its way, so that two decisions cross.
    fn crosses(&self, who: usize, act: Act) -> bool {
        match act {
            Act::Send(Kind::Subscribe | Kind::Unsubscribe) => self.in_flight(who),
            Act::Send(Kind::Subscribed | Kind::Unsubscribed) => self.in_flight(1 - who),
            Act::Remove => self.in_flight(0) || self.in_flight(1),
            Act::Add => false,
        }
    }

    fn consistent(&self) -> bool {
        (0..2).all(|i| {
            let (mine, other) = (self.states[i], self.states[1 - i]);
            mine.to() == other.from() && mine.ask() == other.pending_in()
        })
    }
}

proptest! {
    /// Two servers agree about both subscriptions whenever nothing is on its way, as long as the users do not
    /// change their minds about one subscription from both ends at the same moment.
    #[test]
    fn two_users_agree_once_the_queues_are_empty(steps in prop::collection::vec(step(), 0..60)) {
        let mut pair = Pair::default();
        for step in steps {
            match step {
                Step::Act(who, act) if pair.crosses(who, act) => {}
                Step::Act(who, act) => pair.act(who, act),
                Step::Arrive(who) => pair.arrive(who),
            }
            if pair.queues.iter().all(VecDeque::is_empty) {
                prop_assert!(pair.consistent(), "{:?}", pair.states);
            }
        }
        pair.drain();
        prop_assert!(pair.consistent(), "{:?}", pair.states);
    }

    /// Decisions that cross may leave the two halves different (the protocol has no transaction), but automatic
    /// answers come to an end, states stay legal, and ending the subscription mends it.
    #[test]
    fn whatever_crosses_unsubscribing_mends_it(steps in prop::collection::vec(step(), 0..60)) {
        let mut pair = Pair::default();
        for step in steps {
            match step {
                Step::Act(who, act) => pair.act(who, act),
                Step::Arrive(who) => pair.arrive(who),
            }
            prop_assert!(pair.states.iter().all(|s| S::ALL.contains(s)));
        }
        pair.drain();
        for who in 0..2 {
            pair.act(who, Act::Send(Kind::Unsubscribe));
            pair.drain();
        }
        prop_assert!(pair.consistent(), "{:?}", pair.states);
        prop_assert!(pair.states.iter().all(|s| !s.from() && !s.to() && !s.ask() && !s.pending_in()));
    }
}
