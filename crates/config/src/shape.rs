//! Checks a tree against the JSON schema: types, unknown and missing keys, allowed values. Knows as much of JSON Schema as schemars makes
//! of our structs.

use std::ops::Range;

use serde_json::Value;

use crate::Diagnostic;
use crate::tree::{Entry, Node, NodeKind};

/// Adds every mistake of shape to `diagnostics`.
pub(crate) fn check(tree: &Node, schema: &Value, diagnostics: &mut Vec<Diagnostic>) {
    Checker { root: schema, diagnostics }.node(tree, schema, "the file");
}

struct Checker<'a> {
    root: &'a Value,
    diagnostics: &'a mut Vec<Diagnostic>,
}

impl<'a> Checker<'a> {
    fn node(&mut self, node: &Node, schema: &'a Value, what: &str) {
        let schema = self.follow(schema);
        if let Some(options) = schema.get("oneOf").or_else(|| schema.get("anyOf")).and_then(Value::as_array) {
            return self.one_of(node, options, what);
        }
        if let Some(parts) = schema.get("allOf").and_then(Value::as_array) {
            parts.iter().for_each(|part| self.node(node, part, what));
            return;
        }
        let allowed = types(schema);
        if !allowed.is_empty() && !allowed.iter().any(|name| is_type(node, name)) {
            let wanted: Vec<_> = allowed.into_iter().filter(|name| *name != "null").map(in_toml).collect();
            self.add(
                &node.span,
                format!("{what} is a {}", node.type_name()),
                format!("{what} must be a {}", wanted.join(" or a ")),
            );
            return;
        }
        if let Some(values) = allowed_values(schema) {
            self.value(node, &values, what);
        }
        self.number(node, schema, what);
        match &node.kind {
            NodeKind::Table(entries) => self.table(node, entries, schema, what),
            NodeKind::Array(items) => {
                if let Some(schema) = schema.get("items") {
                    items.iter().for_each(|item| self.node(item, schema, what));
                }
            }
            _ => {}
        }
    }

    fn follow(&self, schema: &'a Value) -> &'a Value {
        match schema.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix('#')) {
            Some(pointer) => self.root.pointer(pointer).map_or(schema, |target| self.follow(target)),
            None => schema,
        }
    }

    /// Among tables told apart by `kind`, the one that is named; among plain values, any; among types, the one that fits.
    fn one_of(&mut self, node: &Node, options: &'a [Value], what: &str) {
        let options: Vec<&Value> = options
            .iter()
            .map(|option| self.follow(option))
            .filter(|option| types(option) != ["null"])
            .collect();
        // An optional value is a choice between it and null, which TOML doesn't have.
        if let [only] = options[..] {
            return self.node(node, only, what);
        }
        let constants: Vec<Value> = options.iter().filter_map(|option| allowed_values(option)).flatten().collect();
        if constants.len() >= options.len() {
            return self.value(node, &constants, what);
        }
        let kind_of = |option: &Value| option.pointer("/properties/kind/const").and_then(Value::as_str).map(str::to_owned);
        let kinds: Vec<String> = options.iter().filter_map(|option| kind_of(option)).collect();
        if !kinds.is_empty() {
            let help = format!("`kind` is one of: {}", kinds.join(", "));
            match node.at(&["kind"]) {
                None => self.add(&node.span, format!("{what} has no `kind`"), help),
                Some(Node {
                    kind: NodeKind::String(kind),
                    span,
                }) => match options.iter().find(|option| kind_of(option).as_ref() == Some(kind)) {
                    Some(option) => self.node(node, option, what),
                    None => self.add(span, format!("unknown kind \"{kind}\""), help),
                },
                Some(other) => self.add(&other.span, "`kind` must be a string", help),
            }
            return;
        }
        let fits = options.iter().find(|option| types(option).iter().any(|name| is_type(node, name)));
        match fits {
            Some(option) => self.node(node, option, what),
            None => {
                let wanted: Vec<_> = options
                    .iter()
                    .flat_map(|option| types(option))
                    .filter(|name| *name != "null")
                    .map(in_toml)
                    .collect();
                self.add(
                    &node.span,
                    format!("{what} is a {}", node.type_name()),
                    format!("{what} must be a {}", wanted.join(" or a ")),
                );
            }
        }
    }

