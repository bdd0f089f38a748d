//! The tree: nodes and tokens in the order in which they begin, each with its parent and its end.

use std::ops::Range;

use super::Kind;

/// A node or a token.
#[derive(Debug, Clone)]
struct Slot {
    kind: Kind,
    is_token: bool,
    parent: usize,
    /// The first slot that isn't inside.
    end: usize,
    range: Range<usize>,
}

/// A text and its tree. White space and comments aren't in the tree.
#[derive(Debug)]
pub(crate) struct Tree {
    text: String,
    slots: Vec<Slot>,
}

/// Puts a tree together from what a parser says in the order of the text.
pub(crate) struct Builder {
    tree: Tree,
    open: Vec<usize>,
    at: usize,
}

impl Builder {
    pub(crate) fn new(text: &str) -> Self {
        Self {
            tree: Tree { text: text.to_owned(), slots: Vec::with_capacity(text.len() / 2) },
            open: Vec::new(),
            at: 0,
        }
    }

    pub(crate) fn skip(&mut self, length: usize) {
        self.at += length;
    }

    pub(crate) fn token(&mut self, kind: Kind, length: usize) {
        self.push(kind, true, self.at..self.at + length);
        self.at += length;
    }

    pub(crate) fn enter(&mut self, kind: Kind) {
        let slot = self.push(kind, false, self.at..self.at);
        self.open.push(slot);
    }

    pub(crate) fn exit(&mut self) {
        let Some(slot) = self.open.pop() else { return };
        let slots = &mut self.tree.slots;
        slots[slot].end = slots.len();
        // White space in front and behind doesn't belong to it.
        if let (Some(first), Some(last)) = (slots.get(slot + 1), slots.last())
            && slot + 1 < slots.len()
        {
            slots[slot].range = first.range.start..last.range.end;
        }
        if slots[slot].kind == Kind::BETWEEN_EXPR
            && slots.get(slot + 1).is_some_and(|first| first.is_token)
        {
            self.adopt(slot);
        }
    }

    /// The grammar leaves what a cast makes in front of BETWEEN instead of in it: `a::int BETWEEN 1
    /// AND 2`, and so before all that BETWEEN begins.
    fn adopt(&mut self, between: usize) {
        let slots = &mut self.tree.slots;
        let mut first = between;
        while first > 0 && slots[first].parent == first - 1 {
            first -= 1;
        }
        let mut left = slots[first].parent + 1;
        while left < first && slots[left].end != first {
            left = slots[left].end;
        }
        if left >= first || slots[left].is_token {
            return;
        }
        let (moved, chain) = (first - left, between + 1 - first);
        slots[left..=between].rotate_left(moved);
        let place = |at: usize| match at {
            at if (first..=between).contains(&at) => at - moved,
            at if (left..first).contains(&at) => at + chain,
            at => at,
        };
        let adopter = between - moved;
        let start = slots[adopter + 1].range.start;
        for slot in &mut slots[left..] {
            slot.parent = place(slot.parent);
        }
        slots[adopter + 1].parent = adopter;
        for slot in &mut slots[adopter + 1..=between] {
            slot.end += chain;
        }
        for slot in &mut slots[left..=adopter] {
            slot.range.start = start;
        }
        for open in &mut self.open {
            *open = place(*open);
        }
    }

    fn push(&mut self, kind: Kind, is_token: bool, range: Range<usize>) -> usize {
        let at = self.tree.slots.len();
        self.tree.slots.push(Slot {
            kind,
            is_token,
            parent: self.open.last().copied().unwrap_or(at),
            end: at + 1,
            range,
        });
        at
    }

    pub(crate) fn finish(self) -> Tree {
        self.tree
    }
}

impl Tree {
    pub(crate) fn root(&self) -> Option<Node<'_>> {
        (!self.slots.is_empty()).then_some(Node { tree: self, at: 0 })
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The node or token at a place.
    pub(crate) const fn node(&self, at: usize) -> Node<'_> {
        Node { tree: self, at }
    }

    /// All nodes and tokens, each before what is inside it.
    pub(crate) fn all(&self) -> impl Iterator<Item = Node<'_>> {
        (0..self.slots.len()).map(|at| Node { tree: self, at })
    }

    /// Puts another tree's node in the place of the node at `at`. What it holds stands behind the
    /// text.
    pub(crate) fn graft(&mut self, at: usize, scion: Node<'_>) {
        let shift = self.text.len();
        self.text.push_str(scion.tree.text());
        let (start, end) = (scion.at, scion.tree.slots[scion.at].end);
        let (old_end, parent) = (self.slots[at].end, self.slots[at].parent);
        let (added, removed) = (end - start, old_end - at);
        let moved = |place: usize| place + added - removed;
        for slot in &mut self.slots {
            slot.end = if slot.end >= old_end { moved(slot.end) } else { slot.end };
            slot.parent = if slot.parent >= old_end { moved(slot.parent) } else { slot.parent };
        }
        let grafted = scion.tree.slots[start..end].iter().enumerate().map(|(place, slot)| Slot {
            parent: if place == 0 { parent } else { slot.parent - start + at },
            end: slot.end - start + at,
            range: slot.range.start + shift..slot.range.end + shift,
            ..*slot
        });
        self.slots.splice(at..old_end, grafted.collect::<Vec<_>>());
    }
}

