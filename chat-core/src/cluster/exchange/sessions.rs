//! Sessions that move: what workers say of them as frames, and the other way round.

use super::Exchange;
use crate::base::limits::SESSION_STATE_BYTES_MAX;
use crate::base::{NodeId, WorkerId};
use crate::cluster::identity::NodeName;
use crate::cluster::wire::{
    Kind, SessionAnswer, SessionAsk, SessionOffer, SessionPart, SessionRefuse, SessionWord, UNVERSIONED,
    WireFault, read_session, write_session,
};
use crate::effect::{NodeTold, NotGiven};

/// The parts of a session that have come. A node sends one session after the other.
#[derive(Debug, Default)]
pub(super) struct Coming {
    ask: u64,
    bytes: Vec<u8>,
}

impl Coming {
    /// One part more; the whole session if it was the last.
    fn add(&mut self, part: &SessionPart<'_>) -> Result<Option<Vec<u8>>, WireFault> {
        if self.bytes.is_empty() {
            self.ask = part.ask;
        } else if self.ask != part.ask {
            return Err(WireFault::Turn(Kind::SessionState.byte()));
        }
        if part.bytes.is_empty() || self.bytes.len() + part.bytes.len() > SESSION_STATE_BYTES_MAX {
            return Err(WireFault::TooLong);
        }
        self.bytes.extend_from_slice(part.bytes);
        Ok(part.is_last.then(|| std::mem::take(&mut self.bytes)))
    }
}

impl Exchange {
    /// A worker says something about a session that moves.
    pub(super) fn send_session(&mut self, told: &NodeTold<'_>) {
        match *told {
            NodeTold::Ask { node, ask, user, id, h } => {
                self.send(node, Kind::SessionAsk, |body, v| SessionAsk { ask, user, id, h }.write(body, v));
            }
            NodeTold::State { node, ask, state } => {
                let version = self.version_of(node);
                if self.is_congested(node) || state.since() > version {
                    return self.keep_session(node, ask, &state.user);
                }
                let mut bytes = Vec::new();
                write_session(state, &mut bytes, version);
                for part in SessionPart::cut(ask, &bytes) {
                    self.send(node, Kind::SessionState, |body, v| part.write(body, v));
                }
            }
            NodeTold::Refuse { node, ask, why } => {
                self.send(node, Kind::SessionRefuse, |body, v| SessionRefuse { ask, why }.write(body, v));
            }
            NodeTold::Offer { node, offer, user, sm } => {
                self.send(node, Kind::SessionOffer, |body, v| {
                    SessionOffer { offer, user, sm }.write(body, v)
                });
            }
            NodeTold::Answer { node, offer, ask } => {
                self.send(node, Kind::SessionAnswer, |body, v| SessionAnswer { offer, ask }.write(body, v));
            }
            _ => unreachable!("whoever calls this has looked"),
        }
    }

    /// Too much waits for a node to send it a session besides, and it may have it another time; or it would not understand it.
    fn keep_session(&mut self, node: NodeId, ask: u64, user: &str) {
        let refuse = SessionRefuse { ask, why: NotGiven::Unable };
        self.send(node, Kind::SessionRefuse, |body, v| refuse.write(body, v));
        self.tell_home_of(user, &NodeTold::Release { node, ask, user });
    }

    /// A node says something about a session that moves.
    pub(super) fn on_session_frame(
        &mut self,
        from: &NodeName,
        kind: Kind,
        body: &[u8],
    ) -> Result<(), WireFault> {
        let Some(peer) = self.peers.get_mut(from) else { return Ok(()) };
        let (node, version) = (peer.node, peer.version);
        match kind {
            Kind::SessionAsk => {
                let SessionAsk { ask, user, id, h } = SessionAsk::read(body, version)?;
                self.tell_home_of(user, &NodeTold::Ask { node, ask, user, id, h });
            }
            Kind::SessionState => {
                let part = SessionPart::read(body, version)?;
                if let Some(whole) = peer.coming.add(&part)? {
                    let state = std::sync::Arc::new(read_session(&whole, version)?);
                    self.tell_asker(part.ask, &NodeTold::State { node, ask: part.ask, state: &state });
                }
            }
            Kind::SessionRefuse => {
                let SessionRefuse { ask, why } = SessionRefuse::read(body, version)?;
                self.tell_asker(ask, &NodeTold::Refuse { node, ask, why });
            }
            Kind::SessionInstalled => {
                let SessionWord { ask, user } = SessionWord::read(body, version)?;
                self.tell_home_of(user, &NodeTold::Installed { node, ask, user });
            }
            Kind::SessionRelease => {
                let SessionWord { ask, user } = SessionWord::read(body, version)?;
                self.tell_home_of(user, &NodeTold::Release { node, ask, user });
            }
            Kind::SessionOffer => {
                let SessionOffer { offer, user, sm } = SessionOffer::read(body, version)?;
                self.tell_home_of(user, &NodeTold::Offer { node, offer, user, sm });
            }
            Kind::SessionAnswer => {
                let SessionAnswer { offer, ask } = SessionAnswer::read(body, version)?;
                self.tell_asker(offer, &NodeTold::Answer { node, offer, ask });
            }
            // The agent's own.
            kind => return Err(WireFault::Turn(kind.byte())),
        }
        Ok(())
    }

    /// The version of what goes to a node; one that is gone gets nothing.
    fn version_of(&self, node: NodeId) -> u16 {
        self.peers.values().find(|peer| peer.node == node).map_or(UNVERSIONED, |peer| peer.version)
    }

    fn tell_home_of(&mut self, user: &str, told: &NodeTold<'_>) {
        let home = self.settings.home(user);
        self.mails[usize::from(home.0)].put(told);
    }

    /// To the worker that gave something this number: its remainder says which one that is.
    fn tell_asker(&mut self, number: u64, told: &NodeTold<'_>) {
        let worker = WorkerId((number % self.mails.len() as u64) as u16);
        self.mails[usize::from(worker.0)].put(told);
    }
}
