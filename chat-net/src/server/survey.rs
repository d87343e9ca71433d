//! A survey: every worker says how much there is of what an operator wants to know.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use chat_core::effect::Counts;
use chat_core::engine::{Census, Engine};

/// A question to all workers ([`ServerHandle::survey`](super::ServerHandle::survey)). The answers come in by themselves,
/// each with its worker's next turn; a worker that is stuck or gone sends none.
#[derive(Clone)]
pub struct Survey {
    gathered: Arc<Gathered>,
    /// In the order of [`Counts::sessions`].
    domains: Arc<[String]>,
}

/// What there is on a server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overview {
    /// Workers that have answered. The numbers are theirs.
    pub answered: usize,
    /// Workers that have not.
    pub silent: usize,
    /// Connections with a stream on them.
    pub connections: usize,
    /// Users in memory.
    pub users: usize,
    /// Requests to stores and authenticators without answer.
    pub requests: usize,
    /// Stanzas that went to other nodes and have no result yet.
    pub parcels: usize,
    /// Sessions of other nodes that are known here, by the node's name.
    pub elsewhere: BTreeMap<String, usize>,
    /// Sessions, connected or waiting to be resumed, of each domain.
    pub sessions: Vec<(String, usize)>,
    /// What the workers have counted, the sessions among it.
    pub counts: Counts,
}

impl Overview {
    /// The sessions of all domains.
    #[must_use]
    pub fn sessions_total(&self) -> usize {
        self.sessions.iter().map(|(_, sessions)| sessions).sum()
    }
}

#[derive(Default)]
struct Gathered(Mutex<State>);

#[derive(Default)]
struct State {
    answers: Vec<Answer>,
    /// Workers that may still answer.
    waiting: usize,
    asked: usize,
    wakers: Vec<Waker>,
}

/// What one worker says.
struct Answer {
    census: Census,
    counts: Counts,
    parcels: usize,
    elsewhere: Vec<(String, usize)>,
}

impl Gathered {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The form for one worker. Dropped unanswered, it says that this worker will not answer.
pub(crate) struct Form(Arc<Gathered>);

impl Form {
    /// Fills it in.
    pub(crate) fn fill(self, engine: &Engine) {
        let elsewhere = engine.sessions_elsewhere().map(|(node, sessions)| (node.to_owned(), sessions));
        let answer = Answer {
            census: engine.census(),
            counts: engine.counts().clone(),
            parcels: engine.parcels_underway(),
            elsewhere: elsewhere.collect(),
        };
        self.0.state().answers.push(answer);
    }
}

impl Drop for Form {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.waiting -= 1;
        let done = state.waiting == 0;
        let wakers = if done { std::mem::take(&mut state.wakers) } else { Vec::new() };
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Survey {
    /// A survey among so many workers, and their forms.
    pub(super) fn new(workers: usize, domains: Arc<[String]>) -> (Survey, Vec<Form>) {
        let gathered = Arc::<Gathered>::default();
        *gathered.state() = State { waiting: workers, asked: workers, ..State::default() };
        let forms = (0..workers).map(|_| Form(gathered.clone())).collect();
        (Survey { gathered, domains }, forms)
    }

    /// Ready when no worker is left that could answer. Whoever has less patience than a stuck worker stops waiting, and
    /// takes what there is.
    pub fn done(&self) -> impl Future<Output = ()> + Send + 'static {
        let gathered = self.gathered.clone();
        poll_fn(move |cx| {
            let mut state = gathered.state();
            if state.waiting == 0 {
                return Poll::Ready(());
            }
            if !state.wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
                state.wakers.push(cx.waker().clone());
            }
            Poll::Pending
        })
    }

    /// What has been answered so far.
    #[must_use]
    pub fn overview(&self) -> Overview {
        let state = self.gathered.state();
        let answered = state.answers.len();
        let mut all = Overview { answered, silent: state.asked - answered, ..Overview::default() };
        for Answer { census, counts, parcels, elsewhere } in &state.answers {
            all.connections += census.connections;
            all.users += census.users;
            all.requests += census.requests;
            all.parcels += parcels;
            all.counts.add(counts);
            for (node, sessions) in elsewhere {
                *all.elsewhere.entry(node.clone()).or_default() += sessions;
            }
        }
        let sessions = |index: usize| all.counts.sessions.get(index).map_or(0, |n| *n as usize);
        all.sessions =
            self.domains.iter().enumerate().map(|(index, name)| (name.clone(), sessions(index))).collect();
        all
    }
}

impl std::fmt::Debug for Survey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Survey").field(&self.overview()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::block_on;
    use chat_core::base::HashKey;
    use chat_core::effect::{Domain, Settings};

    #[test]
    fn it_is_done_when_all_have_answered_or_will_not() {
        let settings = Settings::new(vec![Domain::new("a.example")], HashKey::from_bytes([1; 16]), [2; 16]);
        let engine = Engine::new(settings, [3; 32], Vec::new());
        let (survey, mut forms) = Survey::new(2, Arc::from(["a.example".to_owned()]));
        let before = survey.overview();
        assert_eq!((before.answered, before.silent), (0, 2));
        assert_eq!(before.sessions, [("a.example".to_owned(), 0)], "also before anybody has answered");
        forms.pop().expect("two").fill(&engine);
        drop(forms);
        block_on(survey.done());
        assert_eq!((survey.overview().answered, survey.overview().silent), (1, 1));
    }
}
