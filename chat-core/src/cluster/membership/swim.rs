//! The library behind its adapter: foca, with our names, our clock and our randomness.

use super::codec::{Bytes, Fault, strangers};
use crate::base::limits::CLUSTER_NODES_MAX;
use crate::base::{Mono, Rng, Span};
use crate::cluster::identity::{Incarnation, NodeName};
use crate::cluster::wire::WireFault;
use core::time::Duration;
use foca::{
    Codec as _, Config, Foca, Member, NoCustomBroadcast, Notification, PeriodicParams, Runtime, State, Timer,
};
use rand_core::TryRng;
use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::num::{NonZeroU8, NonZeroUsize};

/// Bytes of a datagram: the whole cluster fits into one, since it travels inside a link and nobody cuts it.
pub const DATAGRAM_BYTES_MAX: usize = 32 * 1024;
/// How often another member is asked whether it is there.
const PROBE: Duration = Duration::from_millis(300);
/// How long it may take to answer before others are asked to ask it: many times the delay of a LAN.
const ANSWER: Duration = Duration::from_millis(100);
/// How long a member that did not answer has to say that it is there, before it is down. With it a member that vanished
/// without a word is known to be down everywhere within 3 s; with 1.5 s one death in six hundred took 3.1 s.
pub(super) const SUSPECT: Span = Span::millis(1300);
/// How often what is new is passed on, beside what travels with the probes.
const GOSSIP: Duration = Duration::from_millis(200);
/// How often a member is asked for all that it knows: what gossip lost is found again.
const ANNOUNCE: Duration = Duration::from_secs(10);
/// How long a member that is down is remembered, with its incarnation.
const REMEMBER_DOWN: Duration = Duration::from_secs(24 * 3600);
/// Names that are remembered, of members that are down too: containers may have a new name at each start.
pub(super) const NAMES_MAX: usize = 4 * CLUSTER_NODES_MAX;

/// One life of a member. What the library calls an identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Life {
    pub(super) name: NodeName,
    pub(super) incarnation: Incarnation,
    /// Where its links arrive, for those who only heard of it.
    pub(super) port: u16,
    /// Counts how often it came back after others had declared it down while it lived: for them that word is final, so it
    /// returns as another.
    pub(super) returned: u32,
}

impl foca::Identity for Life {
    type Addr = NodeName;

    fn renew(&self) -> Option<Life> {
        Some(Life { returned: self.returned.saturating_add(1), ..self.clone() })
    }

    fn addr(&self) -> NodeName {
        self.name.clone()
    }

    fn win_addr_conflict(&self, other: &Life) -> bool {
        (self.incarnation, self.returned, self.port) > (other.incarnation, other.returned, other.port)
    }
}

/// Our randomness for the library.
struct Dice(Rng);

impl TryRng for Dice {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.0.next_u64() as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.0.next_u64())
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill(out);
        Ok(())
    }
}

/// Whether a member is there, in the eyes of the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// It answers.
    Alive,
    /// It did not answer somebody lately, and counts as there until it had time to object.
    Suspect,
    /// It is gone, left, or was declared gone.
    Down,
}

/// The library with its timers.
pub(super) struct Swim {
    foca: Foca<Life, Bytes, Dice, NoCustomBroadcast>,
    config: Config,
    world: World,
}

/// What the library asks of the world.
#[derive(Default)]
struct World {
    /// The time of the call.
    now: Mono,
    timers: BTreeMap<(Mono, u64), Timer<Life>>,
    submitted: u64,
    sent: VecDeque<(NodeName, Vec<u8>)>,
    /// Whether the members or their lives changed.
    changed: bool,
    /// Others had declared this node down.
    returned: bool,
}

impl Runtime<Life> for World {
    fn notify(&mut self, notification: Notification<'_, Life>) {
        self.changed = true;
        self.returned |= matches!(notification, Notification::Rejoin(_));
    }

    fn send_to(&mut self, to: Life, data: &[u8]) {
        self.sent.push_back((to.name, data.to_vec()));
    }

    fn submit_after(&mut self, event: Timer<Life>, after: Duration) {
        self.submitted += 1;
        self.timers.insert((self.now + Span(after.as_nanos() as u64), self.submitted), event);
    }
}

impl Swim {
    pub(super) fn new(own: Life, rng: Rng) -> Self {
        let every = |frequency, members| {
            Some(PeriodicParams { frequency, num_members: NonZeroUsize::new(members).expect("not zero") })
        };
        let config = Config {
            probe_period: PROBE,
            probe_rtt: ANSWER,
            num_indirect_probes: NonZeroUsize::new(3).expect("not zero"),
            max_transmissions: NonZeroU8::new(10).expect("not zero"),
            suspect_to_down_after: Duration::from_nanos(SUSPECT.0),
            remove_down_after: Some(REMEMBER_DOWN),
            max_packet_size: NonZeroUsize::new(DATAGRAM_BYTES_MAX).expect("not zero"),
            notify_down_members: true,
            periodic_announce: every(ANNOUNCE, 1),
            periodic_announce_to_down_members: None,
            periodic_gossip: every(GOSSIP, 3),
        };
        let foca = Foca::new(own, config.clone(), Dice(rng), Bytes::default());
        Swim { foca, config, world: World::default() }
    }

