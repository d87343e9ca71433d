//! The environment: `CHAT_SECTION_KEY` for every setting, and the names of its own that some have.

use std::ffi::OsString;

use super::layer::Layer;
use super::origin::Origin;
use super::suggest::{did_you_mean, nearest};
use super::table::{self, Setting};
use super::value::Raw;

/// The variable that names the main file. It is not a setting.
pub const CONFIG_FILE: &str = "CHAT_CONFIG";

/// Reads all settings of an environment, in the order of their names. An empty variable counts as not set, except
/// where the empty list is a value.
pub(crate) fn read(env: &[(OsString, OsString)]) -> Layer {
    let known: Vec<(String, &'static Setting)> =
        table::all().flat_map(|s| s.variables().map(move |v| (v, s))).collect();
    let mut env: Vec<_> = env.iter().collect();
    env.sort();
    let mut layer = Layer::default();
    for (name, value) in env {
        let Some(name) = name.to_str() else { continue };
        let origin = Origin::Environment(name.to_owned());
        match known.iter().find(|(v, _)| v == name) {
            Some((_, setting)) => match value.to_str() {
                Some("") if !setting.kind.may_be_empty() => {}
                Some(text) => take(&mut layer, setting, text, origin),
                None => layer.error(origin, format!("{}: expected UTF-8", setting.name)),
            },
            None if name == CONFIG_FILE || is_service_link(name, &value.to_string_lossy()) => {}
            None => {
                let names = || known.iter().map(|(v, _)| v.as_str());
                let ours = name.starts_with("CHAT_");
                // Names with a foreign prefix are not ours to judge, unless one letter away from one of ours.
                let near = ["XMPP_", "MEMTABD_", "CONFIG_"].iter().any(|p| name.starts_with(p))
                    && nearest(name, names()).is_some_and(|n| strsim::damerau_levenshtein(n, name) <= 2);
                if ours || near {
                    layer.error(origin, format!("not a setting{}", did_you_mean(name, names())));
                }
            }
        }
    }
    layer
}

fn take(layer: &mut Layer, setting: &'static Setting, text: &str, origin: Origin) {
    let before = layer.entries.len();
    layer.take_setting(None, setting, &Raw::Plain(text.to_owned()), origin.clone());
    let Some(new) = layer.entries.get(before) else { return };
    let other = layer.entries[..before].iter().find(|e| e.setting.name == setting.name);
    if let Some(other) = other.filter(|o| o.value != new.value) {
        let message = format!("{}: {} says something else", setting.name, other.origin);
        layer.error(origin, message);
    }
}

/// Whether Kubernetes made this variable for a Service called `chat` or `chat-something`:
/// `CHAT_SERVICE_HOST`, `CHAT_SERVICE_PORT`, `CHAT_SERVICE_PORT_WEB`, `CHAT_PORT`, `CHAT_PORT_5222_TCP_ADDR`.
/// `CHAT_SOMETHING_PORT` counts only with the value Kubernetes gives it, a URL; else it may be a mistake.
fn is_service_link(name: &str, value: &str) -> bool {
    let Some(rest) = name.strip_prefix("CHAT_") else { return false };
    let words: Vec<&str> = rest.split('_').collect();
    (0..words.len()).any(|i| match &words[i..] {
        ["SERVICE", "HOST"] | ["SERVICE", "PORT", ..] => true,
        ["PORT"] => i == 0 || value.contains("://"),
        ["PORT", number, "TCP" | "UDP" | "SCTP", end @ ..] => {
            number.parse::<u16>().is_ok() && matches!(end, [] | ["PROTO" | "PORT" | "ADDR"])
        }
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_links_are_known_by_their_shape() {
        for link in [
            "CHAT_SERVICE_HOST",
            "CHAT_SERVICE_PORT",
            "CHAT_SERVICE_PORT_X",
            "CHAT_SERVICE_PORT_XMPP_CLIENT",
            "CHAT_PORT",
            "CHAT_PORT_5222_TCP",
            "CHAT_PORT_5222_TCP_ADDR",
            "CHAT_PORT_5222_TCP_PORT",
            "CHAT_PORT_5222_TCP_PROTO",
            "CHAT_PORT_53_UDP",
            "CHAT_INTERNAL_SERVICE_HOST",
            "CHAT_INTERNAL_SERVICE_PORT_WEB",
            "CHAT_INTERNAL_PORT_8000_TCP_ADDR",
            "CHAT_HEADLESS_EU_1_PORT_4369_TCP",
        ] {
            assert!(is_service_link(link, "5222"), "{link}");
        }
        assert!(is_service_link("CHAT_INTERNAL_PORT", "tcp://10.0.0.7:8000"));
        for setting in
            ["CHAT_LISTEN_C2S_PORT", "CHAT_LISTEN_C2S", "CHAT_PORT_X_TCP", "CHAT_PORT_5222", "CHAT_SERVICE"]
        {
            assert!(!is_service_link(setting, "5222"), "{setting}");
        }
    }

    #[test]
    fn no_setting_is_shaped_like_a_service_link() {
        for variable in table::all().flat_map(Setting::variables) {
            assert!(!is_service_link(&variable, "tcp://10.0.0.7:8000"), "{variable}");
        }
    }
}
