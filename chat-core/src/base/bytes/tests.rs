use super::*;
use proptest::prelude::*;

fn all(queue: &ByteQueue) -> Vec<u8> {
    let mut out = Vec::new();
    queue.copy_to(0, queue.len(), &mut out);
    out
}

#[test]
fn an_empty_queue_is_three_words_and_owns_nothing() {
    assert_eq!(size_of::<ByteQueue>(), 24);
    let mut pool = Pool::new(8);
    let mut queue = ByteQueue::default();
    queue.push(&mut pool, b"");
    queue.consume(&mut pool, 0);
    assert!(queue.is_empty() && queue.first.is_none() && queue.rest.is_none());
    assert_eq!((pool.allocated(), queue.slices(&mut [&[]])), (0, 0));
    queue.push(&mut pool, &[1; 10_000]);
    assert_eq!((pool.allocated(), pool.free(), pool.lent()), (3, 0, 3));
    queue.consume(&mut pool, 10_000);
    assert!(queue.is_empty() && queue.first.is_none() && queue.rest.is_none() && queue.start == 0);
    assert_eq!((pool.allocated(), pool.free(), pool.lent()), (3, 3, 0));
}

#[test]
fn chunks_come_back_as_soon_as_they_are_consumed() {
    let mut pool = Pool::new(8);
    let mut queue = ByteQueue::default();
    queue.push(&mut pool, &[7; 3 * CHUNK_BYTES]);
    for (consumed, lent) in [(CHUNK_BYTES - 1, 3), (1, 2), (CHUNK_BYTES, 1), (CHUNK_BYTES - 1, 1), (1, 0)] {
        queue.consume(&mut pool, consumed);
        assert_eq!(pool.lent(), lent);
    }
}

#[test]
fn a_pool_keeps_no_more_than_it_may() {
    let mut pool = Pool::new(2);
    let mut queue = ByteQueue::default();
    queue.push(&mut pool, &[7; 5 * CHUNK_BYTES]);
    queue.clear(&mut pool);
    assert_eq!((pool.allocated(), pool.free()), (2, 2));
    assert_eq!(format!("{pool:?} {queue:?}"), "Pool(0 lent, 2 free) ByteQueue(0 bytes)");
}

#[test]
fn chunks_are_used_again_without_a_trace_of_what_they_held() {
    let mut pool = Pool::new(8);
    let (mut a, mut b) = (ByteQueue::default(), ByteQueue::default());
    a.push(&mut pool, &[1; CHUNK_BYTES]);
    a.clear(&mut pool);
    b.push(&mut pool, b"hello");
    assert_eq!((all(&b).as_slice(), pool.allocated()), (&b"hello"[..], 1));
}

#[test]
fn slices_fill_the_room_there_is() {
    let mut pool = Pool::new(8);
    let mut queue = ByteQueue::default();
    queue.push(&mut pool, &[1; CHUNK_BYTES]);
    queue.push(&mut pool, &[2; CHUNK_BYTES]);
    queue.push(&mut pool, &[3; 10]);
    queue.consume(&mut pool, 96);
    let mut two: [&[u8]; 2] = [&[]; 2];
    assert_eq!(queue.slices(&mut two), 2);
    assert_eq!(two, [&[1; 4000][..], &[2; CHUNK_BYTES][..]]);
    let mut four: [&[u8]; 4] = [&[]; 4];
    assert_eq!(queue.slices_from(4000, &mut four), 2);
    assert_eq!(four, [&[2; CHUNK_BYTES][..], &[3; 10], &[], &[]]);
    assert_eq!(queue.slices_from(queue.len(), &mut four), 0);
}

#[test]
#[should_panic(expected = "3 bytes consumed of 2")]
fn consuming_what_is_not_there_is_a_bug() {
    let mut pool = Pool::new(8);
    let mut queue = ByteQueue::default();
    queue.push(&mut pool, b"ab");
    queue.consume(&mut pool, 3);
}

#[test]
#[should_panic(expected = "2 bytes from byte 1 of 2")]
fn copying_what_is_not_there_is_a_bug() {
    let mut pool = Pool::new(8);
    let mut queue = ByteQueue::default();
    queue.push(&mut pool, b"ab");
    queue.copy_to(1, 2, &mut Vec::new());
}

#[derive(Debug, Clone)]
enum Step {
    Push(usize),
    Consume(prop::sample::Index),
    Truncate(prop::sample::Index),
    Append(prop::sample::Index, prop::sample::Index),
    Clear,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0usize..200).prop_map(Step::Push),
        4 => (0usize..15_000).prop_map(Step::Push),
        // The edges of chunks, where mistakes live.
        2 => prop::sample::select(vec![4095, 4096, 4097, 8192]).prop_map(Step::Push),
        4 => any::<prop::sample::Index>().prop_map(Step::Consume),
        2 => any::<prop::sample::Index>().prop_map(Step::Truncate),
        3 => any::<(prop::sample::Index, prop::sample::Index)>().prop_map(|(a, b)| Step::Append(a, b)),
        1 => Just(Step::Clear),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Two queues over one pool behave like two vectors, and hold exactly the chunks they need.
    #[test]
    fn like_vectors(steps in proptest::collection::vec((any::<bool>(), step()), 0..40)) {
        let mut pool = Pool::new(3);
        let mut queues = [ByteQueue::default(), ByteQueue::default()];
        let mut models = [Vec::new(), Vec::new()];
        let mut counter = 0u32;
        for (second, step) in steps {
            let [a, b] = &mut queues;
            let (queue, other) = if second { (b, a) } else { (a, b) };
            let [a, b] = &mut models;
            let (model, other_model) = if second { (b, a) } else { (a, b) };
            match step {
                Step::Push(n) => {
                    let bytes: Vec<u8> = (0..n).map(|i| (counter as usize + i) as u8 ^ (i >> 8) as u8).collect();
                    counter += 13;
                    queue.push(&mut pool, &bytes);
                    model.extend_from_slice(&bytes);
                }
                Step::Consume(n) => {
                    let n = n.index(model.len() + 1);
                    queue.consume(&mut pool, n);
                    model.drain(..n);
                }
                Step::Truncate(n) => {
                    let n = n.index(model.len() + 1);
                    queue.truncate(&mut pool, n);
                    model.truncate(n);
                }
                Step::Append(offset, len) => {
                    let offset = offset.index(other_model.len() + 1);
                    let len = len.index(other_model.len() - offset + 1);
                    queue.append_range(&mut pool, other, offset, len);
                    model.extend_from_slice(&other_model[offset..offset + len]);
                }
                Step::Clear => {
                    queue.clear(&mut pool);
                    model.clear();
                }
            }
            let mut needed = 0;
            for (queue, model) in queues.iter().zip(&models) {
                prop_assert_eq!(queue.len(), model.len());
                prop_assert!(all(queue) == *model);
                needed += (queue.start as usize + queue.len()).div_ceil(CHUNK_BYTES);
                prop_assert_eq!(queue.first.is_none(), queue.is_empty());
                prop_assert!(queue.rest.as_ref().is_none_or(|rest| !rest.is_empty()));
                let mut out: [&[u8]; 64] = [&[]; 64];
                let offset = model.len() / 3;
                let n = queue.slices_from(offset, &mut out);
                prop_assert!(out[..n].iter().all(|slice| !slice.is_empty()));
                prop_assert!(out[..n].concat() == model[offset..] || n == out.len());
            }
            prop_assert_eq!(pool.lent(), needed);
            prop_assert!(pool.free() <= 3);
        }
    }
}
