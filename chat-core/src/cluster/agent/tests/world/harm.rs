//! What is done to nodes and to the network.

use super::World;
use crate::base::Span;
use crate::cluster::agent::Input;

impl World {
    /// The process ends. Its machine closes its connections, unless it has lost its power.
    pub(in crate::cluster::agent::tests) fn kill(&mut self, i: usize, loses_power: bool) {
        let node = &mut self.nodes[i];
        node.agent = None;
        node.met.clear();
        node.waiting.clear();
        node.woken_at = None;
        node.is_frozen = false;
        node.is_dark = loses_power;
        let life = node.life;
        let ends: Vec<(u64, usize)> = self.ends(|wire, end| wire.nodes[end] == i && wire.lives[end] == life);
        for (wire, end) in ends {
            let torn = self.wires.get_mut(&wire).expect("it was just seen");
            if loses_power {
                torn.tear();
                torn.open[end] = false;
            } else if torn.open[end] {
                torn.close(end);
                self.arrive_later(wire, end);
            }
        }
    }

    pub(in crate::cluster::agent::tests) fn freeze(&mut self, i: usize) {
        self.nodes[i].is_frozen = true;
    }

    pub(in crate::cluster::agent::tests) fn thaw(&mut self, i: usize) {
        self.nodes[i].is_frozen = false;
        for happens in std::mem::take(&mut self.nodes[i].waiting) {
            self.agenda.after(Span(0), happens);
        }
    }

    /// All connections between two nodes break, and both are told.
    pub(in crate::cluster::agent::tests) fn reset(&mut self, a: usize, b: usize) {
        for (wire, end) in self.ends(|w, end| w.nodes[end] == a && w.nodes[1 - end] == b) {
            let torn = self.wires.get_mut(&wire).expect("it was just seen");
            torn.tear();
            for end in [end, 1 - end] {
                if std::mem::take(&mut self.wires.get_mut(&wire).expect("as above").open[end]) {
                    self.closed(wire, end);
                }
            }
        }
    }

    pub(in crate::cluster::agent::tests) fn set_cut(&mut self, a: usize, b: usize, is_cut: bool) {
        for pair in [(a, b), (b, a)] {
            if is_cut {
                self.cut.insert(pair)
            } else {
                self.cut.remove(&pair)
            };
        }
    }

    pub(in crate::cluster::agent::tests) fn leave(&mut self, i: usize) {
        self.nodes[i].is_leaving = true;
        self.input(i, Input::Leave);
    }
}
