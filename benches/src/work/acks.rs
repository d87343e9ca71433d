//! Stream management on the client's side (XEP-0198): both directions of one session.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::Failure;
use super::ramp::Session;
use crate::measure::Latencies;
use crate::net::{ConnId, Hub};
use crate::xmpp::{Input, Stanza, Token};

/// How long enabling may take.
const PATIENCE: Duration = Duration::from_secs(30);
const REQUEST: &[u8] = b"<r xmlns='urn:xmpp:sm:3'/>";

/// The counters of one session.
#[derive(Debug)]
pub struct Acks {
    /// A request after so many stanzas.
    every: u64,
    /// Stanzas received, modulo 2^32 as on the wire.
    handled: u32,
    sent: u64,
    requested: u64,
    acked: u64,
    /// Requests without an answer: what had been sent, and when.
    requests: VecDeque<(u64, u64)>,
    /// Answers that fell or counted what was never sent.
    bad: u64,
}

impl Acks {
    /// Just enabled.
    #[must_use]
    pub fn new(every: u64) -> Acks {
        Acks { every, handled: 0, sent: 0, requested: 0, acked: 0, requests: VecDeque::new(), bad: 0 }
    }

    /// Takes a stanza; true if it was about acknowledging and not for anybody else.
    pub fn on_stanza(
        &mut self,
        stanza: &Stanza<'_>,
        now: u64,
        out: &mut Vec<u8>,
        times: &mut Latencies,
    ) -> bool {
        match stanza.name {
            b"message" | b"presence" | b"iq" => {
                self.handled = self.handled.wrapping_add(1);
                false
            }
            b"r" => {
                out.extend_from_slice(format!("<a xmlns='urn:xmpp:sm:3' h='{}'/>", self.handled).as_bytes());
                true
            }
            b"a" => {
                let h = stanza.attribute("h").and_then(|h| std::str::from_utf8(h).ok()?.parse::<u32>().ok());
                self.on_answer(h, now, times);
                true
            }
            _ => false,
        }
    }

    fn on_answer(&mut self, h: Option<u32>, now: u64, times: &mut Latencies) {
        // No run is so long that `h` would come round more than once between two answers.
        let low = self.acked as u32;
        let Some(h) = h.map(|h| self.acked + u64::from(h.wrapping_sub(low))) else {
            self.bad += 1;
            return;
        };
        if h > self.sent {
            self.bad += 1;
            return;
        }
        self.acked = h;
        while let Some((count, at)) = self.requests.front() {
            if *count > h {
                break;
            }
            times.record(now.saturating_sub(*at));
            self.requests.pop_front();
        }
    }

    /// A stanza was appended; the request behind it, if it is time for one.
    pub fn sent(&mut self, now: u64, out: &mut Vec<u8>) {
        self.sent += 1;
        if self.sent - self.requested >= self.every {
            self.request(now, out);
        }
    }

    /// Asks for an answer, unless nothing was sent since the last time.
    pub fn request(&mut self, now: u64, out: &mut Vec<u8>) {
        if self.requested < self.sent {
            self.requested = self.sent;
            self.requests.push_back((self.sent, now));
            out.extend_from_slice(REQUEST);
        }
    }

    /// Stanzas that the server has not acknowledged.
    #[must_use]
    pub fn unacked(&self) -> u64 {
        self.sent - self.acked
    }

    /// Answers that cannot be true.
    #[must_use]
    pub fn bad(&self) -> u64 {
        self.bad
    }
}

/// Enables stream management in all sessions, as clients do that want to resume.
///
/// # Errors
/// A server refuses or is silent.
pub fn enable(hub: &mut Hub, sessions: &[Session], input: &mut Input) -> Result<(), Failure> {
    let begun = Instant::now();
    let mut due: Vec<ConnId> = Vec::new();
    for session in sessions {
        hub.send(session.conn, b"<enable xmlns='urn:xmpp:sm:3' resume='true'/>")?;
        due.push(session.conn);
    }
    let mut ready = Vec::new();
    while !due.is_empty() {
        hub.wait(Some(Duration::from_millis(200)), &mut ready)?;
        for conn in &ready {
            hub.read(*conn, input)?;
            while let Some(token) = input.next()? {
                match token {
                    Token::Stanza(s) if s.name == b"enabled" => due.retain(|d| d != conn),
                    Token::Stanza(s) if matches!(s.name, b"failed" | b"error") => {
                        let text = String::from_utf8_lossy(s.bytes);
                        return Err(Failure::Silence(format!("no stream management: {text}")));
                    }
                    _ => {}
                }
            }
            hub.keep(*conn, input);
        }
        if begun.elapsed() > PATIENCE {
            let text = format!("{} sessions wait for stream management in vain", due.len());
            return Err(Failure::Silence(text));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xmpp::frame;

    fn hear(acks: &mut Acks, text: &str, now: u64, times: &mut Latencies) -> (bool, String) {
        let Ok(Some((Token::Stanza(stanza), _))) = frame::next(text.as_bytes()) else { panic!("a stanza") };
        let mut out = Vec::new();
        let taken = acks.on_stanza(&stanza, now, &mut out, times);
        (taken, String::from_utf8(out).expect("text"))
    }

    #[test]
    fn both_directions_are_counted() {
        let (mut acks, mut times, mut out) = (Acks::new(2), Latencies::new(), Vec::new());
        for n in 0..5 {
            acks.sent(n, &mut out);
        }
        assert_eq!(out, [REQUEST, REQUEST].concat());
        assert_eq!(hear(&mut acks, "<a h='2'/>", 1_001, &mut times), (true, String::new()));
        assert_eq!((acks.unacked(), acks.bad()), (3, 0));
        assert_eq!(times.quantiles().map(|q| q.count), Some(1));
        acks.request(6, &mut out);
        acks.request(7, &mut out);
        assert_eq!(out.len(), 3 * REQUEST.len());
        hear(&mut acks, "<a h='5'/>", 2_000, &mut times);
        assert_eq!((acks.unacked(), acks.bad()), (0, 0));
        assert_eq!(times.quantiles().map(|q| q.count), Some(3));
        for false_answer in ["<a h='6'/>", "<a h='4'/>", "<a/>", "<a h='x'/>"] {
            hear(&mut acks, false_answer, 0, &mut times);
        }
        assert_eq!((acks.unacked(), acks.bad()), (0, 4));

        assert_eq!(hear(&mut acks, "<message/>", 0, &mut times), (false, String::new()));
        assert_eq!(hear(&mut acks, "<iq/>", 0, &mut times), (false, String::new()));
        let answer = "<a xmlns='urn:xmpp:sm:3' h='2'/>".to_owned();
        assert_eq!(hear(&mut acks, "<r/>", 0, &mut times), (true, answer));
    }
}
