//! A cluster: real servers on loopback that share a database of their own.

use std::time::{Duration, Instant};

use chat_net::store::postgres::private::Private;
use rustix::process::Signal;

use tempfile::TempDir;

use super::authority::{Authority, CERTIFIED};
use super::client::Client;
use super::{TestServer, eventually};

/// The secret of the cluster, unless a test wants another.
pub const SECRET: &str = "sixteen-bytes-or-more";
/// The domain that the nodes serve.
pub const DOMAIN: &str = "localhost";
/// The password of everybody.
pub const PASSWORD: &str = "secret";

/// Nodes of one cluster.
pub struct Nodes {
    /// What they share.
    pub database: Private,
    url: String,
    /// In the order of their numbers; the first is `n1@127.0.0.1`.
    pub nodes: Vec<TestServer>,
}

fn tempdir() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

/// What a node is called.
pub fn name(n: usize) -> String {
    format!("n{n}@127.0.0.1")
}

impl Nodes {
    /// So many nodes, that all know each other when this returns.
    pub fn start(count: usize) -> Nodes {
        Nodes::start_with(&vec![&[][..]; count])
    }

    /// The same, each with settings of its own.
    pub fn start_with(settings: &[&[(&str, &str)]]) -> Nodes {
        let database = Private::start();
        let url = database.database();
        let mut nodes = Nodes { database, url, nodes: Vec::new() };
        for (n, own) in settings.iter().enumerate() {
            let own: Vec<_> = [("cluster.secret", SECRET)].iter().chain(*own).copied().collect();
            let node = nodes.another_with(tempdir(), &name(n + 1), &own);
            nodes.nodes.push(node);
        }
        nodes.wait_until_all_are_up();
        nodes
    }

    /// Nodes that know each other by certificates of this authority, once each has seen all others.
    pub fn start_certified(count: usize, authority: &Authority) -> Nodes {
        let database = Private::start();
        let url = database.database();
        let mut nodes = Nodes { database, url, nodes: Vec::new() };
        for n in 1..=count {
            let node = nodes.another_certified(&name(n), authority, &name(n));
            nodes.nodes.push(node);
        }
        nodes.wait_until_all_are_up();
        nodes
    }

    fn wait_until_all_are_up(&self) {
        let count = self.nodes.len();
        for n in 0..count {
            for other in (0..count).filter(|other| *other != n) {
                self.wait_until_up(n, &name(other + 1));
            }
        }
    }

    /// A server that lists the first node, of this name and with this secret.
    pub fn another(&self, name: &str, secret: &str) -> TestServer {
        self.another_with(tempdir(), name, &[("cluster.secret", secret)])
    }

    /// The same with a certificate of this authority for the name of a node.
    pub fn another_certified(&self, name: &str, authority: &Authority, of: &str) -> TestServer {
        let directory = tempdir();
        authority.put(directory.path(), of);
        self.another_with(directory, name, &CERTIFIED)
    }

    fn another_with(&self, directory: TempDir, name: &str, own: &[(&str, &str)]) -> TestServer {
        let first = self.nodes.first().map(|first| format!("{}:{}", self::name(1), first.cluster.port()));
        let mut settings = vec![
            ("c2s.allow_plaintext", "true"),
            ("limits.c2s_rate", "0"),
            ("store.url", &self.url),
            ("net.workers", "2"),
            ("node.name", name),
            ("listen.cluster", "127.0.0.1:0"),
            // No balancer asks.
            ("drain.grace", "0s"),
        ];
        settings.extend(first.as_ref().map(|first| ("cluster.nodes", first.as_str())));
        settings.extend(own);
        TestServer::start_in(directory, &settings)
    }

    /// An account that all nodes know.
    pub fn add_user(&self, user: &str) {
        self.nodes[0].add_user(&format!("{user}@{DOMAIN}"), PASSWORD);
    }

    /// A client of a node, with stream management, available.
    pub fn client(&self, n: usize, user: &str) -> Client {
        let mut client =
            Client::login(self.nodes[n].c2s, user, DOMAIN, PASSWORD, "here").expect("it logs in");
        client.manage().expect("stream management");
        client.stanza("<presence/>").expect("presence");
        client
    }

    /// How often a node has logged this of another.
    pub fn count(&self, n: usize, message: &str, node: &str) -> usize {
        let is_it = |line: &serde_json::Value| {
            line["message"].as_str().is_some_and(|m| m.starts_with(message)) && line["node"] == node
        };
        self.nodes[n].lines().iter().filter(|line| is_it(line)).count()
    }

    /// Waits until a node has seen another come up since it went down last.
    pub fn wait_until_up(&self, n: usize, node: &str) {
        eventually(&format!("{} sees {node}", name(n + 1)), || {
            (self.count(n, "a node is up", node) > self.count(n, "a node is down", node)).then_some(())
        });
    }

    /// Kills a node, and waits until all others know. How long the slowest took.
    pub fn kill(&mut self, n: usize) -> Duration {
        let node = name(n + 1);
        let others: Vec<_> = (0..self.nodes.len()).filter(|other| *other != n).collect();
        let before: Vec<_> = others.iter().map(|o| self.count(*o, "a node is down", &node)).collect();
        let killed = Instant::now();
        self.nodes[n].signal(Signal::KILL);
        eventually("everybody knows", || {
            let knows = |(o, before): (&usize, &usize)| self.count(*o, "a node is down", &node) > *before;
            others.iter().zip(&before).all(knows).then_some(())
        });
        let after = killed.elapsed();
        self.nodes[n].wait();
        after
    }
}
