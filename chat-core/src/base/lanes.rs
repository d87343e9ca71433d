//! Requests that must be carried out in order, although whoever carries them out may refuse one for now.

use std::collections::BTreeSet;
use std::hash::Hash;

use super::{HashKey, KeyedMap, RequestId};

/// Requests under way, in a lane for each key.
///
/// Any number of requests of a lane may be asked at a time: who carries them out keeps their order. Once one is refused
/// for now, no other is asked until it was asked again; what was asked behind it meanwhile is awaited first. If that was
/// carried out, the one refused comes too late, and must not be asked any more: it was overtaken. So that this seldom
/// happens, those that wait are asked one, two, four at a time, and so on, as they are carried out.
#[derive(Debug)]
pub struct Lanes<K> {
    lanes: KeyedMap<K, Lane>,
}

/// What the end of a request means for others of its lane.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// They come too late: they are out, and must not be asked any more.
    pub overtaken: BTreeSet<RequestId>,
    /// There is room again: they need not wait longer. In order.
    pub released: Vec<RequestId>,
}

#[derive(Debug, Default)]
struct Lane {
    asked: BTreeSet<RequestId>,
    waiting: BTreeSet<RequestId>,
    /// How many may be asked at a time, since one was refused.
    window: Option<usize>,
    /// The last that was carried out.
    done: Option<RequestId>,
}

impl<K: Eq + Hash + Clone> Lanes<K> {
    /// Nothing is under way.
    pub fn new(key: HashKey) -> Self {
        Lanes { lanes: KeyedMap::new(key) }
    }

    /// A new request, with a higher id than all before. Whether it may be asked now; else it waits.
    pub fn enter(&mut self, key: &K, id: RequestId) -> bool {
        let lane = self.lanes.get_or_insert_with(key.clone(), Lane::default);
        let free = lane.waiting.is_empty();
        if free {
            lane.asked.insert(id)
        } else {
            lane.waiting.insert(id)
        };
        free
    }

    /// A request was refused for now, and waits. `false`: it was overtaken, and is out.
    pub fn refused(&mut self, key: &K, id: RequestId) -> bool {
        let Some(lane) = self.lanes.get_mut(key) else { return false };
        if lane.done.is_some_and(|done| done > id) {
            self.leave(key, id, false);
            return false;
        }
        lane.window = Some(1);
        if lane.asked.remove(&id) {
            lane.waiting.insert(id);
        }
        true
    }

    /// Whether a request may be asked, or asked again; if it waited, it waits no more.
    pub fn may_ask(&mut self, key: &K, id: RequestId) -> bool {
        let Some(lane) = self.lanes.get_mut(key) else { return true };
        if !lane.waiting.contains(&id) {
            return true;
        }
        let first = lane.waiting.first() == Some(&id);
        let behind = lane.asked.last().is_some_and(|last| *last > id);
        let full = lane.window.is_some_and(|window| lane.asked.len() >= window);
        if !first || behind || full {
            return false;
        }
        lane.waiting.remove(&id);
        lane.asked.insert(id);
        true
    }

    /// A request has its answer, or is given up.
    pub fn leave(&mut self, key: &K, id: RequestId, carried_out: bool) -> Left {
        let mut left = Left::default();
        let Some(lane) = self.lanes.get_mut(key) else { return left };
        lane.asked.remove(&id);
        lane.waiting.remove(&id);
        if carried_out {
            lane.done = lane.done.max(Some(id));
            let later = lane.waiting.split_off(&id);
            left.overtaken = std::mem::replace(&mut lane.waiting, later);
            if let Some(window) = &mut lane.window {
                *window = window.saturating_mul(2);
                let free = window.saturating_sub(lane.asked.len());
                left.released = lane.waiting.iter().copied().take(free).collect();
            }
        }
        if lane.asked.is_empty() && lane.waiting.is_empty() {
            self.lanes.remove(key);
        }
        left
    }

