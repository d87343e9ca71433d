//! The driver of the simulated node: its inputs, its outputs, and the faults of what it stands on.

use core::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use super::auth::DOMAIN;
use super::client::Stage;
use super::events::Event;
use super::ledger::{tag_in, tags_in};
use super::plan::Cut;
use super::world::World;
use crate::base::{ConnId, Mono, RequestId, Span, WorkerId};
use crate::effect::{AccountError, Output, StoreDone, StoreError, StoreOp, StoreResult, TlsInfo};
use crate::engine::{Command, Input};
use crate::session::Listener;

/// Bytes that the network holds for a client that reads.
const WINDOW: usize = 64 * 1024;

impl World {
    pub(super) fn on_event(&mut self, event: Event) {
        match event {
            Event::Up(conn) => self.on_up(conn),
            Event::Down(conn) => self.on_down(conn),
            Event::ServerEof(conn) => self.tell_closed(conn),
            Event::ClientEof(client, epoch) => {
                if self.clients[client].epoch == epoch {
                    self.close_client(client);
                }
            }
            Event::Tick(at) => {
                if self.tick_at == Some(at) {
                    self.tick_at = None;
                    self.count_tick();
                    self.input(Input::Tick);
                }
            }
            Event::Drain => {
                self.draining = false;
                self.drain();
            }
            Event::Secured(conn) => self.on_secured(conn),
            Event::Execute { life, id, op, answer } => self.on_execute(life, id, &op, answer),
            Event::Stored { life, id, result } if life == self.life => {
                self.input(Input::Stored { id, result });
            }
            Event::Account { life, id, result } if life == self.life => {
                self.input(Input::Account { id, result });
            }
            Event::Stored { .. } | Event::Account { .. } => {}
            Event::Act(client) => self.on_act(client),
            Event::Connect(client) => self.on_connect(client),
            Event::Look(client) => self.on_look(client),
            Event::Crash => self.on_crash(),
            Event::Shutdown => self.on_shutdown(),
            Event::Start => self.start(),
            Event::Hold(worker, on) => {
                if let Some(node) = &mut self.node {
                    node.hold(WorkerId(worker), on && !self.healing);
                    self.input(Input::Tick);
                }
            }
            Event::Jump(by) => self.now.utc.0 += by,
            Event::Heal => self.on_heal(),
            Event::Settle => self.on_settle(),
            Event::End => {}
        }
    }

    // ---- the node ----

    pub(super) fn input(&mut self, input: Input<'_>) {
        let Some(node) = &mut self.node else { return };
        node.handle(self.now, input);
        if self.plan.turn.0 == 0 {
            self.drain();
        } else if !self.draining {
            self.draining = true;
            let at = self.now.mono + Span(self.rng.below(self.plan.turn.0));
            self.events.at(at, Event::Drain);
        }
    }

    /// Takes everything the node wants done.
    fn drain(&mut self) {
        loop {
            let Some(node) = &mut self.node else { return };
            if let Some(output) = node.poll_output() {
                self.on_output(output);
            } else if let Some(conn) = node.poll_dirty() {
                self.write(conn);
            } else {
                break;
            }
        }
        self.check_limits();
        let Some(node) = &self.node else { return };
        if let Some((at, why)) = node.poll_timeout() {
            let at = at.max(self.now.mono);
            if self.tick_at.is_none_or(|t| at < t) {
                self.tick_at = Some(at);
                self.events.at(at, Event::Tick(at));
                self.trace.mix(why.len() as u64);
            }
        }
    }

    /// Sends what the network takes.
    fn write(&mut self, conn: ConnId) {
        let slow = self.plan.faults.window.filter(|_| !self.healing);
        let mut total = 0;
        let mut wake = false;
        if let (Some(node), Some(link)) = (&mut self.node, self.network.get(conn)) {
            let window = slow.filter(|_| link.client.is_multiple_of(2)).unwrap_or(WINDOW);
            let mut slices: [&[u8]; 8] = [&[]; 8];
            let n = node.outgoing(conn, &mut slices);
            let all: usize = slices[..n].iter().map(|s| s.len()).sum();
            for slice in &slices[..n] {
                let room = window.saturating_sub(link.down.rest().len());
                let part = &slice[..slice.len().min(room)];
                self.trace.mix_bytes(part);
                link.down.push(part);
                total += part.len();
            }
            link.blocked = total < all || (n == slices.len() && all > 0);
            wake = total > 0 && !link.down.busy && link.client_open && !link.dead;
            link.down.busy |= wake;
        }
        if wake {
            let at = self.now.mono + self.way();
            self.events.at(at, Event::Down(conn));
        }
        if let Some(node) = &mut self.node {
            node.sent(self.now, conn, total);
        }
    }

