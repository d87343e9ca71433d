//! A real server in a process of its own, for tests that play its clients and its operator.
//!
//! Owns: starting the `chat` binary, one or several as a cluster, in a directory of its own on free ports, its log, its end (asked for or sudden) and
//! its next start on the same data and the same ports; running commands beside it; a client without a library.
//! Not here: what real clients do (the tests that use this).
#![allow(dead_code)] // Each test binary uses its own part.

pub mod authority;
pub mod client;
pub mod nodes;
pub mod raw;

use std::fs;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Nothing in these tests takes longer, on a machine that has other things to do as well.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A running server, or one that was ended and can be started again. Killed when dropped.
pub struct TestServer {
    /// Its working directory, which holds its data.
    pub directory: TempDir,
    /// Settings, `section.key` and value, as for `--set`.
    settings: Vec<(String, String)>,
    environment: Vec<(String, String)>,
    child: Option<Child>,
    log: Log,
    /// Where clients connect with STARTTLS.
    pub c2s: SocketAddr,
    /// Where clients connect with direct TLS.
    pub c2s_tls: SocketAddr,
    /// The web port.
    pub web: SocketAddr,
    /// The backdoor.
    pub admin: SocketAddr,
    /// Where other nodes connect, if it is a node of a cluster.
    pub cluster: SocketAddr,
    /// The demo accounts of the first start, `(bare JID, password)`: romeo and juliet of localhost. Empty if the settings
    /// name domains.
    pub accounts: Vec<(String, String)>,
}

impl TestServer {
    /// Starts a server on an empty SQLite store, on free ports of 127.0.0.1, with these settings more. Ready when this
    /// returns.
    pub fn start(settings: &[(&str, &str)]) -> TestServer {
        let directory = tempfile::tempdir().expect("a directory");
        TestServer::start_in(directory, settings)
    }

    /// The same in a directory that holds what the settings name, certificates perhaps.
    pub fn start_in(directory: TempDir, settings: &[(&str, &str)]) -> TestServer {
        TestServer::start_with(directory, settings, &[])
    }

    /// The same with an environment, which is empty otherwise.
    pub fn start_with(
        directory: TempDir,
        settings: &[(&str, &str)],
        environment: &[(&str, &str)],
    ) -> TestServer {
        let any = "127.0.0.1:0";
        let own = [
            ("listen.c2s", any),
            ("listen.c2s_tls", any),
            ("listen.web", any),
            ("listen.admin", any),
            ("log.format", "json"),
        ];
        let settings = own.iter().chain(settings).map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut server = TestServer {
            directory,
            settings: settings.collect(),
            environment: environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            child: None,
            log: Log::default(),
            c2s: nowhere,
            c2s_tls: nowhere,
            web: nowhere,
            admin: nowhere,
            cluster: nowhere,
            accounts: Vec::new(),
        };
        server.start_again();
        server
    }

    /// Another setting, from the next start on.
    pub fn set(&mut self, key: &str, value: &str) {
        self.settings.push((key.to_owned(), value.to_owned()));
    }

