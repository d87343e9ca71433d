//! The nodes of a cluster, and what goes wrong with them and between them.

use super::{ClientPlan, Draw, Plan};
use crate::base::limits::LinkLimits;
use crate::base::{Rng, Span};
use crate::cluster::NodeName;
use crate::cluster::agent;
use crate::cluster::discovery::NodeAddr;
use crate::cluster::handshake::{Secrets, Trust};
use crate::cluster::wire::{Role, Versions};
use crate::effect::Plant;
use crate::sim::fabric::PORT;

/// Something that goes wrong with the nodes or between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Harm {
    /// A process dies, or its whole machine.
    Kill {
        /// Whose.
        server: usize,
        /// Nobody is told by the network.
        power: bool,
    },
    /// A process is stopped (SIGSTOP).
    Freeze {
        /// Whose.
        server: usize,
        /// For so long.
        long: Span,
    },
    /// It goes on.
    Thaw {
        /// Whose.
        server: usize,
    },
    /// The way from one node to another carries nothing.
    Cut {
        /// From here.
        from: usize,
        /// To there.
        to: usize,
        /// And back.
        both: bool,
        /// For so long.
        long: Span,
    },
    /// The nodes of one side do not reach those of the other.
    Split {
        /// A bit for each node.
        side: u64,
        /// For so long.
        long: Span,
    },
    /// The connections of two nodes break, and both are told.
    Reset {
        /// One.
        a: usize,
        /// The other.
        b: usize,
    },
    /// The operator wants a node to take no clients any more.
    StepBack {
        /// Which.
        server: usize,
    },
    /// The operator wants a node to take clients.
    Promote {
        /// Which.
        server: usize,
    },
    /// Names do not resolve.
    Deaf {
        /// For so long.
        long: Span,
    },
}

/// The nodes of a run, if they are a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterPlan {
    /// Whom each node lists; lists may differ.
    pub listed: Vec<Vec<usize>>,
    /// By how many milliseconds the civil clock of each is wrong.
    pub clocks: Vec<i64>,
    /// How often a client comes back to the node where it was, in thousandths.
    pub sticky: u64,
    /// Links are slow, and cut what they carry into pieces.
    pub rough: bool,
    /// Bytes that a link keeps for the other node at most, if they are few.
    pub kept_bytes_max: Option<usize>,
    /// The nodes that begin on standby.
    pub standby: Vec<bool>,
    /// How many should be active, if the nodes are to see to it.
    pub wanted: Option<u16>,
    /// Nodes that are told to stop send their sessions away first: so many in a second, the rest after so long.
    pub drain: Option<(u32, Span)>,
    /// What goes wrong, and when.
    pub harms: Vec<(Span, Harm)>,
    /// The newest version of the protocol between nodes that each speaks: in its first life and every other one after it, and in the rest.
    pub newest: Vec<[u16; 2]>,
    /// Somebody whom all others talk with goes from node to node.
    pub roamer: Option<Roamer>,
    /// When all is well again there is a night: nobody says anything but for a few words, and a node dies that has just stored
    /// one of them. What that leaves nobody comes upon by chance.
    pub night: bool,
}

/// A client that goes on at another node every now and then, in the middle of its conversations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Roamer {
    /// Which.
    pub client: usize,
    /// It stays so long at most.
    pub stays: Span,
}

impl ClusterPlan {
    /// What a node is told of its cluster.
    pub(in crate::sim) fn settings(&self, server: usize, life: u32, plant: Option<Plant>) -> agent::Settings {
        let limits = LinkLimits::default();
        let drops_on_rejoin = plant == Some(Plant::DropOnRejoin);
        let name = |server: &usize| format!("chat@n{server}.sim");
        let listed = self.listed[server].iter().map(name);
        let secret = Secrets::new(b"sixteen bytes or more", None).expect("it is long enough");
        agent::Settings {
            name: NodeName::parse(&name(&server)).expect("a name"),
            cluster: "sim".into(),
            trust: Trust::Secrets(secret),
            versions: Versions { max: self.newest[server][life as usize % 2], ..Versions::OURS },
            listed: listed.map(|name| NodeAddr::parse(&name).expect("an address")).collect(),
            dns: None,
            port: PORT,
            peers_port: PORT,
            role: if self.standby[server] { Role::Standby } else { Role::Active },
            active_wanted: self.wanted,
            release: "sim".into(),
            limits: LinkLimits {
                receipt_bytes: 2_000,
                resend_bytes_max: self.kept_bytes_max.unwrap_or(limits.resend_bytes_max),
                drops_on_rejoin,
                ..limits
            },
        }
    }
}

