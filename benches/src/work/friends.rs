//! Subscriptions both ways between all members of each group (RFC 6121 §3), made where they are missing.

use std::time::{Duration, Instant};

use super::ramp::Session;
use super::{Failure, child, closed, roles};
use crate::net::{ConnId, Hub};
use crate::report::Progress;
use crate::xmpp::{Input, Plan, Stanza};

/// How long it may take until all subscriptions are there.
const PATIENCE: Duration = Duration::from_secs(120);
/// When nothing has come for so long, everybody looks into their roster again.
const QUIET: Duration = Duration::from_millis(300);

struct Friends<'a> {
    plan: &'a Plan,
    sessions: &'a [Session],
    group: usize,
    /// How many of each session's group are not subscribed both ways yet; none: not known.
    missing: Vec<Option<usize>>,
}

/// Sees to it that everybody in a group of so many consecutive sessions is subscribed to everybody else in it.
///
/// # Errors
/// The server does not make them, or ends a session.
pub fn befriend(
    hub: &mut Hub,
    input: &mut Input,
    plan: &Plan,
    sessions: &[Session],
    group: usize,
) -> Result<(), Failure> {
    let mut friends = Friends { plan, sessions, group, missing: vec![None; sessions.len()] };
    let by_conn = roles(sessions, |n| n);
    let mut progress = Progress::new("befriending", sessions.len() as u64);
    let (begun, mut ready, mut out) = (Instant::now(), Vec::new(), Vec::new());
    friends.ask(hub)?;
    let mut last = Instant::now();
    while friends.missing.iter().any(|m| *m != Some(0)) {
        hub.wait(Some(QUIET), &mut ready)?;
        for conn in ready.drain(..) {
            let Some(n) = by_conn.get(conn.index()).copied().flatten() else { continue };
            out.clear();
            friends.on_ready(hub, conn, n, input, &mut out)?;
            last = Instant::now();
        }
        progress.at(friends.missing.iter().filter(|m| **m == Some(0)).count() as u64);
        if last.elapsed() >= QUIET {
            friends.ask(hub)?;
            last = Instant::now();
        }
        if begun.elapsed() > PATIENCE {
            let text = "the server has not made all subscriptions in two minutes".to_owned();
            return Err(Failure::Silence(text));
        }
    }
    Ok(())
}

impl Friends<'_> {
    /// Everybody who may lack something asks for their roster.
    fn ask(&self, hub: &mut Hub) -> Result<(), Failure> {
        for (session, missing) in self.sessions.iter().zip(&self.missing) {
            if *missing != Some(0) {
                let get = b"<iq type='get' id='friends'><query xmlns='jabber:iq:roster'/></iq>";
                hub.send(session.conn, get)?;
            }
        }
        Ok(())
    }

    fn on_ready(
        &mut self,
        hub: &mut Hub,
        conn: ConnId,
        n: usize,
        input: &mut Input,
        out: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        let read = hub.read(conn, input)?;
        while let Some(token) = input.next()? {
            let stanza = child(token)?;
            if stanza.name == b"presence" && stanza.attribute("type") == Some(b"subscribe") {
                self.accept(&stanza, out);
            } else if stanza.name == b"iq" && stanza.attribute("id") == Some(b"friends") {
                self.on_roster(n, &stanza, out);
            }
        }
        hub.keep(conn, input);
        if !out.is_empty() {
            hub.send(conn, out)?;
        }
        closed(read, || format!("session {n}"))
    }

    fn accept(&self, request: &Stanza<'_>, out: &mut Vec<u8>) {
        if let Some(user) = request.attribute("from").and_then(|from| self.plan.user_of(from)) {
            put(out, &format!("<presence type='subscribed' to='{}'/>", self.plan.bare(user)));
        }
    }

    /// Asks those for a subscription whom one does not get presence from.
    fn on_roster(&mut self, n: usize, iq: &Stanza<'_>, out: &mut Vec<u8>) {
        let Some(query) = iq.child("query") else { return };
        let first = n - n % self.group;
        let mut missing = 0;
        for other in (first..first + self.group).filter(|other| *other != n) {
            let user = self.sessions[other].user;
            let item = query
                .children()
                .find(|item| item.attribute("jid").and_then(|jid| self.plan.user_of(jid)) == Some(user));
            let subscription = item.and_then(|item| item.attribute("subscription"));
            missing += usize::from(subscription != Some(b"both"));
            let asked = item.is_some_and(|item| item.attribute("ask").is_some());
            if !asked && !matches!(subscription, Some(b"both" | b"to")) {
                put(out, &format!("<presence type='subscribe' to='{}'/>", self.plan.bare(user)));
            }
        }
        self.missing[n] = Some(missing);
    }
}

fn put(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}
