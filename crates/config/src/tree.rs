//! TOML with positions, and `${VAR}` replaced by the environment.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::{Diagnostic, Environment};

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) span: Range<usize>,
    pub(crate) kind: NodeKind,
}

/// A TOML value.
#[derive(Debug, Clone)]
pub(crate) enum NodeKind {
    Table(Vec<Entry>),
    Array(Vec<Node>),
    String(String),
    Integer(i64),
    Float(f64),
    Bool(bool),
    Date(String),
}

/// A key and its value.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_span: Range<usize>,
    pub(crate) value: Node,
}

/// Reads a text; `None` when it isn't TOML. Mistakes are added to `diagnostics`.
pub(crate) fn parse(
    text: &str,
    environment: Environment<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Node> {
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        diagnostics.push(Diagnostic::new(
            error.span().unwrap_or(0..0),
            error.message().trim().to_owned(),
            "the file is TOML 1.1: https://toml.io",
        ));
    }
    if !errors.is_empty() {
        return None;
    }
    let span = table.span();
    let mut reader = Reader { environment, diagnostics };
    Some(Node { span, kind: reader.table(table.get_ref()) })
}

struct Reader<'a> {
    environment: Environment<'a>,
    diagnostics: &'a mut Vec<Diagnostic>,
}

impl Reader<'_> {
    fn table(&mut self, table: &DeTable<'_>) -> NodeKind {
        let entry = |(key, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| Entry {
            key: AsRef::<str>::as_ref(key.get_ref() as &std::borrow::Cow<'_, str>).to_owned(),
            key_span: key.span(),
            value: self.value(value),
        };
        NodeKind::Table(table.iter().map(entry).collect())
    }

    fn value(&mut self, value: &Spanned<DeValue<'_>>) -> Node {
        let span = value.span();
        let kind = match value.get_ref() {
            DeValue::String(text) => NodeKind::String(self.expand(text, &span)),
            DeValue::Integer(number) => {
                match i64::from_str_radix(&number.as_str().replace('_', ""), number.radix()) {
                    Ok(number) => NodeKind::Integer(number),
                    Err(_) => {
                        self.diagnostics.push(Diagnostic::new(
                            span.clone(),
                            format!("integer {} is too large", number.as_str()),
                            "integers have 64 bits",
                        ));
                        NodeKind::Integer(0)
                    }
                }
            }
            DeValue::Float(number) => {
                NodeKind::Float(number.as_str().replace('_', "").parse().unwrap_or(f64::NAN))
            }
            DeValue::Boolean(flag) => NodeKind::Bool(*flag),
            DeValue::Datetime(when) => NodeKind::Date(when.to_string()),
            DeValue::Array(items) => {
                NodeKind::Array(items.iter().map(|item| self.value(item)).collect())
            }
            DeValue::Table(table) => self.table(table),
        };
        Node { span, kind }
    }

    /// The text with `${VAR}` replaced; `$${` stands for `${`.
    fn expand(&mut self, text: &str, span: &Range<usize>) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            if rest[..at].ends_with('$') {
                out.push_str(&rest[..at]);
                out.push('{');
                rest = &rest[at + 2..];
                continue;
            }
            out.push_str(&rest[..at]);
            let Some(end) = rest[at..].find('}') else {
                self.diagnostics.push(Diagnostic::new(
                    span.clone(),
                    "`${` without `}`",
                    "write ${NAME} for an environment variable, $${ for the characters ${",
                ));
                return out;
            };
            let name = &rest[at + 2..at + end];
            let is_name = !name.is_empty()
                && name.bytes().all(|each| each.is_ascii_alphanumeric() || each == b'_');
            match (self.environment)(name) {
                Some(value) if is_name => out.push_str(&value),
                _ if !is_name => self.diagnostics.push(Diagnostic::new(
                    span.clone(),
                    format!("\"{name}\" isn't the name of an environment variable"),
                    "write ${NAME} with letters, digits and _, or $${ for the characters ${",
                )),
                _ => {
                    self.diagnostics.push(Diagnostic::new(
                        span.clone(),
                        format!("environment variable {name} isn't set"),
                        format!("set {name}, or write $${{ for the characters ${{"),
                    ));
                    // A value all the same, so that only this is reported of it.
                    out.push_str(&rest[at..=at + end]);
                }
            }
            rest = &rest[at + end + 1..];
        }
        out.push_str(rest);
        out
    }
}

impl Node {
    /// The value at a path of keys and array positions.
    pub(crate) fn at(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |node, step| match &node.kind {
            NodeKind::Table(entries) => {
                entries.iter().find(|entry| entry.key == *step).map(|entry| &entry.value)
            }
            NodeKind::Array(items) => items.get(step.parse::<usize>().ok()?),
            _ => None,
        })
    }

    /// Where the value at a path stands; where its nearest parent does when it isn't there.
    pub(crate) fn span(&self, path: &[&str]) -> Range<usize> {
        (0..=path.len())
            .rev()
            .find_map(|len| self.at(&path[..len]))
            .map_or(0..0, |node| node.span.clone())
    }

    /// How many entries it has.
    pub(crate) fn len(&self) -> usize {
        match &self.kind {
            NodeKind::Table(entries) => entries.len(),
            NodeKind::Array(items) => items.len(),
            _ => 0,
        }
    }

    /// What TOML calls it.
    pub(crate) fn type_name(&self) -> &'static str {
        match &self.kind {
            NodeKind::Table(_) => "table",
            NodeKind::Array(_) => "array",
            NodeKind::String(_) => "string",
            NodeKind::Integer(_) => "integer",
            NodeKind::Float(_) => "float",
            NodeKind::Bool(_) => "boolean",
            NodeKind::Date(_) => "date",
        }
    }

    pub(crate) fn to_json(&self) -> serde_json::Value {
        match &self.kind {
            NodeKind::Table(entries) => entries
                .iter()
                .map(|entry| (entry.key.clone(), entry.value.to_json()))
                .collect::<serde_json::Map<_, _>>()
                .into(),
            NodeKind::Array(items) => items.iter().map(Self::to_json).collect::<Vec<_>>().into(),
            NodeKind::String(text) | NodeKind::Date(text) => text.clone().into(),
            NodeKind::Integer(number) => (*number).into(),
            NodeKind::Float(number) => (*number).into(),
            NodeKind::Bool(flag) => (*flag).into(),
        }
    }
}