impl Draw<'_> {
    /// Lists of which none need be whole: each node but the first knows one that came before it, or is known by it.
    fn lists(&mut self, nodes: usize) -> Vec<Vec<usize>> {
        if !self.one_in(3) {
            return vec![(0..nodes).collect(); nodes];
        }
        let mut lists = vec![Vec::new(); nodes];
        for i in 1..nodes {
            let other = self.0.below(i as u64) as usize;
            let (a, b) = if self.one_in(2) { (i, other) } else { (other, i) };
            lists[a].push(b);
        }
        lists
    }

    fn harm(&mut self, what: u64, nodes: u64) -> Harm {
        let a = self.0.below(nodes);
        let b = (a + 1 + self.0.below(nodes - 1)) % nodes;
        let (a, b) = (a as usize, b as usize);
        // Some are over before anybody notices, some last until everybody has.
        let long = if self.one_in(2) { self.millis(50, 3_000) } else { self.millis(3_000, 20_000) };
        match what {
            0 => Harm::Kill { server: a, power: self.one_in(2) },
            1 => Harm::Freeze { server: a, long },
            2 => Harm::Cut { from: a, to: b, both: true, long },
            3 => Harm::Cut { from: a, to: b, both: false, long },
            4 => Harm::Split { side: self.between(1, (1 << nodes) - 2), long },
            5 => Harm::Reset { a, b },
            6 => Harm::Deaf { long },
            7 => Harm::StepBack { server: a },
            _ => Harm::Promote { server: a },
        }
    }

    /// In some runs there are nodes of the release before; they are replaced by those of this one, and the other way round.
    fn newest(&mut self, nodes: u64) -> Vec<[u16; 2]> {
        let is_mixed = self.one_in(2);
        let Versions { min, max } = Versions::OURS;
        let mut draw = |_| if is_mixed { self.between(min.into(), max.into()) as u16 } else { max };
        (0..nodes).map(|_| [0, 1].map(&mut draw)).collect()
    }

    /// Some runs have nodes on standby, but not all of their nodes.
    fn standby(&mut self, nodes: u64) -> Vec<bool> {
        let has_some = nodes > 1 && self.one_in(2);
        (0..nodes).map(|n| n > 0 && has_some && self.one_in(2)).collect()
    }

    fn harms(&mut self, nodes: u64, storm: Span) -> Vec<(Span, Harm)> {
        let mut harms = Vec::new();
        if nodes < 2 {
            return harms;
        }
        for what in 0..9 {
            for at in self.times(3, 3, storm) {
                let harm = self.harm(what, nodes);
                harms.push((at, harm));
                // A link that flaps breaks again and again.
                let flaps = if what == 5 && self.one_in(3) { self.between(1, 10) } else { 0 };
                for i in 1..=flaps {
                    let next = Span(at.0 + i * self.millis(50, 700).0);
                    harms.push((next, harm));
                }
            }
        }
        harms
    }
}

impl Draw<'_> {
    /// Some ask for the name that another client of the same user has.
    fn twins(&mut self, clients: &mut [ClientPlan]) {
        for i in 1..clients.len() {
            let (before, rest) = clients.split_at_mut(i);
            if let Some(other) = before.iter().find(|c| c.user == rest[0].user).filter(|_| self.one_in(2)) {
                rest[0].resource.clone_from(&other.resource);
            }
        }
    }
}

impl Plan {
    /// The run of a cluster that this generator means.
    pub fn draw_cluster(rng: &mut Rng) -> Plan {
        let mut plan = Plan::draw(rng);
        let mut d = Draw(rng);
        let most = if d.one_in(3) { 6 } else { 3 };
        let nodes = if d.one_in(20) { 1 } else { d.between(2, most) };
        let calm = plan.faultless;
        plan.workers = d.between(1, 2) as u16;
        if !calm && d.one_in(3) {
            d.twins(&mut plan.clients);
        }
        let skewed = !calm && d.one_in(3);
        let clock = |d: &mut Draw<'_>| if skewed { d.0.below(20_000) as i64 - 10_000 } else { 0 };
        let standby = d.standby(nodes);
        let active = standby.iter().filter(|on_standby| !**on_standby).count() as u16;
        let wanted = d.one_in(2).then_some(active);
        let drain = d.one_in(2).then(|| (d.between(1, 20) as u32, d.millis(0, 8_000)));
        plan.cluster = Some(ClusterPlan {
            standby,
            wanted,
            drain,
            listed: d.lists(nodes as usize),
            clocks: (0..nodes).map(|_| clock(&mut d)).collect(),
            sticky: [0, 500, 900][d.0.below(3) as usize],
            rough: !calm && d.one_in(4),
            kept_bytes_max: (!calm && d.one_in(4)).then(|| d.between(6_000, 60_000) as usize),
            harms: if calm { Vec::new() } else { d.harms(nodes, plan.storm) },
            // Not from the same numbers, so that seeds mean what they meant before there were two versions.
            newest: Draw(&mut Rng::from_u64(plan.storm.0)).newest(nodes),
            roamer: None,
            night: false,
        });
        if !calm && nodes > 1 {
            // The same holds for these.
            let rng = &mut Rng::from_u64(!plan.storm.0);
            plan.roam(&mut Draw(rng), nodes);
            if let Some(cluster) = &mut plan.cluster {
                cluster.night = Draw(rng).one_in(5);
            }
        }
        plan
    }

