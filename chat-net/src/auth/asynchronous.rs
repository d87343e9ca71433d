//! An adapter that makes an [`Authenticator`] of asynchronous code.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use chat_core::effect::{AccountError, AccountOp, AccountResult};
use chat_core::sasl::Mechanism;

use super::{AccountAnswer, Authenticator, Promise};
use crate::spawn::Spawner;

/// An authenticator written in asynchronous code: one function.
pub trait AsyncAuthenticator: Send + Sync + 'static {
    /// See [`Authenticator::mechanisms`]. An authenticator that only checks passwords serves `PLAIN`.
    fn mechanisms(&self) -> Vec<Mechanism> {
        vec![Mechanism::Plain]
    }

    /// Carries an operation out; may be written as an `async fn`. The future runs on the [`Spawner`] that
    /// [`Asynchronous::new`] was given, and must end some day, by a timeout if need be; one that panics or is dropped
    /// counts as `Unavailable`. What it cannot do at all it answers with [`AccountError::Unsupported`].
    fn apply(self: Arc<Self>, op: AccountOp) -> impl Future<Output = AccountResult> + Send;
}

/// An [`Authenticator`] over an [`AsyncAuthenticator`]: bounds what is under way.
pub struct Asynchronous<A: AsyncAuthenticator> {
    authenticator: Arc<A>,
    spawner: Spawner,
    under_way: Arc<AtomicUsize>,
    under_way_max: usize,
}

impl<A: AsyncAuthenticator> Asynchronous<A> {
    /// `under_way_max` operations may be under way; beyond it the answer is `Unavailable`, at once.
    pub fn new(authenticator: Arc<A>, spawner: Spawner, under_way_max: usize) -> Asynchronous<A> {
        Asynchronous { authenticator, spawner, under_way: Arc::default(), under_way_max }
    }
}

impl<A: AsyncAuthenticator> Authenticator for Asynchronous<A> {
    fn mechanisms(&self) -> Vec<Mechanism> {
        self.authenticator.mechanisms()
    }

    fn begin(&self, op: AccountOp, answer: AccountAnswer) {
        let place = Place::take(&self.under_way);
        if place.number > self.under_way_max {
            drop(place);
            return answer(Err(AccountError::Unavailable));
        }
        let (authenticator, promise) = (self.authenticator.clone(), Promise::new(answer));
        self.spawner.spawn(async move {
            let result = authenticator.apply(op).await;
            drop(place);
            promise.keep(result);
        });
    }
}

/// One operation under way.
struct Place {
    under_way: Arc<AtomicUsize>,
    number: usize,
}

impl Place {
    fn take(under_way: &Arc<AtomicUsize>) -> Place {
        let number = under_way.fetch_add(1, Ordering::Relaxed) + 1;
        Place { under_way: under_way.clone(), number }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use chat_core::effect::AccountDone;

    use super::super::testing::{check, jid};
    use super::*;

    struct Moody;

    impl AsyncAuthenticator for Moody {
        async fn apply(self: Arc<Self>, op: AccountOp) -> AccountResult {
            match op.user().local() {
                Some("panics") => panic!("as the test wants"),
                Some("hangs") => std::future::pending().await,
                _ => Ok(AccountDone::Accepted),
            }
        }
    }

    #[test]
    fn every_operation_is_answered_and_their_number_bounded() {
        let authenticator = Asynchronous::new(Arc::new(Moody), Spawner::service(), 2);
        assert_eq!(authenticator.mechanisms(), [Mechanism::Plain]);
        for _ in 0..5 {
            let result = check(&authenticator, "panics@example.org", "x");
            assert!(matches!(result, Err(AccountError::Unavailable)), "{result:?}");
            let result = check(&authenticator, "juliet@example.org", "x");
            assert!(matches!(result, Ok(AccountDone::Accepted)), "{result:?}");
        }
        for _ in 0..2 {
            let op = AccountOp::Check { user: jid("hangs@example.org"), password: "x".into() };
            authenticator.begin(op, Box::new(drop));
        }
        let result = check(&authenticator, "juliet@example.org", "x");
        assert!(matches!(result, Err(AccountError::Unavailable)), "{result:?}");
    }
}
