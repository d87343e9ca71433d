//! What goes wrong, and how it ends.

use super::{Event, Wire, World, node};
use crate::base::{Mono, Span};
use crate::cluster::link::LinkInput;

impl World {
    pub(super) fn on_fault(&mut self) {
        if self.healing {
            return;
        }
        let span = self.millis(4_000);
        self.after(span, Event::Fault);
        let i = self.rng.below(2) as usize;
        let conn = self.rng.below(3).min(self.conns);
        let conn = self.conns - conn;
        let until = self.agenda.now + self.millis(8_000);
        match self.rng.below(9) {
            0 | 1 => self.reset(conn, [true, true]),
            2 => self.reset(conn, [i == 0, i == 1]),
            3 => self.reset(conn, [false, false]),
            4 => {
                if let Some(wire) = self.wires.get_mut(&conn) {
                    wire.pipes[i].stalled_until = until;
                }
            }
            5 => {
                if let Some(wire) = self.wires.get_mut(&conn) {
                    wire.pipes[i].hole = true;
                }
            }
            6 if self.restarts => self.restart(i),
            7 if self.give_ups => self.input(i, |now, link| link.handle(now, LinkInput::GiveUp)),
            8 => self.nodes[i].paused_until = until,
            _ => self.dial_unasked(i),
        }
    }

    /// The connection breaks, and whoever is so marked hears of it.
    fn reset(&mut self, conn: u64, told: [bool; 2]) {
        let spans = [self.millis(500), self.millis(500)];
        let Some(wire) = self.wires.get_mut(&conn) else { return };
        wire.tear();
        for (node, span) in spans.into_iter().enumerate().filter(|(i, _)| told[*i]) {
            self.after(span, Event::Closed { conn, node });
        }
    }

    fn restart(&mut self, i: usize) {
        let boot = self.nodes[i].boot + 1;
        // The process was killed, or the machine lost its power.
        let silent = self.rng.below(2) == 0;
        for conn in 1..=self.conns {
            if silent {
                self.reset(conn, [false, false]);
            } else {
                self.end_pipe(conn, i);
            }
        }
        let rng = self.rng.fork();
        let paused = self.nodes[i].paused_until;
        self.nodes[i] = node(self.agenda.now, i, boot, self.limits, rng);
        self.nodes[i].paused_until = paused;
        self.reasons += 1;
        self.drain(i);
    }

    /// Another connection that its dialler knows nothing of: it died at once.
    fn dial_unasked(&mut self, i: usize) {
        self.conns += 1;
        let mut wire = Wire::new([0, 1], self.lives(), 2);
        wire.open[i] = false;
        self.wires.insert(self.conns, wire);
        self.after(Span::millis(1), Event::Greeted { conn: self.conns, node: 1 - i });
    }

    pub(super) fn heal(&mut self) {
        self.healing = true;
        for i in [0, 1] {
            self.nodes[i].paused_until = Mono(0);
        }
        let conns: Vec<u64> = self.wires.keys().copied().collect();
        for conn in conns {
            let broken = {
                let wire = self.wires.get_mut(&conn).unwrap();
                wire.pipes.iter_mut().for_each(|p| p.stalled_until = Mono(0));
                wire.pipes.iter().any(|p| p.hole)
            };
            if !broken {
                for from in [0, 1] {
                    self.arrive_later(conn, from);
                }
            }
        }
    }
}
