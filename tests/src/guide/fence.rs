//! The fenced blocks of a Markdown text.

/// A fenced block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fence {
    /// The line of its opening, from 1.
    pub(super) line: usize,
    /// The words behind the opening, of which the first is the language: `sql`, `embedded`.
    pub(super) words: Vec<String>,
    /// What stands between the fences, with its last newline.
    pub(super) text: String,
}

impl Fence {
    /// The language and what is said of the block.
    pub(super) fn kind(&self) -> (&str, &str) {
        let word = |position: usize| self.words.get(position).map_or("", String::as_str);
        (word(0), word(1))
    }
}

/// All fenced blocks, in their order.
pub(super) fn fences(markdown: &str) -> Vec<Fence> {
    let mut found = Vec::new();
    let mut open: Option<Fence> = None;
    for (position, line) in markdown.lines().enumerate() {
        match (line.strip_prefix("```"), open.as_mut()) {
            (Some(_), Some(_)) => found.extend(open.take()),
            (Some(info), None) => {
                let words = info.split([' ', ',']).map(str::to_owned).collect();
                open = Some(Fence { line: position + 1, words, text: String::new() });
            }
            (None, Some(fence)) => {
                fence.text.push_str(line);
                fence.text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a fence that isn't closed: {open:?}");
    found
}
