//! What scans found, kept apart from the bytes: a stanza that goes to another thread with its bytes copied need not be
//! scanned there again.

use super::children::ChildSpan;
use super::scan::{Found, StanzaView};

/// What was found in stanzas, one after the other. The bytes are elsewhere, unchanged.
#[derive(Debug, Clone, Default)]
pub struct Outlines {
    found: Vec<Found>,
    /// Of each stanza the children that its view remembered.
    children: Vec<ChildSpan>,
}

impl Outlines {
    /// Adds what was found in a stanza, or leaves all as it is and returns false: for one that came on a stream which
    /// binds something unusual, or that writes namespaces with references.
    pub fn put(&mut self, view: &StanzaView<'_>) -> bool {
        let Some((found, children)) = view.found() else { return false };
        self.found.push(*found);
        self.children.extend_from_slice(children);
        true
    }

    /// What there is, from the first.
    pub fn reader(&self) -> OutlineReader<'_> {
        OutlineReader { found: &self.found, children: &self.children }
    }

    /// The memory that they take, in bytes.
    pub fn weight(&self) -> usize {
        size_of_val(&self.found[..]) + size_of_val(&self.children[..])
    }

    /// Empties it, to be used again.
    pub fn clear(&mut self) {
        self.found.clear();
        self.children.clear();
    }
}

/// See [`Outlines::reader`].
#[derive(Debug)]
pub struct OutlineReader<'o> {
    found: &'o [Found],
    children: &'o [ChildSpan],
}

impl<'o> OutlineReader<'o> {
    /// The next stanza, of which `text` are the bytes that were scanned.
    ///
    /// # Panics
    /// If there are no more.
    pub fn next(&mut self, text: &'o str) -> Outline<'o> {
        let (found, rest) = self.found.split_first().expect("as many stanzas as outlines");
        let (children, others) = self.children.split_at(found.remembered());
        (self.found, self.children) = (rest, others);
        Outline { text, found, children }
    }
}

/// A stanza and what was found in it.
#[derive(Debug, Clone, Copy)]
pub struct Outline<'o> {
    text: &'o str,
    found: &'o Found,
    children: &'o [ChildSpan],
}

impl<'o> Outline<'o> {
    /// What the scan gave.
    pub fn view(&self) -> StanzaView<'o> {
        StanzaView::of(self.text, self.found, self.children)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::{ScanLimits, Stamp, StreamNs, forward, scan};

    #[test]
    fn a_view_of_copied_bytes_is_as_good_as_the_first() {
        let many: String = (0..40).map(|i| format!("<x{i} xmlns='urn:x'>{i}</x{i}>")).collect();
        let stanzas = [
            "<message/>".to_owned(),
            "<message to='a@b/c' id='1' from='d@e' type='chat' xml:lang='de'><body>ø&amp;</body></message>"
                .into(),
            format!("<iq xmlns='jabber:client' type='get'>{many}</iq>"),
            "<presence><p:x xmlns:p='urn:p'/><stream:y/></presence>".into(),
        ];
        let mut outlines = Outlines::default();
        for _ in 0..2 {
            for text in &stanzas {
                let view = scan(text.as_bytes(), &StreamNs::client(), &ScanLimits::OWN).expect("a stanza");
                assert!(outlines.put(&view));
            }
            assert!(outlines.weight() > 0);
            let copies = stanzas.clone();
            let mut reader = outlines.reader();
            for (text, copy) in stanzas.iter().zip(&copies) {
                let first = scan(text.as_bytes(), &StreamNs::client(), &ScanLimits::OWN).expect("a stanza");
                let again = reader.next(copy).view();
                assert_eq!(again.bytes(), first.bytes());
                assert!(again.children().eq(first.children()));
                assert!(again.inherited().eq(first.inherited()));
                assert_eq!((again.to(), again.id(), again.lang()), (first.to(), first.id(), first.lang()));
                let (mut a, mut b) = (Vec::new(), Vec::new());
                forward(&first, &Stamp::default(), &mut a);
                forward(&again, &Stamp::default(), &mut b);
                assert_eq!(a, b);
            }
            outlines.clear();
        }
    }

    #[test]
    fn what_needs_more_than_its_bytes_has_no_outline() {
        let mut outlines = Outlines::default();
        let odd = StreamNs::new([("", "jabber:client"), ("p", "urn:p")]).expect("few namespaces");
        for (text, ns) in [
            ("<message><p:x/></message>", odd),
            ("<message><x xmlns='a&amp;b'/></message>", StreamNs::client()),
        ] {
            let view = scan(text.as_bytes(), &ns, &ScanLimits::OWN).expect("a stanza");
            assert!(!outlines.put(&view), "{text}");
        }
        assert_eq!(outlines.weight(), 0);
    }
}
