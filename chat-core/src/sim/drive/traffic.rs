//! Bytes between the node and its clients: how they are cut, how long they take, and the ends of connections.

use crate::base::{ConnId, Span};
use crate::effect::TlsInfo;
use crate::engine::Input;
use crate::sim::client::Stage;
use crate::sim::events::Event;
use crate::sim::ledger::tags_in;
use crate::sim::plan::Cut;
use crate::sim::world::World;

impl World {
    /// How long a piece of bytes is on its way.
    pub(super) fn way(&mut self) -> Span {
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

    pub(super) fn on_up(&mut self, conn: ConnId) {
        let now = self.now.mono;
        let cut = if self.healing { Cut::Whole } else { self.plan.cut };
        let Some(link) = self.network.get(conn) else { return };
        let server = link.server;
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
            self.input(server, Input::Received { conn, bytes: &piece });
        }
    }

    pub(super) fn on_down(&mut self, conn: ConnId) {
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
        let (server, blocked) = (link.server, link.blocked && link.server_open);
        if blocked {
            self.write(server, conn);
        }
        self.trace.say(now, || format!("c{client}{conn:?}< {}", String::from_utf8_lossy(&piece)));
        self.with_client(client, |c, hands| c.on_bytes(&piece, hands));
        self.flush(client);
        // What was sent may have been the last before a close.
        self.drain(server);
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
    pub(super) fn bury(&mut self, conn: ConnId) {
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
    pub(super) fn tell_closed(&mut self, conn: ConnId) {
        let Some(link) = self.network.get(conn) else { return };
        if link.server_open && !link.told {
            link.told = true;
            let server = link.server;
            self.trace.say(self.now.mono, || format!("the server has lost {conn:?}"));
            self.input(server, Input::Closed { conn });
        }
    }

    pub(super) fn on_secured(&mut self, conn: ConnId) {
        let Some(link) = self.network.get(conn) else { return };
        let (client, server) = (link.client, link.server);
        if !link.server_open || link.told {
            return;
        }
        let here = self.clients[client].conn == Some(conn);
        if here && self.clients[client].stage == Stage::Tls {
            // The client has not heard yet that it may begin.
            let at = self.now.mono + Span::millis(20);
            return self.events.at(at, Event::Secured(conn));
        }
        self.input(server, Input::Secured { conn, tls: TlsInfo::default() });
        if here {
            self.clients[client].on_secured();
            self.flush(client);
        }
    }
}
