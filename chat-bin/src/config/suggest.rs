//! The nearest valid name for one that is not.

/// The candidate most like `name`, or `None` if nothing is near: at most a third of its letters differ (two at
/// least), or only the section is wrong.
pub fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let key = |n: &str| n.rsplit('.').next().unwrap_or(n).to_owned();
    let wanted = name.to_lowercase();
    let near = 2.max(name.len() / 3);
    candidates
        .map(|c| {
            let distance = strsim::damerau_levenshtein(&wanted, &c.to_lowercase());
            let same_key = c.contains('.') && key(&wanted) == key(c);
            (if same_key { distance.min(2) } else { distance }, c)
        })
        .filter(|(distance, _)| *distance <= near)
        .min()
        .map(|(_, c)| c)
}

/// `; did you mean X?`, or nothing.
pub fn did_you_mean<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> String {
    nearest(name, candidates).map_or(String::new(), |c| format!("; did you mean {c}?"))
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn the_nearest_name_is_found_or_none() {
        let names = ["domains", "listen.c2s", "listen.s2s", "c2s.allow_plaintext", "registration.enabled"];
        for (typed, meant) in [
            ("domain", Some("domains")),
            ("listen.c2ss", Some("listen.c2s")),
            ("Listen.C2S", Some("listen.c2s")),
            ("lisen.s2s", Some("listen.s2s")),
            ("allow_plaintext", Some("c2s.allow_plaintext")),
            ("auth.allow_plaintext", Some("c2s.allow_plaintext")),
            ("registration.enable", Some("registration.enabled")),
            ("modules.muc", None),
            ("x", None),
        ] {
            assert_eq!(nearest(typed, names.into_iter()), meant, "{typed}");
        }
    }
}