    /// Starts it again after it has ended, on the same data and ports.
    pub fn start_again(&mut self) {
        assert!(self.child.is_none(), "it runs");
        self.log = Log::default();
        let mut child = self
            .command(&["serve"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        self.log.follow(child.stdout.take().expect("piped"));
        self.log.follow(child.stderr.take().expect("piped"));
        self.child = Some(child);
        self.wait_for_log("\"message\":\"ready\"");
        for (setting, service) in [
            ("listen.c2s", "c2s"),
            ("listen.c2s_tls", "c2s_tls"),
            ("listen.web", "web"),
            ("listen.admin", "admin"),
            ("listen.cluster", "cluster"),
        ] {
            let Some(address) = self.log.address(service) else { continue };
            match service {
                "c2s" => self.c2s = address,
                "c2s_tls" => self.c2s_tls = address,
                "admin" => self.admin = address,
                "cluster" => self.cluster = address,
                _ => self.web = address,
            }
            self.set(setting, &address.to_string());
        }
        if self.log().contains("demo accounts made") {
            // The welcome takes another way than the log, and may be overtaken.
            self.wait_for_log("Stop the server with Ctrl-C");
            self.accounts = self.log.accounts();
        }
    }

    /// The program in this server's directory, with its settings and environment.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chat"));
        command.args(args).env_clear().envs(self.environment.clone()).current_dir(self.directory.path());
        for (key, value) in &self.settings {
            command.args(["--set", &format!("{key}={value}")]);
        }
        command
    }

    /// Runs a command beside the server, as `chat user list`, with this text as its input.
    pub fn run(&self, args: &[&str], input: &str) -> Output {
        let pipe = Stdio::piped;
        let mut child =
            self.command(args).stdin(pipe()).stdout(pipe()).stderr(pipe()).spawn().expect("it starts");
        // One that fails early does not read.
        let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
        child.wait_with_output().expect("it ends")
    }

    /// Makes an account, with or without the server running.
    pub fn add_user(&self, jid: &str, password: &str) {
        let output = self.run(&["user", "add", jid, "--password-stdin"], password);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Where the data is.
    pub fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(self.child.as_ref().expect("it runs"));
        kill_process(pid, signal).expect("a signal is sent");
    }

    /// Asks for an orderly end and waits for it.
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// Ends it without a word (SIGKILL).
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().expect("killed");
        child.wait().expect("ended");
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            let child = self.child.as_mut().expect("it runs");
            if let Some(status) = child.try_wait().expect("a child") {
                self.child = None;
                return status;
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end:\n{}", self.log());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Everything it has written since its last start, the log and the welcome.
    pub fn log(&self) -> String {
        self.log.text()
    }

    /// Waits until a line of the log contains this.
    pub fn wait_for_log(&mut self, part: &str) {
        let begun = Instant::now();
        while !self.log.wait(part, Duration::from_millis(200)) {
            let ended = self.child.as_mut().and_then(|child| child.try_wait().expect("a child"));
            if let Some(status) = ended {
                // What it said last may still be on its way.
                self.log.wait(part, Duration::from_millis(500));
                panic!("it ended with {status} before it wrote {part:?}:\n{}", self.log());
            }
            assert!(begun.elapsed() < PATIENCE, "it does not write {part:?}:\n{}", self.log());
        }
    }

    /// Lines of the log, without those that are no JSON.
    pub fn lines(&self) -> Vec<serde_json::Value> {
        self.log().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// What the health check says: its status, or `None` if nobody answers.
    pub fn health(&self) -> Option<u16> {
        http(self.web, "GET", "/health-check").map(|(status, _)| status)
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if thread::panicking() {
            eprintln!("the server wrote:\n{}", self.log());
        }
    }
}

/// What a server has written, line by line.
#[derive(Clone, Default)]
struct Log(Arc<(Mutex<Vec<String>>, Condvar)>);

impl Log {
    fn follow(&self, from: impl Read + Send + 'static) {
        let log = self.clone();
        thread::spawn(move || {
            for line in BufReader::new(from).lines().map_while(Result::ok) {
                log.0.0.lock().expect("lock").push(line);
                log.0.1.notify_all();
            }
        });
    }

    fn wait(&self, part: &str, timeout: Duration) -> bool {
        let lines = self.0.0.lock().expect("lock");
        let missing = |lines: &mut Vec<String>| !lines.iter().any(|line| line.contains(part));
        let (_lines, waited) = self.0.1.wait_timeout_while(lines, timeout, missing).expect("lock");
        !waited.timed_out()
    }

    fn text(&self) -> String {
        self.0.0.lock().expect("lock").join("\n")
    }

    fn address(&self, service: &str) -> Option<SocketAddr> {
        let lines = self.0.0.lock().expect("lock");
        lines.iter().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok()).find_map(
            |line| {
                let is_it = line["message"] == "listening" && line["service"] == service;
                is_it.then(|| line["address"].as_str()?.parse().ok()).flatten()
            },
        )
    }

    /// `account romeo@localhost password …`: the welcome comes before the server is ready.
    fn accounts(&self) -> Vec<(String, String)> {
        let lines = self.0.0.lock().expect("lock");
        let read = |line: &String| {
            let words: Vec<_> = line.split_whitespace().collect();
            match words[..] {
                ["account", jid, "password", password] => Some((jid.to_owned(), password.to_owned())),
                _ => None,
            }
        };
        lines.iter().filter_map(read).collect()
    }
}

/// Asks an HTTP server one thing: the status and the whole answer. `None` if nobody answers.
pub fn http(address: SocketAddr, method: &str, path: &str) -> Option<(u16, String)> {
    http_with(address, method, path, "", "")
}

/// The same with more header lines, each ended by a line break, and a body.
pub fn http_with(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5)).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    let head = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\n{headers}{length}\r\n");
    stream.write_all(head.as_bytes()).ok()?;
    // One that is refused early does not read to the end.
    let _ = stream.write_all(body.as_bytes());
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let status = answer.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    Some((status, answer))
}

/// Tries until it works.
pub fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(done) = attempt() {
            return done;
        }
        assert!(begun.elapsed() < PATIENCE, "it does not happen: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Writes a file of a test.
pub fn put(path: &Path, contents: &str) {
    fs::write(path, contents).expect("written");
}
