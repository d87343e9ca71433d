//! The table by example, and against a plain map.

mod model;
mod table;

use super::*;
use crate::base::{HashKey, Hlc, NodeId, WorkerId};

const KEY: HashKey = HashKey { k0: 1, k1: 2 };

fn name(i: usize) -> String {
    format!("chat@n{i}")
}

fn record<'a>(user: &'a str, resource: &'a str, bound: u64) -> Record<'a> {
    let sm = Some(SmHash(bound as u32));
    Record { user, resource, priority: Some(0), carbons: false, sm, worker: WorkerId(0), bound: Hlc(bound) }
}