    /// The run of a cluster in which the nodes lose sight of each other all the time.
    pub fn draw_storms(rng: &mut Rng) -> Plan {
        let mut plan = loop {
            let plan = Plan::draw_cluster(rng);
            if !plan.faultless && plan.clocks().len() > 1 {
                break plan;
            }
        };
        let (nodes, storm) = (plan.clocks().len() as u64, plan.storm);
        let mut d = Draw(rng);
        if let Some(cluster) = &mut plan.cluster {
            for _ in 0..3 {
                cluster.harms.extend(d.harms(nodes, storm));
            }
            // It is what the nodes believe of each other that these are about.
            (cluster.roamer, cluster.night) = (None, false);
        }
        plan
    }

    /// In some runs one client goes from node to node while the others talk with it: they have several messages outstanding
    /// when it does. Links between nodes falter in some of these.
    fn roam(&mut self, d: &mut Draw<'_>, nodes: u64) {
        let client = self.clients.iter().position(|client| client.managed && client.resumable);
        let (Some(client), Some(cluster), true) = (client, &mut self.cluster, d.one_in(4)) else { return };
        cluster.roamer = Some(Roamer { client, stays: d.millis(500, 4_000) });
        cluster.wanted = None;
        cluster.standby.fill(false);
        self.clients[client].priority = self.clients[client].priority.max(0);
        self.pace = self.pace.min(Span::millis(300));
        // What nobody waits for is not stored after a moment: it is sent again when the session has moved, late or not.
        for other in (0..self.clients.len()).filter(|other| *other != client) {
            self.clients[other].managed &= d.one_in(2);
        }
        if !d.one_in(3) {
            for _ in 0..d.between(8, 30) {
                let what = d.between(2, 3);
                let (at, harm) = (Span(d.0.below(self.storm.0)), d.harm(what, nodes));
                let Harm::Cut { from, to, both, .. } = harm else { continue };
                cluster.harms.push((at, Harm::Cut { from, to, both, long: d.millis(50, 700) }));
            }
        }
    }

    /// The run of a cluster whose nodes are replaced, one after the other, and nothing else goes wrong: sessions that can be resumed
    /// go on elsewhere.
    pub fn draw_drains(rng: &mut Rng) -> Plan {
        let mut plan = loop {
            let plan = Plan::draw_cluster(rng);
            if plan.faultless && plan.clocks().len() > 1 {
                break plan;
            }
        };
        let mut d = Draw(rng);
        let times = d.between(1, 3);
        // Clients come within 10 s. Before the next one ends, the last one is back, and so are its clients.
        plan.faults.shutdowns = (0..times).map(|i| Span::secs(14 + 32 * i)).collect();
        plan.storm = Span::secs(14 + 32 * times);
        plan.faults.overloaded = 0;
        plan.limits.resume_timeout_max = plan.limits.resume_timeout_max.max(Span::secs(30));
        if let Some(cluster) = &mut plan.cluster {
            cluster.standby.fill(false);
            cluster.wanted = None;
            cluster.drain = Some((d.between(1, 20) as u32, d.millis(500, 12_000)));
        }
        plan
    }

    /// Whether there is a night when all is well again.
    pub(in crate::sim) fn has_night(&self) -> bool {
        self.cluster.as_ref().is_some_and(|cluster| cluster.night)
    }

    /// Who goes from node to node.
    pub(in crate::sim) fn roamer(&self) -> Option<Roamer> {
        self.cluster.as_ref()?.roamer
    }

    /// By how many milliseconds the civil clock of each node is wrong: as many as there are nodes.
    pub(in crate::sim) fn clocks(&self) -> Vec<i64> {
        self.cluster.as_ref().map_or_else(|| vec![0], |cluster| cluster.clocks.clone())
    }
}