    fn on_output(&mut self, output: Output) {
        let now = self.now.mono;
        match output {
            Output::StartTls { conn } => {
                let at = now + self.way();
                self.events.at(at, Event::Secured(conn));
            }
            Output::Close { conn } => {
                let Some(link) = self.network.get(conn) else { return };
                link.server_open = false;
                link.down.eof = true;
                link.up.clear();
                if !link.client_open {
                    self.bury(conn);
                } else if !link.dead && !link.down.busy {
                    link.down.busy = true;
                    let at = now + self.way();
                    self.events.at(at, Event::Down(conn));
                }
            }
            Output::Reading { conn, on } => {
                if let Some(link) = self.network.get(conn) {
                    link.reading = on;
                    self.kick(conn);
                }
            }
            Output::Store { id, op } => self.on_store(id, op),
            Output::Account { id, op } => {
                let away = !self.healing && self.rng.below(1000) < self.plan.faults.auth_away;
                let result = if away { Err(AccountError::Unavailable) } else { self.accounts.answer(&op) };
                let at = now + self.way();
                self.events.at(at, Event::Account { life: self.life, id, result });
            }
            Output::Event(event) => self.trace.say(now, || format!("event {event:?}")),
            Output::Stopped => self.on_stopped(),
            Output::Mail { .. } | Output::HandOver { .. } => {
                self.ledger.fail("a node keeps mail and hand-overs to itself".to_owned());
            }
        }
    }

    // ---- the store ----

    /// Whether the store does nothing now: until when, and whether it says so.
    fn outage(&self) -> Option<(Mono, bool)> {
        if self.healing {
            return None;
        }
        let begin = Mono(1_000_000_000);
        self.plan.faults.outages.iter().find_map(|(from, long, refuses)| {
            let (from, to) = (begin + *from, begin + *from + *long);
            (from <= self.now.mono && self.now.mono < to).then_some((to, *refuses))
        })
    }

    fn on_store(&mut self, id: RequestId, op: Arc<StoreOp>) {
        let now = self.now.mono;
        let faults = &self.plan.faults;
        let slow = Span(self.rng.below(faults.store_slow.0.max(1)));
        let dice = if self.healing { 1000 } else { self.rng.below(1000) };
        let life = self.life;
        let refuse = match self.outage() {
            // Nobody may be told that nothing has changed while the first try is still on its way.
            _ if self.store.taken.contains(&id) => None,
            Some((_, true)) => Some(StoreError::Unavailable),
            _ if dice < faults.overloaded => Some(StoreError::Overloaded),
            _ if dice >= 500 && dice < 500 + faults.store_fails => Some(StoreError::Unavailable),
            _ => None,
        };
        let latency = match self.outage() {
            Some((until, false)) => Span(until.since(now).0 + slow.0),
            _ => slow,
        };
        let answer = self.healing || self.rng.below(1000) >= faults.lost_answer;
        self.trace.say(now, || format!("{id:?} {} -> {refuse:?} answer {answer}", describe(&op)));
        match refuse {
            Some(error) => {
                let at = if error == StoreError::Overloaded { now } else { now + slow };
                self.events.at(at, Event::Stored { life, id, result: Err(error) });
            }
            None => {
                self.store.taken.insert(id);
                let at = self.store.schedule(op.user().as_str(), now, latency);
                self.events.at(at, Event::Execute { life, id, op, answer });
            }
        }
    }

    fn on_execute(&mut self, life: u32, id: RequestId, op: &StoreOp, answer: bool) {
        if life != self.life {
            return;
        }
        let result = self.store.execute(op);
        self.trace
            .say(self.now.mono, || format!("{id:?} {} is done: {}", describe(op), describe_result(&result)));
        if answer {
            let at = self.now.mono + Span(self.rng.below(2_000_000));
            self.events.at(at, Event::Stored { life, id, result });
        }
    }

    // ---- the network ----

    /// How long a piece of bytes is on its way.
    fn way(&mut self) -> Span {
        Span(self.rng.below(self.plan.latency.0 + 1))
    }

