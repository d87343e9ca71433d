//! XEP-0077 (In-Band Registration) for those who have an account: changing its password (§3.3) and cancelling it
//! (§3.2). Who has none yet is served before the login, in `session::negotiate`.
//!
//! Stock clients send these to the server as well as to their own account; both are taken. The answer follows when
//! the authenticator has carried it out. Forms (XEP-0004) are not offered.

use crate::base::limits::SASL_PASSWORD_BYTES_MAX;
use crate::effect::{AccountOp, Domain, PendingReply, Settings, Wait};
use crate::ext::{Answer, Asked, At, Extension, Iq};
use crate::jid::BareJid;
use crate::sasl::Secret;
use crate::stanza::{Condition, ErrorType, StanzaError};
use crate::user::User;
use crate::xml::Element;

const NS: &str = "jabber:iq:register";

/// Changes passwords and ends accounts.
pub struct Register;

impl Extension for Register {
    fn name(&self) -> &'static str {
        "xep0077_register"
    }
    fn suits(&self, domain: &Domain) -> bool {
        domain.account_management
    }
    fn features(&self) -> &'static [&'static str] {
        &[NS]
    }
    fn iq_namespaces(&self) -> &'static [&'static str] {
        &[NS]
    }
    fn on_iq(&mut self, iq: &Iq<'_>, at: &mut At<'_>) -> Answer {
        let Some(user) = at.user.as_deref_mut() else { return Answer::NotMine };
        if iq.asked == Asked::Other || !iq.payload.is("query", NS) {
            return Answer::NotMine;
        }
        if !is_allowed(user, &at.cx.settings) {
            return Condition::NotAllowed.into();
        }
        if !iq.set {
            return registered(user);
        }
        match read(&iq.payload, &user.jid) {
            // Each costs the authenticator as much as a login: one at a time.
            Ok(_) if user.account_changes => {
                Answer::Error(StanzaError::new(Condition::ResourceConstraint, ErrorType::Wait))
            }
            Ok(op) => {
                user.account_changes = true;
                let reply = PendingReply {
                    to: iq.stanza.from.to_owned(),
                    from: iq.stanza.to.map(|to| to.to_owned()),
                    id: iq.stanza.view.id().map(Into::into),
                    removes: matches!(op, AccountOp::Remove { .. }),
                };
                let wait = Wait::Account { user: user.id, reply: Box::new(reply) };
                at.cx.account(op, wait);
                Answer::Later
            }
            Err(condition) => condition.into(),
        }
    }
}

fn is_allowed(user: &User, settings: &Settings) -> bool {
    let domain = settings.domain(user.jid.domain());
    !user.ephemeral && domain.is_some_and(|domain| domain.account_management)
}

/// §3.1.1: who asks has an account; here is what could be changed of it. The password is never told.
fn registered(user: &User) -> Answer {
    let username = Element::new("username", NS).with_text(user.jid.local().unwrap_or_default());
    let children = [Element::new("registered", NS), username, Element::new("password", NS)];
    Answer::element(&Element::new("query", NS).with_children(children))
}

/// What is to be done with the account of this user.
fn read(query: &Element, user: &BareJid) -> Result<AccountOp, Condition> {
    let user = user.clone();
    if query.has_child("remove", NS) {
        // §3.2: it stands alone.
        return if query.children().count() == 1 {
            Ok(AccountOp::Remove { user })
        } else {
            Err(Condition::BadRequest)
        };
    }
    let (Some(name), Some(password)) = (query.child("username", NS), query.child("password", NS)) else {
        return Err(Condition::BadRequest);
    };
    if !is_name_of(&name.text(), &user) {
        return Err(Condition::Forbidden);
    }
    let password = Secret::new(password.text().into_owned());
    match password.expose().len() {
        // §3.3: an empty password changes nothing.
        0 => Err(Condition::BadRequest),
        n if n > SASL_PASSWORD_BYTES_MAX => Err(Condition::NotAcceptable),
        _ => Ok(AccountOp::SetPassword { user, password }),
    }
}

