//! The TLS of one connection as the worker uses it; in a build without TLS there is none to have.

#[cfg(feature = "rustls")]
mod real {
    use chat_core::effect::TlsInfo;
    use chat_core::session::Listener;

    use crate::tls::{self, ClientCertificate, Tls, TlsEvent, TlsFault, TlsPipe, TlsPurpose};

    /// What received ciphertext meant.
    pub(in crate::worker) enum Secured<'a> {
        Established(TlsInfo),
        Plain(&'a [u8]),
        Closed,
    }

    /// One connection's TLS.
    #[derive(Debug)]
    pub(in crate::worker) struct Secure {
        pipe: Box<TlsPipe>,
        /// The handshake is done.
        open: bool,
    }

    impl Secure {
        /// For a connection that arrived at `listener`: direct TLS there, or after `<starttls/>`.
        pub(in crate::worker) fn new(tls: &Tls, listener: Listener) -> Option<Secure> {
            let purpose = match listener {
                Listener::ClientsTls => TlsPurpose::Direct,
                Listener::Clients => TlsPurpose::StartTls,
            };
            Some(Secure { pipe: Box::new(TlsPipe::new(tls, purpose)), open: false })
        }

        pub(in crate::worker) fn feed(
            &mut self,
            bytes: &mut [u8],
            on: &mut dyn FnMut(Secured<'_>),
        ) -> Result<(), TlsFault> {
            let Secure { pipe, open } = self;
            let was_open = *open;
            let result = pipe.feed(bytes, &mut |event| match event {
                TlsEvent::Established(info) => {
                    *open = true;
                    on(Secured::Established(facts(info)));
                }
                TlsEvent::Plain(bytes) => on(Secured::Plain(bytes)),
                TlsEvent::Closed => on(Secured::Closed),
            });
            if self.open && !was_open {
                // The engine has the facts, and wipes them after authentication.
                self.pipe.forget();
            }
            result
        }

        /// Appends one record of what is to be sent; returns how much of `plain` it holds.
        pub(in crate::worker) fn write(
            &mut self,
            plain: &[&[u8]],
            out: &mut Vec<u8>,
        ) -> Result<usize, TlsFault> {
            self.pipe.write(plain, out)
        }

        /// Whether anything of the engine's can be sent.
        pub(in crate::worker) fn is_open(&self) -> bool {
            self.open
        }

        pub(in crate::worker) fn wants_write(&self) -> bool {
            self.pipe.wants_write()
        }

        pub(in crate::worker) fn close(&mut self, out: &mut Vec<u8>) {
            self.pipe.close(out);
        }
    }

    fn facts(info: &tls::TlsInfo) -> TlsInfo {
        let client_addresses = match &info.client {
            ClientCertificate::Verified(names) => names.xmpp_addrs.clone(),
            ClientCertificate::Refused(reason) => {
                tracing::debug!(reason, "a client certificate does not verify");
                Vec::new()
            }
            ClientCertificate::Absent => Vec::new(),
        };
        TlsInfo {
            exporter: info.exporter.as_deref().copied(),
            server_name: info.server_name.clone(),
            client_addresses,
        }
    }
}

#[cfg(not(feature = "rustls"))]
mod none {
    use chat_core::effect::TlsInfo;
    use chat_core::session::Listener;

    /// What received ciphertext would mean.
    #[allow(dead_code)]
    pub(in crate::worker) enum Secured<'a> {
        Established(TlsInfo),
        Plain(&'a [u8]),
        Closed,
    }

    /// Settings of TLS: there are none.
    #[derive(Debug, Clone, Copy)]
    pub(crate) enum Tls {}

    /// A connection's TLS: there is none.
    #[derive(Debug)]
    pub(in crate::worker) enum Secure {}

    impl Secure {
        pub(in crate::worker) fn new(tls: &Tls, _listener: Listener) -> Option<Secure> {
            match *tls {}
        }

        pub(in crate::worker) fn feed(
            &mut self,
            _bytes: &mut [u8],
            _on: &mut dyn FnMut(Secured<'_>),
        ) -> Result<(), std::convert::Infallible> {
            match *self {}
        }

        pub(in crate::worker) fn write(
            &mut self,
            _plain: &[&[u8]],
            _out: &mut Vec<u8>,
        ) -> Result<usize, std::convert::Infallible> {
            match *self {}
        }

        pub(in crate::worker) fn is_open(&self) -> bool {
            match *self {}
        }

        pub(in crate::worker) fn wants_write(&self) -> bool {
            match *self {}
        }

        pub(in crate::worker) fn close(&mut self, _out: &mut Vec<u8>) {
            match *self {}
        }
    }
}

#[cfg(not(feature = "rustls"))]
pub(crate) use none::Tls;
#[cfg(not(feature = "rustls"))]
pub(super) use none::{Secure, Secured};

#[cfg(feature = "rustls")]
pub(crate) use crate::tls::Tls;
#[cfg(feature = "rustls")]
pub(super) use real::{Secure, Secured};
