//! Bringing sessions up, so many at a time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConfig;

use super::{Failure, Target};
use crate::net::{ConnId, Hub, Read};
use crate::report::Progress;
use crate::xmpp::{Input, Login, Plan, Security, Step, Token, User};

/// No login may take longer, not even in a storm.
const PATIENCE: Duration = Duration::from_secs(60);

/// A session that is there.
#[derive(Debug)]
pub struct Session {
    /// Whose.
    pub user: User,
    /// Its connection.
    pub conn: ConnId,
    /// Its full JID.
    pub jid: String,
    /// How long its login took, from connecting on, in nanoseconds.
    pub nanos: u64,
}

/// Logins under way.
pub struct Ramp {
    address: SocketAddr,
    /// Of users with odd numbers, if it is another.
    peer: Option<SocketAddr>,
    /// How they log in.
    pub plan: Plan,
    tls: Option<Arc<ClientConfig>>,
    /// By connection.
    logins: Vec<Option<(Login, Instant)>>,
    under_way: usize,
    out: Vec<u8>,
}

impl Ramp {
    /// To this server.
    #[must_use]
    pub fn new(target: &Target) -> Ramp {
        let plan = target.plan();
        let tls = (plan.security != Security::None).then(crate::net::client_config);
        let (address, peer) = (target.address, target.peer);
        Ramp { address, peer, plan, tls, logins: Vec::new(), under_way: 0, out: Vec::new() }
    }

    /// How many are under way.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.under_way
    }

    /// Begins a login.
    ///
    /// # Errors
    /// No connection can be made.
    pub fn start(&mut self, hub: &mut Hub, user: User) -> Result<(), Failure> {
        let begun = Instant::now();
        let address = self.peer.filter(|_| user.0 % 2 == 1).unwrap_or(self.address);
        let conn = hub.connect(address)?;
        let mut login = Login::new(user, &self.plan);
        if let (Security::Direct, Some(tls)) = (self.plan.security, &self.tls) {
            hub.start_tls(conn, tls, &self.plan.domain)?;
        }
        self.out.clear();
        login.open(&self.plan, &mut self.out);
        hub.send(conn, &self.out)?;
        if self.logins.len() <= conn.index() {
            self.logins.resize_with(conn.index() + 1, || None);
        }
        self.logins[conn.index()] = Some((login, begun));
        self.under_way += 1;
        Ok(())
    }

    /// Whether this connection is logging in.
    #[must_use]
    pub fn has(&self, conn: ConnId) -> bool {
        self.logins.get(conn.index()).is_some_and(Option::is_some)
    }

    /// Reads a connection that is logging in; the session, once it is there.
    ///
    /// # Errors
    /// The login has failed.
    pub fn on_ready(
        &mut self,
        hub: &mut Hub,
        conn: ConnId,
        input: &mut Input,
    ) -> Result<Option<Session>, Failure> {
        let Some((login, begun)) = self.logins.get_mut(conn.index()).and_then(Option::as_mut) else {
            return Ok(None);
        };
        let user = login.user();
        let failed = |why: String| Failure::Login { user, why };
        let read = hub.read(conn, input).map_err(|e| failed(e.to_string()))?;
        self.out.clear();
        let mut done = false;
        while let Some(token) = input.next()? {
            match login.on_token(&mut self.plan, &token, &mut self.out).map_err(failed)? {
                Step::Wait => {}
                Step::StartTls => {
                    let tls = self.tls.as_ref().expect("there is a configuration where TLS is wanted");
                    hub.start_tls(conn, tls, &self.plan.domain)?;
                    login.open(&self.plan, &mut self.out);
                }
                Step::Done | Step::Resumed(_) => {
                    done = true;
                    break;
                }
            }
        }
        if !self.out.is_empty() {
            hub.send(conn, &self.out).map_err(|e| failed(e.to_string()))?;
        }
        hub.keep(conn, input);
        if done {
            let nanos = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
            let jid = self.logins[conn.index()].take().expect("it is under way").0.into_jid();
            self.under_way -= 1;
            return Ok(Some(Session { user, conn, jid, nanos }));
        }
        if read == Read::Closed {
            return Err(failed("the server has closed the connection".to_owned()));
        }
        Ok(None)
    }

    /// Logs in users from `first` on, `parallel` at a time, until there are `count` sessions; `each` is told of every
    /// one. The sessions are in the order of the users.
    ///
    /// # Errors
    /// One of them has failed, or has ended again.
    pub fn all(
        &mut self,
        hub: &mut Hub,
        first: u32,
        count: u32,
        parallel: usize,
        each: &mut dyn FnMut(&Session) -> Result<(), Failure>,
    ) -> Result<Vec<Session>, Failure> {
        let mut progress = Progress::new("logging in", u64::from(count));
        let (mut ready, mut input) = (Vec::new(), Input::new());
        let mut sessions: Vec<Session> = Vec::with_capacity(count as usize);
        let mut next = 0;
        let mut last = Instant::now();
        while sessions.len() < count as usize {
            while next < count && self.under_way < parallel {
                self.start(hub, User(first + next))?;
                next += 1;
            }
            hub.wait(Some(Duration::from_millis(200)), &mut ready)?;
            for conn in &ready {
                if !self.has(*conn) {
                    idle(hub, *conn, &mut input, &sessions)?;
                } else if let Some(session) = self.on_ready(hub, *conn, &mut input)? {
                    last = Instant::now();
                    each(&session)?;
                    sessions.push(session);
                    progress.at(sessions.len() as u64);
                }
            }
            if last.elapsed() > PATIENCE {
                let text =
                    format!("no login has succeeded for {PATIENCE:?}, {} are under way", self.under_way);
                return Err(Failure::Silence(text));
            }
        }
        sessions.sort_by_key(|s| s.user);
        Ok(sessions)
    }
}

/// Reads what a session gets while others still log in, and makes nothing of it.
///
/// # Errors
/// The session has ended.
pub fn idle(hub: &mut Hub, conn: ConnId, input: &mut Input, sessions: &[Session]) -> Result<(), Failure> {
    let read = hub.read(conn, input)?;
    let mut last = String::new();
    while let Some(token) = input.next()? {
        if let Token::Stanza(stanza) = token
            && stanza.name == b"error"
        {
            last = String::from_utf8_lossy(stanza.bytes).into_owned();
        }
    }
    hub.keep(conn, input);
    if read == Read::Open {
        return Ok(());
    }
    let user = sessions.iter().find(|s| s.conn == conn).map_or(User(u32::MAX), |s| s.user);
    Err(Failure::Closed { user, last })
}
