//! The values that hold for the node or for one domain, by name and with their Rust types.

use std::net::SocketAddr;
use std::path::PathBuf;

use chat_core::base::time::Span;
use chat_core::cluster::discovery::NodeAddr;

use super::layer::{Given, Values};
use super::secret::Secret;
use super::types::{Cidr, HttpUrl, StoreUrl};
use super::value::Value;

/// A look at the values from the node (`domain` is `None`) or from one domain. A name that is not in the table, or
/// that has another type there, is a bug and panics.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub values: &'a Values,
    pub domain: Option<&'a str>,
}

impl<'a> View<'a> {
    pub(crate) fn given(&self, name: &'static str) -> &'a Given {
        let own = self.domain.and_then(|d| self.values.of_domain(d, name));
        own.unwrap_or_else(|| self.values.global(name))
    }

    /// How strong the setting is: what was set for the domain beats what was set for all, whatever its source.
    pub(crate) fn strength(&self, name: &'static str) -> (bool, usize) {
        let own = self.domain.and_then(|d| self.values.of_domain(d, name));
        (own.is_some(), self.given(name).layer)
    }

    pub(crate) fn is_set(&self, name: &'static str) -> bool {
        self.given(name).value != Value::Nothing
    }

    pub(crate) fn bool(&self, name: &'static str) -> bool {
        match self.given(name).value {
            Value::Bool(b) => b,
            ref other => wrong(name, other),
        }
    }

    pub(crate) fn int(&self, name: &'static str) -> u64 {
        self.int_or_none(name).unwrap_or_else(|| wrong(name, &Value::Nothing))
    }

    pub(crate) fn int_or_none(&self, name: &'static str) -> Option<u64> {
        match self.given(name).value {
            Value::Int(n) => Some(n),
            Value::Duration(Span(ns)) => Some(ns),
            Value::Nothing => None,
            ref other => wrong(name, other),
        }
    }

    pub(crate) fn text(&self, name: &'static str) -> &'a str {
        self.text_or_none(name).unwrap_or_else(|| wrong(name, &Value::Nothing))
    }

    pub(crate) fn text_or_none(&self, name: &'static str) -> Option<&'a str> {
        match &self.given(name).value {
            Value::Text(text) => Some(text),
            Value::Nothing => None,
            other => wrong(name, other),
        }
    }

    pub(crate) fn texts(&self, name: &'static str) -> &'a [String] {
        match &self.given(name).value {
            Value::Texts(texts) => texts,
            other => wrong(name, other),
        }
    }

    pub(crate) fn path_or_none(&self, name: &'static str) -> Option<&'a PathBuf> {
        match &self.given(name).value {
            Value::Path(path) => Some(path),
            Value::Nothing => None,
            other => wrong(name, other),
        }
    }

    pub(crate) fn path(&self, name: &'static str) -> &'a PathBuf {
        self.path_or_none(name).unwrap_or_else(|| wrong(name, &Value::Nothing))
    }

    pub(crate) fn addresses(&self, name: &'static str) -> &'a [SocketAddr] {
        match &self.given(name).value {
            Value::Addresses(list) => list,
            other => wrong(name, other),
        }
    }

    pub(crate) fn blocks(&self, name: &'static str) -> &'a [Cidr] {
        match &self.given(name).value {
            Value::Blocks(list) => list,
            other => wrong(name, other),
        }
    }

    pub(crate) fn nodes(&self, name: &'static str) -> &'a [NodeAddr] {
        match &self.given(name).value {
            Value::Nodes(list) => list,
            other => wrong(name, other),
        }
    }

    pub(crate) fn store(&self, name: &'static str) -> &'a StoreUrl {
        match &self.given(name).value {
            Value::Store(url) => url,
            other => wrong(name, other),
        }
    }

    pub(crate) fn http_url_or_none(&self, name: &'static str) -> Option<&'a HttpUrl> {
        match &self.given(name).value {
            Value::HttpUrl(url) => Some(url),
            Value::Nothing => None,
            other => wrong(name, other),
        }
    }

    pub(crate) fn secrets(&self, name: &'static str) -> &'a [Secret] {
        match &self.given(name).value {
            Value::Secrets(list) => list,
            Value::Nothing => &[],
            other => wrong(name, other),
        }
    }
}

fn wrong(name: &'static str, value: &Value) -> ! {
    panic!("the setting {name} is not used by its type: {value:?}")
}
