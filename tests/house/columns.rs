//! Code and comments keep to 100 columns. What can't be broken may be longer: texts in quotes, rows
//! of a table, addresses.

use std::collections::BTreeSet;
use std::fs;

use crate::lengths::{files, from_root};

/// How many columns a line may have.
const MOST_COLUMNS: usize = 100;

/// The lines, from 0, that have some of a string literal on them.
fn quoted(text: &str) -> BTreeSet<usize> {
    let bytes = text.as_bytes();
    let (mut found, mut at, mut line) = (BTreeSet::new(), 0, 0);
    while at < bytes.len() {
        let rest = &text[at..];
        let (length, is_literal) = match bytes[at] {
            b'/' if rest.starts_with("//") => (rest.find('\n').unwrap_or(rest.len()), false),
            b'/' if rest.starts_with("/*") => (end_of(rest, 2, "*/"), false),
            b'"' => (end_of_string(rest), true),
            b'r' if !is_in_word(text, at) => match raw_string(rest) {
                Some(length) => (length, true),
                None => (1, false),
            },
            b'\'' => (character(rest).unwrap_or(1), false),
            _ => (1, false),
        };
        let last = line + rest.as_bytes()[..length].iter().filter(|&&each| each == b'\n').count();
        if is_literal {
            found.extend(line..=last);
        }
        (at, line) = (at + length, last);
        while !text.is_char_boundary(at) {
            at += 1;
        }
    }
    found
}

/// The length of a text up to the end of this, which comes behind the first `from` bytes.
fn end_of(text: &str, from: usize, end: &str) -> usize {
    text[from..].find(end).map_or(text.len(), |at| from + at + end.len())
}

fn end_of_string(text: &str) -> usize {
    let mut is_escaped = false;
    for (at, each) in text.bytes().enumerate().skip(1) {
        match each {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The length of a raw string's literal.
fn raw_string(text: &str) -> Option<usize> {
    let hashes = text[1..].bytes().take_while(|&each| each == b'#').count();
    if text.as_bytes().get(1 + hashes) != Some(&b'"') {
        return None;
    }
    Some(end_of(text, 2 + hashes, &format!("\"{}", "#".repeat(hashes))))
}

/// The length of a character's literal; `None` for a lifetime.
fn character(text: &str) -> Option<usize> {
    let mut chars = text.char_indices().skip(1);
    let (_, first) = chars.next()?;
    if first == '\\' {
        return Some(end_of(text, 3, "'"));
    }
    chars.next().filter(|(_, second)| *second == '\'').map(|(at, _)| at + 1)
}

/// Whether what stands here goes on a word. `br"…"` doesn't.
fn is_in_word(text: &str, at: usize) -> bool {
    let mut before = text[..at].chars().rev();
    let is_word = |each: char| each.is_alphanumeric() || each == '_';
    match before.next() {
        Some('b') => before.next().is_some_and(is_word),
        Some(each) => is_word(each),
        None => false,
    }
}

#[test]
fn lines_with_literals_are_found() {
    let text =
        "let a = \"x\";\nlet b = '\"';\n// \"\nlet c = r#\"\n\"\n\"#;\nfn d<'a>() {}\nb\"\\\"\n\"";
    assert_eq!(quoted(text), BTreeSet::from([0, 3, 4, 5, 7, 8]));
}

#[test]
fn no_line_is_long() {
    let mut long = Vec::new();
    for path in files() {
        let (name, text) = (from_root(&path), fs::read_to_string(&path).unwrap());
        if text.lines().all(|line| line.len() <= MOST_COLUMNS) {
            continue;
        }
        let quoted = quoted(&text);
        for (number, line) in text.lines().enumerate() {
            let start = line.trim_start();
            let is_allowed = quoted.contains(&number)
                || start.starts_with("//") && (start.contains(" | ") || start.contains("://"));
            if line.chars().count() > MOST_COLUMNS && !is_allowed {
                long.push(format!("{name}:{}: {start}", number + 1));
            }
        }
    }
    assert!(long.is_empty(), "over {MOST_COLUMNS} columns:\n{}", long.join("\n"));
}
