use super::*;
use proptest::prelude::*;

const TICK: u64 = 1 << TICK_BITS;
const DAY: u64 = 86_400_000_000_000;

fn drain(timers: &mut Timers<u32>, now: u64) -> Vec<(u32, u64)> {
    std::iter::from_fn(|| timers.pop_due(Mono(now))).map(|(key, at)| (key, at.0)).collect()
}

#[test]
fn nothing_fires_before_its_nanosecond() {
    for at in [0, 1, TICK - 1, TICK, TICK + 1, 64 * TICK, DAY, 400 * DAY + 7, u64::MAX] {
        let mut timers = Timers::new();
        timers.set(Mono(at), 1, "test");
        assert_eq!(timers.next(), Some((Mono(at), "test")));
        if at > 0 {
            assert_eq!(timers.pop_due(Mono(at - 1)), None);
            assert_eq!(timers.next(), Some((Mono(at), "test")));
        }
        assert_eq!(timers.pop_due(Mono(at)), Some((1, Mono(at))));
        assert_eq!((timers.pop_due(Mono(at)), timers.next(), timers.len()), (None, None, 0));
    }
}

#[test]
fn equal_deadlines_fire_in_the_order_of_setting() {
    let mut timers = Timers::new();
    for key in 0..4 {
        timers.set(Mono(3 * DAY), key, "test");
    }
    // From nearer the later ones stand on another level.
    assert_eq!(drain(&mut timers, 3 * DAY - 5 * TICK), []);
    for key in 4..8 {
        timers.set(Mono(3 * DAY), key, "test");
    }
    let expected: Vec<_> = (0..8).map(|key| (key, 3 * DAY)).collect();
    assert_eq!(drain(&mut timers, 9 * DAY), expected);
}

#[test]
fn the_past_is_due_at_once() {
    let mut timers = Timers::new();
    assert_eq!(timers.pop_due(Mono(DAY)), None);
    timers.set(Mono(5), 1, "old");
    timers.set(Mono(4), 2, "older");
    assert_eq!(timers.next(), Some((Mono(4), "older")));
    // A clock that stands still or steps back harms nothing.
    assert_eq!(drain(&mut timers, 4), [(2, 4)]);
    assert_eq!(drain(&mut timers, DAY), [(1, 5)]);
}

#[test]
fn cancelled_timers_do_not_fire_and_ids_do_not_come_back() {
    let mut timers = Timers::new();
    let near = timers.set(Mono(5), 1, "near");
    let far = timers.set(Mono(DAY), 2, "far");
    assert_eq!((timers.deadline(near), timers.deadline(far)), (Some(Mono(5)), Some(Mono(DAY))));
    assert!(timers.cancel(near) && timers.cancel(far));
    assert!(!timers.cancel(near) && !timers.cancel(far));
    assert_eq!((timers.next(), timers.len(), timers.deadline(near)), (None, 0, None));
    let again = timers.set(Mono(DAY), 3, "again");
    assert!(again != near && again != far && !timers.cancel(far));
    assert_eq!(drain(&mut timers, 2 * DAY), [(3, DAY)]);
    assert!(!timers.cancel(again));
    assert_eq!(format!("{near:?} {timers:?}"), "t0.1 Timers(0 set)");
}

#[test]
fn cancelled_timers_of_the_present_tick_do_not_pile_up() {
    let mut timers = Timers::new();
    timers.set(Mono(1), 0, "stays");
    for key in 1..10_000 {
        let id = timers.set(Mono(2), key, "goes");
        timers.cancel(id);
        assert!(timers.heap.len() <= 2 + DEAD_MAX);
    }
    assert_eq!(drain(&mut timers, 2), [(0, 1)]);
}

#[test]
fn a_crowd_is_woken_exactly_once_each() {
    let mut timers = Timers::new();
    for key in 0..1000u32 {
        timers.set(Mono(300_000_000_000 + u64::from(key) * 10 * TICK), key, "idle");
    }
    let mut wakes = 0;
    while let Some((at, _)) = timers.next() {
        wakes += 1;
        assert_eq!(drain(&mut timers, at.0).len(), 1);
    }
    assert_eq!(wakes, 1000);
}

