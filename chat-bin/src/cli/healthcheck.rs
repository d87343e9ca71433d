//! `chat healthcheck`.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::{ConfigOptions, with_config};
use crate::Failure;
use crate::config::Config;
use crate::serve::HEALTH_CHECK;

/// For the connection, and for the answer. Container platforms give the whole command a few seconds.
const TIMEOUT: Duration = Duration::from_secs(4);
/// Of the answer; only its first line matters.
const ANSWER_BYTES_MAX: u64 = 4096;

/// Flags of `chat healthcheck`.
#[derive(Debug, Args)]
pub struct HealthcheckArgs {
    /// What to ask, http://HOST[:PORT][/PATH] [default: the health check of the first address of listen.web]
    #[arg(long)]
    url: Option<String>,
    #[command(flatten)]
    config: ConfigOptions,
}

pub(super) fn run(args: &HealthcheckArgs) -> ExitCode {
    with_config(&args.config, |config| {
        let target = match &args.url {
            Some(url) => Target::parse(url)?,
            None => Target::of(config)?,
        };
        let status = target.ask()?;
        match status.as_str() {
            "200" => Ok(()),
            _ => Err(Failure::new(format!("{} answers {status}", target.url()))),
        }
    })
}

struct Target {
    /// With the port.
    host: String,
    path: String,
}

impl Target {
    /// The server of this configuration on this machine.
    fn of(config: &Config) -> Result<Target, Failure> {
        let first = config.listen.web.first().copied();
        let address = first.ok_or_else(|| Failure::new("listen.web is empty: there is no health check"))?;
        if address.port() == 0 {
            return Err(Failure::new("listen.web has port 0: say with --url where the server listens"));
        }
        Ok(Target { host: reachable(address).to_string(), path: HEALTH_CHECK.to_owned() })
    }

    fn parse(url: &str) -> Result<Target, Failure> {
        let wrong = || Failure::new(format!("{url} is not of the form http://HOST[:PORT][/PATH]"));
        let rest = url.strip_prefix("http://").ok_or_else(wrong)?;
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if host.is_empty() || !url.bytes().all(|byte| byte.is_ascii_graphic()) || host.contains('@') {
            return Err(wrong());
        }
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let host = if has_port { host.to_owned() } else { format!("{host}:80") };
        Ok(Target { host, path: if path.is_empty() { HEALTH_CHECK.to_owned() } else { path.to_owned() } })
    }

    fn url(&self) -> String {
        format!("http://{}{}", self.host, self.path)
    }

    /// The status of the answer.
    fn ask(&self) -> Result<String, Failure> {
        let failed = |error: io::Error| Failure::new(format!("{}: {error}", self.url()));
        let addresses = self.host.to_socket_addrs().map_err(failed)?;
        let mut stream = connect(addresses).map_err(failed)?;
        stream.set_read_timeout(Some(TIMEOUT)).map_err(failed)?;
        stream.set_write_timeout(Some(TIMEOUT)).map_err(failed)?;
        let (host, path) = (&self.host, &self.path);
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).map_err(failed)?;
        let mut answer = Vec::new();
        stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).map_err(failed)?;
        status(&answer).ok_or_else(|| Failure::new(format!("{} does not speak HTTP", self.url())))
    }
}

/// To the first of these addresses where somebody listens: `localhost` has two, and a server need not be at both.
fn connect(addresses: impl Iterator<Item = SocketAddr>) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "it has no address");
    for address in addresses {
        match TcpStream::connect_timeout(&address, TIMEOUT) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Where a server that listens on this address is reached from the same machine.
pub(super) fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// RFC 9112 §4.
fn status(answer: &[u8]) -> Option<String> {
    let line = answer.split(|byte| *byte == b'\r').next()?;
    let mut words = str::from_utf8(line).ok()?.split(' ');
    let version = words.next()?;
    let status = words.next()?;
    let is_status = status.len() == 3 && status.bytes().all(|byte| byte.is_ascii_digit());
    (version.starts_with("HTTP/1.") && is_status).then(|| status.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_and_addresses() {
        let parse = |url| Target::parse(url).map(|target| target.url()).ok();
        for (url, whole) in [
            ("http://chat.example", "http://chat.example:80/health-check"),
            ("http://127.0.0.1:5280", "http://127.0.0.1:5280/health-check"),
            ("http://[::1]:5280/x?y", "http://[::1]:5280/x?y"),
            ("http://[::1]/", "http://[::1]:80/"),
        ] {
            assert_eq!(parse(url).as_deref(), Some(whole));
        }
        for wrong in ["", "chat.example", "https://chat.example", "http://", "http:///x", "http://a b"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
        let reached = |text: &str| reachable(text.parse().expect("an address")).to_string();
        assert_eq!(reached("0.0.0.0:80"), "127.0.0.1:80");
        assert_eq!(reached("[::]:80"), "[::1]:80");
        assert_eq!(reached("192.0.2.1:80"), "192.0.2.1:80");
    }

    #[test]
    fn all_addresses_are_tried() {
        let listen = || std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let (here, gone) = (listen(), listen());
        let addresses = [&gone, &here].map(|listener| listener.local_addr().expect("an address"));
        drop(gone);
        let stream = connect(addresses.into_iter()).expect("somebody listens at the second");
        assert_eq!(stream.peer_addr().expect("an address"), addresses[1]);
        assert!(connect(addresses.into_iter().take(1)).is_err() && connect(std::iter::empty()).is_err());
    }

    #[test]
    fn the_status_is_in_the_first_line() {
        let read = |text: &str| status(text.as_bytes());
        assert_eq!(read("HTTP/1.1 200 OK\r\n\r\n").as_deref(), Some("200"));
        assert_eq!(read("HTTP/1.0 503\r\n").as_deref(), Some("503"));
        for wrong in ["", "HTTP/1.1", "HTTP/1.1 2000 OK\r\n", "SSH-2.0-x\r\n", "<stream:stream/>"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
