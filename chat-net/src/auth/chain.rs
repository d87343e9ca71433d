//! Several authenticators, tried in order.

use std::sync::Arc;

use chat_core::effect::{AccountDone, AccountError, AccountOp, AccountResult};
use chat_core::sasl::Mechanism;

use super::{AccountAnswer, Authenticator};

/// A list of authenticators: the first that says yes decides.
///
/// | operation | answer |
/// |---|---|
/// | `Keys` | those of the first that has some |
/// | `Check` | accepted by the first that accepts; one that says the account is disabled ends the list |
/// | `Register`, `SetPassword` | of the first that can do it for this user |
/// | `Remove` | done by every one that can |
///
/// When none says yes: `Unavailable` if one of them was, as it might have said yes; else the first refusal.
///
/// A client of a user whom only a later `PLAIN` authenticator knows must be told to use PLAIN: it cannot see, from the
/// mechanisms offered, that SCRAM will not work for its user.
pub struct Chain {
    links: Arc<[Arc<dyn Authenticator>]>,
}

impl Chain {
    /// In the order given.
    pub fn new(links: Vec<Arc<dyn Authenticator>>) -> Chain {
        Chain { links: links.into() }
    }
}

impl Authenticator for Chain {
    /// Those of all, the one to prefer first.
    fn mechanisms(&self) -> Vec<Mechanism> {
        let served: Vec<_> = self.links.iter().flat_map(|link| link.mechanisms()).collect();
        Mechanism::ALL.into_iter().filter(|mechanism| served.contains(mechanism)).collect()
    }

    fn begin(&self, op: AccountOp, answer: AccountAnswer) {
        Round { links: self.links.clone(), next: 0, op, best: Err(AccountError::Unsupported), answer }.go();
    }
}

/// One operation on its way along the list.
struct Round {
    links: Arc<[Arc<dyn Authenticator>]>,
    next: usize,
    op: AccountOp,
    /// What to answer if nobody says yes.
    best: AccountResult,
    answer: AccountAnswer,
}

impl Round {
    fn go(mut self) {
        let Some(link) = self.links.get(self.next).cloned() else { return (self.answer)(self.best) };
        self.next += 1;
        let op = self.op.clone();
        link.begin(op, Box::new(move |result| self.heard(result)));
    }

    fn heard(mut self, result: AccountResult) {
        let ends = match (&self.op, &result) {
            (_, Err(AccountError::Disabled | AccountError::Exists | AccountError::BadPassword)) => true,
            (_, Err(_)) | (AccountOp::Keys { .. }, Ok(AccountDone::Keys(None))) => false,
            (AccountOp::Remove { .. }, Ok(_)) => false,
            (_, Ok(_)) => true,
        };
        if ends {
            return (self.answer)(result);
        }
        if weight(&result) > weight(&self.best) {
            self.best = result;
        }
        self.go();
    }
}

