//! The ordered table of extensions, with an index of what each wants.

use std::collections::BTreeMap;

use super::{Answer, At, Extension, Flow, Iq};
use crate::effect::{Cx, ResourceId};
use crate::route::decision::Resources;
use crate::stanza::Stanza;
use crate::user::User;
use crate::xml::Element;

/// What a server announces about itself.
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
    catalog: Catalog,
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
    /// The host of these extensions, in this order.
    pub fn new(table: Vec<Box<dyn Extension>>) -> Self {
        let mut host = Host {
            catalog: Catalog::default(),
            iq: BTreeMap::new(),
            elements: BTreeMap::new(),
            outbound: Vec::new(),
            inbound: Vec::new(),
            delivered: Vec::new(),
            table,
        };
        for (i, e) in host.table.iter().enumerate() {
            host.catalog.features.extend(e.features());
            host.catalog.account_features.extend(e.account_features());
            for ns in e.iq_namespaces() {
                host.iq.entry(ns).or_default().push(i);
            }
            for ns in e.element_namespaces() {
                host.elements.insert(ns, i);
            }
            let wants = e.wants();
            let lists = [
                (wants.outbound, &mut host.outbound),
                (wants.inbound, &mut host.inbound),
                (wants.delivered, &mut host.delivered),
            ];
            for (wanted, list) in lists {
                if wanted {
                    list.push(i);
                }
            }
        }
        for list in [&mut host.catalog.features, &mut host.catalog.account_features] {
            list.sort_unstable();
            list.dedup();
        }
        host
    }

    /// What the server announces.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// What the extensions add to the stream features after authentication, in their order.
    pub fn stream_features(&self) -> String {
        self.table.iter().map(|e| e.stream_features(&self.catalog)).collect()
    }

    /// Whether anybody answers iq payloads of this namespace.
    pub fn serves(&self, ns: &str) -> bool {
        self.iq.contains_key(ns)
    }

    /// Asks the extensions that serve the payload's namespace, in order.
    pub fn on_iq(
        &mut self,
        iq: &Iq<'_>,
        cx: &mut Cx,
        mut user: Option<&mut User>,
        resource: Option<ResourceId>,
    ) -> Answer {
        let Some(list) = self.iq.get(iq.payload.ns.as_str()) else { return Answer::NotMine };
        for &i in list {
            let mut at = At { cx, user: user.as_deref_mut(), resource, catalog: &self.catalog };
            match self.table[i].on_iq(iq, &mut at) {
                Answer::NotMine => {}
                answer => return answer,
            }
        }
        Answer::NotMine
    }

    /// Gives an element on the stream to whoever handles its namespace; says whether anybody does.
    pub fn on_element(&mut self, element: &Element, at: &mut Handle<'_>) -> bool {
        let Some(&i) = self.elements.get(element.ns.as_str()) else { return false };
        let mut at = at.at(&self.catalog);
        self.table[i].on_element(element, &mut at);
        true
    }

    /// A client of `at.user` sent a stanza.
    pub fn on_outbound(&mut self, stanza: &Stanza<'_>, at: &mut Handle<'_>) -> Flow {
        for &i in &self.outbound {
            match self.table[i].on_outbound(stanza, &mut at.at(&self.catalog)) {
                Flow::Go => {}
                end => return end,
            }
        }
        Flow::Go
    }

    /// A stanza for `at.user` arrived.
    pub fn on_inbound(&mut self, stanza: &Stanza<'_>, at: &mut Handle<'_>) -> Flow {
        for &i in &self.inbound {
            match self.table[i].on_inbound(stanza, &mut at.at(&self.catalog)) {
                Flow::Go => {}
                end => return end,
            }
        }
        Flow::Go
    }

    /// A message for `at.user` was delivered.
    pub fn on_delivered(&mut self, stanza: &Stanza<'_>, to: Option<Resources>, at: &mut Handle<'_>) {
        for &i in &self.delivered {
            self.table[i].on_delivered(stanza, to, &mut at.at(&self.catalog));
        }
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