    /// Lets a connection carry what it can.
    pub(super) fn kick(&mut self, conn: ConnId) {
        let now = self.now.mono;
        let Some(link) = self.network.get(conn) else { return };
        if !link.up.busy && (!link.up.rest().is_empty() || link.up.eof) {
            link.up.busy = true;
            self.events.at(now, Event::Up(conn));
        }
        if !link.down.busy && link.client_open && (!link.down.rest().is_empty() || link.down.eof) {
            link.down.busy = true;
            self.events.at(now, Event::Down(conn));
        }
    }

    fn on_up(&mut self, conn: ConnId) {
        let now = self.now.mono;
        let cut = if self.healing { Cut::Whole } else { self.plan.cut };
        let Some(link) = self.network.get(conn) else { return };
        link.up.busy = false;
        if !link.server_open || link.dead || link.told {
            return;
        }
        if link.stalled > now {
            link.up.busy = true;
            let at = link.stalled;
            return self.events.at(at, Event::Up(conn));
        }
        if !link.reading {
            return;
        }
        let piece = link.up.take(cut, &mut self.rng);
        if link.up.rest().is_empty() {
            if link.up.eof && piece.is_empty() {
                return self.tell_closed(conn);
            }
            if link.up.eof {
                link.up.busy = true;
                self.events.at(now, Event::Up(conn));
            }
        } else {
            link.up.busy = true;
            let at = now + Span(self.rng.below(1_000_000));
            self.events.at(at, Event::Up(conn));
        }
        if !piece.is_empty() {
            self.trace.mix_bytes(&piece);
            self.trace.say(now, || format!("C{conn:?}> {}", String::from_utf8_lossy(&piece)));
            self.input(Input::Received { conn, bytes: &piece });
        }
    }

    fn on_down(&mut self, conn: ConnId) {
        let now = self.now.mono;
        let healing = self.healing;
        let slow = self.plan.faults.window.is_some() && !healing;
        let Some(link) = self.network.get(conn) else { return };
        link.down.busy = false;
        if !link.client_open || link.dead {
            return;
        }
        if link.stalled > now {
            link.down.busy = true;
            let at = link.stalled;
            return self.events.at(at, Event::Down(conn));
        }
        let client = link.client;
        let slow = slow && client.is_multiple_of(2);
        let cut = match self.plan.cut {
            _ if healing => Cut::Whole,
            Cut::Whole if slow => Cut::Anywhere,
            cut => cut,
        };
        let piece = link.down.take(cut, &mut self.rng);
        let more = !link.down.rest().is_empty();
        let over = !more && link.down.eof && piece.is_empty();
        if over {
            return self.close_client(client);
        }
        if more || link.down.eof {
            link.down.busy = true;
            let gap = if slow { 100_000_000 } else { 1_000_000 };
            let at = now + Span(self.rng.below(gap));
            self.events.at(at, Event::Down(conn));
        }
        if link.blocked && link.server_open {
            self.write(conn);
        }
        self.trace.say(now, || format!("c{client}{conn:?}< {}", String::from_utf8_lossy(&piece)));
        self.with_client(client, |c, hands| c.on_bytes(&piece, hands));
        self.flush(client);
        // What was sent may have been the last before a close.
        self.drain();
    }

    /// What a client has to send goes on its way.
    pub(super) fn flush(&mut self, client: usize) {
        let out = std::mem::take(&mut self.clients[client].out);
        let hang_up = self.clients[client].hang_up;
        let Some(conn) = self.clients[client].conn else { return };
        let way = self.way();
        if let Some(link) = self.network.get(conn) {
            link.up.push(&out);
            link.up.eof |= hang_up;
            if !link.up.busy && (!link.up.rest().is_empty() || link.up.eof) {
                link.up.busy = true;
                self.events.at(self.now.mono + way, Event::Up(conn));
            }
        }
        if hang_up {
            self.close_client(client);
        }
    }

    /// A client's connection is gone, as the client sees it.
    pub(super) fn close_client(&mut self, client: usize) {
        let Some(conn) = self.clients[client].conn else { return };
        let managed = self.clients[client].is_managed();
        let inbox = std::mem::take(&mut self.clients[client].inbox);
        if let Some(link) = self.network.get(conn) {
            link.client_open = false;
            link.managed = managed;
            link.down.push_front(&inbox);
            if !link.server_open {
                self.bury(conn);
            }
        }
        self.trace.say(self.now.mono, || format!("client {client} has lost {conn:?}"));
        self.with_client(client, |c, hands| c.on_closed(hands));
        let pause = match self.rng.below(4) {
            _ if self.healing => Span::millis(100 + self.rng.below(500)),
            0 => Span::millis(self.rng.below(15_000)),
            1 => Span(0),
            _ => Span::millis(self.rng.below(3_000)),
        };
        self.events.at(self.now.mono + pause, Event::Connect(client));
    }

