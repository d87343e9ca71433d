//! Every input of every corpus, on stable Rust: what a fuzzer once found interesting, or wrong, stays right.

use std::path::Path;

#[test]
fn every_corpus_replays() {
    for (name, target) in chat_fuzz::TARGETS {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
        let mut files: Vec<_> = std::fs::read_dir(&dir)
            .unwrap_or_else(|e| panic!("{name} has no corpus: {e}"))
            .map(|e| e.unwrap().path())
            .collect();
        files.sort();
        assert!(files.len() >= 10, "{name}: only {} inputs", files.len());
        target(b"");
        for file in files {
            let data = std::fs::read(&file).unwrap();
            let run = std::panic::catch_unwind(|| target(&data));
            assert!(run.is_ok(), "{} breaks a law; the panic above says which", file.display());
        }
    }
}
