//! A private PostgreSQL for tests: started from the binaries of the system, in a temporary folder, ended with the test.

use std::fs;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// Where Debian has the binaries, a folder for each version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// Who may own a database if we are root, which PostgreSQL refuses to be.
const USERS: [&str; 2] = ["postgres", "nobody"];

/// What cleans up: it waits until the test process is gone, however it went.
const AT_THE_END: &str = r#"cat; "$0/pg_ctl" -D "$1/data" -m immediate stop >/dev/null 2>&1; rm -rf "$1""#;

/// A server of its own, with a socket in its folder and a port on the loopback address. Anybody is let in; the superuser
/// is `postgres`.
#[derive(Debug)]
pub struct Private {
    binaries: PathBuf,
    folder: PathBuf,
    owner: Option<(u32, u32)>,
    port: u16,
    databases: AtomicU32,
    /// Cleans up when its standard input ends.
    end: Child,
}

impl Private {
    /// Starts a server that does not sync: it keeps what was committed when it is killed, but not when the machine fails.
    ///
    /// # Panics
    /// If PostgreSQL is not installed, or does not start.
    pub fn start() -> Private {
        Private::start_with(&["fsync=off"])
    }

    /// The same with other settings (`name=value`).
    ///
    /// # Panics
    /// As [`Private::start`].
    pub fn start_with(settings: &[&str]) -> Private {
        let (binaries, owner) = (binaries(), owner());
        let folder = folder(owner);
        let end = as_owner(Command::new("sh"), owner)
            // Not ended by what a terminal sends to all.
            .process_group(0)
            .args(["-c", AT_THE_END])
            .args([&binaries, &folder])
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("sh runs");
        let databases = AtomicU32::new(0);
        let mut private = Private { binaries, folder, owner, port: 0, databases, end };
        private.run("initdb", &["-N", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-locale"]);
        let own = format!("unix_socket_directories='{}'", private.folder.display());
        let all = [&["listen_addresses='127.0.0.1'", "max_connections=200", &own], settings].concat();
        fs::write(private.data().join("postgresql.auto.conf"), all.join("\n"))
            .expect("the settings are written");
        for tries in 1.. {
            // Somebody else may get the port in between.
            private.port =
                TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
            match private.try_start_again() {
                Ok(()) => break,
                Err(log) => assert!(tries < 5, "PostgreSQL does not start: {log}"),
            }
        }
        private
    }

    /// The folder of the data, with the configuration files.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// The port on 127.0.0.1; the socket has the same.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The URL of a new, empty database, over the socket.
    pub fn database(&self) -> String {
        let name = format!("chat{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        let folder = self.folder.display().to_string().replace('/', "%2F");
        format!("postgres://postgres@{folder}:{}/{name}", self.port)
    }

    /// Runs statements as the superuser; the first column of all rows, one a line.
    ///
    /// # Panics
    /// If they fail.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        let database = database.rsplit('/').next().unwrap_or(database);
        let port = self.port.to_string();
        let output = Command::new(self.binaries.join("psql"))
            .args([
                "-X",
                "-q",
                "-A",
                "-t",
                "-v",
                "ON_ERROR_STOP=1",
                "-U",
                "postgres",
                "-p",
                &port,
                "-d",
                database,
            ])
            .arg("-h")
            .arg(&self.folder)
            .args(["-c", sql])
            .output()
            .expect("psql runs");
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{sql}: {err}");
        out.trim_end().to_owned()
    }

    /// Stops the server: `fast` breaks all connections and ends in order, `immediate` is a crash.
    ///
    /// # Panics
    /// If it does not stop.
    pub fn stop(&self, mode: &str) {
        self.run("pg_ctl", &["-m", mode, "-w", "stop"]);
    }

    /// Starts it again, on the same port, and waits until it lets somebody in.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start_again(&self) {
        if let Err(log) = self.try_start_again() {
            panic!("PostgreSQL does not start: {log}");
        }
    }

    fn try_start_again(&self) -> Result<(), String> {
        let log = self.folder.join("log");
        let port = format!("-p {}", self.port);
        let status = self
            .command("pg_ctl")
            .args(["-w", "-t", "60", "-o", &port, "-l"])
            .arg(&log)
            .arg("start")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        match status.expect("pg_ctl runs").success() {
            true => Ok(()),
            false => Err(fs::read_to_string(log).unwrap_or_default()),
        }
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let output = self.command(program).args(arguments).output().expect("it runs");
        assert!(
            output.status.success(),
            "{program} failed: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }

    fn command(&self, program: &str) -> Command {
        let mut command = as_owner(Command::new(self.binaries.join(program)), self.owner);
        command.arg("-D").arg(self.data()).current_dir(&self.folder).stdin(Stdio::null());
        command
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        drop(self.end.stdin.take());
        let _ = self.end.wait();
    }
}

/// # Panics
/// If there are none.
fn binaries() -> PathBuf {
    let versions = fs::read_dir(DEBIAN).into_iter().flatten().flatten();
    let debian = versions.map(|version| version.path().join("bin"));
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let mut found: Vec<PathBuf> = debian.chain(std::env::split_paths(&paths)).collect();
    found.retain(|folder| ["initdb", "pg_ctl", "psql"].iter().all(|program| folder.join(program).exists()));
    let number = |folder: &Path| -> Option<u32> { folder.parent()?.file_name()?.to_str()?.parse().ok() };
    found.sort_by_key(|folder| number(folder));
    found.pop().unwrap_or_else(|| {
        panic!(
            "PostgreSQL is not installed, and this test needs it: no folder in {DEBIAN} or in the search path has \
             initdb, pg_ctl and psql. On Debian: apt-get install postgresql"
        )
    })
}

/// The user to run as if we are root.
fn owner() -> Option<(u32, u32)> {
    use std::os::unix::fs::MetadataExt as _;
    // One of its own: tests start servers side by side.
    let probe = folder(None);
    let us = fs::metadata(&probe).expect("it is there").uid();
    let _ = fs::remove_dir(&probe);
    if us != 0 {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").expect("a list of users");
    let find = |name: &str| {
        let mut fields = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
        let user = fields.find(|fields| fields[0] == name)?;
        Some((user.get(2)?.parse().ok()?, user.get(3)?.parse().ok()?))
    };
    Some(USERS.into_iter().find_map(find).expect("there is a user that PostgreSQL may run as"))
}

fn folder(owner: Option<(u32, u32)>) -> PathBuf {
    let mut random = [0; 6];
    getrandom::fill(&mut random).expect("randomness");
    let name: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let folder = std::env::temp_dir().join(format!("chat-postgres-{name}"));
    fs::create_dir(&folder).expect("a temporary folder");
    if let Some((user, group)) = owner {
        std::os::unix::fs::chown(&folder, Some(user), Some(group)).expect("it is given away");
    }
    folder
}

fn as_owner(mut command: Command, owner: Option<(u32, u32)>) -> Command {
    if let Some((user, group)) = owner {
        command.uid(user).gid(group);
    }
    command
}
