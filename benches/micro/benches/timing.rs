//! How long each workload takes. Compare within one run only: machines have moods.
//!
//! `cargo bench -p chat-micro --features timing --bench timing -- deliver`

use std::time::{Duration, Instant};

use criterion::Criterion;

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    for work in chat_micro::work::ALL {
        let mut run = None;
        criterion.bench_function(work.name, |bencher| {
            let run = run.get_or_insert_with(work.set_up);
            bencher.iter_custom(|times| {
                let runs = times.div_ceil(u64::from(work.operations));
                let began = Instant::now();
                (0..runs).for_each(|_| run());
                // For one operation, however many a run has.
                began.elapsed().mul_f64(times as f64 / (runs * u64::from(work.operations)) as f64)
            });
        });
    }
    criterion.final_summary();
}
