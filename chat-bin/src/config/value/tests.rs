//! What each kind of setting accepts, refuses and shows.

use super::*;

const COUNT: Kind = Kind::Int { min: 1, max: 64 };
const BYTES: Kind = Kind::Bytes { min: 10, max: 4 << 20 };
const SPAN: Kind = Kind::Duration { min: Span::millis(100), max: Span::secs(604_800) };
const COLOURS: Kind = Kind::Choices { of: &["red", "blue"], empty: false };

fn plain(kind: Kind, text: &str) -> Result<String, String> {
    kind.read(&Raw::Plain(text.into())).map(|v| v.to_string())
}

#[test]
fn plain_texts_are_read_and_shown() {
    for (kind, text, shown) in [
        (Kind::Bool, "true", "true"),
        (COUNT, "64", "64"),
        (BYTES, "64KiB", "65536"),
        (BYTES, "2 MiB", "2097152"),
        (SPAN, "30", "30s"),
        (SPAN, "250ms", "250ms"),
        (SPAN, "1500ms", "1500ms"),
        (SPAN, "2000ms", "2s"),
        (SPAN, "5m", "300s"),
        (SPAN, "1h", "3600s"),
        (SPAN, "7d", "604800s"),
        (COLOURS, "blue,red blue", "blue red"),
        (Kind::Names, "a, b", "a b"),
        (
            Kind::Domains,
            "a.example:b.example,c.example  d.example",
            "a.example b.example c.example d.example",
        ),
        (Kind::Domains, "EXAMPLE.org.", "example.org"),
        (Kind::Domains, "xn--mnchen-3ya.example", "münchen.example"),
        (Kind::Domains, "10.0.0.1", "10.0.0.1"),
        (Kind::Addresses, "0.0.0.0:5222,[::]:5222", "0.0.0.0:5222 [::]:5222"),
        (Kind::Addresses, "", ""),
        (Kind::Blocks, "10.1.2.3/8 ::1", "10.0.0.0/8 ::1/128"),
        (Kind::Nodes { ports: false }, "chat@a.x:chat@b.x chat@c.x", "chat@a.x chat@b.x chat@c.x"),
        (Kind::Nodes { ports: true }, "chat@a.x:4370,chat@[::1]:1", "chat@a.x:4370 chat@[::1]:1"),
        (Kind::Store, "sqlite:data/chat.db", "sqlite:data/chat.db"),
        (Kind::Secret, "hunter2", "(secret)"),
        (Kind::Secrets, "0123456789abcdef fedcba9876543210", "(secret)"),
    ] {
        assert_eq!(plain(kind, text).as_deref(), Ok(shown), "{text}");
        if !kind.is_secret() {
            assert_eq!(plain(kind, shown).as_deref(), Ok(shown), "what is shown can be set");
        }
    }
}

#[test]
fn refusals_say_what_is_expected() {
    for (kind, text, message) in [
        (Kind::Bool, "yes", "expected true or false, not \"yes\""),
        (COUNT, "many", "expected a number from 1 to 64, not \"many\""),
        (COUNT, "65", "expected a number from 1 to 64, not \"65\""),
        (COUNT, "+3", "expected a number from 1 to 64, not \"+3\""),
        (
            SPAN,
            "10ms",
            "expected a duration from 100ms to 604800s, in seconds or as in 250ms, 30s, 5m, 1h, 7d, not \"10ms\"",
        ),
        (COLOURS, "red green", "expected a list of one or more of red, blue, not \"green\""),
        (COLOURS, "", "expected a list of one or more of red, blue, not \"\""),
        (
            Kind::Domains,
            "a.example -b.example",
            "expected one or more domains such as chat.example.org, not \"-b.example\"",
        ),
        (Kind::Domains, "a..b", "expected one or more domains such as chat.example.org, not \"a..b\""),
        (
            Kind::Domains,
            "user@example.org",
            "expected one or more domains such as chat.example.org, not \"user@example.org\"",
        ),
        (
            Kind::Addresses,
            "5222",
            "expected a list of socket addresses such as 0.0.0.0:5222 or [::]:5222, not \"5222\"",
        ),
        (
            Kind::Domains,
            "a_b.example",
            "expected one or more domains such as chat.example.org, not \"a_b.example\"",
        ),
        (Kind::Node, "chat", "expected name@host, not \"chat\""),
        (Kind::Store, "postgres://pw", ""),
        (
            Kind::Store,
            "mysql://u:hunter2@h/d",
            "expected sqlite:PATH, postgres://USER@HOST/DATABASE or memory:",
        ),
        (Kind::HttpUrl, "ftp://u:hunter2@h", "expected an http or https URL"),
        (Kind::Secret, "hunter2 hunter2", "expected a text without white space"),
        (Kind::Secrets, "hunter2", "expected one secret of at least 16 bytes, or two while they are rotated"),
    ] {
        match plain(kind, text) {
            Ok(_) => assert_eq!(message, "", "{text} was accepted"),
            Err(e) => assert_eq!(e, message),
        }
    }
}

#[test]
fn files_have_types() {
    let text = |s: &str| Raw::Str(s.into());
    let list = |items: &[&str]| Raw::List(items.iter().map(|s| text(s)).collect());
    let read = |kind: Kind, raw: Raw| kind.read(&raw).map(|v| v.to_string());
    assert_eq!(read(Kind::Bool, Raw::Bool(true)).as_deref(), Ok("true"));
    assert_eq!(read(Kind::Bool, text("true")).unwrap_err(), "expected true or false, not \"true\"");
    assert_eq!(read(COUNT, Raw::Int("3".into())).as_deref(), Ok("3"));
    assert_eq!(read(COUNT, Raw::Int("-3".into())).unwrap_err(), "expected a number from 1 to 64, not -3");
    assert_eq!(read(COUNT, text("3")).unwrap_err(), "expected a number from 1 to 64, not \"3\"");
    assert_eq!(read(SPAN, text("250ms")).as_deref(), Ok("250ms"));
    assert_eq!(read(COLOURS, list(&["red"])).as_deref(), Ok("red"));
    assert_eq!(
        read(COLOURS, Raw::List(vec![Raw::Int("1".into())])).unwrap_err(),
        "expected a list of one or more of red, blue, not this list"
    );
    assert_eq!(read(Kind::Path, Raw::Other("a table")).unwrap_err(), "expected a path, not a table");
    assert_eq!(read(Kind::Domains, list(&["a.example"])).as_deref(), Ok("a.example"));
}

#[test]
fn nodes_are_written_as_they_are_read() {
    for good in ["chat@ch-prod-1.example.org", "chat@10.0.0.1", "chat@chat_1", "chat@[2001:db8::1]"] {
        assert_eq!(read_node(good, false).unwrap().to_string(), good);
    }
    for good in ["chat@a.example:4370", "chat@[::1]:4370"] {
        assert_eq!(read_node(good, true).unwrap().to_string(), good);
        assert!(read_node(good, false).is_none());
    }
    for bad in [
        "",
        "chat",
        "chat@",
        "@a",
        "chat@a..b",
        "chat@-a",
        "chat@a:0",
        "chat@a:x",
        "chat@a:99999",
        "chat@[a]",
    ] {
        assert!(read_node(bad, true).is_none(), "{bad}");
    }
}
