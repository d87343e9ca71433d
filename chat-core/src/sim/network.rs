//! The network between clients and server: bytes on their way, and how they fail to arrive.

use crate::base::{ConnId, Mono, Rng, Slots};

use super::plan::Cut;

/// Bytes on their way in one direction.
#[derive(Default)]
pub(super) struct Pipe {
    bytes: Vec<u8>,
    head: usize,
    /// An event is on its way that will move bytes on.
    pub(super) busy: bool,
    /// Nothing follows what is in here.
    pub(super) eof: bool,
}

impl Pipe {
    /// What is on its way.
    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.head..]
    }

    /// More bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.head == self.bytes.len() {
            self.bytes.clear();
            self.head = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Bytes before all others.
    pub(super) fn push_front(&mut self, bytes: &[u8]) {
        let rest = self.rest().to_vec();
        self.bytes = [bytes, &rest].concat();
        self.head = 0;
    }

    /// The next piece that arrives, cut as the plan says.
    pub(super) fn take(&mut self, cut: Cut, rng: &mut Rng) -> Vec<u8> {
        let len = self.rest().len();
        let n = match cut {
            _ if len == 0 => 0,
            Cut::Whole => len,
            Cut::Anywhere if rng.below(3) == 0 => len,
            Cut::Anywhere => 1 + rng.below(len as u64) as usize,
            Cut::Tiny => 1 + rng.below(12.min(len as u64)) as usize,
        };
        // A driver gives at most 64 KiB at a time.
        let n = n.min(64 * 1024);
        let piece = self.rest()[..n].to_vec();
        self.head += n;
        piece
    }

    /// Nothing is on its way any more.
    pub(super) fn clear(&mut self) -> Vec<u8> {
        let rest = self.rest().to_vec();
        self.bytes.clear();
        self.head = 0;
        rest
    }
}

/// A connection.
pub(super) struct Link {
    /// The client at one end.
    pub(super) client: usize,
    /// The server at the other.
    pub(super) server: usize,
    /// To the server.
    pub(super) up: Pipe,
    /// To the client.
    pub(super) down: Pipe,
    /// The server reads.
    pub(super) reading: bool,
    /// The server has not closed it, nor learned that it is closed.
    pub(super) server_open: bool,
    /// The client has not closed it, nor learned that it is closed.
    pub(super) client_open: bool,
    /// Nothing passes any more, and nobody says so.
    pub(super) dead: bool,
    /// Nothing passes until then.
    pub(super) stalled: Mono,
    /// The server has more to send than the window takes.
    pub(super) blocked: bool,
    /// The server was told that it is closed.
    pub(super) told: bool,
    /// The client that closed it, or lost it, had to acknowledge what it got.
    pub(super) managed: bool,
}

/// All connections.
#[derive(Default)]
pub(super) struct Network {
    links: Slots<Link>,
}

impl Network {
    /// A client connects.
    pub(super) fn open(&mut self, client: usize, server: usize) -> ConnId {
        ConnId(self.links.insert(Link {
            client,
            server,
            up: Pipe::default(),
            down: Pipe::default(),
            reading: true,
            server_open: true,
            client_open: true,
            dead: false,
            stalled: Mono(0),
            blocked: false,
            told: false,
            managed: false,
        }))
    }

    /// A connection.
    pub(super) fn get(&mut self, conn: ConnId) -> Option<&mut Link> {
        self.links.get_mut(conn.0)
    }

    /// The end of a connection that neither end has any more.
    pub(super) fn remove(&mut self, conn: ConnId) {
        self.links.remove(conn.0);
    }

    /// The server at the other end of a connection.
    pub(super) fn server_of(&self, conn: ConnId) -> Option<usize> {
        self.links.get(conn.0).map(|link| link.server)
    }

    /// All connections.
    pub(super) fn ids(&self) -> Vec<ConnId> {
        self.links.iter().map(|(key, _)| ConnId(key)).collect()
    }

    /// All connections and their ends.
    pub(super) fn iter(&self) -> impl Iterator<Item = (ConnId, &Link)> {
        self.links.iter().map(|(key, link)| (ConnId(key), link))
    }
}