    fn value(&mut self, node: &Node, allowed: &[Value], what: &str) {
        if !allowed.contains(&node.to_json()) {
            let list: Vec<_> = allowed.iter().map(ToString::to_string).collect();
            self.add(
                &node.span,
                format!("{what} can't be {}", node.to_json()),
                format!("{what} is one of: {}", list.join(", ")),
            );
        }
    }

    fn number(&mut self, node: &Node, schema: &Value, what: &str) {
        let NodeKind::Integer(number) = node.kind else { return };
        let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
        let (low, high) = (bound("minimum").unwrap_or(f64::MIN), bound("maximum").unwrap_or(f64::MAX));
        #[allow(clippy::cast_precision_loss, reason = "limits in the schema are small")]
        if (number as f64) < low || (number as f64) > high {
            let help = if high == f64::MAX {
                format!("{what} is at least {low}")
            } else {
                format!("{what} is from {low} to {high}")
            };
            self.add(&node.span, format!("{what} can't be {number}"), help);
        }
    }

    fn table(&mut self, node: &Node, entries: &[Entry], schema: &'a Value, what: &str) {
        let empty = serde_json::Map::new();
        let properties = schema.get("properties").and_then(Value::as_object);
        let others = schema.get("additionalProperties").filter(|others| others.is_object());
        for entry in entries {
            match (properties.and_then(|properties| properties.get(&entry.key)), others) {
                (Some(schema), _) | (None, Some(schema)) => self.node(&entry.value, schema, &format!("`{}`", entry.key)),
                (None, None) => {
                    let names: Vec<&str> = properties.unwrap_or(&empty).keys().map(String::as_str).collect();
                    self.unknown(entry, &names);
                }
            }
        }
        for name in schema
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
        {
            if !entries.iter().any(|entry| entry.key == name) {
                self.add(&node.span, format!("{what} has no `{name}`"), format!("add `{name} = …`"));
            }
        }
    }

    fn unknown(&mut self, entry: &Entry, names: &[&str]) {
        let near = names
            .iter()
            .map(|name| (strsim::damerau_levenshtein(name, &entry.key), name))
            .min()
            .filter(|(distance, _)| *distance <= 2);
        let list = names.join(", ");
        let help = near.map_or_else(
            || format!("allowed here: {list}"),
            |(_, name)| format!("did you mean `{name}`? Allowed here: {list}"),
        );
        self.add(&entry.key_span, format!("unknown key `{}`", entry.key), help);
    }

    fn add(&mut self, span: &Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        self.diagnostics.push(Diagnostic::new(span.clone(), message, help));
    }
}

fn types(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn allowed_values(schema: &Value) -> Option<Vec<Value>> {
    match (schema.get("const"), schema.get("enum")) {
        (Some(value), _) => Some(vec![value.clone()]),
        (None, Some(Value::Array(values))) => Some(values.clone()),
        _ => None,
    }
}

fn is_type(node: &Node, name: &str) -> bool {
    match &node.kind {
        NodeKind::Table(_) => name == "object",
        NodeKind::Array(_) => name == "array",
        NodeKind::String(_) => name == "string",
        NodeKind::Integer(_) => matches!(name, "integer" | "number"),
        NodeKind::Float(_) => name == "number",
        NodeKind::Bool(_) => name == "boolean",
    }
}

/// JSON's word for a type in TOML's words.
fn in_toml(name: &str) -> &str {
    match name {
        "object" => "table",
        "number" => "float",
        other => other,
    }
}
