//! The domains of the users in a table, so that each is kept once.

use crate::base::{HashKey, KeyedMap};
use smol_str::SmolStr;

/// Domains and their numbers. One without users is forgotten: other nodes may name any.
#[derive(Debug)]
pub(super) struct Domains {
    numbers: KeyedMap<SmolStr, u32>,
    /// Each domain, and how many users it has; none: the number is free.
    list: Vec<(SmolStr, u32)>,
    free: Vec<u32>,
}

impl Domains {
    pub(super) fn new(key: HashKey) -> Self {
        Domains { numbers: KeyedMap::new(key), list: Vec::new(), free: Vec::new() }
    }

    /// The domain with this number, which has users.
    pub(super) fn name(&self, number: u32) -> &str {
        &self.list[number as usize].0
    }

    /// One more user.
    pub(super) fn enter(&mut self, domain: &str) -> u32 {
        if let Some(number) = self.numbers.get(domain) {
            self.list[*number as usize].1 += 1;
            return *number;
        }
        let name = SmolStr::from(domain);
        let number = self.free.pop().unwrap_or_else(|| {
            self.list.push((SmolStr::default(), 0));
            self.list.len() as u32 - 1
        });
        self.list[number as usize] = (name.clone(), 1);
        self.numbers.insert(name, number);
        number
    }

    /// One user less.
    pub(super) fn leave(&mut self, number: u32) {
        let (name, users) = &mut self.list[number as usize];
        *users -= 1;
        if *users == 0 {
            self.numbers.remove(name);
            *name = SmolStr::default();
            self.free.push(number);
        }
    }

    /// The number of domains that have users.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.numbers.len()
    }
}
