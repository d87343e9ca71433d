//! The way of what workers say to other nodes, as agents and exchanges would send it.

use crate::base::{NodeId, WorkerId};
use crate::effect::{Change, NodeTold, Record, Settings, StoreOp};

/// To whom it is said.
pub fn node(told: &NodeTold<'_>) -> NodeId {
    match *told {
        NodeTold::Up { node, .. }
        | NodeTold::Down { node }
        | NodeTold::Whole { node }
        | NodeTold::Takes { node, .. }
        | NodeTold::UserChanged { node, .. }
        | NodeTold::Change { node, .. }
        | NodeTold::Parcel { node, .. }
        | NodeTold::Result { node, .. }
        | NodeTold::Poke { node, .. }
        | NodeTold::Ask { node, .. }
        | NodeTold::State { node, .. }
        | NodeTold::Refuse { node, .. }
        | NodeTold::Installed { node, .. }
        | NodeTold::Release { node, .. }
        | NodeTold::Offer { node, .. }
        | NodeTold::Answer { node, .. } => node,
    }
}

/// The same, from whom it comes.
pub fn readdressed<'a>(told: &NodeTold<'a>, node: NodeId) -> NodeTold<'a> {
    match *told {
        NodeTold::Change { change, .. } => NodeTold::Change { node, change },
        NodeTold::Parcel { parcel, .. } => NodeTold::Parcel { node, parcel },
        NodeTold::Result { envelope, outcome, .. } => NodeTold::Result { node, envelope, outcome },
        NodeTold::Poke { user, .. } => NodeTold::Poke { node, user },
        NodeTold::UserChanged { user, roster, blocked, .. } => {
            NodeTold::UserChanged { node, user, roster, blocked }
        }
        NodeTold::Ask { ask, user, id, h, .. } => NodeTold::Ask { node, ask, user, id, h },
        NodeTold::State { ask, state, .. } => NodeTold::State { node, ask, state },
        NodeTold::Refuse { ask, why, .. } => NodeTold::Refuse { node, ask, why },
        NodeTold::Installed { ask, user, .. } => NodeTold::Installed { node, ask, user },
        NodeTold::Release { ask, user, .. } => NodeTold::Release { node, ask, user },
        NodeTold::Offer { offer, user, sm, .. } => NodeTold::Offer { node, offer, user, sm },
        NodeTold::Answer { offer, ask, .. } => NodeTold::Answer { node, offer, ask },
        NodeTold::Up { .. } | NodeTold::Down { .. } | NodeTold::Whole { .. } | NodeTold::Takes { .. } => {
            panic!("no worker says that")
        }
    }
}

/// Which worker it is for.
pub fn worker(told: &NodeTold<'_>, settings: &Settings) -> WorkerId {
    let asker = |number: u64| WorkerId((number % u64::from(settings.workers)) as u16);
    match *told {
        NodeTold::Change {
            change: Change::Put(Record { user, .. }) | Change::Remove { user, .. }, ..
        }
        | NodeTold::Poke { user, .. }
        | NodeTold::UserChanged { user, .. }
        | NodeTold::Ask { user, .. }
        | NodeTold::Installed { user, .. }
        | NodeTold::Release { user, .. }
        | NodeTold::Offer { user, .. } => settings.home(user),
        NodeTold::Parcel { parcel, .. } => parcel.worker,
        NodeTold::Result { envelope: number, .. }
        | NodeTold::State { ask: number, .. }
        | NodeTold::Refuse { ask: number, .. }
        | NodeTold::Answer { offer: number, .. } => asker(number),
        NodeTold::Up { .. } | NodeTold::Down { .. } | NodeTold::Whole { .. } | NodeTold::Takes { .. } => {
            panic!("no worker says that")
        }
    }
}

/// What a store is asked, in short.
pub fn store(op: &StoreOp) -> String {
    match op {
        StoreOp::SpoolPut { user, row, .. } => format!("to keep {:?} for {user}", row.id),
        StoreOp::SpoolDelete { user, ids } => format!("to delete {ids:?} of {user}"),
        StoreOp::SpoolRead { user, .. } => format!("what waits for {user}"),
        _ => "something else".to_owned(),
    }
}