    /// Neither end has the connection any more. What a client that manages nothing never got was written.
    fn bury(&mut self, conn: ConnId) {
        let Some(link) = self.network.get(conn) else { return };
        let rest = link.down.clear();
        if !link.managed {
            for tag in tags_in(&rest) {
                if let Some(sent) = self.ledger.get(tag) {
                    sent.written = true;
                }
            }
        }
        self.network.remove(conn);
    }

    /// The server learns that a connection is gone.
    fn tell_closed(&mut self, conn: ConnId) {
        let Some(link) = self.network.get(conn) else { return };
        if link.server_open && !link.told {
            link.told = true;
            self.trace.say(self.now.mono, || format!("the server has lost {conn:?}"));
            self.input(Input::Closed { conn });
        }
    }

    fn on_secured(&mut self, conn: ConnId) {
        let Some(link) = self.network.get(conn) else { return };
        let client = link.client;
        if !link.server_open || link.told {
            return;
        }
        let here = self.clients[client].conn == Some(conn);
        if here && self.clients[client].stage == Stage::Tls {
            // The client has not heard yet that it may begin.
            let at = self.now.mono + Span::millis(20);
            return self.events.at(at, Event::Secured(conn));
        }
        self.input(Input::Secured { conn, tls: TlsInfo::default() });
        if here {
            self.clients[client].on_secured();
            self.flush(client);
        }
    }

    // ---- clients ----

    fn on_connect(&mut self, client: usize) {
        let now = self.now.mono;
        if self.clients[client].stage != Stage::Away || !self.clients[client].wanted {
            return;
        }
        if self.node.is_none() || self.stopping.is_some() {
            return self.events.at(now + Span::millis(700), Event::Connect(client));
        }
        let conn = self.network.open(client);
        let peer = IpAddr::V4(Ipv4Addr::new(192, 0, 2, client as u8));
        self.trace.say(now, || format!("client {client} connects to {DOMAIN} as {conn:?}"));
        self.with_client(client, |c, hands| c.on_connected(conn, hands));
        self.input(Input::Accepted { conn, listener: Listener::Clients, peer });
        self.flush(client);
    }

    fn on_act(&mut self, client: usize) {
        if self.settled {
            return;
        }
        let pace = if self.healing { Span::secs(4) } else { self.plan.pace };
        let next = self.now.mono + Span(self.rng.below(2 * pace.0) + 1_000_000);
        self.events.at(next, Event::Act(client));
        let Some(conn) = self.clients[client].conn else { return };
        if !self.healing && self.strike(client, conn) {
            return;
        }
        if self.clients[client].is_active() {
            self.with_client(client, |c, hands| c.act(hands));
            self.flush(client);
        }
    }

    /// Something may go wrong with a client's connection; says whether it did.
    fn strike(&mut self, client: usize, conn: ConnId) -> bool {
        let faults = &self.plan.faults;
        let rates = [faults.reset, faults.half_open, faults.client_deaf, faults.stall, faults.client_crash];
        let mut dice = self.rng.below(1000);
        let Some(what) = rates.iter().position(|rate| {
            let hit = dice < *rate;
            dice = dice.saturating_sub(*rate);
            hit
        }) else {
            return false;
        };
        let now = self.now.mono;
        let stall = now + Span::millis(self.rng.below(9_000));
        let way = self.way();
        self.trace.say(now, || format!("strike {what} on client {client}"));
        let Some(link) = self.network.get(conn) else { return false };
        match what {
            3 => link.stalled = stall,
            2 => {
                link.dead = true;
                self.tell_closed(conn);
            }
            _ => {
                link.dead = true;
                if what != 1 {
                    self.events.at(now + way, Event::ServerEof(conn));
                }
                if what == 4 {
                    self.with_client(client, |c, hands| c.on_crash_state(hands));
                }
                self.close_client(client);
            }
        }
        true
    }

