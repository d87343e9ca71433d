//! What is particular to PostgreSQL: its schema, its failures, other nodes.

mod failures;
mod nodes;
mod opening;

use std::sync::OnceLock;

use super::private::Private;
use super::*;
use crate::store::conformance::{self, Bench, Subject};

/// The server that tests share who do not hurt it. It ends with the process.
fn server() -> &'static Private {
    static SERVER: OnceLock<Private> = OnceLock::new();
    SERVER.get_or_init(Private::start)
}

fn options(url: &str) -> Options {
    Options::new(url).expect("a URL")
}

fn open(options: Options) -> Arc<Postgres> {
    Arc::new(Postgres::open_blocking(options).expect("opens"))
}

fn bench(store: &Arc<Postgres>) -> Bench {
    Bench::new(Subject { store: store.clone(), accounts: Some(store.clone()) })
}

fn soon(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < Duration::from_secs(10), "{what} did not happen");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn conforms() {
    conformance::run(&|| {
        let store = open(options(&server().database()));
        Subject { store: store.clone(), accounts: Some(store) }
    });
}
