//! A user in memory.

use std::sync::Arc;

use smol_str::SmolStr;

use super::blocked::{BlockEdit, Blocked};
use super::flight::{Flights, Promised};
use super::recent::Recent;
use super::resource::Resource;
use super::resources::Resources;
use super::roster::Roster;
use super::subscription;
use crate::base::{ConnId, Fifo, Limits, Mono, NodeId, RareQueue, TimerId, UserId};
use crate::effect::{Envelope, Few, ResourceId, Settings, SmHash, SpoolSeq};
use crate::jid::{BareJid, Jid, JidRef};
use crate::session::BindRequest;

/// Whether the user's record is in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Record {
    /// It was asked for; what needs it is [parked](User::parked).
    Loading,
    /// It is here.
    Ready,
}

/// What waits for a user's record.
#[derive(Debug)]
pub enum Parked {
    /// A stanza.
    Stanza(Box<Envelope>),
    /// A client that wants a resource.
    Bind(ConnId, BindRequest),
    /// A session of this resource is gone without having said so, and who is told ([`Fate::only`](crate::effect::Fate::only)).
    Lost(SmolStr, Option<Few>),
    /// A client that wants to go on with a session that another node has.
    Resume {
        /// Its connection.
        conn: ConnId,
        /// What it presents.
        id: SmolStr,
        /// How many stanzas it has got.
        h: u32,
    },
    /// Another node offers a session.
    Offer {
        /// Which node.
        node: NodeId,
        /// The how-manieth that has this number.
        life: u32,
        /// What it calls the session.
        offer: u64,
        /// By what the session is looked for.
        sm: SmHash,
    },
}

impl Parked {
    /// Bytes that it holds.
    pub fn bytes(&self) -> usize {
        match self {
            Parked::Stanza(envelope) => envelope.stanza.len(),
            Parked::Bind(..) | Parked::Lost(..) | Parked::Resume { .. } | Parked::Offer { .. } => 0,
        }
    }
}

/// What is known of the user's spool.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spool {
    /// There may be rows that no session has been given yet.
    pub waiting: bool,
    /// Rows are being read now; live messages go behind them, into the spool.
    pub reading: bool,
    /// A page of rows was asked for and is not here yet.
    pub asked: bool,
    /// A row was added while rows were being read.
    pub more: bool,
    /// Rows being written of messages that nobody has: what comes later must not overtake them.
    pub writing: u32,
}

impl Spool {
    /// There is a row that no session has been given, or none that will acknowledge it.
    pub fn add(&mut self) {
        if self.reading {
            self.more = true;
        } else {
            self.waiting = true;
        }
    }
}

/// Somebody in the roster, as a client gives it (RFC 6121 §2.1.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    /// The bare JID.
    pub jid: BareJid,
    /// The handle.
    pub name: String,
    /// The groups.
    pub groups: Vec<String>,
}

/// An iq of one of the user's clients that is answered when the change it asks for is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The client.
    pub by: ResourceId,
    /// The id of its iq.
    pub id: Option<String>,
    /// The client wrote the address of its account in `to`, so that the answer comes from there (RFC 6120 §8.1.2.1).
    pub addressed: bool,
}

/// A change of the roster or of the block list. Changes of one user are made one after the other, each when the
/// one before is durable: what a client is told has happened.
#[derive(Debug)]
pub enum Change {
    /// A roster set (RFC 6121 §2.3).
    Set {
        /// The iq.
        asked: Asked,
        /// The item.
        contact: Contact,
    },
    /// A roster removal (RFC 6121 §2.5).
    Remove {
        /// The iq.
        asked: Asked,
        /// Whom.
        contact: BareJid,
    },
    /// The user manages a subscription (RFC 6121 §3, outbound).
    Outbound {
        /// The client that sent it.
        by: ResourceId,
        /// What it asks.
        kind: subscription::Kind,
        /// The contact.
        contact: BareJid,
        /// The stanza to send, from the user's bare JID to the contact's.
        stanza: Arc<[u8]>,
    },
    /// A contact manages a subscription (RFC 6121 §3, inbound).
    Inbound {
        /// What it asks.
        kind: subscription::Kind,
        /// The contact.
        contact: BareJid,
        /// The stanza to deliver, from the contact's bare JID to the user's.
        stanza: Arc<[u8]>,
        /// A resource of the user was available when it arrived; else the contact's presence, which follows a
        /// `subscribed`, went to nobody.
        seen: bool,
    },
    /// Presence of a contact that came behind a subscription stanza of the same contact, which it must not overtake
    /// (RFC 6120 §10.1): no change at all, only its turn.
    Presence {
        /// Whose resource.
        from: Jid,
        /// What its receivers get, to the user's bare JID.
        stanza: Arc<[u8]>,
    },
    /// The block list changes (XEP-0191).
    Block {
        /// The iq.
        asked: Asked,
        /// How.
        edit: BlockEdit,
        /// The payload of the iq set that tells it to each resource that wants to know.
        push: Arc<[u8]>,
    },
}

impl Change {
    /// The client that gets an answer once it is made.
    pub fn by(&self) -> Option<ResourceId> {
        match self {
            Change::Set { asked, .. } | Change::Remove { asked, .. } | Change::Block { asked, .. } => {
                Some(asked.by)
            }
            Change::Outbound { by, .. } => Some(*by),
            Change::Inbound { .. } | Change::Presence { .. } => None,
        }
    }
}

