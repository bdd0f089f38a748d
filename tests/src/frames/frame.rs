//! A message of a script.

use std::fmt;

use crate::raw::Message;

/// A message, with the line that stands for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// To be sent.
    Send {
        /// As the script says it.
        line: String,
        /// As it goes over the wire.
        bytes: Vec<u8>,
    },
    /// What was sent is answered before the next is sent.
    Wait,
}

impl Frame {
    /// Reads a line of a script.
    ///
    /// # Errors
    /// What the line lacks.
    pub fn read(line: &str) -> Result<Self, String> {
        let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
        let rest = rest.trim();
        let message = match kind {
            "Wait" => return Ok(Self::Wait),
            "Query" => Message::query(rest),
            "Parse" => parse(rest)?,
            "Bind" => bind(rest)?,
            "Describe" => named(b'D', rest)?,
            "Close" => named(b'C', rest)?,
            "Execute" => {
                let (portal, limit) = word(rest)?;
                let limit = if limit.is_empty() {
                    0
                } else {
                    limit.parse().map_err(|_| format!("a row limit: {limit}"))?
                };
                Message::execute(&portal, limit)
            }
            "Flush" => Message::new(b'H', &[]),
            "Sync" => Message::sync(),
            "CopyData" => Message::new(b'd', word(rest)?.0.as_bytes()),
            "CopyDone" => Message::new(b'c', &[]),
            "CopyFail" => Message::new(b'f', &[rest.as_bytes(), &[0]].concat()),
            "FunctionCall" => function_call(rest)?,
            "Raw" => raw(rest)?,
            "Terminate" => Message::new(b'X', &[]),
            other => return Err(format!("no message is called {other}")),
        };
        Ok(Self::Send { line: line.to_owned(), bytes: message.bytes().to_vec() })
    }
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Send { line, .. } => f.write_str(line),
            Self::Wait => f.write_str("Wait"),
        }
    }
}

/// The first word, or what stands in quotes, and what follows.
fn word(text: &str) -> Result<(String, &str), String> {
    let text = text.trim_start();
    let Some(quote) = text.chars().next().filter(|first| matches!(first, '\'' | '"')) else {
        let end = text.find(' ').unwrap_or(text.len());
        return Ok((text[..end].to_owned(), text[end..].trim_start()));
    };
    let mut found = String::new();
    let mut characters = text.char_indices().skip(1);
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some((_, 'n')) => found.push('\n'),
                Some((_, 't')) => found.push('\t'),
                Some((_, other)) => found.push(other),
                None => break,
            },
            character if character == quote => return Ok((found, text[at + 1..].trim_start())),
            character => found.push(character),
        }
    }
    Err(format!("a quote isn't closed: {text}"))
}

fn named(tag: u8, rest: &str) -> Result<Message, String> {
    let (kind, rest) = word(rest)?;
    let [kind] = kind.as_bytes() else {
        return Err(format!("S or P, or another letter, not {kind}"));
    };
    let kind = *kind;
    let (name, _) = word(rest)?;
    Ok(Message::new(tag, &[&[kind], name.as_bytes(), &[0]].concat()))
}

/// A message's type, and its body as it is.
fn raw(rest: &str) -> Result<Message, String> {
    let (tag, rest) = word(rest)?;
    let &[tag] = tag.as_bytes() else {
        return Err(format!("a message's type: {tag}"));
    };
    Ok(Message::new(tag, &bytes(rest.trim_start_matches("x:"))?))
}

fn parse(rest: &str) -> Result<Message, String> {
    let (name, rest) = word(rest)?;
    let (types, sql) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((types, sql)) => (numbers(types)?, sql.trim_start()),
        None => (Vec::new(), rest),
    };
    Ok(Message::parse(&name, sql, &types))
}

fn numbers<N: std::str::FromStr>(text: &str) -> Result<Vec<N>, String> {
    let number = |word: &str| word.parse().map_err(|_| format!("a number: {word}"));
    text.split_whitespace().map(number).collect()
}

fn bind(rest: &str) -> Result<Message, String> {
    let (portal, rest) = word(rest)?;
    let (statement, rest) = word(rest)?;
    let mut body = [portal.as_bytes(), &[0], statement.as_bytes(), &[0]].concat();
    values(&mut body, rest, true)?;
    Ok(Message::new(b'B', &body))
}

fn function_call(rest: &str) -> Result<Message, String> {
    let (oid, rest) = word(rest)?;
    let oid: u32 = oid.parse().map_err(|_| format!("a function's OID: {oid}"))?;
    let mut body = oid.to_be_bytes().to_vec();
    values(&mut body, rest, false)?;
    Ok(Message::new(b'F', &body))
}

/// Format codes, values, and the format codes of the result, of which Bind has any number and
/// FunctionCall one.
fn values(body: &mut Vec<u8>, mut rest: &str, is_bind: bool) -> Result<(), String> {
    let mut formats = Vec::new();
    let mut values = Vec::new();
    let mut results: Vec<i16> = Vec::new();
    while !rest.is_empty() {
        if let Some(codes) = rest.strip_prefix("->") {
            results = numbers(codes)?;
            break;
        }
        let is_quoted = rest.starts_with('\'');
        let (value, after) = word(rest)?;
        rest = after;
        match value.strip_prefix("x:").filter(|_| !is_quoted) {
            Some(hex) => {
                formats.push(1_i16);
                values.push(Some(bytes(hex)?));
            }
            None => {
                formats.push(0);
                values.push((value != "NULL" || is_quoted).then(|| value.into_bytes()));
            }
        }
    }
    if formats.iter().all(|format| *format == 0) {
        formats.clear();
    }
    codes(body, &formats);
    body.extend_from_slice(&count(values.len()).to_be_bytes());
    for value in values {
        match value {
            None => body.extend_from_slice(&(-1_i32).to_be_bytes()),
            Some(value) => {
                body.extend_from_slice(&i32::from(count(value.len())).to_be_bytes());
                body.extend_from_slice(&value);
            }
        }
    }
    if is_bind {
        codes(body, &results);
    } else {
        body.extend_from_slice(&results.first().copied().unwrap_or(0).to_be_bytes());
    }
    Ok(())
}

fn codes(body: &mut Vec<u8>, codes: &[i16]) {
    body.extend_from_slice(&count(codes.len()).to_be_bytes());
    for code in codes {
        body.extend_from_slice(&code.to_be_bytes());
    }
}

fn count(count: usize) -> i16 {
    i16::try_from(count).expect("a script's values are short")
}

fn bytes(hex: &str) -> Result<Vec<u8>, String> {
    let pairs = hex.as_bytes().chunks(2);
    let byte = |pair: &[u8]| {
        std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok())
    };
    pairs.map(|pair| byte(pair).ok_or_else(|| format!("hex: {hex}"))).collect()
}
