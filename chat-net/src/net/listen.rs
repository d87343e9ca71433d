//! Listening sockets, and the options of everything accepted on them.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

/// Connections that wait to be accepted. std's 128 stalls connect storms in steps of one second; the system may cap it
/// (`net.core.somaxconn`).
const BACKLOG: i32 = 4096;
/// Bytes that the peer's system does not acknowledge for so long end the connection: a client that vanished without a
/// word is noticed here, its session stays resumable.
#[cfg(any(target_os = "android", target_os = "linux"))]
const USER_TIMEOUT: Duration = Duration::from_secs(60);
/// An idle connection is probed by the system after this time: it keeps the entries of address translators fresh and
/// costs the peer's application nothing.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(120);
/// Time between further probes.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}")]
pub struct BindError {
    /// The address wanted.
    pub address: SocketAddr,
    /// What the system said.
    pub source: io::Error,
}

/// A listening, non-blocking TCP socket. IPv6 addresses take IPv6 only, so `0.0.0.0` and `[::]` go beside each other;
/// port 0 lets the system choose.
///
/// # Errors
/// The address is taken, not ours, or not allowed.
pub fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
    try_bind(address).map_err(|source| BindError { address, source })
}

fn try_bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // A server that comes back at once finds its port although old connections linger in TIME-WAIT. On Windows the
    // option means something else.
    #[cfg(not(windows))]
    socket.set_reuse_address(true)?;
    // Linux hands these down to what is accepted.
    set_options(&socket)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Makes an accepted socket ready for a worker.
pub(super) fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nonblocking(true)?;
    if cfg!(not(target_os = "linux")) {
        set_options(&SockRef::from(stream))?;
    }
    Ok(())
}

/// Sets the options of a connected socket.
#[cfg(feature = "rustls")]
pub(super) fn set_stream_options(socket: &Socket) -> io::Result<()> {
    set_options(socket)
}

fn set_options(socket: &Socket) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_IDLE).with_interval(KEEPALIVE_INTERVAL);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(any(target_os = "android", target_os = "linux"))]
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepted_sockets_have_the_options() {
        let listener = bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
        let _client = TcpStream::connect(listener.local_addr().expect("bound")).expect("it listens");
        listener.set_nonblocking(false).expect("a listener");
        let (stream, _) = listener.accept().expect("a connection");
        prepare(&stream).expect("options");
        let socket = SockRef::from(&stream);
        assert!(socket.tcp_nodelay().expect("an option") && socket.keepalive().expect("an option"));
        #[cfg(target_os = "linux")]
        {
            assert_eq!(socket.tcp_user_timeout().expect("an option"), Some(USER_TIMEOUT));
            assert_eq!(socket.tcp_keepalive_time().expect("an option"), KEEPALIVE_IDLE);
        }
    }

    #[test]
    fn both_families_share_a_port_and_a_taken_one_is_named() {
        let v6 = bind("[::1]:0".parse().expect("an address")).expect("a free port");
        let port = v6.local_addr().expect("bound").port();
        let v4 = bind(SocketAddr::from(([0, 0, 0, 0], port)));
        // Another process may have it; what must not happen is that our own IPv6 socket does.
        if let Ok(v4) = &v4 {
            let address = v4.local_addr().expect("bound");
            let error = bind(address).expect_err("taken");
            assert!(error.to_string().starts_with(&format!("cannot listen on 0.0.0.0:{port}: ")), "{error}");
        }
    }
}
