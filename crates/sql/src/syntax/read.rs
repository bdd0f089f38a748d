//! Reads a text with PostgreSQL's grammar.
//!
//! No text is too deep. The tree lies in one array, so walking and dropping it take no stack. The
//! parser's own recursion is bounded by the tokens that stand open (20,000), and gets a stack for
//! as many. A panic in it is an error of that text.

use std::panic::{AssertUnwindSafe, catch_unwind};

use squawk_parser::{EntryPoint, LexedStr, StrStep};

use super::Kind;
use super::tree::{Builder, Node, Tree};
use crate::lex::{Token, TokenKind, lex};
use crate::parse::ParseError;

/// How much of the stack the parser may take for a token that stands open, by far.
const STACK: usize = 4 * 1024;
/// What is always left for it.
const LEAST_STACK: usize = 128 * 1024;
/// How many tokens may stand open: since the last comma, and so in all parentheses around. The
/// parser goes as deep.
pub(crate) const MOST_TOKENS: usize = 20_000;

/// The tree of `text`.
///
/// # Errors
/// The grammar doesn't know all of it, or it is too deep.
pub(crate) fn read(text: &str) -> Result<Tree, ParseError> {
    let tokens = lex(text);
    match (read_tokens(text, &tokens), tail(text, &tokens)) {
        // The grammar takes a WITH behind a function in FROM for WITH ORDINALITY.
        (Err(ParseError::Grammar(_)), Some(tail)) => {
            let blank = format!(
                "{}{}",
                &text[..tokens[tail].range.start],
                " ".repeat(text.len() - tokens[tail].range.start)
            );
            read_tokens(&blank, &tokens[..tail])
        }
        (read, _) => read,
    }
}

/// Where `WITH NO DATA` or `WITH CHECK OPTION` begins, which says nothing of relations.
fn tail(text: &str, tokens: &[Token]) -> Option<usize> {
    let ends: [&[&str]; 5] = [
        &["with", "data"],
        &["with", "no", "data"],
        &["with", "check", "option"],
        &["with", "local", "check", "option"],
        &["with", "cascaded", "check", "option"],
    ];
    let is = |words: &[&str]| {
        let start = tokens.len().checked_sub(words.len())?;
        let mut pairs = tokens[start..].iter().zip(words);
        pairs.all(|(token, word)| token.is_keyword(text, word)).then_some(start)
    };
    ends.into_iter().find_map(is)
}

fn read_tokens(text: &str, tokens: &[Token]) -> Result<Tree, ParseError> {
    let depth = depth(text, tokens);
    if depth > MOST_TOKENS {
        return Err(ParseError::TooLong);
    }
    let stack = LEAST_STACK + depth * STACK;
    // A panic of the parser is an error of this text only.
    let read =
        catch_unwind(AssertUnwindSafe(|| stacker::maybe_grow(stack, stack, || grammar(text))));
    let tree = read.unwrap_or_else(|_| Err(ParseError::Grammar("the parser failed".into())))?;
    if is_cut_alike(tokens, &tree) && !tree.all().any(Node::is_torn) {
        Ok(tree)
    } else {
        Err(ParseError::Relations)
    }
}

fn grammar(text: &str) -> Result<Tree, ParseError> {
    let lexed = LexedStr::new(text);
    // A digit that a bit string can't have is PostgreSQL's to tell: it reads the constant.
    let mut errors = lexed.errors().filter(|(_, message)| !message.contains("is not a valid"));
    if let Some((range, message)) = errors.next() {
        return Err(ParseError::Grammar(format!("{message} at character {}", range.start + 1)));
    }
    let output = EntryPoint::SourceFile.parse(&lexed.to_input());
    let mut builder = Builder::new(text);
    let mut failure = None;
    let is_whole = lexed.intersperse_trivia(&output, &mut |step| match step {
        StrStep::Token { kind: Kind::WHITESPACE | Kind::COMMENT, text } => builder.skip(text.len()),
        StrStep::Token { kind, text } => builder.token(kind, text.len()),
        StrStep::Enter { kind } => {
            if kind == Kind::ERROR {
                failure.get_or_insert_with(|| "unknown words".to_owned());
            }
            builder.enter(kind);
        }
        StrStep::Exit => builder.exit(),
        StrStep::Error { msg, pos } => {
            let character = text.get(..pos).map_or(pos, |before| before.chars().count());
            failure.get_or_insert_with(|| format!("{msg} at character {}", character + 1));
        }
    });
    match failure {
        Some(message) => Err(ParseError::Grammar(message)),
        None if !is_whole => Err(ParseError::Grammar("words behind its end".into())),
        None => Ok(builder.finish()),
    }
}

/// Whether our own lexer sees the same words and constants: what one takes for a string, the other
/// may take for a name.
fn is_cut_alike(tokens: &[Token], tree: &Tree) -> bool {
    let is_cut = |kind: TokenKind| {
        !matches!(
            kind,
            TokenKind::Symbol | TokenKind::Open | TokenKind::Close | TokenKind::Semicolon
        )
    };
    let mut leaves = tree.all().filter(|node| node.is_token()).map(|node| node.range()).peekable();
    for token in tokens.iter().filter(|token| is_cut(token.kind)) {
        while leaves.next_if(|leaf| leaf.start < token.range.start).is_some() {}
        // A constant that goes on in another line is one token here, and so is a name with its
        // UESCAPE.
        let first = leaves.next();
        let mut last = first.clone();
        while let Some(leaf) = leaves.next_if(|leaf| leaf.end <= token.range.end) {
            last = Some(leaf);
        }
        if first.map(|leaf| leaf.start) != Some(token.range.start)
            || last.map(|leaf| leaf.end) != Some(token.range.end)
        {
            return false;
        }
    }
    true
}

/// The most tokens that stand open at a time: those since the last comma, in all parentheses that
/// are open.
fn depth(text: &str, tokens: &[Token]) -> usize {
    let (mut levels, mut count, mut most) = (Vec::new(), 0_usize, 0_usize);
    let mut own = 0_usize;
    for token in tokens {
        match token.kind {
            TokenKind::Open => {
                levels.push(own + 1);
                own = 0;
                count += 1;
            }
            TokenKind::Close => {
                count -= own;
                own = levels.pop().unwrap_or(0);
            }
            _ if text[token.range.clone()] == *"," => {
                count -= own;
                own = 0;
            }
            _ => {
                own += 1;
                count += 1;
            }
        }
        most = most.max(count);
    }
    most
}