    /// Lets the timers fire that are due, in their order.
    pub(super) fn run(&mut self, now: Mono) {
        self.world.now = now;
        while let Some(entry) = self.world.timers.first_entry().filter(|e| e.key().0 <= now) {
            // A timer that is a little late is handled as if it were not, so that probes keep their step.
            let timer = entry.remove();
            let suspect = match &timer {
                Timer::ChangeSuspectToDown { member_id, .. } => Some(member_id.name.clone()),
                _ => None,
            };
            let before = self.world.sent.len();
            let done = self.foca.handle_timer(timer, &mut self.world);
            debug_assert!(done.is_ok(), "every timer is delivered in its turn: {done:?}");
            // The library (2.0) tells every suspect whose time is over that it is down, also those that have refuted.
            if let Some(name) = suspect
                && self.member(&name).is_some_and(|m| m.state() != State::Down)
            {
                self.world.sent.truncate(before);
            }
        }
    }

    /// Reads a datagram that came over the link to `from`. If it is none, or speaks for another node, the peer is broken.
    pub(super) fn received(&mut self, now: Mono, from: &NodeName, datagram: &[u8]) -> Result<(), Fault> {
        self.world.now = now;
        let sender = Bytes::default().decode_header(datagram)?.src.name;
        if sender != *from {
            return Err(Fault::Wire(WireFault::Value));
        }
        let names = self.foca.iter_membership_state().len();
        // A member takes ten bytes at least: most datagrams cannot bring too many names.
        if names + datagram.len() / 10 > NAMES_MAX {
            let known = |name: &NodeName| self.member(name).is_some();
            if names + strangers(datagram, known) > NAMES_MAX {
                return Ok(());
            }
        }
        match self.foca.handle_data(datagram, &mut self.world) {
            Err(foca::Error::Decode(_) | foca::Error::MalformedPacket | foca::Error::DataTooBig) => {
                Err(Fault::Wire(WireFault::Value))
            }
            // Anything else is a message that came at a bad moment, for instance one for an earlier life.
            _ => Ok(()),
        }
    }

    /// Asks a node that there is a link to for what it knows, and tells it that this one is there.
    pub(super) fn announce(&mut self, now: Mono, name: &NodeName, incarnation: Incarnation) {
        self.world.now = now;
        let life = Life { name: name.clone(), incarnation, port: 0, returned: 0 };
        let sent = self.foca.announce(life, &mut self.world);
        debug_assert!(sent.is_ok(), "an announcement always fits: {sent:?}");
    }

    /// Says of a member what this node found out itself, if it is still the one that is meant. That it is alive outweighs
    /// every suspicion so far, as if it had refuted it itself.
    pub(super) fn judge(&mut self, now: Mono, judged: &Member<Life>, seen: Seen) {
        self.world.now = now;
        let (state, refutations) = match seen {
            Seen::Alive => (State::Alive, judged.incarnation().saturating_add(1)),
            Seen::Suspect => (State::Suspect, judged.incarnation()),
            Seen::Down => (State::Down, judged.incarnation()),
        };
        let update = Member::new(judged.id().clone(), refutations, state);
        let done = self.foca.apply_many(std::iter::once(update), true, &mut self.world);
        debug_assert!(done.is_ok(), "a member always fits: {done:?}");
        self.world.changed = true;
    }

    /// Tells everybody that this node goes.
    pub(super) fn leave(&mut self, now: Mono) {
        self.world.now = now;
        let members = self.foca.num_members().max(1);
        // To all at once: nobody shall wait for gossip.
        self.config.num_indirect_probes = NonZeroUsize::new(members).expect("at least one");
        let changed = self.foca.set_config(self.config.clone());
        let done = changed.and_then(|()| self.foca.leave_cluster(&mut self.world));
        debug_assert!(done.is_ok(), "nothing keeps a node from leaving: {done:?}");
        self.world.timers.clear();
    }

    /// What the cluster thinks of a node, in its latest life; `None` if it was never heard of or is forgotten.
    pub(super) fn member(&self, name: &NodeName) -> Option<&Member<Life>> {
        self.foca.iter_membership_state().find(|m| m.id().name == *name)
    }

    /// All that were heard of, this node left out, in no order worth relying on.
    pub(super) fn members(&self) -> impl Iterator<Item = &Member<Life>> {
        let own = &self.foca.identity().name;
        self.foca.iter_membership_state().filter(move |m| m.id().name != *own)
    }

    /// When to call [`Swim::run`] next.
    pub(super) fn next(&self) -> Option<Mono> {
        self.world.timers.first_key_value().map(|((at, _), _)| *at)
    }

    /// The next datagram to send.
    pub(super) fn sent(&mut self) -> Option<(NodeName, Vec<u8>)> {
        self.world.sent.pop_front()
    }

    /// Whether anything about the members changed since this was asked last.
    pub(super) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.world.changed)
    }

    /// Whether others had declared this node down since this was asked last.
    pub(super) fn take_returned(&mut self) -> bool {
        std::mem::take(&mut self.world.returned)
    }
}

/// The library's word in ours.
pub(super) fn seen(state: State) -> Seen {
    match state {
        State::Alive => Seen::Alive,
        State::Suspect => Seen::Suspect,
        State::Down => Seen::Down,
    }
}
