//! The ordered table of extensions, with an index of what each wants.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Answer, At, Extension, Flow, Iq};
use crate::effect::{Cx, ResourceId, Settings};
use crate::route::decision::Resources;
use crate::stanza::Stanza;
use crate::user::User;
use crate::xml::Element;

/// What a server announces about itself, for one of its domains.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalog {
    /// Features of the server, sorted, each once.
    pub features: Vec<&'static str>,
    /// Features of an account, sorted, each once.
    pub account_features: Vec<&'static str>,
}

/// All extensions of one engine.
pub struct Host {
    table: Vec<Box<dyn Extension>>,
    /// Who is asked and called for each domain, by its place in the settings. Domains with the same extensions share
    /// theirs.
    domains: Vec<Arc<Roll>>,
}

/// The extensions of a domain: what they announce, and who of the table wants what.
#[derive(Default)]
struct Roll {
    catalog: Catalog,
    /// What they add to the stream features after authentication.
    stream_features: Arc<str>,
    iq: BTreeMap<&'static str, Vec<usize>>,
    elements: BTreeMap<&'static str, usize>,
    outbound: Vec<usize>,
    inbound: Vec<usize>,
    delivered: Vec<usize>,
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.table.iter().map(|e| e.name())).finish()
    }
}

impl Host {
    /// The host of these extensions, in this order, for the domains of these settings.
    pub fn new(table: Vec<Box<dyn Extension>>, settings: &Settings) -> Self {
        let mut rolls: BTreeMap<Vec<usize>, Arc<Roll>> = BTreeMap::new();
        let mut domains = Vec::with_capacity(settings.domains.len());
        for domain in &settings.domains {
            let here = |e: &dyn Extension| e.suits(domain) && !settings.leaves_out(domain, e.name());
            let members: Vec<usize> = (0..table.len()).filter(|&i| here(table[i].as_ref())).collect();
            let roll = match rolls.get(&members) {
                Some(roll) => roll.clone(),
                None => {
                    let roll = Arc::new(Roll::new(&table, &members));
                    rolls.insert(members, roll.clone());
                    roll
                }
            };
            domains.push(roll);
        }
        Host { table, domains }
    }

    /// What the server announces for a domain.
    pub fn catalog(&self, domain: u16) -> &Catalog {
        &self.domains[usize::from(domain)].catalog
    }

    /// What the extensions add to the stream features after authentication, in their order, for each domain.
    pub fn stream_features(&self) -> Vec<Arc<str>> {
        self.domains.iter().map(|roll| roll.stream_features.clone()).collect()
    }

    /// Asks the extensions of the domain that serve the payload's namespace, in order.
    pub fn on_iq(
        &mut self,
        domain: u16,
        iq: &Iq<'_>,
        cx: &mut Cx,
        mut user: Option<&mut User>,
        resource: Option<ResourceId>,
    ) -> Answer {
        let roll = &self.domains[usize::from(domain)];
        let Some(list) = roll.iq.get(iq.payload.ns.as_str()) else { return Answer::NotMine };
        for &i in list {
            let mut at = At { cx, user: user.as_deref_mut(), resource, catalog: &roll.catalog };
            match self.table[i].on_iq(iq, &mut at) {
                Answer::NotMine => {}
                answer => return answer,
            }
        }
        Answer::NotMine
    }

    /// Gives an element on the stream to the first that handles its namespace; says whether anybody does.
    pub fn on_element(&mut self, element: &Element, at: &mut Handle<'_>) -> bool {
        let roll = &self.domains[usize::from(at.user.domain)];
        let Some(&i) = roll.elements.get(element.ns.as_str()) else { return false };
        self.table[i].on_element(element, &mut at.at(&roll.catalog));
        true
    }

    /// A client of `at.user` sent a stanza.
    pub fn on_outbound(&mut self, stanza: &Stanza<'_>, at: &mut Handle<'_>) -> Flow {
        let roll = &self.domains[usize::from(at.user.domain)];
        for &i in &roll.outbound {
            match self.table[i].on_outbound(stanza, &mut at.at(&roll.catalog)) {
                Flow::Go => {}
                end => return end,
            }
        }
        Flow::Go
    }

    /// A stanza for `at.user` arrived.
    pub fn on_inbound(&mut self, stanza: &Stanza<'_>, at: &mut Handle<'_>) -> Flow {
        let roll = &self.domains[usize::from(at.user.domain)];
        for &i in &roll.inbound {
            match self.table[i].on_inbound(stanza, &mut at.at(&roll.catalog)) {
                Flow::Go => {}
                end => return end,
            }
        }
        Flow::Go
    }

    /// A message for `at.user` was delivered.
    pub fn on_delivered(&mut self, stanza: &Stanza<'_>, to: Option<Resources>, at: &mut Handle<'_>) {
        let roll = &self.domains[usize::from(at.user.domain)];
        for &i in &roll.delivered {
            self.table[i].on_delivered(stanza, to, &mut at.at(&roll.catalog));
        }
    }
}

impl Roll {
    fn new(table: &[Box<dyn Extension>], members: &[usize]) -> Roll {
        let mut roll = Roll::default();
        for &i in members {
            let e = &table[i];
            roll.catalog.features.extend(e.features());
            roll.catalog.account_features.extend(e.account_features());
            for ns in e.iq_namespaces() {
                roll.iq.entry(ns).or_default().push(i);
            }
            for ns in e.element_namespaces() {
                roll.elements.entry(ns).or_insert(i);
            }
            let wants = e.wants();
            let lists = [
                (wants.outbound, &mut roll.outbound),
                (wants.inbound, &mut roll.inbound),
                (wants.delivered, &mut roll.delivered),
            ];
            for (_, list) in lists.into_iter().filter(|(wanted, _)| *wanted) {
                list.push(i);
            }
        }
        for list in [&mut roll.catalog.features, &mut roll.catalog.account_features] {
            list.sort_unstable();
            list.dedup();
        }
        let features: String = members.iter().map(|&i| table[i].stream_features(&roll.catalog)).collect();
        roll.stream_features = features.into();
        roll
    }
}

/// What the engine lends to a hook.
pub struct Handle<'a> {
    /// The hands of the engine.
    pub cx: &'a mut Cx,
    /// The user concerned.
    pub user: &'a mut User,
    /// The resource concerned.
    pub resource: Option<ResourceId>,
}

impl Handle<'_> {
    fn at<'b>(&'b mut self, catalog: &'b Catalog) -> At<'b> {
        At { cx: self.cx, user: Some(self.user), resource: self.resource, catalog }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Claims(&'static str);

    impl Extension for Claims {
        fn name(&self) -> &'static str {
            self.0
        }

        fn element_namespaces(&self) -> &'static [&'static str] {
            &["urn:x"]
        }

        fn iq_namespaces(&self) -> &'static [&'static str] {
            &["urn:x"]
        }
    }

    #[test]
    fn the_first_in_the_table_has_the_first_word() {
        let table: Vec<Box<dyn Extension>> = vec![Box::new(Claims("a")), Box::new(Claims("b"))];
        let roll = Roll::new(&table, &[0, 1]);
        assert_eq!((&roll.elements["urn:x"], &roll.iq["urn:x"]), (&0, &vec![0, 1]));
    }
}
