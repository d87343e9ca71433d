//! Requests to the world that wait for their answers.

use super::time::Mono;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The name of one request: it goes out with the effect and comes back with the answer. Written `r12`.
///
/// Counted from 1 and never given twice by one [`Pending`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r{}", self.0)
    }
}

/// What to go on with when a request is answered, or is not answered in time.
///
/// `C` is a plain enum, not a closure: it can be printed, compared and moved to another node.
pub struct Pending<C> {
    given: u64,
    waiting: BTreeMap<RequestId, (C, Mono)>,
    /// Those of `waiting` whose deadline has not been seen to pass.
    deadlines: BTreeSet<(Mono, RequestId)>,
    /// The others of `waiting`.
    late: BTreeSet<RequestId>,
}

impl<C> Pending<C> {
    /// Nothing waits.
    pub const fn new() -> Self {
        Pending { given: 0, waiting: BTreeMap::new(), deadlines: BTreeSet::new(), late: BTreeSet::new() }
    }

    /// The number of requests without answer.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether every request was answered.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Begins to wait, until `deadline` at most, and names the request.
    pub fn insert(&mut self, continuation: C, deadline: Mono) -> RequestId {
        self.given += 1;
        let id = RequestId(self.given);
        self.waiting.insert(id, (continuation, deadline));
        self.deadlines.insert((deadline, id));
        id
    }

    /// The answer has come: takes out what to go on with. `None` for an answer that comes twice or too late.
    pub fn take(&mut self, id: RequestId) -> Option<C> {
        let (continuation, deadline) = self.waiting.remove(&id)?;
        if !self.deadlines.remove(&(deadline, id)) {
            self.late.remove(&id);
        }
        Some(continuation)
    }

    /// What waits for this answer.
    pub fn peek(&self, id: RequestId) -> Option<&C> {
        self.waiting.get(&id).map(|(continuation, _)| continuation)
    }

    /// What waits for this answer.
    pub fn get_mut(&mut self, id: RequestId) -> Option<&mut C> {
        self.waiting.get_mut(&id).map(|(continuation, _)| continuation)
    }

    /// Gives a request another deadline, for a retry under the same id; says whether it still waited.
    pub fn postpone(&mut self, id: RequestId, deadline: Mono) -> bool {
        let Some((_, old)) = self.waiting.get_mut(&id) else { return false };
        let old = std::mem::replace(old, deadline);
        if !self.deadlines.remove(&(old, id)) {
            self.late.remove(&id);
        }
        self.deadlines.insert((deadline, id));
        true
    }

    /// Takes out the request with the lowest id among those whose deadline has come. Call it until it says `None`.
    pub fn expired(&mut self, now: Mono) -> Option<(RequestId, C)> {
        while let Some((_, id)) = self.deadlines.first().copied().filter(|(deadline, _)| *deadline <= now) {
            self.deadlines.pop_first();
            self.late.insert(id);
        }
        let id = self.late.pop_first()?;
        let (continuation, _) = self.waiting.remove(&id).expect("a late request still waits");
        Some((id, continuation))
    }

    /// Puts back, under its old id, what [`Pending::expired`] took out: the request is asked again.
    pub fn put_back(&mut self, id: RequestId, continuation: C, deadline: Mono) {
        debug_assert!(id.0 <= self.given, "only a request that was given can be put back");
        self.waiting.insert(id, (continuation, deadline));
        self.deadlines.insert((deadline, id));
    }

    /// When to call [`Pending::expired`] next: the earliest deadline. If `expired` was not called to its end, one
    /// that has passed.
    pub fn next_deadline(&self) -> Option<Mono> {
        match self.late.first() {
            Some(id) => Some(self.waiting[id].1),
            None => self.deadlines.first().map(|(deadline, _)| *deadline),
        }
    }

    /// All that wait, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = (RequestId, &C)> {
        self.waiting.iter().map(|(id, (continuation, _))| (*id, continuation))
    }
}

