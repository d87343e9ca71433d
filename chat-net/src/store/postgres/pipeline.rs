//! Statements sent one behind the other, without waiting for the answers in between.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

/// A statement under way. It is sent when it is first polled.
pub(super) type Sent<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Polls all of them once, in order, so that they are sent in order; then awaits them.
pub(super) async fn in_order<T>(mut statements: Vec<Sent<'_, T>>) -> Vec<T> {
    let mut answers: Vec<Option<T>> = statements.iter().map(|_| None).collect();
    let mut sent = false;
    // Those before have their answers.
    let mut next = 0;
    poll_fn(|cx| {
        for (statement, answer) in statements.iter_mut().zip(&mut answers).skip(next) {
            if answer.is_none()
                && let Poll::Ready(done) = statement.as_mut().poll(cx)
            {
                *answer = Some(done);
            }
            // Answers come in the order of the statements: the later ones have nothing yet.
            if answer.is_none() && sent {
                break;
            }
        }
        sent = true;
        next += answers.iter().skip(next).take_while(|answer| answer.is_some()).count();
        if next < answers.len() { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    answers.into_iter().map(|answer| answer.expect("all have ended")).collect()
}
