//! The swarm as a whole: one epoll, one clock, and the orders.

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::balancer::Balancer;
use super::books::{Books, Open};
use super::client::{Client, Common, Stage, Turn};
use super::event::Event;
use super::orders::Order;
use crate::net::{ConnId, Hub, Read, descriptors};
use crate::work::{Failure, Target};
use crate::xmpp::{Input, Step, Token};

const SECOND: u64 = 1_000_000_000;
/// Between looks at what is due.
const TICK: Duration = Duration::from_millis(10);
/// Between looks whether all is well.
const LOOK: u64 = SECOND / 10;
/// How long a message may take before something is missing.
const SOON: u64 = 2 * SECOND;
/// How long after the end what was doubled may still arrive.
const QUIET: u64 = 3 * SECOND / 2;
/// How long what is late may take when everybody has logged in anew; never longer than it had before.
const LATE: u64 = 20 * SECOND;
/// How long a server may be silent before a client gives its connection up: at first, until the login is over, and when it was
/// asked for an acknowledgement.
const SILENT: [u64; 3] = [4 * SECOND, 20 * SECOND, 8 * SECOND];
/// A client comes back after up to this long at first, and up to the other after many attempts.
const PAUSES: (u64, u64) = (SECOND, 8 * SECOND);

/// What to do.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the nodes listen for clients.
    pub nodes: Vec<SocketAddr>,
    /// Where they answer the health check, in the same order; none: clients go anywhere.
    pub web: Vec<SocketAddr>,
    /// Clients.
    pub clients: u32,
    /// Messages a second of each.
    pub rate: f64,
    /// To how many others each writes, in turn.
    pub partners: u32,
    /// Who comes back after a lost connection does so at any node, and not where it was.
    pub roams: bool,
}

struct Swarm<'a> {
    options: &'a Options,
    hub: Hub,
    input: Input,
    out: Vec<u8>,
    clients: Vec<Client>,
    /// By connection.
    owners: Vec<Option<u32>>,
    common: Common,
    balancer: Balancer,
    begun: Instant,
    looked: u64,
    random: u64,
    event: Option<Event>,
    /// Whoever asked for everybody to be at home is to be told.
    spreads: bool,
}

/// Does what it is told, until that is to quit, or nobody is there any more.
///
/// # Errors
/// It came to nothing. That messages are lost or doubled is no error but part of the answers.
pub fn run(
    target: &Target,
    options: &Options,
    orders: &Receiver<Order>,
    answer: &mut dyn FnMut(Value),
) -> Result<(), Failure> {
    if options.nodes.is_empty() || !(options.web.is_empty() || options.web.len() == options.nodes.len()) {
        return Err(Failure::Options(
            "each node has an address for clients and one for its health check".to_owned(),
        ));
    }
    if options.clients < 2 || options.partners == 0 || !(options.rate.is_finite() && options.rate > 0.0) {
        return Err(Failure::Options("there must be two clients, a partner and a rate".to_owned()));
    }
    descriptors::provide(2 * u64::from(options.clients))?;
    let mut swarm = Swarm::new(target, options)?;
    let mut ready = Vec::new();
    loop {
        loop {
            match orders.try_recv() {
                Ok(Order::Quit) | Err(TryRecvError::Disconnected) => return Ok(()),
                Ok(order) => swarm.obey(order, answer),
                Err(TryRecvError::Empty) => break,
            }
        }
        swarm.hub.wait(Some(TICK), &mut ready)?;
        for conn in ready.drain(..) {
            swarm.on_ready(conn);
        }
        swarm.tick(answer);
    }
}