#[derive(Debug, Clone)]
enum Step {
    /// This long after now (or before, if negative).
    Set(i64),
    Cancel(prop::sample::Index),
    Sleep(u64),
    /// Until the next deadline.
    Wake,
}

fn distance() -> impl Strategy<Value = u64> {
    // All magnitudes alike, from nanoseconds to years; and the edges of ticks and levels.
    let magnitude = (0u32..56, any::<u64>()).prop_map(|(bits, n)| n >> (63 - bits));
    let edge =
        (0u32..6, -1i64..2).prop_map(|(level, off)| (TICK << (LEVEL_BITS * level)).wrapping_add_signed(off));
    prop_oneof![4 => magnitude, 1 => edge]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => distance().prop_map(|d| Step::Set(d as i64)),
        1 => (0i64..3 * TICK as i64).prop_map(|d| Step::Set(-d)),
        3 => any::<prop::sample::Index>().prop_map(Step::Cancel),
        2 => distance().prop_map(Step::Sleep),
        2 => Just(Step::Wake),
    ]
}

proptest! {
    /// Timers behave like a sorted list, and wake nobody more often than they say.
    #[test]
    fn like_a_sorted_list(start in distance(), steps in proptest::collection::vec(step(), 0..120)) {
        let mut timers = Timers::new();
        let mut model: Vec<(u64, u32, TimerId)> = Vec::new();
        let mut now = start;
        let mut key = 0;
        let (mut cancelled, mut spurious) = (0, 0);
        prop_assert_eq!(timers.pop_due(Mono(now)), None);
        for step in steps {
            match step {
                Step::Set(distance) => {
                    let at = now.saturating_add_signed(distance);
                    model.push((at, key, timers.set(Mono(at), key, "test")));
                    model.sort_unstable();
                    key += 1;
                }
                Step::Cancel(which) if !model.is_empty() => {
                    let (_, _, id) = model.remove(which.index(model.len()));
                    prop_assert!(timers.cancel(id));
                    prop_assert!(!timers.cancel(id));
                    cancelled += 1;
                }
                Step::Cancel(_) => {}
                Step::Sleep(distance) => now = now.saturating_add(distance),
                Step::Wake => now = timers.next().map_or(now, |(at, _)| now.max(at.0)),
            }
            if matches!(step, Step::Sleep(_) | Step::Wake) {
                let due = model.partition_point(|(at, _, _)| *at <= now);
                let expected: Vec<_> = model.drain(..due).map(|(at, key, _)| (key, at)).collect();
                spurious += usize::from(matches!(step, Step::Wake) && due == 0 && !model.is_empty());
                prop_assert_eq!(drain(&mut timers, now), expected);
                prop_assert!(timers.next().is_none_or(|(at, _)| at.0 > now));
            }
            prop_assert_eq!(timers.len(), model.len());
            let next = timers.next().map(|(at, _)| at.0);
            let earliest = model.first().map(|(at, _, _)| *at);
            prop_assert_eq!(next.is_none(), earliest.is_none());
            prop_assert!(next <= earliest, "late: {:?} after {:?}", next, earliest);
            prop_assert!(cancelled > 0 || next == earliest);
        }
        while let Some((at, _)) = timers.next() {
            now = now.max(at.0);
            let due = model.partition_point(|(deadline, _, _)| *deadline <= now);
            spurious += usize::from(due == 0);
            let expected: Vec<_> = model.drain(..due).map(|(at, key, _)| (key, at)).collect();
            prop_assert_eq!(drain(&mut timers, now), expected);
        }
        prop_assert!(model.is_empty());
        prop_assert!(spurious <= cancelled, "{} spurious wakes after {} cancellations", spurious, cancelled);
    }
}
