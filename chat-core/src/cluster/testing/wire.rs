//! A connection between two processes, as bytes on their way.

use std::collections::VecDeque;

use crate::base::Mono;

/// Bytes that a direction takes before it is read.
const PIPE_BYTES: usize = 3_000;

/// One direction.
#[derive(Debug, Default)]
pub(in crate::cluster) struct Pipe {
    bytes: VecDeque<u8>,
    /// Nothing follows.
    ended: bool,
    /// What is sent is lost, and nobody hears of it.
    pub(in crate::cluster) hole: bool,
    pub(in crate::cluster) stalled_until: Mono,
    /// An arrival is planned.
    pub(in crate::cluster) under_way: bool,
}

/// Both directions, each named by the end that sends. The ends are 0 and 1.
#[derive(Debug)]
pub(in crate::cluster) struct Wire {
    /// Which nodes.
    pub(in crate::cluster) nodes: [usize; 2],
    /// Which processes of these nodes.
    pub(in crate::cluster) lives: [u64; 2],
    /// The end that dialled; 2 if nobody did who lives.
    pub(in crate::cluster) dialler: usize,
    pub(in crate::cluster) open: [bool; 2],
    /// The process at this end knows of the connection.
    pub(in crate::cluster) secured: [bool; 2],
    pub(in crate::cluster) pipes: [Pipe; 2],
}

/// What came out of a pipe.
pub(in crate::cluster) struct Pulled {
    pub(in crate::cluster) bytes: Vec<u8>,
    /// There is more.
    pub(in crate::cluster) more: bool,
    /// Everything has come, and the other end has closed.
    pub(in crate::cluster) over: bool,
}

impl Wire {
    pub(in crate::cluster) fn new(nodes: [usize; 2], lives: [u64; 2], dialler: usize) -> Wire {
        Wire {
            nodes,
            lives,
            dialler,
            open: [true; 2],
            secured: [false; 2],
            pipes: [Pipe::default(), Pipe::default()],
        }
    }

    /// How many bytes this end can send now; none if it is closed.
    pub(in crate::cluster) fn room(&self, end: usize) -> usize {
        if self.open[end] { PIPE_BYTES.saturating_sub(self.pipes[end].bytes.len()) } else { 0 }
    }

    pub(in crate::cluster) fn push(&mut self, end: usize, bytes: &[u8]) {
        if !self.pipes[end].hole {
            self.pipes[end].bytes.extend(bytes);
        }
    }

    /// Up to `most` bytes of what this end has sent.
    pub(in crate::cluster) fn pull(&mut self, end: usize, most: usize) -> Pulled {
        let pipe = &mut self.pipes[end];
        let n = most.min(pipe.bytes.len());
        let bytes = pipe.bytes.drain(..n).collect();
        let more = !pipe.bytes.is_empty();
        Pulled { bytes, more, over: !more && pipe.ended && !pipe.hole }
    }

    /// This end is closed in an orderly way: what was written still arrives, then the end.
    pub(in crate::cluster) fn close(&mut self, end: usize) {
        self.open[end] = false;
        self.pipes[end].ended = true;
    }

    /// The connection breaks: what is on its way may be lost from any byte on, and nobody is told.
    pub(in crate::cluster) fn tear(&mut self) {
        for (i, pipe) in self.pipes.iter_mut().enumerate() {
            let keep = pipe.bytes.len() / (i + 2);
            pipe.bytes.truncate(keep);
            pipe.hole = true;
        }
    }
}