impl<C> Default for Pending<C> {
    fn default() -> Self {
        Pending::new()
    }
}

impl<C: fmt::Debug> fmt::Debug for Pending<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_answer_is_taken_once() {
        let mut pending = Pending::new();
        let id = pending.insert("load romeo", Mono(10));
        assert_eq!(format!("{pending:?}"), r#"{r1: "load romeo"}"#);
        *pending.get_mut(id).unwrap() = "load juliet";
        assert_eq!((pending.peek(id), pending.next_deadline()), (Some(&"load juliet"), Some(Mono(10))));
        assert_eq!((pending.take(id), pending.take(id)), (Some("load juliet"), None));
        assert_eq!((pending.next_deadline(), pending.expired(Mono(99)), pending.len()), (None, None, 0));
        assert_eq!(pending.insert("again", Mono(10)), RequestId(2));
    }

    #[test]
    fn requests_expire_in_the_order_of_their_ids() {
        let mut pending = Pending::new();
        let ids: Vec<_> = [30, 20, 10, 40].map(|t| pending.insert(t, Mono(t))).to_vec();
        assert_eq!(pending.expired(Mono(9)), None);
        assert_eq!(pending.expired(Mono(30)), Some((ids[0], 30)));
        assert_eq!(pending.next_deadline(), Some(Mono(20)));
        // What has passed its deadline may still be answered or tried again until it is taken out.
        assert_eq!(pending.take(ids[1]), Some(20));
        assert!(pending.postpone(ids[2], Mono(35)));
        assert_eq!((pending.expired(Mono(30)), pending.next_deadline()), (None, Some(Mono(35))));
        assert_eq!(pending.expired(Mono(99)), Some((ids[2], 10)));
        assert_eq!(pending.expired(Mono(99)), Some((ids[3], 40)));
        assert!(!pending.postpone(ids[3], Mono(100)) && pending.is_empty());
    }

    proptest! {
        #[test]
        fn like_a_list(steps in proptest::collection::vec((0u8..5, 0u64..50, any::<prop::sample::Index>()), 0..200)) {
            let mut pending = Pending::new();
            let mut model: BTreeMap<RequestId, u64> = BTreeMap::new();
            let mut now = 0;
            for (what, n, which) in steps {
                let chosen = (!model.is_empty()).then(|| *model.keys().nth(which.index(model.len())).unwrap());
                match (what, chosen) {
                    (1, Some(id)) => {
                        prop_assert!(pending.take(id).is_some());
                        model.remove(&id);
                    }
                    (2, Some(id)) => {
                        prop_assert!(pending.postpone(id, Mono(now + n)));
                        model.insert(id, now + n);
                    }
                    (3, _) => {
                        now += n / 4;
                        let first = model.iter().find(|(_, at)| **at <= now).map(|(id, _)| *id);
                        prop_assert_eq!(pending.expired(Mono(now)).map(|(id, ())| id), first);
                        first.map(|id| model.remove(&id));
                    }
                    (4, _) => {
                        now += n / 4;
                        while let Some((id, ())) = pending.expired(Mono(now)) {
                            prop_assert!(model.remove(&id).is_some_and(|at| at <= now));
                        }
                        prop_assert!(model.values().all(|at| *at > now));
                        prop_assert_eq!(pending.next_deadline().map(|at| at.0), model.values().min().copied());
                    }
                    _ => {
                        model.insert(pending.insert((), Mono(now + n)), now + n);
                    }
                }
                let earliest = model.values().min().copied();
                prop_assert_eq!(pending.next_deadline().is_none(), earliest.is_none());
                prop_assert!(pending.next_deadline().is_none_or(|at| at.0 <= now || Some(at.0) == earliest));
                prop_assert!(pending.iter().map(|(id, ())| id).eq(model.keys().copied()));
            }
        }
    }
}