    fn on_look(&mut self, client: usize) {
        let now = self.now.mono;
        self.events.at(now + Span::secs(3), Event::Look(client));
        let gone = self.with_client(client, |c, hands| c.look(hands));
        if gone {
            if let Some(conn) = self.clients[client].conn {
                if let Some(link) = self.network.get(conn) {
                    link.dead = true;
                }
                let at = now + self.way();
                self.events.at(at, Event::ServerEof(conn));
            }
            return self.close_client(client);
        }
        if self.healing && self.clients[client].is_active() {
            self.with_client(client, |c, hands| c.tidy(hands));
        }
        self.check_behind(client);
        self.flush(client);
    }

    // ---- the server ----

    /// Every connection of a server that is gone.
    fn cut_all(&mut self) {
        for conn in self.network.ids() {
            let way = self.way();
            let seen = self.rng.below(2) == 0 || self.healing;
            let Some(link) = self.network.get(conn) else { continue };
            (link.server_open, link.dead) = (false, true);
            let client = link.client;
            if !link.client_open {
                self.bury(conn);
            } else if seen {
                let epoch = self.clients[client].epoch;
                self.events.at(self.now.mono + way, Event::ClientEof(client, epoch));
            }
        }
    }

    fn on_crash(&mut self) {
        if self.node.take().is_none() {
            return;
        }
        self.trace.say(self.now.mono, || "the server dies".to_owned());
        self.life += 1;
        self.stopping = None;
        self.store.forget_queue();
        self.cut_all();
        let pause = Span::millis(self.rng.below(4_000));
        self.events.at(self.now.mono + pause, Event::Start);
    }

    fn on_shutdown(&mut self) {
        if self.node.is_some() && self.stopping.is_none() {
            self.trace.say(self.now.mono, || "the server is told to stop".to_owned());
            self.stopping = Some(self.now.mono);
            self.input(Input::Command(Command::Shutdown));
        }
    }

    fn on_stopped(&mut self) {
        if self.stopping.is_none() {
            return self.ledger.fail("the node stopped unasked".to_owned());
        }
        self.trace.say(self.now.mono, || "the server has stopped".to_owned());
        self.node = None;
        self.life += 1;
        self.cut_all();
        let pause = Span::millis(self.rng.below(4_000));
        self.events.at(self.now.mono + pause, Event::Start);
    }

    fn on_heal(&mut self) {
        let now = self.now.mono;
        self.trace.say(now, || "everything heals".to_owned());
        self.healing = true;
        for worker in 0..self.plan.workers {
            self.events.at(now, Event::Hold(worker, false));
        }
        for conn in self.network.ids() {
            let Some(link) = self.network.get(conn) else { continue };
            link.stalled = now;
            if link.dead {
                let client = link.client;
                self.events.at(now, Event::ServerEof(conn));
                if self.clients[client].conn == Some(conn) {
                    let epoch = self.clients[client].epoch;
                    self.events.at(now, Event::ClientEof(client, epoch));
                }
            } else {
                self.kick(conn);
            }
        }
    }

    /// Nothing changes any more; everybody says how they are.
    fn on_settle(&mut self) {
        self.settled = true;
        for client in 0..self.clients.len() {
            if !self.clients[client].is_active() {
                let stage = self.clients[client].stage;
                return self.ledger.fail(format!("client {client} has no session after all: {stage:?}"));
            }
            self.with_client(client, |c, hands| {
                c.say_presence(hands);
                c.ask_server(hands);
                c.request();
            });
            self.flush(client);
        }
    }
}

/// A request in a few words.
fn describe(op: &StoreOp) -> String {
    let text = format!("{op:?}");
    let name = text.split(' ').next().unwrap_or_default();
    let more = match op {
        StoreOp::SpoolPut { row, .. } => format!("{:?} {:?}", tag_in(&row.stanza), row.id),
        StoreOp::SpoolRead { after, .. } => format!("{after:?}"),
        StoreOp::SpoolDelete { ids, .. } => format!("{ids:?}"),
        _ => String::new(),
    };
    format!("{name} {} {more}", op.user())
}

fn describe_result(result: &StoreResult) -> String {
    match result {
        Ok(StoreDone::Spool(rows)) => {
            let tags: Vec<_> = rows.iter().map(|(seq, row)| (seq.0, tag_in(&row.stanza))).collect();
            format!("{tags:?}")
        }
        Ok(StoreDone::User(loaded)) => format!("{} rows", loaded.spooled),
        other => format!("{other:?}"),
    }
}
