//! What stores and authenticators answer, or do not.

use super::Engine;
use crate::base::{MsgId, RequestId, Span, UserId};
use crate::effect::{
    AccountError, AccountResult, Event, Loaded, Request, SettleTo, StoreDone, StoreError, StoreOp,
    StoreResult, Wait,
};
use crate::jid::{self, BareJid};
use crate::session;
use crate::stanza::{Condition, ErrorType, Kind, Stanza, StanzaError};
use crate::user::{self, Parked, SpoolState};
use crate::xml::{ScanLimits, StreamNs, scan};

/// How soon a spool that could not be read is read again, if somebody is there to have it.
const SPOOL_RETRY: Span = Span::secs(5);

/// How soon rows that could not be deleted are looked for: nobody misses them, and they are remembered for longer.
const DELETE_RETRY: Span = Span::secs(30);

impl Engine {
    pub(super) fn on_stored(&mut self, id: RequestId, result: StoreResult) {
        let Some(mut request) = self.cx.pending.take(id) else { return };
        if matches!(result, Err(StoreError::Overloaded)) {
            request = match self.cx.overloaded(id, request) {
                Ok(()) => return,
                Err(request) => request,
            };
        }
        self.on_answer(id, request, result);
    }

    /// The time of a request is up.
    pub(super) fn on_unanswered(&mut self, id: RequestId, request: Request) {
        match request.op {
            Some(_) => self.on_answer(id, request, Err(StoreError::Unavailable)),
            None => self.on_account_answer(request.wait, Err(AccountError::Unavailable)),
        }
    }

    pub(super) fn on_account(&mut self, id: RequestId, result: AccountResult) {
        if let Some(request) = self.cx.pending.take(id) {
            self.on_account_answer(request.wait, result);
        }
    }

    fn on_account_answer(&mut self, wait: Wait, result: AccountResult) {
        match wait {
            Wait::Sasl(conn) => {
                let Some(session) = self.sessions.get_mut(conn) else { return };
                let ask = session::on_account_answer(session, &mut self.cx, result);
                self.on_ask(conn, ask);
                self.released.push(conn);
            }
            Wait::Register { conn, id } => self.on_registered(conn, &id, result),
            Wait::Account { user, reply } => self.on_account_changed(user, &reply, result),
            _ => {}
        }
    }

    fn on_answer(&mut self, id: RequestId, request: Request, result: StoreResult) {
        for (id, overtaken) in self.cx.answered(id, &request, result.is_ok()) {
            // These are out already, and overtake nothing.
            self.on_answer(id, overtaken, Err(StoreError::Overloaded));
        }
        if let Err(error) = &result
            && let Some(op) = &request.op
            && !matches!(error, StoreError::Full | StoreError::Conflict)
        {
            self.cx.event(Event::StoreFailed { user: op.user().clone(), error: *error });
        }
        match request.wait {
            Wait::Load(user) => match result {
                Ok(StoreDone::User(loaded)) => self.on_loaded(user, loaded),
                _ => self.on_not_loaded(user),
            },
            Wait::Change(id) => {
                let failed = result.is_err();
                if let Some(user) = self.users.get_mut(id) {
                    user::change::on_stored(user, result, &mut self.cx);
                    self.give_settled(id);
                    self.arm_user(id);
                }
                self.catch_up(id, failed);
            }
            Wait::Spool { user, id, settle, kept } => {
                if let Some(user) = self.users.get_mut(user).filter(|_| kept) {
                    user.spool.writing = user.spool.writing.saturating_sub(1);
                }
                let stanza = match request.op.as_deref() {
                    Some(StoreOp::SpoolPut { row, .. }) => Some(row.stanza.clone()),
                    _ => None,
                };
                self.storing -= stanza.as_ref().map_or(0, |s| s.len());
                match result {
                    Ok(_) => self.on_spooled(user, id, settle),
                    Err(error) => {
                        self.on_not_spooled(user, id, settle, stanza.as_deref(), error);
                        self.may_be_spooled(user, error);
                    }
                }
                self.take_held(user);
            }
            Wait::Rows(user) => {
                match result {
                    Ok(StoreDone::Spool(rows)) => self.on_rows(user, rows),
                    _ => self.on_no_rows(user),
                }
                self.take_held(user);
            }
            Wait::Sweep => self.on_swept(result),
            Wait::Nobody => {
                if let (Some(StoreOp::SpoolDelete { user, ids }), Err(_)) = (request.op.as_deref(), result) {
                    self.on_not_deleted(user, ids);
                }
            }
            Wait::Sasl(_) | Wait::Register { .. } | Wait::Account { .. } => {}
        }
    }

