//! Progress on a terminal; nothing where there is none.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Drawing more often is of no use to anybody, and costs the run.
const EVERY: Duration = Duration::from_millis(200);

/// A bar for one part of a run.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    drawn: Instant,
    due: bool,
}

impl Progress {
    /// From 0 to `length`.
    ///
    /// # Panics
    /// Never: the template is fixed and good.
    #[must_use]
    pub fn new(name: &str, length: u64) -> Progress {
        let style = ProgressStyle::with_template("{prefix:12} {wide_bar} {percent:>3} % {msg}");
        let bar = ProgressBar::new(length).with_style(style.expect("a good template"));
        bar.set_prefix(name.to_owned());
        Progress { bar, drawn: Instant::now(), due: false }
    }

    /// So far.
    pub fn at(&mut self, position: u64) {
        self.due = self.drawn.elapsed() >= EVERY && !self.bar.is_hidden();
        if self.due {
            self.drawn = Instant::now();
            self.bar.set_position(position);
        }
    }

    /// Says something beside the bar; asked for only when it is drawn.
    pub fn say(&mut self, text: impl FnOnce() -> String) {
        if self.due {
            self.bar.set_message(text());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
