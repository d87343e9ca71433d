//! The driver over real sockets: every case runs on every runtime of the build, through the public interface only.

#[cfg(feature = "async-std")]
mod on_async_std;
mod on_threads;
#[cfg(feature = "tokio")]
mod on_tokio;

mod client;
mod life;
mod moving;
mod proxied;
mod reading;
mod secure;
