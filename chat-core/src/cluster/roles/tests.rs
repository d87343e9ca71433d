use super::*;
use crate::base::Utc;

fn name(text: &str) -> NodeName {
    NodeName::parse(&format!("chat@{text}")).expect("a name")
}

fn at(seconds: u64) -> Now {
    Now { mono: Mono(0) + Span::secs(1_000 + seconds), utc: Utc(0) }
}

const ACTIVE: Other = Other { role: Role::Active, is_draining: false };
const STANDBY: Other = Other { role: Role::Standby, is_draining: false };
const DRAINING: Other = Other { role: Role::Active, is_draining: true };

/// One node at second 0, which sees the others from then on.
fn node(own: &str, role: Role, wanted: u16, others: &[(&str, Other)]) -> Roles {
    let settings = Settings { name: name(own), role, wanted: Some(wanted) };
    let mut roles = Roles::new(at(0), settings);
    for (other, as_what) in others {
        roles.handle(at(0), Input::Seen(&name(other), *as_what));
    }
    roles
}

fn tick(roles: &mut Roles, seconds: u64) -> Vec<Output> {
    roles.handle(at(seconds), Input::Tick);
    std::iter::from_fn(|| roles.poll_output()).collect()
}

fn due(roles: &Roles) -> Option<u64> {
    roles.poll_timeout().map(|(at_, _)| at_.since(at(0).mono).0 / 1_000_000_000)
}

#[test]
fn the_first_standby_by_name_takes_the_place_of_an_active_node() {
    let others = [("a", ACTIVE), ("b", ACTIVE)];
    let mut first = node("c", Role::Standby, 3, &[&others[..], &[("d", STANDBY)]].concat());
    let mut second = node("d", Role::Standby, 3, &[&others[..], &[("c", STANDBY)]].concat());
    assert_eq!((due(&first), due(&second)), (Some(10), None));
    assert_eq!(tick(&mut first, 9), []);
    assert_eq!(tick(&mut first, 10), [Output::Become(Role::Active)]);
    assert_eq!(first.role(), Role::Active);
    assert_eq!(tick(&mut second, 60), []);
    second.handle(at(60), Input::Seen(&name("c"), ACTIVE));
    assert_eq!(tick(&mut second, 100), [], "there are enough");
    assert_eq!((due(&first), due(&second)), (None, None));
}

#[test]
fn as_many_become_active_as_are_missing() {
    let others = |own: &str| -> Vec<(&'static str, Other)> {
        ["b", "c", "d"]
            .into_iter()
            .filter(|n| *n != own)
            .map(|n| (n, STANDBY))
            .chain([("a", ACTIVE)])
            .collect()
    };
    for (own, becomes) in [("b", true), ("c", true), ("d", false)] {
        let mut roles = node(own, Role::Standby, 3, &others(own));
        assert_eq!(!tick(&mut roles, 10).is_empty(), becomes, "{own}");
    }
}

#[test]
fn the_time_counts_while_too_few_are_active_without_a_break() {
    let mut roles = node("c", Role::Standby, 2, &[("a", ACTIVE), ("b", ACTIVE)]);
    assert_eq!(due(&roles), None);
    roles.handle(at(5), Input::Gone(&name("a")));
    assert_eq!(due(&roles), Some(15));
    roles.handle(at(14), Input::Seen(&name("a"), ACTIVE));
    assert_eq!(tick(&mut roles, 15), []);
    roles.handle(at(16), Input::Gone(&name("b")));
    assert_eq!(tick(&mut roles, 25), []);
    assert_eq!(tick(&mut roles, 26), [Output::Become(Role::Active)]);
}

#[test]
fn who_was_next_and_is_gone_makes_room_for_the_one_behind() {
    let mut roles = node("d", Role::Standby, 2, &[("a", ACTIVE), ("c", STANDBY)]);
    assert_eq!(tick(&mut roles, 12), []);
    roles.handle(at(13), Input::Gone(&name("c")));
    assert_eq!(tick(&mut roles, 13), [Output::Become(Role::Active)]);
}

#[test]
fn nodes_that_drain_do_not_count_and_do_not_change() {
    let mut roles = node("c", Role::Standby, 2, &[("a", ACTIVE), ("b", DRAINING)]);
    assert_eq!(due(&roles), Some(10), "who drains takes no clients");
    roles.handle(at(1), Input::Wish(Wish::Drain(true)));
    assert_eq!((due(&roles), tick(&mut roles, 60)), (None, vec![]));
    roles.handle(at(61), Input::Wish(Wish::Promote));
    assert_eq!(tick(&mut roles, 61), []);
    roles.handle(at(62), Input::Wish(Wish::Drain(false)));
    assert_eq!(tick(&mut roles, 62), [Output::Become(Role::Active)]);

    let standby = Other { is_draining: true, ..STANDBY };
    let mut roles = node("c", Role::Standby, 2, &[("a", ACTIVE), ("b", standby)]);
    assert_eq!(tick(&mut roles, 10), [Output::Become(Role::Active)], "who drains is not next");
}

#[test]
fn the_last_by_name_steps_back_after_five_minutes() {
    let mut last = node("c", Role::Active, 2, &[("a", ACTIVE), ("b", ACTIVE)]);
    let mut other = node("b", Role::Active, 2, &[("a", ACTIVE), ("c", ACTIVE)]);
    assert_eq!((due(&last), due(&other)), (Some(300), None));
    assert_eq!(tick(&mut last, 299), []);
    assert_eq!(tick(&mut last, 300), [Output::StepBack]);
    assert!(last.steps_back());
    assert_eq!(tick(&mut last, 301), [], "once");
    assert_eq!(last.role(), Role::Active, "until nobody is left");
    last.handle(at(330), Input::Wish(Wish::SteppedBack));
    assert_eq!(tick(&mut last, 330), [Output::Become(Role::Standby)]);
    assert_eq!((due(&last), tick(&mut other, 400)), (None, vec![]));
}

