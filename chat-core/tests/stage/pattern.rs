//! Whether what was received is what the script says.

use std::collections::BTreeMap;

use chat_core::xml::{Element, StreamNs};

/// Compares two elements; attributes in any order, text exactly, `{*}` and `{name}` as placeholders in values.
pub fn matches(pattern: &str, received: &str, names: &mut BTreeMap<String, String>) -> Result<(), String> {
    if pattern.starts_with("</stream") || pattern == "<stream>" {
        return if pattern == received { Ok(()) } else { Err("differs".into()) };
    }
    let streams =
        StreamNs::new([("", "jabber:client"), ("stream", "http://etherx.jabber.org/streams")]).unwrap();
    let read = |text: &str| Element::parse(text.as_bytes(), &streams).map_err(|e| format!("{e}: {text}"));
    element(&read(pattern)?, &read(received)?, names)
}

fn element(p: &Element, r: &Element, names: &mut BTreeMap<String, String>) -> Result<(), String> {
    if (&p.name, &p.ns) != (&r.name, &r.ns) {
        return Err(format!("<{} xmlns='{}'/> instead of <{} xmlns='{}'/>", r.name, r.ns, p.name, p.ns));
    }
    for attr in &p.attrs {
        match r.attrs.iter().find(|a| a.name == attr.name && a.ns == attr.ns) {
            None => return Err(format!("<{}/> has no '{}'", r.name, attr.name)),
            Some(got) => value(&attr.value, &got.value, names).map_err(|e| format!("'{}' {e}", attr.name))?,
        }
    }
    for attr in &r.attrs {
        if !p.attrs.iter().any(|a| a.name == attr.name && a.ns == attr.ns) {
            return Err(format!("<{}/> has '{}'='{}'", r.name, attr.name, attr.value));
        }
    }
    let (pc, rc): (Vec<_>, Vec<_>) = (p.children().collect(), r.children().collect());
    // <any/> in the pattern stands for whatever children there are.
    if pc.len() == 1 && pc[0].name == "any" {
        return Ok(());
    }
    if pc.len() != rc.len() {
        return Err(format!("<{}/> has {} children instead of {}", p.name, rc.len(), pc.len()));
    }
    for (a, b) in pc.iter().zip(&rc) {
        element(a, b, names)?;
    }
    if pc.is_empty() {
        value(&p.text(), &r.text(), names).map_err(|e| format!("text {e}"))?;
    }
    Ok(())
}

fn value(pattern: &str, got: &str, names: &mut BTreeMap<String, String>) -> Result<(), String> {
    if pattern == "{*}" {
        return Ok(());
    }
    let wanted = match pattern.strip_prefix('{').and_then(|p| p.strip_suffix('}')) {
        Some(name) => names.entry(name.to_owned()).or_insert_with(|| got.to_owned()).as_str(),
        None => pattern,
    };
    if wanted == got { Ok(()) } else { Err(format!("is '{got}' instead of '{wanted}'")) }
}
