//! A server's part in a cluster, in builds that can have one.

use std::sync::Arc;

#[cfg(feature = "rustls")]
use super::handle::begin_shutdown;
use super::{Life, ServerBuilder, StartError};
use crate::net::Runtime;
use crate::worker::{Post, Shared};

#[cfg(feature = "rustls")]
pub(super) type Handle = Option<crate::cluster::ClusterHandle>;
#[cfg(not(feature = "rustls"))]
pub(super) type Handle = ();

/// What a server that is about to start needs for its cluster; nothing, if it is alone.
pub(super) struct Cluster {
    #[cfg(feature = "rustls")]
    cluster: Option<crate::cluster::Cluster>,
}

impl Cluster {
    #[cfg(feature = "rustls")]
    pub(super) fn of(builder: &mut ServerBuilder) -> Cluster {
        Cluster { cluster: builder.cluster.take() }
    }

    #[cfg(feature = "rustls")]
    pub(super) fn name(&self) -> Option<String> {
        self.cluster.as_ref().map(|cluster| cluster.name().as_str().to_owned())
    }

    #[cfg(feature = "rustls")]
    pub(super) fn post(&self) -> Option<Arc<Post>> {
        self.cluster.as_ref().map(|_| Arc::default())
    }

    /// From now on the node takes part, until its last worker is gone. If that ends before, the server ends.
    #[cfg(feature = "rustls")]
    pub(super) fn start(
        self,
        runtime: Runtime,
        shared: &Arc<Shared>,
        life: &Arc<Life>,
    ) -> Result<Handle, StartError> {
        let (Some(cluster), Some(post)) = (self.cluster, &shared.post) else { return Ok(None) };
        let (member, of_end) = (life.join(), (Arc::downgrade(shared), life.clone()));
        let on_end = move |end: &crate::cluster::ClusterEnd| {
            if let Some(shared) = of_end.0.upgrade() {
                if !of_end.1.is_stopping() {
                    tracing::error!("{end}: the server ends");
                }
                begin_shutdown(&shared, &of_end.1);
            }
            drop(member);
        };
        let started = cluster.start(runtime, shared.clone(), post.clone(), on_end);
        let (handle, thread) = started.map_err(StartError::Thread)?;
        life.keep(thread);
        Ok(Some(handle))
    }
}

#[cfg(not(feature = "rustls"))]
impl Cluster {
    pub(super) fn of(_builder: &mut ServerBuilder) -> Cluster {
        Cluster {}
    }

    pub(super) fn name(&self) -> Option<String> {
        None
    }

    pub(super) fn post(&self) -> Option<Arc<Post>> {
        None
    }

    pub(super) fn start(
        self,
        _runtime: Runtime,
        _shared: &Arc<Shared>,
        _life: &Arc<Life>,
    ) -> Result<Handle, StartError> {
        Ok(())
    }
}