/// A node or a token of a tree.
#[derive(Clone, Copy)]
pub(crate) struct Node<'t> {
    tree: &'t Tree,
    at: usize,
}

impl PartialEq for Node<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl<'t> Node<'t> {
    fn slot(self) -> &'t Slot {
        &self.tree.slots[self.at]
    }

    /// Its place among all.
    pub(crate) fn place(self) -> usize {
        self.at
    }

    pub(crate) fn kind(self) -> Kind {
        self.slot().kind
    }

    pub(crate) fn is(self, kind: Kind) -> bool {
        self.kind() == kind
    }

    pub(crate) fn is_token(self) -> bool {
        self.slot().is_token
    }

    pub(crate) fn range(self) -> Range<usize> {
        self.slot().range.clone()
    }

    pub(crate) fn text(self) -> &'t str {
        &self.tree.text[self.range()]
    }

    pub(crate) fn parent(self) -> Option<Self> {
        let parent = self.slot().parent;
        (parent != self.at).then_some(Node { tree: self.tree, at: parent })
    }

    /// What is around it, from within.
    pub(crate) fn ancestors(self) -> impl Iterator<Item = Self> {
        std::iter::successors(self.parent(), |node| node.parent())
    }

    /// The nodes and tokens right inside it.
    pub(crate) fn children(self) -> impl Iterator<Item = Self> {
        let mut at = self.at + 1;
        let end = self.slot().end;
        std::iter::from_fn(move || {
            let node = (at < end).then_some(Node { tree: self.tree, at })?;
            at = node.slot().end;
            Some(node)
        })
    }

    /// The nodes right inside it, without the tokens.
    pub(crate) fn nodes(self) -> impl Iterator<Item = Self> {
        self.children().filter(|child| !child.is_token())
    }

    /// Whether an expression stands right behind another in it, with nothing between: the grammar
    /// has lost what joins them.
    pub(crate) fn is_torn(self) -> bool {
        let mut was_expression = false;
        self.children().any(|child| {
            let is_expression = is_expression(child.kind());
            std::mem::replace(&mut was_expression, is_expression) && is_expression
        })
    }

    /// The first of this kind right inside it.
    pub(crate) fn child(self, kind: Kind) -> Option<Self> {
        self.children().find(|child| child.is(kind))
    }

    pub(crate) fn has(self, kind: Kind) -> bool {
        self.child(kind).is_some()
    }

    /// Itself and everything in it, each before what is inside it.
    pub(crate) fn all(self) -> impl Iterator<Item = Self> {
        (self.at..self.slot().end).map(move |at| Node { tree: self.tree, at })
    }

    /// The tokens in it.
    pub(crate) fn tokens(self) -> impl Iterator<Item = Self> {
        self.all().filter(|node| node.is_token())
    }

    /// It as written, with single blanks or line ends in the place of white space and comments.
    pub(crate) fn sql(self) -> String {
        let mut sql = String::with_capacity(self.range().len());
        let mut end = None;
        for token in self.tokens() {
            let range = token.range();
            let between = end.and_then(|end: usize| self.tree.text.get(end..range.start));
            match between {
                None | Some("") => {}
                // Strings are one across the end of a line only.
                Some(blank) => sql.push(if blank.contains(['\n', '\r']) { '\n' } else { ' ' }),
            }
            sql.push_str(token.text());
            end = Some(range.end);
        }
        sql
    }
}

fn is_expression(kind: Kind) -> bool {
    use Kind::*;
    matches!(
        kind,
        CALL_EXPR
            | CAST_EXPR
            | ARRAY_EXPR
            | LITERAL
            | NAME_REF
            | BIN_EXPR
            | CASE_EXPR
            | FIELD_EXPR
            | INDEX_EXPR
            | SLICE_EXPR
            | BETWEEN_EXPR
            | PAREN_EXPR
            | TUPLE_EXPR
            | PREFIX_EXPR
            | POSTFIX_EXPR
    )
}