    /// Whether nothing is under way.
    pub fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    fn lanes() -> Lanes<&'static str> {
        Lanes::new(HashKey { k0: 1, k1: 2 })
    }

    fn ids(numbers: impl IntoIterator<Item = u64>) -> BTreeSet<RequestId> {
        numbers.into_iter().map(RequestId).collect()
    }

    #[test]
    fn what_comes_later_waits_behind_what_was_refused() {
        let mut lanes = lanes();
        let [one, two, three, other] = [1, 2, 3, 4].map(RequestId);
        assert!(lanes.enter(&"romeo", one));
        assert!(lanes.refused(&"romeo", one));
        assert!(!lanes.enter(&"romeo", two));
        assert!(!lanes.enter(&"romeo", three));
        assert!(lanes.enter(&"juliet", other), "another lane is free");
        assert!(!lanes.may_ask(&"romeo", two));
        assert!(lanes.may_ask(&"romeo", one));
        assert!(lanes.may_ask(&"romeo", one), "it may be repeated");
        assert!(!lanes.may_ask(&"romeo", two), "the first tries alone");
        assert_eq!(lanes.leave(&"romeo", one, true), Left { released: vec![two, three], ..Left::default() });
        assert!(lanes.may_ask(&"romeo", two) && lanes.may_ask(&"romeo", three), "then two");
        assert_eq!(lanes.leave(&"romeo", two, true), Left::default());
        assert_eq!(lanes.leave(&"romeo", three, false), Left::default());
        lanes.leave(&"juliet", other, true);
        assert!(lanes.is_empty());
    }

    #[test]
    fn what_is_overtaken_is_out() {
        let mut lanes = lanes();
        let all = [1, 2, 3, 4].map(RequestId);
        assert!(all.iter().all(|id| lanes.enter(&"romeo", *id)));
        let [one, two, three, four] = all;
        assert!(lanes.refused(&"romeo", one));
        assert!(lanes.refused(&"romeo", two));
        assert!(!lanes.may_ask(&"romeo", one), "the fate of the later ones comes first");
        assert_eq!(lanes.leave(&"romeo", three, true), Left { overtaken: ids([1, 2]), ..Left::default() });
        assert!(lanes.refused(&"romeo", four), "nothing later was carried out");
        assert!(lanes.may_ask(&"romeo", four));
        assert_eq!(lanes.leave(&"romeo", four, false), Left::default());
        assert!(lanes.is_empty());
    }

    #[test]
    fn a_refusal_that_comes_after_the_success_of_a_later_one() {
        let mut lanes = lanes();
        let [one, two] = [1, 2].map(RequestId);
        assert!(lanes.enter(&"romeo", one) && lanes.enter(&"romeo", two));
        assert_eq!(lanes.leave(&"romeo", two, true), Left::default(), "the other answer may just be late");
        assert!(!lanes.refused(&"romeo", one));
        assert!(lanes.is_empty());
    }

    /// A lane, who waits in it, and answers on their way: those that come at once, and those after the work.
    struct Model {
        lanes: Lanes<&'static str>,
        next: u64,
        polled: BTreeSet<RequestId>,
        refusals: VecDeque<RequestId>,
        work: VecDeque<RequestId>,
        done: Vec<RequestId>,
    }

    impl Model {
        fn ask(&mut self, ids: Vec<RequestId>, room: bool) {
            for id in ids {
                self.polled.remove(&id);
                if room {
                    self.done.push(id);
                    self.work.push_back(id);
                } else {
                    self.refusals.push_back(id);
                }
            }
        }

        fn enter(&mut self, room: bool) {
            self.next += 1;
            let id = RequestId(self.next);
            if self.lanes.enter(&"romeo", id) {
                self.ask(vec![id], room);
            } else {
                self.polled.insert(id);
            }
        }

        fn poll(&mut self, room: bool) {
            let polled = self.polled.clone().into_iter();
            let free = polled.filter(|id| self.lanes.may_ask(&"romeo", *id)).collect();
            self.ask(free, room);
        }

        fn hear_refusal(&mut self) {
            if let Some(id) = self.refusals.pop_front()
                && self.lanes.refused(&"romeo", id)
            {
                self.polled.insert(id);
            }
        }

        fn hear_success(&mut self) {
            if let Some(id) = self.work.pop_front() {
                let left = self.lanes.leave(&"romeo", id, true);
                assert!(left.overtaken.iter().all(|id| self.polled.remove(id)));
                assert!(left.released.iter().all(|id| self.polled.contains(id)));
            }
        }
    }

    proptest! {
        /// Whatever is refused, and however late the answers are: what is carried out is carried out in order, and each
        /// request ends.
        #[test]
        fn in_order(steps in proptest::collection::vec((0_u8..8, any::<bool>()), 0..200)) {
            let (polled, refusals, work, done) = Default::default();
            let mut model = Model { lanes: lanes(), next: 0, polled, refusals, work, done };
            for (step, room) in steps {
                match step {
                    0..=2 => model.enter(room),
                    3 | 4 => model.poll(room),
                    5 => model.hear_refusal(),
                    6 => model.hear_success(),
                    // Somebody gives up.
                    _ => if let Some(id) = model.polled.pop_first() {
                        model.lanes.leave(&"romeo", id, false);
                    }
                }
            }
            for _ in 0..2_000 {
                model.hear_refusal();
                model.hear_success();
                model.poll(true);
            }
            prop_assert!(model.done.is_sorted(), "{:?}", model.done);
            prop_assert!(model.lanes.is_empty() && model.polled.is_empty());
        }
    }
}
