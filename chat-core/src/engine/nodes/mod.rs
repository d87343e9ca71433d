//! Other nodes, as one worker sees them: who is where, what goes there, and what comes from there.
//!
//! Owns: [`Cluster`]: the records of all sessions of the users whose home this worker is on this node, its own among them
//! (`records`), and what is outstanding or waits for its turn (`afar`).
//! In: what the agent tells ([`NodeTold`]), every change of a session here, what was decided for sessions elsewhere. Out: the
//! same for the agent.
//! Invariants:
//! - An engine without [`Settings::cluster`](crate::effect::Settings::cluster) has none of this and pays a branch.
//! - The record of an own session says what its [`Resource`](crate::user::Resource) says, after each input; what is told of
//!   nodes that are not there changes nothing.
//! - A stanza is decided at the node that it entered, and there alone (`choose`, `send`). A message that is to be safe is a
//!   [flight](crate::user::flight) of its recipient there; each node that it was sent to holds one copy of it, until its
//!   result comes or the node is down (`results`).
//! - Nothing is sent to where a session is now while something is outstanding to where it was: it waits (`turn`).
//! - What all of a user's clients get or say is told to those elsewhere, too (`copies`).
//! - Rosters and block lists in memory are those of the store but for what is on its way (`changed`).
//! - Nobody is told that a full JID is gone that another session has. What a split hid is shown when it heals, and what a node
//!   took with it is told to be gone (`shown`).
//! - Of two sessions with one full JID the node of the earlier ends its own, with `<conflict/>` (`conflict`).
//! - A session that another node is to have stands still until that has it, or does not (`take`, `hold`, `install`, `depart`,
//!   `moves`; `offer` at a node that drains): it lives at one node, and each of its unacknowledged messages has somebody who answers for it.
//! - A row that waits in the store for a user who is here is found, also if nobody told of it (`sweep`).
//! - What comes from another node is given to the sessions that it names, or to nobody: it is neither routed on nor stored
//!   here (`receive`).
//!
//! Not here: the table itself (`route/registry`), how news get from node to node (`cluster`), what becomes of a message on
//! this node (`engine/deliver.rs`, `engine/settle.rs`).

mod afar;
#[cfg(feature = "sim")]
mod audit;
mod changed;
mod choose;
mod conflict;
mod copies;
mod depart;
mod early;
mod envelopes;
mod farewells;
mod hold;
mod install;
mod movers;
mod moves;
mod newcomers;
mod offer;
mod receive;
mod records;
mod results;
mod send;
mod shown;
mod sweep;
mod take;
mod turn;

#[cfg(test)]
mod tests;

pub(super) use hold::is_stale;
pub(super) use turn::Turn;

use std::collections::{BTreeMap, VecDeque};

use crate::base::{HashKey, HlcClock, MsgId, NodeId, Rng, UserId};
use crate::effect::{NodeMail, NodeTold};
use crate::engine::Engine;
use crate::route::registry::Table;
use crate::user::recent::Recent;
use afar::{Afar, Load, Most};
use changed::News;
use choose::Seen;
use envelopes::Envelopes;
use moves::Taken;
use newcomers::Newcomers;
use offer::Offers;
use shown::Chores;
use sweep::Sweep;

/// This node among all.
const OWN: NodeId = NodeId::OWN;

/// What a worker knows of other nodes.
pub(super) struct Cluster {
    /// Who is where: the users whose home this worker is.
    table: Table,
    /// Makes the times of binds, by which nodes agree on what was later.
    clock: HlcClock,
    /// What is done a little at a time.
    chores: Chores,
    newcomers: Newcomers,
    /// Sessions of ours that went to other nodes lately.
    leavers: Newcomers,
    offers: Offers,
    sweep: Sweep,
    /// Messages that a session of ours had and did not acknowledge before it ended: they may come again.
    tried: Recent,
    /// Counts envelopes, and messages that wait.
    next: u64,
    /// Envelopes that have no result yet, by what was counted.
    envelopes: Envelopes,
    /// The number of this worker, and how many there are.
    worker: (u16, u16),
    /// Users with something outstanding or waiting.
    users: BTreeMap<UserId, Box<Afar>>,
    /// Kept for the next of them.
    #[allow(clippy::vec_box, reason = "what is handed over is the box")]
    spare: Vec<Box<Afar>>,
    /// Whose each session is that another node was asked for.
    asks: BTreeMap<u64, UserId>,
    /// Sessions that came here lately.
    taken: VecDeque<Taken>,
    /// What is outstanding to each node.
    loads: BTreeMap<NodeId, Load>,
    most: Most,
    /// The sessions elsewhere of the user that was looked at last, and their names.
    seen: Vec<Seen>,
    names: String,
    /// Those of its sessions here that do not count, because the resource was bound elsewhere later.
    hidden: u64,
    /// Where the targets of an envelope, and what is kept of it, are put together.
    targets: String,
    /// Users of whose roster and block list others have told these versions, which are not here yet.
    news: BTreeMap<UserId, News>,
}

