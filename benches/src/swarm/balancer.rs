//! Which nodes take clients: those whose health check says so, as a balancer sees it.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Between two questions to a node.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_millis(500);
/// So many bad answers in a row close a node.
const FALL: u32 = 2;

/// Asks every node all the time, each on a thread that ends with the process.
pub(super) struct Balancer {
    open: Arc<[AtomicBool]>,
}

impl Balancer {
    /// Of the nodes whose web ports are these. All count as open without any.
    pub(super) fn start(web: &[SocketAddr], nodes: usize) -> Balancer {
        let open: Arc<[AtomicBool]> = (0..nodes).map(|_| AtomicBool::new(web.is_empty())).collect();
        for (n, address) in web.iter().copied().enumerate() {
            let open = Arc::clone(&open);
            std::thread::spawn(move || watch(address, &open[n]));
        }
        Balancer { open }
    }

    /// Whether a node takes clients.
    pub(super) fn is_open(&self, node: usize) -> bool {
        self.open[node].load(Ordering::Relaxed)
    }
}

fn watch(address: SocketAddr, open: &AtomicBool) {
    let mut bad = 0;
    loop {
        bad = if ask(address).unwrap_or(false) { 0 } else { bad + 1 };
        if bad == 0 || bad >= FALL {
            open.store(bad == 0, Ordering::Relaxed);
        }
        std::thread::sleep(ASK_EVERY);
    }
}

fn ask(address: SocketAddr) -> std::io::Result<bool> {
    let mut socket = TcpStream::connect_timeout(&address, PATIENCE)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    write!(socket, "GET /health-check HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut status = [0; 12];
    socket.read_exact(&mut status)?;
    Ok(status.ends_with(b" 200"))
}