    fn on_loaded(&mut self, id: UserId, loaded: Loaded) {
        let Some(user) = self.users.get_mut(id) else { return };
        user.needed = self.cx.now.mono;
        let waiting = match user::load::ready(user, &loaded) {
            Ok(waiting) => waiting,
            Err(_) => {
                self.cx.event(Event::StoreFailed { user: user.jid.clone(), error: StoreError::Damaged });
                return self.on_not_loaded(id);
            }
        };
        if self.cluster.is_some() {
            // What another node has stored is older than what waits here: whoever is elsewhere reads it first.
            self.spool_begin(id);
        }
        for parked in waiting {
            match parked {
                Parked::Stanza(envelope) => self.deliver_posted(envelope.posted()),
                Parked::Bind(conn, request) => self.bind_now(id, conn, &request),
                Parked::Lost(name, only) => self.on_lost_found(id, &name, only),
                Parked::Resume { conn, id, h } => self.resume_again(conn, &id, h),
                Parked::Offer { node, life, offer, sm } => self.offer_again(id, node, life, offer, sm),
            }
        }
        self.catch_up(id, false);
        self.evict_if_nobody(id);
        self.arm_user(id);
    }

    /// A user cannot be loaded: whoever waited is told to try later.
    pub(super) fn on_not_loaded(&mut self, id: UserId) {
        let Some(user) = self.users.remove(id) else { return };
        self.catch_up(id, false);
        for parked in user.parked {
            match parked {
                Parked::Stanza(envelope) => {
                    self.refuse_stored(&envelope.stanza, StanzaError::wait());
                    self.cx.settled(envelope.fate.settle);
                }
                Parked::Bind(conn, request) => {
                    if let Some(session) = self.sessions.get_mut(conn) {
                        session.phase = session::Phase::Ready;
                        session.holds.answer = false;
                        session::refuse_bind(conn, &mut self.cx, &request.id, &StanzaError::wait());
                        self.released.push(conn);
                    }
                }
                Parked::Lost(name, only) => self.on_lost_parked(&user.jid, name, only),
                Parked::Resume { conn, .. } => self.resume_failed(conn, None),
                Parked::Offer { node, life, offer, .. } => self.decline(node, life, offer),
            }
        }
    }

    /// A row of the spool is durable.
    fn on_spooled(&mut self, id: UserId, msg: MsgId, settle: Option<SettleTo>) {
        let Some(user) = self.users.get_mut(id) else { return self.cx.settled(settle) };
        match user.flights.find(msg) {
            // A client acknowledged it while the row was being written.
            Some((key, flight)) if flight.acked => {
                flight.spool = SpoolState::Absent;
                if flight.copies == 0 {
                    user.flights.remove(&mut self.user_pools, key);
                }
                user.gone.insert(self.cx.now.mono, msg);
                let op = StoreOp::SpoolDelete { user: user.jid.clone(), ids: vec![msg] };
                self.cx.store(op, Wait::Nobody);
            }
            // Another node's, which came here as well.
            Some((_, flight)) if flight.spool == SpoolState::Elsewhere => {}
            Some((_, flight)) => {
                flight.spool = SpoolState::Written;
                flight.settle = None;
            }
            // Nobody has it: it waits, or somebody came meanwhile.
            None if user.spool.reading => user.spool.more = true,
            None => {
                user.spool.waiting = true;
                self.spool_begin(id);
            }
        }
        self.cx.settled(settle);
        self.arm_user(id);
    }

