//! The limit on open files: raised as far as it goes, and checked before it is needed.

use std::io;

use rustix::process::{Resource, getrlimit, setrlimit};

/// Files of the tool itself: standard streams, epoll, what it reads under `/proc`.
const OWN: u64 = 32;

/// Sees to it that so many connections can be open at once.
///
/// # Errors
/// The limit is lower, and says so.
pub fn provide(connections: u64) -> io::Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    let wanted = connections + OWN;
    if limit.current.is_some_and(|current| current < wanted) {
        limit.current = limit.maximum;
        setrlimit(Resource::Nofile, limit)?;
    }
    match getrlimit(Resource::Nofile).current {
        Some(current) if current < wanted => Err(io::Error::other(format!(
            "{connections} connections need {wanted} open files, and the limit of this process is {current} \
             (`ulimit -Hn` shows, and root can raise it)"
        ))),
        _ => Ok(()),
    }
}
