//! Memory as sessions come.

use std::io;

use serde::{Deserialize, Serialize};

use super::procfs;
use super::usage::Server;

/// Points of a curve, at most; beyond it every second is dropped.
const POINTS_MAX: usize = 256;

/// Reads the memory of the server and of the kernel.
#[derive(Debug)]
pub struct MemoryMeter {
    server: Option<Server>,
    curve: Vec<(u64, u64)>,
    base: Option<Sample>,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    sessions: u64,
    pss: Option<u64>,
    buffers: u64,
    slab: u64,
}

/// What sessions cost, in bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// Sessions between the two measurements.
    pub sessions: u64,
    /// The server's memory (PSS) before them.
    pub pss_before: Option<u64>,
    /// And with them.
    pub pss_after: Option<u64>,
    /// The server's memory for one session.
    pub pss_per_session: Option<f64>,
    /// Socket buffers in the kernel for one session, of both its ends.
    pub socket_buffers_per_session: f64,
    /// The kernel's structures for one session: sockets, descriptors and epoll entries of both its ends, as far as the
    /// kernel did not have room for them already.
    pub kernel_slab_per_session: f64,
    /// For plots: sessions, and the server's memory then.
    pub curve: Vec<(u64, u64)>,
}

impl MemoryMeter {
    /// Of this server.
    #[must_use]
    pub fn new(server: Option<Server>) -> MemoryMeter {
        MemoryMeter { server, curve: Vec::new(), base: None }
    }

    /// A point of the curve.
    ///
    /// # Errors
    /// The server is not there.
    pub fn point(&mut self, sessions: u64) -> io::Result<()> {
        let Some(pss) = self.pss()? else { return Ok(()) };
        self.curve.push((sessions, pss));
        if self.curve.len() > POINTS_MAX {
            let mut odd = false;
            self.curve.retain(|_| {
                odd = !odd;
                odd
            });
        }
        Ok(())
    }

    /// From here on is measured.
    ///
    /// # Errors
    /// The server is not there.
    pub fn base(&mut self, sessions: u64) -> io::Result<()> {
        self.base = Some(self.sample(sessions)?);
        self.point(sessions)
    }

    /// What came since the base.
    ///
    /// # Errors
    /// The server is not there.
    pub fn finish(mut self, sessions: u64) -> io::Result<Memory> {
        let base = match self.base {
            Some(base) => base,
            None => self.sample(0)?,
        };
        let now = self.sample(sessions)?;
        self.point(sessions)?;
        let count = sessions.saturating_sub(base.sessions);
        Ok(Memory {
            sessions: count,
            pss_before: base.pss,
            pss_after: now.pss,
            pss_per_session: now.pss.zip(base.pss).map(|(now, then)| each(now, then, count)),
            socket_buffers_per_session: each(now.buffers, base.buffers, count),
            kernel_slab_per_session: each(now.slab, base.slab, count),
            curve: self.curve,
        })
    }

    fn sample(&self, sessions: u64) -> io::Result<Sample> {
        let (buffers, slab) = (procfs::socket_buffers()?, procfs::kernel_slab()?);
        Ok(Sample { sessions, pss: self.pss()?, buffers, slab })
    }

    fn pss(&self) -> io::Result<Option<u64>> {
        (self.server)
            .map(|s| {
                let peer = s.peer.map(|pid| procfs::pss(pid, s.children)).transpose()?;
                Ok(procfs::pss(s.pid, s.children)? + peer.unwrap_or_default())
            })
            .transpose()
    }
}

/// The share of one in what was added, which may be less than nothing.
#[allow(clippy::cast_precision_loss, reason = "no more than the memory of a machine")]
fn each(now: u64, then: u64, count: u64) -> f64 {
    (now as f64 - then as f64) / count.max(1) as f64
}