    /// A row of the spool could not be written.
    pub(super) fn on_not_spooled(
        &mut self,
        id: UserId,
        msg: MsgId,
        settle: Option<SettleTo>,
        stanza: Option<&[u8]>,
        error: StoreError,
    ) {
        if let Some(user) = self.users.get_mut(id)
            && let Some((key, flight)) = user.flights.find(msg)
        {
            if flight.acked {
                flight.spool = SpoolState::Absent;
                if flight.copies == 0 {
                    user.flights.remove(&mut self.user_pools, key);
                }
                // It may be there all the same.
                user.gone.insert(self.cx.now.mono, msg);
                let op = StoreOp::SpoolDelete { user: user.jid.clone(), ids: vec![msg] };
                self.cx.store(op, Wait::Nobody);
                return;
            }
            // The clients may yet acknowledge it; but the sender is told that it may be lost, and that once.
            if flight.spool != SpoolState::Elsewhere {
                flight.spool = SpoolState::Refused;
                flight.settle = None;
            }
        }
        // XEP-0160 §3: a full spool is `service-unavailable`; a store that fails may work again.
        let answer = match error {
            StoreError::Full => Condition::ServiceUnavailable.into(),
            _ => StanzaError::new(Condition::InternalServerError, ErrorType::Wait),
        };
        if let Some(stanza) = stanza {
            self.refuse_stored(stanza, answer);
        }
        self.cx.settled(settle);
        self.arm_user(id);
    }

    /// A row that could not be written may have been, if an answer was lost: somebody should look.
    fn may_be_spooled(&mut self, id: UserId, error: StoreError) {
        if let Some(user) = self.users.get_mut(id)
            && !matches!(error, StoreError::Full | StoreError::Overloaded)
        {
            user.spool.add();
            user.spool_retry = Some(self.cx.now.mono + SPOOL_RETRY);
            self.arm_user(id);
        }
    }

    /// Rows that a client has could not be deleted: the spool is read again, which deletes them.
    fn on_not_deleted(&mut self, user: &BareJid, ids: &[MsgId]) {
        let Some(id) = self.users.find(user.as_str()) else { return };
        let Some(user) = self.users.get_mut(id) else { return };
        for row in ids {
            user.gone.remember_longer(self.cx.now.mono, *row);
        }
        // Not at once: reading them leads back here.
        user.spool_retry = user.spool_retry.or(Some(self.cx.now.mono + DELETE_RETRY));
        self.arm_user(id);
    }

    fn on_no_rows(&mut self, id: UserId) {
        if let Some(user) = self.users.get_mut(id) {
            user.spool.asked = false;
            user.spool.reading = false;
            user.spool.waiting = true;
            user.spool.more = false;
            user.spool_retry = Some(self.cx.now.mono + SPOOL_RETRY);
            self.arm_user(id);
        }
    }

    /// Bounces a stanza of which only the bytes are left.
    pub(super) fn refuse_stored(&mut self, bytes: &[u8], error: StanzaError) {
        let ns = StreamNs::client();
        let Ok(view) = scan(bytes, &ns, &ScanLimits::OWN) else { return };
        let type_ = view.type_();
        let Some(Ok(kind)) = Kind::read(view.name(), type_.as_deref()) else { return };
        let (from_text, to_text) = (view.from(), view.to());
        let (mut a, mut b) = (String::new(), String::new());
        let from = from_text.as_deref().and_then(|f| jid::parse(f, &mut a).ok());
        let to = to_text.as_deref().and_then(|t| jid::parse(t, &mut b).ok());
        if let Some(from) = from {
            self.bounce(&Stanza { view: &view, kind, from, to }, &error);
        }
    }
}
