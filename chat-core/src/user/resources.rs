//! The resources of one user.

use std::ops::{Deref, DerefMut};

use super::resource::Resource;

/// The resources of one user, in the order they were bound. Most users have one client: a single resource stands in the
/// user's record itself, next to what else each message looks at, and not somewhere else in memory.
#[derive(Debug)]
pub struct Resources(Kept);

#[derive(Debug)]
enum Kept {
    One(Resource),
    /// None, or several.
    List(Vec<Resource>),
}

impl Resources {
    /// No resource, no memory.
    pub const fn new() -> Self {
        Resources(Kept::List(Vec::new()))
    }

    /// One more, behind the others.
    pub fn push(&mut self, resource: Resource) {
        self.0 = match self.take() {
            Kept::One(first) => Kept::List(vec![first, resource]),
            Kept::List(list) if list.is_empty() => Kept::One(resource),
            Kept::List(mut list) => {
                list.reserve_exact(1);
                list.push(resource);
                Kept::List(list)
            }
        };
    }

    /// One less.
    ///
    /// # Panics
    /// If there is none at this index.
    pub fn remove(&mut self, index: usize) -> Resource {
        let mut list = match self.take() {
            Kept::One(resource) => vec![resource],
            Kept::List(list) => list,
        };
        let removed = list.remove(index);
        self.0 = match list.pop() {
            Some(last) if list.is_empty() => Kept::One(last),
            Some(last) => {
                list.push(last);
                Kept::List(list)
            }
            None => Kept::List(Vec::new()),
        };
        removed
    }

    fn take(&mut self) -> Kept {
        std::mem::replace(&mut self.0, Kept::List(Vec::new()))
    }
}

impl Default for Resources {
    fn default() -> Self {
        Resources::new()
    }
}

impl Deref for Resources {
    type Target = [Resource];

    fn deref(&self) -> &[Resource] {
        match &self.0 {
            Kept::One(resource) => std::slice::from_ref(resource),
            Kept::List(list) => list,
        }
    }
}

impl DerefMut for Resources {
    fn deref_mut(&mut self) -> &mut [Resource] {
        match &mut self.0 {
            Kept::One(resource) => std::slice::from_mut(resource),
            Kept::List(list) => list,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{ConnId, Key};
    use crate::effect::ResourceId;

    #[test]
    fn resources_keep_their_order_and_one_needs_no_list() {
        let conn = ConnId(Key { index: 0, generation: 1 });
        let mut resources = Resources::new();
        let names = |r: &Resources| r.iter().map(|r| r.name().to_owned()).collect::<Vec<_>>().concat();
        for (id, name) in ["a", "b", "c"].into_iter().enumerate() {
            assert_eq!(resources.len(), id);
            resources.push(Resource::new(ResourceId(id as u64), name.into(), conn));
            assert_eq!(matches!(resources.0, Kept::One(_)), id == 0);
        }
        resources[1].carbons = true;
        assert_eq!(names(&resources), "abc");
        assert_eq!(resources.remove(0).name(), "a");
        assert_eq!((names(&resources).as_str(), resources[0].carbons), ("bc", true));
        assert_eq!(resources.remove(1).name(), "c");
        assert!(matches!(resources.0, Kept::One(_)));
        assert_eq!(resources.remove(0).name(), "b");
        assert!(resources.is_empty());
    }
}
