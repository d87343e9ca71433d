//! Outgoing connections.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::pin::Pin;

use chat_core::base::Key;

use super::listen::set_stream_options;
use super::{Runtime, Socket};

/// A connection that is being made. Dropping it gives up.
pub(crate) type Connecting = Pin<Box<dyn Future<Output = io::Result<Socket>> + Send>>;

/// Connects to an address, by a socket that is to have this key ([`Socket::watch`]). There is no timeout: the caller drops what
/// takes too long.
pub(crate) fn connect(key: Key, address: SocketAddr, runtime: Runtime) -> Connecting {
    match runtime {
        Runtime::Threads => Box::pin(async move {
            let stream = std::net::TcpStream::from(OwnedFd::from(mio::net::TcpStream::connect(address)?));
            set_stream_options(&socket2::SockRef::from(&stream))?;
            let socket = Socket::attach_as(key, stream, runtime)?;
            std::future::poll_fn(|_| socket.poll_connected()).await?;
            Ok(socket)
        }),
        #[cfg(feature = "tokio")]
        Runtime::Tokio => Box::pin(async move {
            let stream = tokio::net::TcpStream::connect(address).await?;
            set_stream_options(&socket2::SockRef::from(&stream))?;
            Ok(Socket::Tokio(stream))
        }),
        #[cfg(feature = "async-std")]
        Runtime::AsyncStd => Box::pin(async move {
            let stream = async_io::Async::<std::net::TcpStream>::connect(address).await?;
            set_stream_options(&socket2::SockRef::from(&stream))?;
            Ok(Socket::AsyncIo(stream))
        }),
    }
}
