//! What the embedder or the operator wants.

use std::sync::Arc;

use super::Engine;
use super::deliver::Meta;
use super::face::{Command, KickReason};
use super::nodes::Turn;
use crate::effect::{Batch, Event, StoreOp, Wait};
use crate::jid::{self, BareJid};
use crate::session::Seat;
use crate::stanza::{Kind, Stanza, ns};
use crate::stream::{StreamCondition, StreamError};
use crate::user;
use crate::xml::write::respelled;
use crate::xml::{ScanLimits, StreamNs, scan};

impl Engine {
    pub(super) fn on_command(&mut self, command: Command) {
        match command {
            Command::Send { stanza } => {
                if let Err(reason) = self.inject(&stanza) {
                    self.cx.event(Event::BadSend { reason });
                }
            }
            Command::Kick { user, reason } => match reason {
                KickReason::AccountRemoved => self.remove_account(&user),
                KickReason::Operator => {
                    let error = StreamError::new(StreamCondition::PolicyViolation, "closed by the operator");
                    self.close_sessions(&user, &error);
                }
            },
            Command::Offer { domain, mechanisms } => {
                let settings = Arc::make_mut(&mut self.cx.settings);
                if let Some(domain) = settings.domains.iter_mut().find(|d| d.name == domain) {
                    domain.mechanisms = mechanisms;
                }
            }
            Command::Drain { rate, within } => self.begin_drain(rate, within),
            Command::Stay => self.end_drain(),
            Command::Shutdown => self.shut_down(),
        }
    }

    /// Routes a stanza of the embedder's.
    fn inject(&mut self, bytes: &[u8]) -> Result<(), &'static str> {
        let stream_ns = StreamNs::client();
        let view = scan(bytes, &stream_ns, &ScanLimits::WIDEST).map_err(|_| "not exactly one element")?;
        if let Some(anew) = respelled(&view) {
            return self.inject(&anew);
        }
        if view.ns() != ns::CLIENT {
            return Err("not in the namespace jabber:client");
        }
        let type_ = view.type_();
        let kind = match Kind::read(view.name(), type_.as_deref()) {
            Some(Ok(kind)) => kind,
            Some(Err(_)) => return Err("its type is not one it may have"),
            None => return Err("neither a message nor a presence nor an iq"),
        };
        let (from, to) = (view.from().ok_or("it has no 'from'")?, view.to().ok_or("it has no 'to'")?);
        let (mut a, mut b) = (String::new(), String::new());
        let from = jid::parse(&from, &mut a).map_err(|_| "its 'from' is no JID")?;
        let to = jid::parse(&to, &mut b).map_err(|_| "its 'to' is no JID")?;
        if self.cx.settings.domain(from.domain()).is_none() {
            return Err("its 'from' is of a domain that is not served here");
        }
        let stanza = Stanza { view: &view, kind, from, to: Some(to) };
        let id = self.cx.message_id();
        let meta = Meta {
            id,
            at: self.cx.now.utc,
            settle: None,
            delayed: false,
            lang: None,
            only: None,
            turn: Turn::FIRST,
        };
        self.send_on(&stanza, meta);
        Ok(())
    }

    /// Ends all sessions of a user with an error.
    fn close_sessions(&mut self, jid: &BareJid, error: &StreamError) {
        let Some(id) = self.users.find(jid.as_str()) else { return };
        let Some(user) = self.users.get_mut(id) else { return };
        let sessions: Vec<_> = user.resources.iter().map(|r| Seat { user: id, resource: r.id }).collect();
        for seat in sessions {
            // Each as it is by then: what is said of the end of one may be too much for the next.
            self.end_session(seat, error);
        }
    }

    /// An account is gone: its sessions end, and nothing of it is kept.
    pub(super) fn remove_account(&mut self, jid: &BareJid) {
        if self.cx.settings.home(jid.as_str()) != self.cx.settings.worker {
            return;
        }
        let error = StreamError::new(StreamCondition::NotAuthorized, "the account was removed");
        self.close_sessions(jid, &error);
        if let Some(id) = self.users.find(jid.as_str())
            && let Some(user) = self.users.get_mut(id)
        {
            user::change::dissolve(user, &mut self.cx);
            self.refuse_afar(id);
            // What waited for the record is refused, as it is when the record cannot be read.
            self.on_not_loaded(id);
        }
        if !self.cx.is_ephemeral(jid) {
            self.cx.store(StoreOp::RemoveUser { user: jid.clone() }, Wait::Nobody);
        }
    }

    /// Every stream ends; what is unacknowledged goes to the store. While sessions leave for other nodes, the rest gets a little time
    /// to do so, too.
    fn shut_down(&mut self) {
        if !self.stopping && !self.stops_drained() {
            self.shut_down_now();
        }
    }

    pub(super) fn shut_down_now(&mut self) {
        self.stopping = true;
        self.drain = None;
        let error = StreamError::new(StreamCondition::SystemShutdown, "the server is shutting down");
        for conn in self.sessions.ids() {
            self.fail(conn, &error);
        }
        let waiting: Vec<Seat> = self
            .users
            .iter()
            .flat_map(|u| u.resources.iter().map(|r| Seat { user: u.id, resource: r.id }))
            .collect();
        for seat in waiting {
            self.leave(seat, None);
        }
        self.lose_all();
    }

    /// Whether a shutdown has nothing left to wait for.
    pub(super) fn is_at_rest(&self) -> bool {
        self.sessions.len() == 0
            && self.cx.pending.is_empty()
            && self.cx.local.is_empty()
            && self.cx.batches.iter().all(Batch::is_empty)
    }
}
