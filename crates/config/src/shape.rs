//! Checks a tree against the JSON schema: types, unknown and missing keys, allowed values. Knows as
//! much of JSON Schema as schemars makes of our structs.

use std::ops::Range;

use serde_json::{Map, Value};

use crate::Diagnostic;
use crate::near::nearest;
use crate::tree::{Entry, Node, NodeKind};

/// What is right in a tree, for serde: without keys whose value has a mistake, and with null for
/// such an item of an array or a map. Every mistake is added to `diagnostics`.
pub(crate) fn check(
    tree: &Node,
    schema: &Value,
    diagnostics: &mut Vec<Diagnostic>,
) -> Map<String, Value> {
    let mut checker = Checker { root: schema, diagnostics };
    match &tree.kind {
        NodeKind::Table(entries) => checker.entries(tree, entries, schema, "the file").0,
        _ => Map::new(),
    }
}

struct Checker<'a> {
    root: &'a Value,
    diagnostics: &'a mut Vec<Diagnostic>,
}

impl<'a> Checker<'a> {
    /// What is right in a node; `None` when it can't be used at all.
    fn node(&mut self, node: &Node, schema: &'a Value, what: &str) -> Option<Value> {
        let schema = self.follow(schema);
        if let Some(options) =
            schema.get("oneOf").or_else(|| schema.get("anyOf")).and_then(Value::as_array)
        {
            return self.one_of(node, options, what);
        }
        let allowed = types(schema);
        if !allowed.is_empty() && !allowed.iter().any(|name| is_type(node, name)) {
            self.wrong_type(node, &[schema], what);
            return None;
        }
        if let Some(values) = allowed_values(schema) {
            return self.value(node, &values, what);
        }
        match &node.kind {
            NodeKind::Table(entries) => {
                let (sound, is_whole) = self.entries(node, entries, schema, what);
                is_whole.then_some(Value::Object(sound))
            }
            NodeKind::Array(items) => {
                let item = schema.get("items")?;
                let what = format!("an entry of {what}");
                Some(
                    items
                        .iter()
                        .map(|node| self.node(node, item, &what).unwrap_or_default())
                        .collect(),
                )
            }
            NodeKind::Integer(number) => self.number(node, *number, schema, what),
            NodeKind::String(text) if text.is_empty() && schema.get("minLength").is_some() => {
                self.add(
                    &node.span,
                    format!("{what} is empty"),
                    such_as("write it, or leave the key out", schema),
                );
                None
            }
            NodeKind::String(_) | NodeKind::Date(_) | NodeKind::Float(_) | NodeKind::Bool(_) => {
                Some(node.to_json())
            }
        }
    }

    fn follow(&self, schema: &'a Value) -> &'a Value {
        match schema.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix('#')) {
            Some(pointer) => {
                self.root.pointer(pointer).map_or(schema, |target| self.follow(target))
            }
            None => schema,
        }
    }

    /// Among tables told apart by `kind`, the one that is named; among plain values, any; among
    /// types, the one that fits.
    fn one_of(&mut self, node: &Node, options: &'a [Value], what: &str) -> Option<Value> {
        let options: Vec<&Value> = options
            .iter()
            .map(|option| self.follow(option))
            .filter(|option| types(option) != ["null"])
            .collect();
        // An optional value is a choice between it and null, which TOML doesn't have.
        if let [only] = options[..] {
            return self.node(node, only, what);
        }
        let constants: Vec<Value> =
            options.iter().filter_map(|option| allowed_values(option)).flatten().collect();
        if constants.len() >= options.len() {
            return self.value(node, &constants, what);
        }
        if options.iter().any(|option| kind_of(option).is_some())
            && matches!(node.kind, NodeKind::Table(_))
        {
            return self.of_kind(node, &options, what);
        }
        match options.iter().find(|option| types(option).iter().any(|name| is_type(node, name))) {
            Some(option) => self.node(node, option, what),
            None => {
                self.wrong_type(node, &options, what);
                None
            }
        }
    }

