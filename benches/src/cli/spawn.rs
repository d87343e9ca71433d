//! A relay as a process of its own, for as long as a run takes.

use std::io::{self, BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

/// It ends when this is dropped.
#[derive(Debug)]
pub struct SpawnedRelay {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl SpawnedRelay {
    /// Starts this program once more.
    ///
    /// # Errors
    /// It does not start.
    pub fn start() -> io::Result<SpawnedRelay> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["relay", "--listen", "127.0.0.1:0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().ok_or_else(|| io::Error::other("the relay has no output"))?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        match line.split_whitespace().next().and_then(|address| address.parse().ok()) {
            Some(address) => Ok(SpawnedRelay { child, address }),
            None => {
                let _ = child.kill();
                let _ = child.wait();
                Err(io::Error::other(format!("the relay has not started: {line}")))
            }
        }
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for SpawnedRelay {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