#[test]
fn those_that_are_too_many_go_one_after_the_other() {
    let mut roles = node("b", Role::Active, 1, &[("a", ACTIVE), ("c", ACTIVE)]);
    assert_eq!(tick(&mut roles, 300), [], "the last goes first");
    roles.handle(at(301), Input::Seen(&name("c"), DRAINING));
    assert_eq!(due(&roles), Some(601));
    roles.handle(at(400), Input::Seen(&name("c"), STANDBY));
    assert_eq!(tick(&mut roles, 600), []);
    assert_eq!(tick(&mut roles, 601), [Output::StepBack]);
}

#[test]
fn the_operator_promotes_at_once() {
    let mut roles = node("c", Role::Standby, 2, &[("a", ACTIVE), ("b", ACTIVE)]);
    roles.handle(at(3), Input::Wish(Wish::Promote));
    assert_eq!(tick(&mut roles, 3), [Output::Become(Role::Active)]);
    roles.handle(at(4), Input::Wish(Wish::Promote));
    assert_eq!(tick(&mut roles, 4), []);
    assert_eq!(tick(&mut roles, 303), [Output::StepBack], "now they are too many");
}

#[test]
fn the_operator_has_a_node_step_back_and_may_think_better_of_it() {
    let mut roles = node("b", Role::Active, 2, &[("a", ACTIVE), ("c", ACTIVE)]);
    roles.handle(at(3), Input::Wish(Wish::StepBack));
    roles.handle(at(4), Input::Wish(Wish::StepBack));
    assert_eq!(tick(&mut roles, 4), [Output::StepBack]);
    assert!(roles.steps_back() && roles.is_leaving());
    roles.handle(at(5), Input::Wish(Wish::Promote));
    assert_eq!(tick(&mut roles, 5), [Output::Stay]);
    assert!(!roles.is_leaving());
    roles.handle(at(6), Input::Wish(Wish::SteppedBack));
    assert_eq!((roles.role(), tick(&mut roles, 6)), (Role::Active, vec![]), "too late");

    // By count: who stays after all gives the others as much time again.
    let mut last = node("c", Role::Active, 2, &[("a", ACTIVE), ("b", ACTIVE)]);
    assert_eq!(tick(&mut last, 300), [Output::StepBack]);
    last.handle(at(301), Input::Wish(Wish::Promote));
    assert_eq!((tick(&mut last, 301), due(&last)), (vec![Output::Stay], Some(601)));

    // Who drains or stands by does not step back.
    last.handle(at(302), Input::Wish(Wish::Drain(true)));
    last.handle(at(303), Input::Wish(Wish::StepBack));
    let mut standby = node("d", Role::Standby, 1, &[("a", ACTIVE)]);
    standby.handle(at(1), Input::Wish(Wish::StepBack));
    assert_eq!((tick(&mut last, 303), tick(&mut standby, 1)), (vec![], vec![]));
}

#[test]
fn without_a_wanted_number_nothing_happens_by_itself() {
    for role in [Role::Active, Role::Standby] {
        let mut roles = Roles::new(at(0), Settings { name: name("c"), role, wanted: None });
        for n in 0..8 {
            roles.handle(at(n), Input::Seen(&name(&format!("n{n}")), ACTIVE));
        }
        assert_eq!((due(&roles), tick(&mut roles, 100_000)), (None, vec![]));
    }
    let mut roles = Roles::new(at(0), Settings { name: name("c"), role: Role::Standby, wanted: None });
    roles.handle(at(1), Input::Wish(Wish::Promote));
    assert_eq!(tick(&mut roles, 1), [Output::Become(Role::Active)]);
}

/// A whole cluster whose nodes hear of each other a second late: it comes to the wanted number from wherever it begins, and stays.
#[test]
fn a_cluster_settles_at_the_wanted_number() {
    for wanted in 1..=6_u16 {
        for first in 0..64_u32 {
            let role = |n: u32| if first >> n & 1 == 1 { Role::Active } else { Role::Standby };
            let names: Vec<_> = (0..6).map(|n| name(&format!("n{n}"))).collect();
            let settings =
                |n: u32| Settings { name: names[n as usize].clone(), role: role(n), wanted: Some(wanted) };
            let mut nodes: Vec<Roles> = (0..6).map(|n| Roles::new(at(0), settings(n))).collect();
            let mut said: Vec<Other> = (0..6).map(|n| Other { role: role(n), is_draining: false }).collect();
            for second in 1..3_000 {
                let heard = said.clone();
                for (n, node) in nodes.iter_mut().enumerate() {
                    for (other, as_what) in heard.iter().enumerate().filter(|(other, _)| *other != n) {
                        node.handle(at(second), Input::Seen(&names[other], *as_what));
                    }
                    for output in tick(node, second) {
                        if output == Output::StepBack {
                            assert!(second > 300, "nobody steps back in haste");
                            node.handle(at(second), Input::Wish(Wish::SteppedBack));
                        }
                    }
                    said[n] = Other { role: node.role(), is_draining: node.steps_back() };
                }
            }
            let active = said.iter().filter(|other| other.role == Role::Active).count();
            assert_eq!(active, usize::from(wanted), "from {first:06b}");
        }
    }
}