/// Whether a user name is that of this account: its localpart, as anybody may write it, or its whole address.
fn is_name_of(name: &str, user: &BareJid) -> bool {
    let local = format!("{name}@{}", user.domain());
    [local.as_str(), name].iter().any(|text| BareJid::parse(text).is_ok_and(|jid| jid == *user))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Bench, get, set};
    use super::*;
    use crate::effect::Output;

    fn query(children: &str) -> String {
        set(&format!("<query xmlns='jabber:iq:register'>{children}</query>"))
    }

    /// What the authenticator was asked, and who waits for its answer.
    fn asked(bench: &mut Bench) -> (AccountOp, PendingReply) {
        let Some(Output::Account { id, op }) = bench.cx.outputs.pop_front() else {
            panic!("nobody was asked")
        };
        let Wait::Account { user, reply } = bench.cx.pending.take(id).unwrap().wait else {
            panic!("nobody waits")
        };
        assert_eq!(user, bench.user.id);
        (*op, *reply)
    }

    #[test]
    fn who_is_registered_is_told_so() {
        let mut bench = Bench::new();
        let told = "result <query xmlns='jabber:iq:register'><registered/><username>romeo</username><password/></query>";
        let question = get("<query xmlns='jabber:iq:register'/>");
        assert_eq!(bench.ask(&mut Register, Asked::Own, &question), told); // §3.1.1
        assert_eq!(bench.ask(&mut Register, Asked::Server, &question), told);
        assert_eq!(bench.ask(&mut Register, Asked::Other, &question), "not mine");
    }

    #[test]
    fn a_password_is_changed_by_the_authenticator() {
        for (whom, from) in [(Asked::Own, None), (Asked::Server, Some("montague.example"))] {
            for name in ["romeo", "ROMEO", "romeo@montague.example"] {
                let mut bench = Bench::new();
                bench.bind("orchard");
                let order = query(&format!("<username>{name}</username><password>p&lt;w</password>"));
                assert_eq!(bench.ask(&mut Register, whom, order), "later"); // §3.3
                let (op, reply) = asked(&mut bench);
                let AccountOp::SetPassword { user, password } = op else { panic!("{op:?}") };
                assert_eq!((user.as_str(), password.expose()), ("romeo@montague.example", "p<w"));
                assert_eq!(reply.to, "romeo@montague.example/orchard");
                assert_eq!(reply.from.as_ref().map(|j| j.as_str()), from);
                assert_eq!((reply.id.as_deref(), reply.removes), (Some("q1"), false));
            }
        }
    }

    #[test]
    fn one_change_is_made_at_a_time() {
        let mut bench = Bench::new();
        bench.bind("orchard");
        let order = query("<username>romeo</username><password>new</password>");
        assert_eq!(bench.ask(&mut Register, Asked::Own, &order), "later");
        for order in [&order, &query("<remove/>")] {
            assert_eq!(bench.ask(&mut Register, Asked::Own, order), "error wait resource-constraint");
        }
        asked(&mut bench);
        assert!(bench.cx.outputs.is_empty());
    }

    #[test]
    fn an_account_is_cancelled_by_the_authenticator() {
        let mut bench = Bench::new();
        assert_eq!(bench.ask(&mut Register, Asked::Own, query("<remove/>")), "later"); // §3.2
        let (op, reply) = asked(&mut bench);
        assert!(matches!(op, AccountOp::Remove { user } if user == "romeo@montague.example"));
        assert!(reply.removes);
    }

    #[test]
    fn incomplete_and_foreign_requests_change_nothing() {
        let long = format!("<username>romeo</username><password>{}</password>", "x".repeat(3001));
        for (children, error) in [
            ("<remove/><username>romeo</username>", "error modify bad-request"), // §3.2, table
            ("<username>romeo</username>", "error modify bad-request"),          // §3.3, table
            ("<password>x</password>", "error modify bad-request"),
            ("<username>romeo</username><password/>", "error modify bad-request"), // §3.3: not a null value
            ("<username>romeo</username><password></password>", "error modify bad-request"),
            ("<username>juliet</username><password>x</password>", "error auth forbidden"),
            ("<username/><password>x</password>", "error auth forbidden"),
            ("<x xmlns='jabber:x:data' type='submit'/>", "error modify bad-request"),
            ("", "error modify bad-request"),
            (&long, "error modify not-acceptable"),
        ] {
            let mut bench = Bench::new();
            assert_eq!(bench.ask(&mut Register, Asked::Own, query(children)), error, "{children}");
            assert!(bench.cx.outputs.is_empty());
        }
    }

    #[test]
    fn where_accounts_are_not_managed_in_band_nothing_is_allowed() {
        let mut fixed = Bench::with(|settings| settings.domains[0].account_management = false);
        let mut ephemeral = Bench::new();
        ephemeral.user.ephemeral = true;
        for bench in [&mut fixed, &mut ephemeral] {
            for order in [query("<remove/>"), query("<username>romeo</username><password>x</password>")] {
                assert_eq!(bench.ask(&mut Register, Asked::Own, order), "error cancel not-allowed"); // §3.2, §3.3
            }
            assert!(bench.cx.outputs.is_empty());
        }
    }

    #[test]
    fn a_stranger_has_nothing_to_change() {
        let mut bench = Bench::new();
        assert_eq!(bench.ask(&mut Register, Asked::Other, query("<remove/>")), "not mine");
    }
}
