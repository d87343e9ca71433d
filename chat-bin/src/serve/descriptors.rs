//! File descriptors: one for each connection, and the system's default is for programs without any.

/// Raises this process's limit as far as the system lets it, and logs the outcome.
#[cfg(unix)]
pub(super) fn raise() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    /// Enough when few descriptors make it likely that connections will be refused.
    const FEW: u64 = 10_000;

    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    if limit.current != limit.maximum
        && let Err(error) = setrlimit(Resource::Nofile, raised)
    {
        tracing::warn!(%error, "the limit of file descriptors cannot be raised");
    }
    match getrlimit(Resource::Nofile).current {
        Some(limit) if limit < FEW => {
            tracing::warn!(limit, "few file descriptors: each connection needs one");
        }
        Some(limit) => tracing::info!(limit, "file descriptors"),
        None => tracing::info!("file descriptors without limit"),
    }
}

/// Other systems have no such limit.
#[cfg(not(unix))]
pub(super) fn raise() {}
