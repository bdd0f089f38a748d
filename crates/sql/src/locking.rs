//! FOR UPDATE and the like, by their words: sqlparser knows only some of them, and one table at most behind OF.

use std::ops::Range;

use crate::Relation;
use crate::lex::{Token, TokenKind, lex};

/// A locking clause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locking {
    /// All of it.
    pub range: Range<usize>,
    /// The names behind OF, folded, each with its place; empty when there are none.
    pub names: Vec<(String, Range<usize>)>,
}

impl Locking {
    /// The locking clauses of a statement, in their order.
    pub(crate) fn all(text: &str) -> Vec<Self> {
        let tokens = lex(text);
        (0..tokens.len()).filter_map(|at| Self::at(text, &tokens, at)).collect()
    }

    fn at(text: &str, tokens: &[Token], start: usize) -> Option<Self> {
        let is = |at: usize, words: &[&str]| {
            let mut words = words.iter().enumerate();
            words.all(|(further, word)| tokens.get(at + further).is_some_and(|token| token.is_keyword(text, word)))
        };
        let strengths: [&[&str]; 4] = [&["update"], &["no", "key", "update"], &["share"], &["key", "share"]];
        let strength = strengths.into_iter().find(|words| is(start, &["for"]) && is(start + 1, words))?;
        let mut end = start + 1 + strength.len();
        let mut names = Vec::new();
        if is(end, &["of"]) {
            loop {
                let token = tokens.get(end + 1)?;
                if !matches!(token.kind, TokenKind::Word | TokenKind::QuotedWord) {
                    return None;
                }
                names.push((token.identifier(text).into_owned(), token.range.clone()));
                end += 2;
                if tokens.get(end).is_none_or(|token| text[token.range.clone()] != *",") {
                    break;
                }
            }
        }
        if is(end, &["nowait"]) {
            end += 1;
        } else if is(end, &["skip", "locked"]) {
            end += 2;
        }
        Some(Self {
            range: tokens[start].range.start..tokens[end - 1].range.end,
            names,
        })
    }

    /// Whether it locks rows of the relation, as far as its words tell: a name behind OF that no relation has may be that of a subquery.
    pub(crate) fn concerns(&self, relation: &Relation, relations: &[Relation]) -> bool {
        let names = |relation: &Relation| self.names.iter().any(|(name, _)| name == relation.qualifier());
        let are_known = |(name, _): &(String, _)| relations.iter().any(|relation| name == relation.qualifier());
        names(relation) || !self.names.iter().all(are_known) || self.names.is_empty()
    }
}

/// The text with blanks in the place of its locking clauses.
pub(crate) fn without_locking(text: &str, clauses: &[Locking]) -> String {
    let mut out = text.to_owned();
    for clause in clauses.iter().rev() {
        // Places are counted in lines and characters.
        let blank = |character| if character == '\n' { '\n' } else { ' ' };
        let blanks: String = text[clause.range.clone()].chars().map(blank).collect();
        out.replace_range(clause.range.clone(), &blanks);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clauses() {
        let found = |text: &str| {
            let clauses = Locking::all(text);
            let found = clauses.iter().map(|clause| {
                let names: Vec<_> = clause.names.iter().map(|(name, _)| name.clone()).collect();
                (text[clause.range.clone()].to_owned(), names.join(" "))
            });
            found.collect::<Vec<_>>()
        };
        let one = |clause: &str, names: &str| vec![(clause.to_owned(), names.to_owned())];
        assert_eq!(found("SELECT * FROM t FOR UPDATE"), one("FOR UPDATE", ""));
        assert_eq!(
            found("SELECT * FROM t for no key update nowait;"),
            one("for no key update nowait", "")
        );
        assert_eq!(found("SELECT * FROM t FOR KEY SHARE LIMIT 1"), one("FOR KEY SHARE", ""));
        assert_eq!(
            found("SELECT * FROM t, \"U\" u FOR SHARE OF T, \"U\" SKIP LOCKED"),
            one("FOR SHARE OF T, \"U\" SKIP LOCKED", "t U")
        );
        assert_eq!(found("SELECT * FROM a, b FOR UPDATE OF a FOR SHARE OF b").len(), 2);
        assert_eq!(found("SELECT 'for update', substring(a FROM 1 FOR 2) FROM t"), []);
    }

    #[test]
    fn blanks_stand_in_their_place() {
        let text = "SELECT * FROM t FOR UPDATE OF \"é\" LIMIT 1";
        let left = without_locking(text, &Locking::all(text));
        let limit = |text: &str| {
            text.chars()
                .position(|character| character == 'L')
                .map(|at| (at, text.chars().count()))
        };
        assert_eq!(limit(&left[7..]), limit(&text[7..]));
        assert!(!left.contains("FOR"), "{left}");
    }
}
