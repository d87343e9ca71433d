//! Who used the processors between two points in time.

use std::io;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

use super::procfs::{self, Machine, Ticks};

/// The process that is measured, or two of them that are one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Server {
    /// Its id.
    pub pid: u32,
    /// That of the other node.
    pub peer: Option<u32>,
    /// Whether what it has started counts, too.
    pub children: bool,
}

/// A point in time.
#[derive(Debug, Clone, Copy)]
pub struct Snapshot {
    at: Instant,
    server: Option<Ticks>,
    own: Duration,
    machine: Machine,
}

/// What was used between two points. One core is one processor all the time.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Usage {
    /// How long it was, in seconds.
    pub seconds: f64,
    /// CPU seconds of the server.
    pub server_cpu_s: Option<f64>,
    /// CPU seconds of this tool.
    pub own_cpu_s: f64,
    /// Cores that the server kept busy.
    pub server_cores: Option<f64>,
    /// Cores that this tool kept busy.
    pub own_cores: f64,
    /// Cores that everybody else kept busy: over 0.1 the run is not worth much.
    pub noise_cores: Option<f64>,
    /// Cores that other machines on the same hardware took away.
    pub stolen_cores: f64,
}

fn cpu(server: Server) -> io::Result<Ticks> {
    let peer = server.peer.map(|pid| procfs::cpu(pid, server.children)).transpose()?;
    Ok(procfs::cpu(server.pid, server.children)? + peer.unwrap_or_default())
}

impl Snapshot {
    /// Now.
    ///
    /// # Errors
    /// The server is not there.
    pub fn take(server: Option<Server>) -> io::Result<Snapshot> {
        let own = clock_gettime(ClockId::ProcessCPUTime);
        Ok(Snapshot {
            at: Instant::now(),
            server: server.map(cpu).transpose()?,
            own: Duration::new(
                u64::try_from(own.tv_sec).unwrap_or(0),
                u32::try_from(own.tv_nsec).unwrap_or(0),
            ),
            machine: procfs::machine()?,
        })
    }

    /// When it was taken.
    #[must_use]
    pub fn at(&self) -> Instant {
        self.at
    }

    /// What was used since an earlier one.
    #[must_use]
    pub fn since(&self, earlier: &Snapshot) -> Usage {
        let seconds = self.at.duration_since(earlier.at).as_secs_f64();
        let between = |now: Ticks, then: Ticks| procfs::seconds(now.saturating_sub(then));
        let server = self.server.zip(earlier.server).map(|(now, then)| between(now, then));
        let own = self.own.saturating_sub(earlier.own).as_secs_f64();
        let busy = between(self.machine.busy, earlier.machine.busy);
        Usage {
            seconds,
            server_cpu_s: server,
            own_cpu_s: own,
            server_cores: server.map(|s| s / seconds),
            own_cores: own / seconds,
            noise_cores: server.map(|s| ((busy - s - own) / seconds).max(0.0)),
            stolen_cores: between(self.machine.stolen, earlier.machine.stolen) / seconds,
        }
    }
}