impl<'a> Swarm<'a> {
    fn new(target: &Target, options: &'a Options) -> Result<Swarm<'a>, Failure> {
        let mut plan = target.plan();
        plan.manage = true;
        let pace = (SECOND as f64 / options.rate) as u64;
        let nodes = options.nodes.len();
        let clients = (0..options.clients).map(|n| {
            // A hundred logins a second.
            let mut client = Client::new(n, n as usize % nodes, u64::from(n) * SECOND / 100);
            client.next += pace * u64::from(n) / u64::from(options.clients);
            client
        });
        let books = Books::new(options.clients, options.partners);
        let (users, first, partners) = (options.clients, target.first, options.partners);
        Ok(Swarm {
            options,
            hub: Hub::new()?,
            input: Input::new(),
            out: Vec::new(),
            clients: clients.collect(),
            owners: Vec::new(),
            random: u64::from(plan.run) | 1,
            common: Common { plan, users, first, partners, books },
            balancer: Balancer::start(&options.web, nodes),
            begun: Instant::now(),
            looked: 0,
            event: None,
            spreads: false,
        })
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Below this, whatever that is worth: nobody is to be surprised here.
    fn random(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % below.max(1)
    }

    fn obey(&mut self, order: Order, answer: &mut dyn FnMut(Value)) {
        let now = self.now();
        match order {
            Order::Begin(name) => {
                self.common.books.counts.slowest = 0;
                self.event = Some(Event::new(name, now, self.common.books.counts, self.clients.len()));
            }
            Order::Healed => {
                if let Some(event) = &mut self.event {
                    event.healed(now);
                }
            }
            Order::End(patience) => {
                if let Some(event) = &mut self.event {
                    let most = u64::try_from(patience.as_nanos()).unwrap_or(u64::MAX);
                    event.ending = Some((now, now.saturating_add(most)));
                    return;
                }
            }
            Order::Drop(count) => self.drop_some(now, count),
            Order::Churn(count) => self.churn(now, count),
            Order::Spread => return self.spread(now),
            Order::State => return answer(self.state()),
            Order::Quit => return,
        }
        answer(json!({"done": true}));
    }

    fn state(&self) -> Value {
        let at = |n: usize| self.clients.iter().filter(|c| c.is_online() && c.node == n).count();
        let nodes: Vec<_> = (0..self.options.nodes.len()).map(at).collect();
        let open: Vec<_> = (0..nodes.len()).map(|n| self.balancer.is_open(n)).collect();
        json!({"online": nodes.iter().sum::<usize>(), "nodes": nodes, "open": open})
    }

    /// Cuts connections of so many, who come back elsewhere.
    fn drop_some(&mut self, now: u64, count: usize) {
        let from = self.random(self.clients.len() as u64) as usize;
        for n in 0..count.min(self.clients.len()) {
            let n = (from + n) % self.clients.len();
            self.clients[n].moves = true;
            self.lose(now, n);
        }
    }

    /// Spreads everybody over the nodes that take clients.
    fn spread(&mut self, now: u64) {
        self.spreads = true;
        let open = self.open();
        for n in 0..self.clients.len() {
            let Some(home) = open.get(n % open.len().max(1)).copied() else { continue };
            if self.clients[n].node != home || !self.clients[n].is_online() {
                self.leave(now, n, home, 2 * SECOND);
            }
        }
    }

    /// So many log out, and in again at any node.
    fn churn(&mut self, now: u64, count: usize) {
        let open = self.open();
        for _ in 0..count {
            let n = self.random(self.clients.len() as u64) as usize;
            let home = self.random(open.len() as u64) as usize;
            if let (Some(home), true) = (open.get(home), self.clients[n].is_online()) {
                self.leave(now, n, *home, 4 * SECOND);
            }
        }
    }

    fn open(&self) -> Vec<usize> {
        (0..self.options.nodes.len()).filter(|n| self.balancer.is_open(*n)).collect()
    }

    /// A client is to be at another node within this time; if it is online, it says goodbye.
    fn leave(&mut self, now: u64, n: usize, home: usize, within: u64) {
        let client = &mut self.clients[n];
        client.home = Some(home);
        if let (true, Some(conn)) = (client.is_online(), client.conn) {
            // This session is over. Nobody waits for the answer.
            let _ = self.hub.send(conn, b"<presence type='unavailable'/></stream:stream>");
            client.was_there = false;
            self.close(n);
            let until = now + self.random(within);
            self.clients[n].stage = Stage::Away { until };
        }
    }

    fn close(&mut self, n: usize) {
        if let Some(conn) = self.clients[n].conn.take() {
            self.owners[conn.index()] = None;
            self.hub.close(conn);
        }
    }

    /// The connection is gone; after a while there is another.
    fn lose(&mut self, now: u64, n: usize) {
        self.close(n);
        let client = &mut self.clients[n];
        if let Some(event) = &mut self.event {
            if client.is_online() {
                event.hit(client.index);
            } else {
                event.attempts += 1;
            }
        }
        client.attempts += u32::from(!client.is_online());
        let most = (PAUSES.0 << client.attempts.min(8)).min(PAUSES.1);
        // Nobody comes back at once, and not everybody together.
        let until = now + most / 10 + self.random(most * 9 / 10);
        self.clients[n].stage = Stage::Away { until };
    }

    /// The node to go to: the old one at the first attempt, another after that.
    fn choose(&mut self, n: usize) -> Option<usize> {
        let client = &self.clients[n];
        let old = client.node;
        if let Some(home) = client.home.filter(|home| self.balancer.is_open(*home)) {
            return Some(home);
        }
        let moves = client.moves || client.attempts > 0;
        let roams = self.options.roams && client.was_there;
        if !moves && !roams && self.balancer.is_open(old) {
            return Some(old);
        }
        let open = |n: &usize| self.balancer.is_open(*n) && (roams || *n != old);
        let open: Vec<_> = (0..self.options.nodes.len()).filter(open).collect();
        if open.is_empty() {
            return self.balancer.is_open(old).then_some(old);
        }
        let at = self.random(open.len() as u64) as usize;
        Some(open[at])
    }

    fn connect(&mut self, now: u64, n: usize) {
        let Some(node) = self.choose(n) else {
            self.clients[n].stage = Stage::Away { until: now + SECOND / 2 };
            return;
        };
        let mut login = Box::new(self.clients[n].login(&self.common));
        self.out.clear();
        login.open(&self.common.plan, &mut self.out);
        self.clients[n].node = node;
        self.clients[n].stage = Stage::Arriving { login, since: now, heard: false };
        let connected = self.hub.connect(self.options.nodes[node]);
        match connected.and_then(|conn| self.hub.send(conn, &self.out).map(|()| conn)) {
            Ok(conn) => {
                if self.owners.len() <= conn.index() {
                    self.owners.resize(conn.index() + 1, None);
                }
                self.owners[conn.index()] = Some(self.clients[n].index);
                self.clients[n].conn = Some(conn);
            }
            Err(_) => self.lose(now, n),
        }
    }

    fn on_ready(&mut self, conn: ConnId) {
        let Some(n) = self.owners.get(conn.index()).copied().flatten() else { return };
        let (n, now) = (n as usize, self.now());
        let read = self.hub.read(conn, &mut self.input);
        self.out.clear();
        let mut end = !matches!(read, Ok(Read::Open));
        loop {
            let token = match self.input.next() {
                Ok(Some(token)) => token,
                Ok(None) => break,
                Err(_) => {
                    end = true;
                    break;
                }
            };
            let turn =
                self.clients[n].on_token(now, &mut self.common, &token, &mut self.out, &mut self.event);
            if turn != Turn::On {
                if let (Turn::Conflict, Some(event)) = (turn, &mut self.event) {
                    event.conflicts += 1;
                }
                end = true;
                break;
            }
        }
        self.hub.keep(conn, &self.input);
        if !end && !self.out.is_empty() {
            end = self.hub.send(conn, &self.out).is_err();
        }
        if end {
            self.lose(now, n);
        }
    }

    /// What is due.
    fn tick(&mut self, answer: &mut dyn FnMut(Value)) {
        let now = self.now();
        let pace = (SECOND as f64 / self.options.rate) as u64;
        for n in 0..self.clients.len() {
            let client = &mut self.clients[n];
            match &client.stage {
                Stage::Away { until } if *until <= now => self.connect(now, n),
                Stage::Arriving { since, heard, .. } if now - since > SILENT[usize::from(*heard)] => {
                    self.lose(now, n);
                }
                Stage::Online if client.is_silent(now.saturating_sub(SILENT[2])) => {
                    client.moves = true;
                    self.lose(now, n);
                }
                Stage::Online if client.next <= now => {
                    client.next = (client.next + pace).max(now.saturating_sub(SECOND));
                    self.out.clear();
                    client.talk(now, &mut self.common, &mut self.out);
                    if let Some(conn) = client.conn
                        && self.hub.send(conn, &self.out).is_err()
                    {
                        self.lose(now, n);
                    }
                }
                _ => {}
            }
        }
        if now - self.looked >= LOOK {
            self.looked = now;
            self.look(now, answer);
        }
    }

    /// Whether all is well, and whether what was asked for has happened.
    fn look(&mut self, now: u64, answer: &mut dyn FnMut(Value)) {
        let online = self.clients.iter().all(Client::is_online);
        let is_whole = online && self.common.books.is_settled(now.saturating_sub(SOON));
        if self.spreads && is_whole {
            self.spreads = false;
            answer(self.state());
        }
        let Some(event) = &mut self.event else { return };
        let books = &mut self.common.books;
        if !is_whole {
            event.broken(now);
        }
        let Some((since, most)) = event.ending else { return };
        let done = online && now - since >= QUIET && books.is_settled(since);
        if !done && now < most {
            return;
        }
        if !done && event.late == 0 {
            // Whoever logs in anew gets all that waits: what is stuck is not lost.
            event.late = books.open(since);
            event.ending = Some((since, now + LATE.min(most - since)));
            let all = self.clients.len();
            return (0..all).for_each(|n| self.leave(now, n, self.clients[n].node, SECOND));
        }
        let open = if done { Open::default() } else { books.give_up(since) };
        let row = event.row(books.counts, open);
        let missing = books.missing().take(5);
        let missing: Vec<_> = missing.map(|(tag, at)| format!("{tag:?} at {:.3}", at as f64 / 1e9)).collect();
        let mut row = serde_json::to_value(row).unwrap_or_default();
        row["missing"] = json!(missing);
        row["ended_s"] = json!(now as f64 / 1e9);
        self.event = None;
        answer(row);
    }
}

impl Client {
    /// Takes what came, whatever stage it is in.
    fn on_token(
        &mut self,
        now: u64,
        common: &mut Common,
        token: &Token<'_>,
        out: &mut Vec<u8>,
        event: &mut Option<Event>,
    ) -> Turn {
        // A message for the full address may come before stream management has begun: then nobody counts it.
        if let (Stage::Arriving { .. }, Token::Stanza(stanza)) = (&self.stage, token)
            && stanza.name == b"message"
        {
            self.on_message(now, common, stanza);
            return Turn::On;
        }
        let Stage::Arriving { login, heard, .. } = &mut self.stage else {
            return match token {
                Token::Stanza(stanza) => self.on_stanza(now, common, stanza, out),
                Token::Header => Turn::On,
                Token::End => Turn::Over,
            };
        };
        *heard = true;
        match login.on_token(&mut common.plan, token, out) {
            Ok(Step::Wait) => Turn::On,
            Ok(Step::Resumed(h)) => {
                self.resumed(now, common, h, out);
                if let Some(event) = event {
                    event.resumed += 1;
                }
                Turn::On
            }
            Ok(Step::Done) => {
                let Stage::Arriving { login, .. } = std::mem::replace(&mut self.stage, Stage::Online) else {
                    return Turn::Over;
                };
                if let (Some(event), true) = (event, self.was_there) {
                    event.anew += 1;
                }
                self.anew(now, common, &login, out);
                Turn::On
            }
            // TLS is not part of this.
            Ok(Step::StartTls) | Err(_) => Turn::Over,
        }
    }
}
