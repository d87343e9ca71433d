//! The tidy test: rules about the project that no compiler checks.
//!
//! Owns: the order of chat-core's folders, the purity of the core, module documentation, the size guideline, words that
//! must not be committed, the top level of the repository, and the licences and bans of the dependency tree.
//! In: the files of the repository as git lists them (or, without git, as they lie in the folders), and `cargo tree`.
//! Out: for each broken rule one line that says where, what, and what to do instead.
//! Invariants: nothing here compiles or runs the code it looks at; a rule that has exceptions lists them in its own file,
//! each with its reason; comments and string literals are never taken for code.
//! Not here: what `cargo fmt`, clippy and rustc can say (`Cargo.toml`, `clippy.toml`): public items without documentation,
//! for one, are refused there, and this test only sees to it that every crate asks for that.

mod docs;
mod licences;
mod order;
mod paths;
mod purity;
mod root;
mod size;
mod source;
mod tree;
mod words;

use source::Source;

/// All Rust files of the three crates, read once.
fn sources() -> Vec<Source> {
    let mut all: Vec<Source> = source::files()
        .into_iter()
        .filter(|path| path.ends_with(".rs"))
        .map(|path| Source::read(&path))
        .collect();
    source::mark_tests(&mut all);
    all
}

/// Fails with all complaints at once: nobody likes to be told one at a time.
fn expect_none(rule: &str, complaints: &[String]) {
    assert!(
        complaints.is_empty(),
        "\n{rule}: {} complaint(s)\n  {}\n",
        complaints.len(),
        complaints.join("\n  ")
    );
}

#[test]
fn folders_use_only_those_above_them() {
    expect_none("the order of the folders (docs/ARCHITECTURE.md)", &order::complaints(&sources()));
}

#[test]
fn the_core_asks_the_machine_for_nothing() {
    expect_none("purity of chat-core", &purity::complaints(&sources()));
}

#[test]
fn the_core_depends_on_nothing_that_touches_the_machine() {
    expect_none("dependencies of chat-core", &purity::tree_complaints());
}

#[test]
fn modules_say_what_they_own_and_what_does_not_belong() {
    expect_none("module documentation (docs/STYLE.md)", &docs::complaints(&sources()));
}

#[test]
fn files_and_functions_keep_their_size() {
    let (over, far_over) = size::complaints(&sources());
    // Not a failure, but worth a look: said past the capture of test output.
    for line in over {
        say(&format!("tidy: over the guideline: {line}\n"));
    }
    expect_none("size (docs/STYLE.md)", &far_over);
}

#[test]
fn nothing_unfinished_is_committed() {
    expect_none("unfinished work", &words::complaints(&sources()));
}

#[test]
fn the_top_level_and_the_manifests_are_in_order() {
    expect_none("the top level", &root::complaints());
}

#[test]
fn licences_and_bans_are_as_deny_toml_says() {
    expect_none("deny.toml", &licences::complaints());
}

/// Writes to the terminal even if the test passes.
fn say(text: &str) {
    use std::io::Write as _;
    let _ = std::io::stderr().write_all(text.as_bytes());
}
