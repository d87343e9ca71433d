//! What sessions of a user on other nodes get besides those here.

use std::sync::Arc;

use smol_str::SmolStr;

use crate::base::{NodeId, UserId};
use crate::jid::Jid;

/// Some of a user's sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Few {
    /// Those on this node.
    At(NodeId),
    /// Those on other nodes that have become available a moment ago, as this node sees it.
    Newcomers,
}

/// A copy of a message for a session of another node (XEP-0280).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// The resource.
    pub resource: SmolStr,
    /// What it gets; nothing until somebody writes it.
    pub stanza: Vec<u8>,
}

/// Something for the available sessions of a user on other nodes.
#[derive(Debug, Clone)]
pub struct Elsewhere {
    /// Whose.
    pub user: UserId,
    /// Who says it.
    pub from: Jid,
    /// What they get.
    pub what: Word,
    /// Those only; none: all.
    pub only: Option<Few>,
}

/// What sessions elsewhere get.
#[derive(Debug, Clone)]
pub enum Word {
    /// Presence of one of the user's resources, without `to`: each gets it with its own address, as those here do.
    Presence(Arc<[u8]>),
    /// A stanza as it is.
    Stanza(Arc<[u8]>),
    /// A question for their presence.
    Probe,
    /// Who says it may see the user no more: for those on nodes that are gone, which cannot say that they are unavailable.
    Farewell,
}
