//! What a connection URL says.

use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

/// How long a server may take to accept a connection, if the URL does not say.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long sent bytes may stay unacknowledged before a connection is given up, if the URL does not say.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(10);

/// What may stand behind the `?`, beside `sslmode` and `sslrootcert`.
const OPTIONS: [&str; 17] = [
    "application_name",
    "channel_binding",
    "connect_timeout",
    "dbname",
    "host",
    "hostaddr",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "load_balance_hosts",
    "options",
    "password",
    "port",
    "target_session_attrs",
    "tcp_user_timeout",
    "user",
];

/// Where to connect, and how.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) config: Config,
    pub(super) tls: Tls,
}

/// What is asked of TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tls {
    /// None.
    Off,
    /// If the server has it, and whoever the server is: against listeners, not against impostors.
    IfPossible,
    /// Always, with a certificate for this host by an authority of the system, or of this file.
    Verified(Option<PathBuf>),
}

impl Target {
    /// Reads `postgres://user:password@host:port/database?option=value&…`. The error never repeats a value.
    pub(super) fn read(url: &str) -> Result<Target, String> {
        let (address, query) = url.split_once('?').unwrap_or((url, ""));
        let (mut mode, mut authorities, mut others) = (None, None, Vec::new());
        for option in query.split('&').filter(|option| !option.is_empty()) {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            let value = || match percent_decode_str(value).decode_utf8() {
                Ok(value) => Ok(value.into_owned()),
                Err(_) => Err(format!("{name} is not UTF-8")),
            };
            match name {
                "sslmode" => mode = Some(value()?),
                "sslrootcert" => authorities = Some(PathBuf::from(value()?)),
                name if OPTIONS.contains(&name) => others.push(option),
                // It may be a part of a password that should have been escaped.
                _ => return Err(format!("behind the ? is something else than {}", OPTIONS.join(", "))),
            }
        }
        let (tls, ssl) = tls(mode.as_deref(), authorities)?;
        let url = format!("{address}?{}", others.join("&"));
        let mut config: Config = url.parse().map_err(|error| fault(&super::chain(&error)))?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err("it names no host".to_owned());
        }
        config.ssl_mode(ssl);
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(TCP_USER_TIMEOUT);
        }
        if config.get_application_name().is_none() {
            config.application_name("chat");
        }
        Ok(Target { config, tls })
    }

    /// The servers and the database, for messages; no user and no password.
    pub(super) fn name(&self) -> String {
        let ports = self.config.get_ports();
        let port = |place: usize| ports.get(place).or(ports.first()).copied().unwrap_or(5432);
        let named = self.config.get_hosts().iter().enumerate().map(|(place, host)| match host {
            Host::Tcp(host) => format!("{host}:{}", port(place)),
            #[cfg(unix)]
            Host::Unix(path) => format!("{}:{}", path.display(), port(place)),
        });
        let mut names: Vec<_> = named.collect();
        if names.is_empty() {
            names.extend(self.config.get_hostaddrs().iter().map(ToString::to_string));
        }
        match self.config.get_dbname() {
            Some(database) => format!("{}/{database}", names.join(",")),
            None => names.join(","),
        }
    }
}

/// What the parser says, unless that may show a part of the URL.
fn fault(words: &str) -> String {
    match OPTIONS.into_iter().find(|name| words.ends_with(&format!("invalid value for option `{name}`"))) {
        Some(name) => format!("the value of {name} is not valid"),
        None => "it is not postgres://USER:PASSWORD@HOST:PORT/DATABASE?OPTION=VALUE, with %40 for an @ in a \
                 password and the like"
            .to_owned(),
    }
}

fn tls(mode: Option<&str>, authorities: Option<PathBuf>) -> Result<(Tls, SslMode), String> {
    match (mode, authorities) {
        (None, None) | (Some("prefer"), None) => Ok((Tls::IfPossible, SslMode::Prefer)),
        (Some("disable"), None) => Ok((Tls::Off, SslMode::Disable)),
        (None | Some("require" | "verify-full"), authorities) => {
            Ok((Tls::Verified(authorities), SslMode::Require))
        }
        (Some("disable" | "prefer"), Some(_)) => {
            Err("sslrootcert is for sslmode=require, which verifies the server".to_owned())
        }
        _ => Err("sslmode is one of disable, prefer, require (which verifies the server)".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tls_of(query: &str) -> Result<Tls, String> {
        Target::read(&format!("postgres://chat:pw@db.example:5433/chat{query}")).map(|target| target.tls)
    }

    #[test]
    fn the_query_says_how_far_the_server_is_trusted() {
        let file = || Some(PathBuf::from("/etc/chat/db ca.pem"));
        for (query, expected) in [
            ("", Tls::IfPossible),
            ("?sslmode=prefer", Tls::IfPossible),
            ("?sslmode=disable&application_name=x", Tls::Off),
            ("?sslmode=require", Tls::Verified(None)),
            ("?sslmode=verify-full", Tls::Verified(None)),
            ("?sslrootcert=/etc/chat/db%20ca.pem", Tls::Verified(file())),
            ("?connect_timeout=3&sslrootcert=/etc/chat/db%20ca.pem&sslmode=require", Tls::Verified(file())),
        ] {
            assert_eq!(tls_of(query), Ok(expected), "{query}");
        }
        for query in
            ["?sslmode=allow", "?sslmode=verify-ca", "?sslmode=prefer&sslrootcert=x", "?sslmode=", "?ssl=1"]
        {
            let error = tls_of(query).expect_err(query);
            assert!(!error.contains("pw"), "{error}");
        }
    }

    #[test]
    fn a_target_has_a_name_without_secrets() {
        for (url, name) in [
            ("postgres://chat:pw@db.example/chat", "db.example:5432/chat"),
            ("postgresql://db.example:5433,other.example/chat", "db.example:5433,other.example:5432/chat"),
            ("postgres://chat@%2Frun%2Fpostgresql/chat?password=pw", "/run/postgresql:5432/chat"),
            ("postgres://chat@/chat?host=/run/postgresql", "/run/postgresql:5432/chat"),
        ] {
            assert_eq!(Target::read(url).expect(url).name(), name);
        }
        for url in [
            "postgres:///chat",
            "postgres://db:port/chat",
            "mysql://db",
            "postgres://chat:hunter2?@db/chat",
            "postgres://chat:hun?ter2@db/chat",
            "postgres://chat:h#u/nter2@db/chat",
            "postgres://chat:hun%zzter2@db/chat",
        ] {
            if let Err(error) = Target::read(url) {
                assert!(!error.contains("ter2"), "{error}");
            }
        }
        for url in ["postgres:///chat", "postgres://db:port/chat", "mysql://db"] {
            assert!(Target::read(url).is_err(), "{url}");
        }
        let error = Target::read("postgres://db/chat?connect_timeout=soon").err();
        assert_eq!(error.as_deref(), Some("the value of connect_timeout is not valid"));
    }
}
