//! Runs every example as its reader would, and reads what it prints.

use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long an example may take that should take a second.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where cargo puts the examples that it builds with the tests.
fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the path of this test");
    let profile = test.parent().and_then(|deps| deps.parent()).expect("target/PROFILE/deps/TEST");
    let program = profile.join("examples").join(name);
    assert!(
        program.exists(),
        "{} is not built; `cargo build -p examples --examples` does",
        program.display()
    );
    program
}

/// Runs an example to its end, which must be a success; returns its lines.
fn run(name: &str) -> Vec<String> {
    let mut child = Command::new(program(name)).stdout(Stdio::piped()).spawn().expect("it starts");
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child") {
            break status;
        }
        if Instant::now() > deadline {
            child.kill().expect("a child");
            let output = child.wait_with_output().expect("a child");
            panic!("{name} does not end, after:\n{}", String::from_utf8_lossy(&output.stdout));
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let mut text = String::new();
    child.stdout.take().expect("a pipe").read_to_string(&mut text).expect("text");
    assert!(status.success(), "{name}: {status}, after:\n{text}");
    text.lines().map(str::to_owned).collect()
}

/// Compares lines; `*` at the end of an expected one stands for anything.
fn assert_lines(lines: &[String], expected: &[&str]) {
    let same = |(line, expected): (&String, &&str)| match expected.strip_suffix('*') {
        Some(start) => line.starts_with(start),
        None => line == expected,
    };
    assert!(
        lines.len() == expected.len() && lines.iter().zip(expected).all(same),
        "it printed:\n{}\ninstead of:\n{}",
        lines.join("\n"),
        expected.join("\n")
    );
}

#[test]
fn tokio_service() {
    assert_lines(
        &run("tokio_service"),
        &[
            "clients connect to 127.0.0.1:*",
            "juliet reads: Welcome, juliet",
            "romeo reads: Welcome, romeo",
            "juliet reads: I take thee at thy word",
            "2 greeted",
        ],
    );
}

#[test]
fn async_std_service() {
    assert_lines(
        &run("async_std_service"),
        &[
            "clients connect to 127.0.0.1:*",
            "juliet@localhost is online",
            "romeo@localhost is online",
            "romeo@localhost is offline",
            "juliet@localhost is offline",
            "juliet reads: I take thee at thy word",
            "the server is down",
        ],
    );
}

#[test]
fn no_runtime() {
    assert_lines(
        &run("no_runtime"),
        &[
            "clients connect to 127.0.0.1:*",
            "romeo reads: How camest thou hither?",
            "juliet reads: I take thee at thy word",
            "2 logins",
        ],
    );
}

#[test]
fn custom_extension() {
    let lines = run("custom_extension");
    assert_lines(
        &lines,
        &[
            "announced: true",
            "the server answers: *",
            "she reads: What's in a name?",
            "she reads: That which we call a rose",
            "she reads: by any other name",
            "without a body, refused: true",
            "messages so far: 3",
        ],
    );
    let time = lines[1].split("<time xmlns='urn:example:time-of-day'>").nth(1).expect("a time");
    let (time, _) = time.split_once("</time>").expect("its end");
    assert!(time.len() == 8 && time.split(':').all(|part| part.parse::<u8>().is_ok()), "{time}");
}

#[test]
fn custom_authenticator() {
    assert_lines(
        &run("custom_authenticator"),
        &[
            "Clients connect to 127.0.0.1:*",
            "ClientsTls connect to 127.0.0.1:*",
            "juliet is in with \"wherefore\"",
            "juliet is not in with \"Wherefore\": the login was refused: not-authorized",
            "tybalt is not in with \"wherefore\": the login was refused: not-authorized",
        ],
    );
}

#[test]
fn bot() {
    assert_lines(
        &run("bot"),
        &["juliet reads: pieces! pieces!", "juliet reads: cracker! cracker!", "the parrot answered 2 times"],
    );
}
