//! Conversations as scripts: every file in `tests/scripts/` is run against one engine, in virtual time, with a store
//! that answers at once.
//!
//! ```text
//! # a comment
//! option workers=2                     before anything else: workers, registration, anonymous, limits
//! option example.org resources=1       the same for the second domain alone, which has the first one's limits else
//! account romeo secret                 an account of the store, at localhost
//! account romeo@example.org secret     the same at the second domain
//! connect romeo                        a connection that has sent nothing
//! login romeo@localhost/orchard        a connection, logged in with PLAIN, the resource bound
//! login romeo@localhost/orchard sm     the same with stream management (resumable)
//! available romeo                      initial presence, and everything received so far is forgotten
//! romeo > <message to='…'/>            sends; further lines that are indented belong to it
//! romeo < <message from='…'/>          the next thing received is this; {*} in a value matches anything, {name}
//!                                      matches anything the first time and the same from then on
//! romeo <* <message from='…'/>         the same, wherever it stands among what was received
//! romeo .                              nothing more was received
//! romeo x                              the server closed the connection
//! forget romeo                         whatever was received so far does not matter
//! cut romeo                            the connection breaks, without a word
//! stall romeo                          reads nothing any more: what is sent stays with the server
//! wait 300                             milliseconds pass
//! store down | store up                the store fails every request | works again
//! store refuses 2                      it is too busy for the next two messages that are to be kept
//! store loses                          it keeps messages, and its answers are lost, until it is up again
//! drain 2 10                           sessions leave, two in a second, the rest after ten seconds; stay: no more of them
//! crash                                the server dies; what is in the store stays
//! ```

#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // a test may ask its environment

mod stage;

use std::path::Path;

use stage::Stage;

#[test]
fn every_script_plays() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let only = std::env::var("SCRIPT").ok();
    let mut names: Vec<_> = std::fs::read_dir(&dir).unwrap().map(|e| e.unwrap().path()).collect();
    names.sort();
    let mut played = 0;
    for path in names {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        if only.as_deref().is_some_and(|o| !name.contains(o)) {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        // Bytes may be cut anywhere: each script is played whole and in small pieces.
        for cut in [usize::MAX, 7, 1] {
            Stage::play(&name, &text, cut);
        }
        played += 1;
    }
    assert!(played > 0, "no script was found");
}
