//! Which passwords were right lately, without keeping any.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use chat_core::jid::BareJid;
use chat_core::sasl::Secret;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// What stands for a user and a password: useless without the key, which never leaves this process.
type Mark = [u8; 32];

/// A bounded memory of accepted logins.
pub(super) struct Cache {
    key: [u8; 32],
    age_max: Duration,
    marks_max: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    accepted: HashMap<Mark, Instant>,
    /// The same, the oldest first; a mark that was renewed is here more than once.
    order: VecDeque<(Mark, Instant)>,
}

impl Cache {
    pub(super) fn new(age_max: Duration, marks_max: usize) -> Result<Cache, getrandom::Error> {
        let mut key = [0; 32];
        getrandom::fill(&mut key)?;
        Ok(Cache { key, age_max, marks_max, state: Mutex::default() })
    }

    pub(super) fn knows(&self, user: &BareJid, password: &Secret, now: Instant) -> bool {
        if self.age_max.is_zero() {
            return false;
        }
        let mark = self.mark(user, password);
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.accepted.get(&mark).is_some_and(|at| now.saturating_duration_since(*at) < self.age_max)
    }

    pub(super) fn remember(&self, user: &BareJid, password: &Secret, now: Instant) {
        if self.age_max.is_zero() {
            return;
        }
        let mark = self.mark(user, password);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.accepted.insert(mark, now);
        state.order.push_back((mark, now));
        while let Some((oldest, at)) = state.order.front().copied() {
            let old = now.saturating_duration_since(at) >= self.age_max;
            if !old && state.order.len() <= self.marks_max {
                break;
            }
            state.order.pop_front();
            if state.accepted.get(&oldest) == Some(&at) {
                state.accepted.remove(&oldest);
            }
        }
    }

    fn mark(&self, user: &BareJid, password: &Secret) -> Mark {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes keys of any length");
        // No JID has a NUL in it.
        mac.update(user.as_str().as_bytes());
        mac.update(b"\0");
        mac.update(password.expose().as_bytes());
        mac.finalize().into_bytes().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_for_a_while_and_not_too_many() {
        let cache = Cache::new(Duration::from_secs(10), 3).expect("a key");
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let user = |n: u32| BareJid::parse(&format!("user{n}@example.org")).expect("a JID");
        let (secret, other) = (Secret::from("secret"), Secret::from("other"));
        cache.remember(&user(1), &secret, at(0));
        assert!(cache.knows(&user(1), &secret, at(9)));
        assert!(!cache.knows(&user(1), &other, at(1)));
        assert!(!cache.knows(&user(2), &secret, at(1)));
        assert!(!cache.knows(&user(1), &secret, at(10)));

        cache.remember(&user(1), &secret, at(5));
        assert!(cache.knows(&user(1), &secret, at(14)), "renewed");
        for n in 2..5 {
            cache.remember(&user(n), &secret, at(6));
        }
        assert!(!cache.knows(&user(1), &secret, at(6)), "the oldest made room");
        assert!((2..5).all(|n| cache.knows(&user(n), &secret, at(6))));
        let state = cache.state.lock().expect("lock");
        assert_eq!((state.accepted.len(), state.order.len()), (3, 3));
    }

    #[test]
    fn none_is_none() {
        let cache = Cache::new(Duration::ZERO, 3).expect("a key");
        let (user, secret) = (BareJid::parse("juliet@example.org").expect("a JID"), Secret::from("secret"));
        let now = Instant::now();
        cache.remember(&user, &secret, now);
        assert!(!cache.knows(&user, &secret, now));
    }
}