impl Cluster {
    /// A node of this name, that knows of no other. `worker`: which of how many.
    pub(super) fn new(own: &str, worker: (u16, u16), key: HashKey, rng: &mut Rng) -> Self {
        let mut table = Table::new(key);
        table.seat(OWN, own);
        Cluster {
            table,
            clock: HlcClock::default(),
            chores: Chores::default(),
            newcomers: Newcomers::default(),
            leavers: Newcomers::default(),
            offers: Offers::default(),
            sweep: Sweep::default(),
            tried: Recent::default(),
            // An engine that starts anew in the same life of its node takes no result for its own that is an earlier one's.
            next: rng.next_u64() >> 32,
            envelopes: Envelopes::default(),
            worker,
            users: BTreeMap::new(),
            spare: Vec::new(),
            asks: BTreeMap::new(),
            taken: VecDeque::new(),
            loads: BTreeMap::new(),
            most: Most::default(),
            seen: Vec::new(),
            names: String::new(),
            hidden: 0,
            targets: String::new(),
            news: BTreeMap::new(),
        }
    }
}

impl Engine {
    /// How many sessions each other node has, by its name, of the users whose home this worker is; two that have the same
    /// name are two lives of one node, of which the first is going.
    pub fn sessions_elsewhere(&self) -> impl Iterator<Item = (&str, usize)> {
        let tables = self.cluster.iter().map(|cluster| &cluster.table);
        let nodes = tables.flat_map(Table::by_node).filter(|(node, ..)| *node != OWN);
        nodes.map(|(_, name, sessions)| (name, sessions))
    }

    /// Stanzas that went to other nodes and have no result yet.
    pub fn parcels_underway(&self) -> usize {
        self.cluster.as_ref().map_or(0, |cluster| cluster.envelopes.len())
    }

    /// The agent has news. What follows from them for this worker comes after all of them.
    pub(super) fn on_cluster(&mut self, mail: &mut NodeMail) {
        if self.cluster.is_some() {
            for told in mail.iter() {
                match told {
                    NodeTold::Up { node, name, version } => self.on_node_up(node, name, version),
                    NodeTold::Down { node } => self.on_node_down(node),
                    NodeTold::Change { node, change } => self.on_change(node, &change),
                    NodeTold::Parcel { node, parcel } => self.on_parcel(node, &parcel),
                    NodeTold::Result { node, envelope, outcome } => self.on_result(node, envelope, outcome),
                    NodeTold::Poke { user, .. } => self.on_poke(user),
                    NodeTold::Whole { node } => self.on_node_whole(node),
                    NodeTold::UserChanged { user, roster, blocked, .. } => {
                        self.on_user_changed(user, (roster, blocked));
                    }
                    NodeTold::Ask { node, ask, user, id, h } => self.on_session_ask(node, ask, user, id.0, h),
                    NodeTold::State { node, ask, state } => self.on_session_state(node, ask, state),
                    NodeTold::Refuse { node, ask, why } => self.on_not_given(node, ask, why),
                    NodeTold::Installed { node, ask, user } => self.on_installed(node, ask, user),
                    NodeTold::Release { node, ask, user } => self.on_release(node, ask, user),
                    NodeTold::Offer { node, offer, user, sm } => self.on_offer(node, offer, user, sm),
                    NodeTold::Answer { node, offer, ask } => self.on_offer_answer(node, offer, ask),
                    NodeTold::Takes { node, takes } => self.on_takes(node, takes),
                }
            }
        }
        mail.clear();
    }

    /// A session has ended that had a message and did not acknowledge it: whoever gets it next is told that it may be late.
    pub(super) fn was_tried(&mut self, msg: MsgId) {
        let now = self.cx.now.mono;
        if let Some(cluster) = self.cluster.as_deref_mut() {
            cluster.tried.expire(now);
            cluster.tried.insert(now, msg);
        }
    }

    /// Whether something for this user is outstanding elsewhere or waits: then it must not be forgotten.
    #[inline]
    pub(super) fn is_afar(&self, id: UserId) -> bool {
        self.cluster.as_ref().is_some_and(|cluster| cluster.users.contains_key(&id))
    }
}