    /// A table whose `kind` says which of these it is.
    fn of_kind(&mut self, node: &Node, options: &[&'a Value], what: &str) -> Option<Value> {
        let kinds: Vec<&str> = options.iter().filter_map(|option| kind_of(option)).collect();
        let help = format!("`kind` is one of: {}", kinds.join(", "));
        match node.at(&["kind"]) {
            None => self.add(&node.span, format!("{what} has no `kind`"), help),
            Some(Node { kind: NodeKind::String(kind), span }) => {
                match options.iter().find(|option| kind_of(option) == Some(kind)) {
                    Some(option) => return self.node(node, option, what),
                    None => {
                        let help = match nearest(kind, kinds.iter().copied()) {
                            Some(near) => format!("did you mean \"{near}\"? {help}"),
                            None => help,
                        };
                        self.add(span, format!("unknown kind \"{kind}\""), help);
                    }
                }
            }
            Some(other) => self.add(
                &other.span,
                format!("`kind` is {}", with_article(other.type_name())),
                help,
            ),
        }
        None
    }

    fn wrong_type(&mut self, node: &Node, options: &[&Value], what: &str) {
        let mut wanted: Vec<_> = options
            .iter()
            .flat_map(|option| types(option))
            .filter(|name| *name != "null")
            .collect();
        wanted.dedup();
        let list: Vec<_> = wanted.iter().map(|name| with_article(in_toml(name))).collect();
        let help = format!("{what} must be {}", list.join(" or "));
        let help = match (&node.kind, what.strip_prefix('`').and_then(|key| key.strip_suffix('`')))
        {
            (NodeKind::Table(_), Some(key)) if wanted == ["array"] => {
                format!("{help}: [[{key}]] for each entry")
            }
            (NodeKind::Array(_), Some(key)) if wanted == ["object"] => {
                format!(
                    "{help}: [{key}{}]",
                    if is_map(options[0]) { ".a_name_of_yours" } else { "" }
                )
            }
            _ => options.iter().fold(help, |help, option| such_as(&help, option)),
        };
        self.add(&node.span, format!("{what} is {}", with_article(node.type_name())), help);
    }

    fn value(&mut self, node: &Node, allowed: &[Value], what: &str) -> Option<Value> {
        let value = node.to_json();
        if allowed.contains(&value) {
            return Some(value);
        }
        let list: Vec<_> = allowed.iter().map(ToString::to_string).collect();
        let help = format!("{what} is one of: {}", list.join(", "));
        match node.kind {
            NodeKind::String(_) | NodeKind::Integer(_) | NodeKind::Bool(_) => {
                self.add(&node.span, format!("{what} can't be {value}"), help)
            }
            _ => {
                self.add(&node.span, format!("{what} is {}", with_article(node.type_name())), help)
            }
        }
        None
    }

    fn number(&mut self, node: &Node, number: i64, schema: &Value, what: &str) -> Option<Value> {
        let bound = |name: &str| schema.get(name).and_then(Value::as_i64);
        let (low, high) =
            (bound("minimum").unwrap_or(i64::MIN), bound("maximum").unwrap_or(i64::MAX));
        if (low..=high).contains(&number) {
            return Some(number.into());
        }
        self.add(
            &node.span,
            format!("{what} can't be {number}"),
            format!("{what} is from {low} to {high}"),
        );
        None
    }

    /// The entries of a table that are right, and whether those that must be there are among them.
    fn entries(
        &mut self,
        node: &Node,
        entries: &[Entry],
        schema: &'a Value,
        what: &str,
    ) -> (Map<String, Value>, bool) {
        let properties = schema.get("properties").and_then(Value::as_object);
        let property = |key: &str| properties.and_then(|properties| properties.get(key));
        let others = schema.get("additionalProperties").filter(|others| others.is_object());
        let mut sound = Map::new();
        // What unknown keys were probably meant to be.
        let mut meant = Vec::new();
        for entry in entries {
            let what = format!("`{}`", entry.key);
            match (property(&entry.key), others) {
                (Some(schema), _) => {
                    if let Some(value) = self.node(&entry.value, schema, &what) {
                        sound.insert(entry.key.clone(), value);
                    }
                }
                (None, Some(schema)) => {
                    let value = self.node(&entry.value, schema, &what).unwrap_or_default();
                    sound.insert(entry.key.clone(), value);
                }
                (None, None) => {
                    let names: Vec<&str> =
                        properties.into_iter().flat_map(Map::keys).map(String::as_str).collect();
                    meant.extend(self.unknown(entry, &names));
                }
            }
        }
        let mut is_whole = true;
        for name in required(schema) {
            is_whole &= sound.contains_key(name);
            if !entries.iter().any(|entry| entry.key == name) && !meant.contains(&name) {
                let help = match property(name).map(|schema| self.follow(schema)) {
                    Some(schema) if is_map(schema) => format!("add [{name}.a_name_of_yours]"),
                    Some(schema) if types(schema) == ["object"] => {
                        format!("add `{name} = {{ … }}`")
                    }
                    _ => format!("add `{name} = …`"),
                };
                self.add(&node.span, format!("{what} has no `{name}`"), help);
            }
        }
        (sound, is_whole)
    }

    /// Reports an unknown key. Gives the one that was probably meant, if any.
    fn unknown<'n>(&mut self, entry: &Entry, allowed: &[&'n str]) -> Option<&'n str> {
        let at_head = self.root.get("properties").and_then(|properties| properties.get(&entry.key));
        let near = nearest(&entry.key, allowed.iter().copied());
        let list = allowed.join(", ");
        let help = match (at_head, near) {
            (Some(schema), _) if types(schema).contains(&"array") => {
                format!("write [[{}]]. Allowed here: {list}", entry.key)
            }
            (Some(_), _) => format!(
                "it stands at the head of the file, before the first [table]. Allowed here: {list}"
            ),
            (None, Some(near)) => format!("did you mean `{near}`? Allowed here: {list}"),
            (None, None) => format!("allowed here: {list}"),
        };
        self.add(&entry.key_span, format!("unknown key `{}`", entry.key), help);
        near
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

fn required(schema: &Value) -> impl Iterator<Item = &str> {
    schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

fn kind_of(schema: &Value) -> Option<&str> {
    schema.pointer("/properties/kind/const").and_then(Value::as_str)
}

/// Whether its keys are names of the user's choice.
fn is_map(schema: &Value) -> bool {
    schema.get("additionalProperties").is_some_and(Value::is_object)
}

fn allowed_values(schema: &Value) -> Option<Vec<Value>> {
    match (schema.get("const"), schema.get("enum")) {
        (Some(value), _) => Some(vec![value.clone()]),
        (None, Some(Value::Array(values))) => Some(values.clone()),
        _ => None,
    }
}

/// A help with the schema's example.
fn such_as(help: &str, schema: &Value) -> String {
    match schema.pointer("/examples/0") {
        Some(example) => format!("{help}, such as {example}"),
        None => help.to_owned(),
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
        NodeKind::Date(_) => false,
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

fn with_article(name: &str) -> String {
    let article = if name.starts_with(['a', 'e', 'i', 'o']) { "an" } else { "a" };
    format!("{article} {name}")
}