/// What the first change in the queue will make of the record, once the store says so.
#[derive(Debug)]
pub enum Next {
    /// Another roster.
    Roster(Roster),
    /// Another block list; its version will be the next.
    Blocked(Vec<Jid>),
    /// The record is read again, because the store has a version that is not ours; then the change is tried anew.
    Reload,
}

/// The change that is with the store.
#[derive(Debug)]
pub struct Underway {
    /// What it will make of the record.
    pub next: Next,
    /// The record has been read again for this change: another conflict is its end.
    pub reloaded: bool,
}

/// A user in memory: everything about one bare JID, on the worker that is its home.
///
/// Fields are in the order of memory, what each message touches first, sender and recipient alike: with a million users
/// none of it is in a cache, and these are two lines, the second being that of the first resource.
#[derive(Debug)]
#[repr(C)]
pub struct User {
    /// Its spool.
    pub spool: Spool,
    /// Its domain, as an index into the settings.
    pub domain: u16,
    /// Whether the rest can be believed.
    pub record: Record,
    /// There is such an account.
    pub exists: bool,
    /// Nothing about it is stored.
    pub ephemeral: bool,
    /// The authenticator was asked to change or to end the account, and has not answered.
    pub account_changes: bool,
    /// Whom it blocks.
    pub blocked: Blocked,
    /// Who it is.
    pub jid: BareJid,
    /// Its resources, in the order they were bound.
    pub resources: Resources,
    /// Its place in this engine.
    pub id: UserId,
    /// Its roster.
    pub roster: Roster,
    /// What waits for its record.
    pub parked: RareQueue<Parked>,
    /// Changes that wait; the first is with the store.
    pub changes: RareQueue<Change>,
    /// What is with the store of the first change, or for all of them. `None` if there is no change.
    pub underway: Option<Box<Underway>>,
    /// Messages on their way.
    pub flights: Flights,
    /// The last row of the spool that was given to a session.
    pub spool_after: SpoolSeq,
    /// When to read rows again that could not be read, or not be deleted.
    pub spool_retry: Option<Mono>,
    /// Rows of its spool that clients have.
    pub gone: Recent,
    /// Promises to clients without stream management that somebody waits for, in the order they were made.
    pub promised: Fifo<Promised>,
    /// When it last had a resource, or was sent something without having one.
    pub needed: Mono,
    /// Its armed timer.
    pub timer: Option<(TimerId, Mono)>,
}

impl User {
    /// A user, of the domain with this index, whose record is being loaded.
    pub fn loading(id: UserId, jid: BareJid, domain: u16, ephemeral: bool, now: Mono) -> Self {
        User {
            spool: Spool::default(),
            domain,
            record: Record::Loading,
            exists: false,
            ephemeral,
            account_changes: false,
            blocked: Blocked::default(),
            jid,
            resources: Resources::new(),
            id,
            roster: Roster::new(),
            parked: RareQueue::new(),
            changes: RareQueue::new(),
            underway: None,
            flights: Flights::default(),
            spool_after: SpoolSeq::default(),
            spool_retry: None,
            gone: Recent::default(),
            promised: Fifo::new(),
            needed: now,
            timer: None,
        }
    }

    /// No row of the spool is looked for, nor written: what is remembered of rows may be forgotten in time.
    pub fn spool_at_rest(&self) -> bool {
        !self.spool.waiting && !self.spool.reading && self.spool.writing == 0 && self.spool_retry.is_none()
    }

    /// The limits that hold for it.
    pub fn limits<'a>(&self, settings: &'a Settings) -> &'a Limits {
        settings.limits_of(self.domain)
    }

    /// The index of a resource.
    pub fn index(&self, id: ResourceId) -> Option<usize> {
        self.resources.iter().position(|r| r.id == id)
    }

    /// A resource.
    pub fn resource(&mut self, id: ResourceId) -> Option<&mut Resource> {
        self.resources.iter_mut().find(|r| r.id == id)
    }

    /// Whether the user wants nothing to do with this address (XEP-0191): it is on the block list, and neither the
    /// user's own (§5) nor that of the user's server.
    pub fn blocks(&self, jid: JidRef<'_>) -> bool {
        self.blocked.blocks(jid) && self.jid != jid.bare() && jid.bare().as_str() != self.jid.domain()
    }

    /// The full JID of a resource.
    pub fn full_jid(&self, index: usize) -> Jid {
        self.jid.join(self.resources[index].name())
    }

    /// The same in a buffer, whose text it replaces: for each stanza of its client.
    pub fn full_jid_in<'t>(&self, index: usize, text: &'t mut String) -> JidRef<'t> {
        self.jid.join_in(self.resources[index].name(), text)
    }

    /// Whether something that this contact sent waits for its turn.
    pub fn awaits_turn(&self, contact: JidRef<'_>) -> bool {
        self.changes.iter().any(|change| match change {
            Change::Inbound { contact: other, .. } => *other == contact,
            Change::Presence { from, .. } => from.bare() == contact,
            _ => false,
        })
    }

    /// Whether any resource gets messages for the bare JID (RFC 6121 §8.5.2.1.1).
    pub fn receives(&self) -> bool {
        self.resources.iter().any(|r| r.presence.is_some() && r.priority >= 0)
    }

    /// Whether any resource is available (RFC 6121 §4.2).
    pub fn is_available(&self) -> bool {
        self.resources.iter().any(|r| r.presence.is_some())
    }
}
