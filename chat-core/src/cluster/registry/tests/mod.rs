//! The bytes of frames, and nodes that replicate over links that fail.

mod frames;
mod healing;

use super::*;
use crate::base::{HashKey, Hlc, HlcClock, NodeId, WorkerId};
use crate::cluster::identity::NodeName;
use crate::route::registry::{Change, Record, SmHash, Table};

const KEY: HashKey = HashKey { k0: 1, k1: 2 };

fn name(i: usize) -> NodeName {
    NodeName::parse(&format!("chat@n{i}")).unwrap()
}

fn record<'a>(user: &'a str, resource: &'a str, bound: u64) -> Record<'a> {
    let sm = Some(SmHash(bound as u32));
    Record { user, resource, priority: Some(0), carbons: false, sm, worker: WorkerId(0), bound: Hlc(bound) }
}
