//! Why certificates of nodes are not believed, in words for both sides.

/// What is wrong with a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// There is none.
    Missing,
    /// No authority that is trusted has signed it.
    Authority,
    /// It has expired, or is not valid yet.
    Dates,
    /// It is not for this: nodes are clients and servers of each other.
    Usage,
    /// Something else.
    Other,
}

/// One of two nodes does not believe the certificate of the other. The driver knows it from TLS.
///
/// Nothing has changed; the connection is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CertificateFault {
    /// This node does not believe the other's.
    #[error("{}", theirs(*.0))]
    Theirs(Doubt),
    /// The other node does not believe this one's: it said so.
    #[error("{}", ours(*.0))]
    Ours(Doubt),
}

fn theirs(doubt: Doubt) -> &'static str {
    match doubt {
        Doubt::Missing => "this node goes by certificates, and the other shows none",
        Doubt::Authority => {
            "this node does not believe the other's certificate: none of the authorities it trusts has signed it"
        }
        Doubt::Dates => {
            "this node does not believe the other's certificate: it has expired or is not valid yet \
             (or a clock is wrong)"
        }
        Doubt::Usage => {
            "this node does not believe the other's certificate: its extended key usage has to allow both \
             clients and servers"
        }
        Doubt::Other => "this node cannot make sense of the other's certificate",
    }
}

fn ours(doubt: Doubt) -> &'static str {
    match doubt {
        Doubt::Missing => "the other node goes by certificates, and this one shows none",
        Doubt::Authority => {
            "the other node does not believe this one's certificate: none of the authorities it trusts has signed it"
        }
        Doubt::Dates => {
            "the other node does not believe this one's certificate: it has expired or is not valid yet \
             (or a clock is wrong)"
        }
        Doubt::Usage => {
            "the other node does not believe this one's certificate: its extended key usage has to allow both \
             clients and servers"
        }
        Doubt::Other => "the other node cannot make sense of this one's certificate",
    }
}
