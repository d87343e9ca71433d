//! The program as an operator runs it.

use std::fs;
use std::process::{Command, Output};

use tempfile::TempDir;

/// Runs `chat` in an empty directory with nothing but the given environment.
fn chat(dir: &TempDir, env: &[(&str, &str)], args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_chat"))
        .args(args)
        .env_clear()
        .envs(env.iter().copied())
        .current_dir(dir.path())
        .output()
        .unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn the_version_is_the_packages() {
    let dir = tempfile::tempdir().unwrap();
    let run = chat(&dir, &[], &["--version"]);
    assert_eq!(out(&run), format!("chat {}\n", env!("CARGO_PKG_VERSION")));
    assert!(run.status.success());
}

#[test]
fn check_prints_an_aligned_table() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("chat.toml"), "[log]\nlevel = \"debug\"\n[admin]\ntoken = \"hunter2\"\n")
        .unwrap();
    let env = [("XMPP_DOMAINS", "a.example:b.example"), ("CHAT_SERVICE_HOST", "10.0.0.7")];
    let args =
        ["check", "--set", "net.workers=3", "--listen-c2s", "0.0.0.0:5222", "--listen-c2s", "[::]:5222"];
    let run = chat(&dir, &env, &args);
    assert_eq!((run.status.code(), err(&run).as_str()), (Some(0), ""));
    let out = out(&run);
    let row = |name: &str| out.lines().find(|l| l.split_whitespace().next() == Some(name)).unwrap();
    let cells = |name| row(name).split("  ").map(str::trim).filter(|c| !c.is_empty()).collect::<Vec<_>>();
    assert_eq!(cells("domains"), ["domains", "a.example b.example", "environment XMPP_DOMAINS"]);
    assert_eq!(cells("log.level"), ["log.level", "debug", "chat.toml:2"]);
    assert_eq!(cells("admin.token"), ["admin.token", "(secret)", "chat.toml:4"]);
    assert_eq!(cells("net.workers"), ["net.workers", "3", "flag --set"]);
    assert_eq!(cells("listen.c2s"), ["listen.c2s", "0.0.0.0:5222 [::]:5222", "flag --listen-c2s"]);
    assert_eq!(cells("tls.cert"), ["tls.cert", "-", "default"]);
    assert!(!out.contains("hunter2"));
    let columns = |name, last: &str| row(name).find(last).unwrap();
    assert_eq!(columns("domains", "environment"), columns("net.workers", "flag"));
}

#[test]
fn check_reports_all_errors_and_exits_with_2() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("my.toml"), "[listen]\nc2ss = []\n").unwrap();
    let run = chat(&dir, &[("CHAT_NET_WORKERS", "none")], &["check", "--config", "my.toml", "--domain", "-"]);
    assert_eq!(run.status.code(), Some(2));
    assert_eq!(out(&run), "");
    assert_eq!(
        err(&run),
        "error: my.toml:2: listen.c2ss is not a setting; did you mean listen.c2s?\n\
         error: environment CHAT_NET_WORKERS: net.workers: expected a number from 1 to 1024, not \"none\"\n\
         error: flag --domain: domains: expected one or more domains such as chat.example.org, not \"-\"\n\
         the configuration has 3 errors\n"
    );
    let run = chat(&dir, &[], &["check", "--set", "admin.token:hunter2"]);
    assert_eq!(run.status.code(), Some(2));
    assert_eq!(err(&run), "error: flag --set: expected SECTION.KEY=VALUE\nthe configuration has one error\n");
}

#[test]
fn notes_go_to_stderr() {
    let dir = tempfile::tempdir().unwrap();
    let env = [("CONFIG_ENVIRONMENTS", "prod"), ("CHAT_PATHS_XCONFIG", "nowhere")];
    let run = chat(&dir, &env, &["check"]);
    assert_eq!(run.status.code(), Some(0));
    assert_eq!(err(&run), "note: nowhere does not exist: overlays skipped: prod\n");
}

#[test]
fn completions_exist_for_the_usual_shells() {
    let dir = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let run = chat(&dir, &[], &["completions", shell]);
        assert!(run.status.success() && out(&run).contains("check"), "{shell}");
    }
    assert_eq!(chat(&dir, &[], &["completions", "tcsh"]).status.code(), Some(2));
}

#[test]
fn the_example_is_a_valid_file() {
    let dir = tempfile::tempdir().unwrap();
    let example = chat(&dir, &[], &["check", "--example"]);
    fs::write(dir.path().join("chat.toml"), example.stdout).unwrap();
    assert_eq!(chat(&dir, &[], &["check"]).status.code(), Some(0));
}

#[test]
fn a_wrong_command_line_exits_with_2() {
    let dir = tempfile::tempdir().unwrap();
    for args in [&[][..], &["serv"], &["check", "--verbose"]] {
        let run = chat(&dir, &[], args);
        assert_eq!((run.status.code(), out(&run).as_str()), (Some(2), ""), "{args:?}");
    }
}
