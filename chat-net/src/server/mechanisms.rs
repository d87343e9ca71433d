//! Which SASL mechanisms are offered: what the authenticators can serve, which may change while the server runs.

use std::sync::PoisonError;

use chat_core::engine::Command;
use chat_core::sasl::Mechanism;

use crate::auth::Authenticator;
use crate::worker::{Letter, Shared};

/// What an authenticator serves, and the certificates that need none; accounts that do not exist have no certificate.
pub(super) fn of(authenticator: &dyn Authenticator, ephemeral: bool) -> Vec<Mechanism> {
    let mut mechanisms = authenticator.mechanisms();
    if !ephemeral && !mechanisms.contains(&Mechanism::External) {
        mechanisms.insert(0, Mechanism::External);
    }
    mechanisms
}

/// Asks the authenticators again, and tells the workers what has changed.
pub(super) fn refresh(shared: &Shared) {
    // Held all along, so that of two calls at a time the later one has the last word.
    let mut asked = shared.asked.lock().unwrap_or_else(PoisonError::into_inner);
    for (domain, before) in asked.iter_mut() {
        let Some(authenticator) = shared.authenticators.get(domain) else { continue };
        let ephemeral = shared.settings.domain(domain).is_some_and(|domain| domain.ephemeral);
        let now = of(&**authenticator, ephemeral);
        if now == *before {
            continue;
        }
        before.clone_from(&now);
        let names: Vec<_> = now.iter().map(|mechanism| mechanism.name()).collect();
        tracing::info!(domain, offered = names.join(" "), "other SASL mechanisms are offered from now on");
        for inbox in &shared.inboxes {
            let offer = Command::Offer { domain: domain.clone(), mechanisms: now.clone() };
            inbox.post(Letter::Command(offer));
        }
    }
}
