//! A connection between two processes, as bytes on their way.

use std::collections::VecDeque;

use crate::base::Mono;

/// Bytes that a direction takes before it is read.
const PIPE_BYTES: usize = 3_000;

/// One direction.
#[derive(Debug, Default)]
pub(crate) struct Pipe {
    bytes: VecDeque<u8>,
    /// Nothing follows.
    ended: bool,
    /// What is sent is lost, and nobody hears of it.
    pub(crate) hole: bool,
    #[cfg_attr(not(test), allow(dead_code, reason = "the simulator cuts ways, not connections"))]
    pub(crate) stalled_until: Mono,
    /// An arrival is planned.
    pub(crate) under_way: bool,
}

/// Both directions, each named by the end that sends. The ends are 0 and 1.
#[derive(Debug)]
pub(crate) struct Wire {
    /// Which nodes.
    pub(crate) nodes: [usize; 2],
    /// Which processes of these nodes.
    pub(crate) lives: [u64; 2],
    /// The end that dialled; 2 if nobody did who lives.
    #[cfg_attr(not(test), allow(dead_code, reason = "the tests of links look at it"))]
    pub(crate) dialler: usize,
    pub(crate) open: [bool; 2],
    /// The process at this end knows of the connection.
    pub(crate) secured: [bool; 2],
    pub(crate) pipes: [Pipe; 2],
}

/// What came out of a pipe.
pub(crate) struct Pulled {
    pub(crate) bytes: Vec<u8>,
    /// There is more.
    pub(crate) more: bool,
    /// Everything has come, and the other end has closed.
    pub(crate) over: bool,
}

impl Wire {
    pub(crate) fn new(nodes: [usize; 2], lives: [u64; 2], dialler: usize) -> Wire {
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
    pub(crate) fn room(&self, end: usize) -> usize {
        if self.open[end] { PIPE_BYTES.saturating_sub(self.pipes[end].bytes.len()) } else { 0 }
    }

    pub(crate) fn push(&mut self, end: usize, bytes: &[u8]) {
        if !self.pipes[end].hole {
            self.pipes[end].bytes.extend(bytes);
        }
    }

    /// Up to `most` bytes of what this end has sent.
    pub(crate) fn pull(&mut self, end: usize, most: usize) -> Pulled {
        let pipe = &mut self.pipes[end];
        let n = most.min(pipe.bytes.len());
        let bytes = pipe.bytes.drain(..n).collect();
        let more = !pipe.bytes.is_empty();
        Pulled { bytes, more, over: !more && pipe.ended && !pipe.hole }
    }

    /// This end is closed in an orderly way: what was written still arrives, then the end.
    pub(crate) fn close(&mut self, end: usize) {
        self.open[end] = false;
        self.pipes[end].ended = true;
    }

    /// The connection breaks: what is on its way may be lost from any byte on, and nobody is told.
    pub(crate) fn tear(&mut self) {
        for (i, pipe) in self.pipes.iter_mut().enumerate() {
            let keep = pipe.bytes.len() / (i + 2);
            pipe.bytes.truncate(keep);
            pipe.hole = true;
        }
    }
}
