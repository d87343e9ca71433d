//! The direct children of a scanned element: the first ones are remembered, the others found again.

use super::scan::{ScanLimits, StanzaView};
use super::token::{Event, NsRef, Span};
use super::walk::Walker;

/// Children that a view remembers without allocation; later ones are found by walking again.
pub(super) const CHILDREN_INLINE: usize = 8;

/// Where a child is, and what it is called.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ChildSpan {
    pub(super) whole: Span,
    pub(super) local: Span,
    pub(super) ns: NsRef,
}

/// A direct child of a scanned element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChildView<'v> {
    /// Local name.
    pub name: &'v str,
    /// Namespace; empty for none.
    pub ns: &'v str,
    /// The child's own bytes. It may use namespaces of what it stands in.
    pub bytes: &'v [u8],
    /// Where it is in the scanned bytes.
    pub start: usize,
}

impl ChildView<'_> {
    /// Whether the child has this name in this namespace.
    pub fn is(&self, name: &str, ns: &str) -> bool {
        self.name == name && self.ns == ns
    }
}

/// See [`StanzaView::children`].
#[derive(Debug)]
pub struct Children<'v, 'a> {
    view: &'v StanzaView<'a>,
    next: usize,
    /// Beyond the remembered children: a second walk.
    walk: Option<Box<Walker<'v>>>,
}

impl<'v, 'a> Children<'v, 'a> {
    pub(super) fn of(view: &'v StanzaView<'a>) -> Self {
        Children { view, next: 0, walk: None }
    }
}

impl<'v> Iterator for Children<'v, '_> {
    type Item = ChildView<'v>;

    fn next(&mut self) -> Option<ChildView<'v>> {
        if self.next >= self.view.children_len() {
            return None;
        }
        let child = match self.view.remembered(self.next) {
            Some(child) => child,
            None => self.walk_to_child(),
        };
        self.next += 1;
        Some(self.view.child_view(child))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.view.children_len() - self.next;
        (left, Some(left))
    }
}

impl Children<'_, '_> {
    /// The child number `next`, which is not among the remembered ones.
    fn walk_to_child(&mut self) -> ChildSpan {
        const PASSED: &str = "these bytes have passed the scan";
        let (first, view) = (self.walk.is_none(), self.view);
        let walk = self
            .walk
            .get_or_insert_with(|| Box::new(Walker::new(view.as_str(), view.stream_ns(), ScanLimits::OWN)));
        let mut to_skip = if first { self.next } else { 0 };
        let mut child = ChildSpan::default();
        loop {
            let event = walk.next().expect(PASSED).expect("the scan has counted the children");
            match event {
                Event::Start { empty } if walk.level() == 2 => {
                    let tag = walk.tag();
                    child.whole.start = tag.start;
                    (child.local, child.ns) = (tag.name.local(), walk.element_ns());
                    if !empty {
                        continue;
                    }
                }
                Event::End { .. } if walk.depth() == 1 => {}
                _ => continue,
            }
            if to_skip == 0 {
                child.whole.end = walk.at();
                return child;
            }
            to_skip -= 1;
        }
    }
}