/// Which of several answers, none of them a final yes, says most.
fn weight(result: &AccountResult) -> u8 {
    match result {
        Err(AccountError::Unavailable) => 3,
        Ok(_) => 2,
        Err(AccountError::Unsupported) => 0,
        Err(_) => 1,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use chat_core::sasl::{Hash, ScramKeys};

    use super::super::testing::{ask, check, jid};
    use super::*;

    /// Gives the same answer to everything, and counts how often.
    struct Fixed(AccountResult, Mutex<u32>, Vec<Mechanism>);

    impl Authenticator for Fixed {
        fn mechanisms(&self) -> Vec<Mechanism> {
            self.2.clone()
        }

        fn begin(&self, op: AccountOp, answer: AccountAnswer) {
            drop(op);
            *self.1.lock().expect("lock") += 1;
            answer(self.0.clone());
        }
    }

    fn chain(results: &[AccountResult]) -> (Chain, Vec<Arc<Fixed>>) {
        let fixed = |result: &AccountResult| Arc::new(Fixed(result.clone(), Mutex::new(0), Vec::new()));
        let links: Vec<_> = results.iter().map(fixed).collect();
        let chain = Chain::new(links.iter().map(|link| link.clone() as Arc<dyn Authenticator>).collect());
        (chain, links)
    }

    fn short(result: &AccountResult) -> String {
        match result {
            Ok(done) => format!("{done:?}"),
            Err(error) => format!("{error:?}"),
        }
    }

    #[test]
    fn the_first_yes_decides() {
        use AccountError::{Disabled, Refused, Unavailable, Unsupported};
        let accepted = || Ok(AccountDone::Accepted);
        for (links, expected, asked) in [
            (vec![], "Unsupported", vec![]),
            (vec![accepted(), Err(Refused)], "Accepted", vec![1, 0]),
            (vec![Err(Refused), accepted()], "Accepted", vec![1, 1]),
            (vec![Err(Unavailable), accepted()], "Accepted", vec![1, 1]),
            (vec![Err(Refused), Err(Unavailable), Err(Refused)], "Unavailable", vec![1, 1, 1]),
            (vec![Err(Unsupported), Err(Refused)], "Refused", vec![1, 1]),
            (vec![Err(Disabled), accepted()], "Disabled", vec![1, 0]),
        ] {
            let (chain, fixed) = chain(&links);
            let result = check(&chain, "juliet@example.org", "x");
            assert_eq!(short(&result), expected, "{links:?}");
            let counts: Vec<_> = fixed.iter().map(|link| *link.1.lock().expect("lock")).collect();
            assert_eq!(counts, asked, "{links:?}");
        }
    }

    #[test]
    fn keys_come_from_the_first_that_has_some() {
        let keys = |fill| {
            let salt = vec![fill];
            Ok(AccountDone::Keys(Some(ScramKeys::derive(Hash::Sha1, "x", &salt, 1))))
        };
        let none = || Ok(AccountDone::Keys(None));
        let op = || AccountOp::Keys { user: jid("juliet@example.org"), hash: Hash::Sha1 };
        let salt = |links: &[AccountResult]| match ask(&chain(links).0, op()) {
            Ok(AccountDone::Keys(Some(keys))) => Ok(Some(keys.salt[0])),
            Ok(AccountDone::Keys(None)) => Ok(None),
            other => Err(short(&other)),
        };
        assert_eq!(salt(&[Err(AccountError::Unsupported), none(), keys(7), keys(8)]), Ok(Some(7)));
        assert_eq!(salt(&[Err(AccountError::Unsupported), none()]), Ok(None));
        assert_eq!(salt(&[none(), Err(AccountError::Unsupported)]), Ok(None));
        assert_eq!(salt(&[Err(AccountError::Unavailable), none()]), Err("Unavailable".into()));
    }

    #[test]
    fn removal_goes_to_all_and_registration_to_one() {
        let user = jid("juliet@example.org");
        let done = || Ok(AccountDone::Done);
        let (list, fixed) = chain(&[done(), Err(AccountError::Unsupported), done()]);
        assert_eq!(short(&ask(&list, AccountOp::Remove { user: user.clone() })), "Done");
        assert!(fixed.iter().all(|link| *link.1.lock().expect("lock") == 1));

        let register = AccountOp::Register { user, password: "x".into() };
        let (list, fixed) = chain(&[Err(AccountError::Unsupported), done(), done()]);
        assert_eq!(short(&ask(&list, register.clone())), "Done");
        assert_eq!(*fixed[2].1.lock().expect("lock"), 0);
        let (list, _) = chain(&[Err(AccountError::Exists), done()]);
        assert_eq!(short(&ask(&list, register)), "Exists");
    }

    #[test]
    fn mechanisms_are_those_of_all() {
        let fixed = |mechanisms: &[Mechanism]| {
            let never = Err(AccountError::Unsupported);
            Arc::new(Fixed(never, Mutex::new(0), mechanisms.to_vec())) as Arc<dyn Authenticator>
        };
        let list = Chain::new(vec![
            fixed(&[Mechanism::Anonymous]),
            fixed(&[Mechanism::Plain]),
            fixed(&[Mechanism::Plain, Mechanism::ScramSha1]),
        ]);
        assert_eq!(list.mechanisms(), [Mechanism::ScramSha1, Mechanism::Plain, Mechanism::Anonymous]);
    }
}
