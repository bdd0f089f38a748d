//! The reference of the configuration is what its schema says.
//!
//! `FLYWHEEL_GUIDE_WRITE=1` writes it anew.

use std::fmt::Write;

use serde_json::Value;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../guide/chapters/configuration.md");
const MARK: &str = "FLYWHEEL_GUIDE_WRITE=1. -->\n";
const WIDTH: usize = 100;

/// The sections in the order in which a file has them: the heading and the schema's definition.
const SECTIONS: [(&str, &str); 13] = [
    ("`[log]`", "Log"),
    ("`[tls]`", "Tls"),
    ("`[limits]`", "Limits"),
    ("`[metrics]`", "Metrics"),
    ("`[[users]]`", "User"),
    ("`[[databases]]`", "Database"),
    ("`[[tables]]`", "Table"),
    ("`indexes` of `[[tables]]`", "Index"),
    ("`[[routes]]`", "Route"),
    ("`when` of `[[routes]]`", "When"),
    ("`[[cache]]`", "CacheRule"),
    ("`when` of `[[cache]]`", "CacheWhen"),
    ("`[sharing]`", "Sharing"),
];

/// The section before which the stores stand.
const AFTER_STORES: &str = "Table";

/// Definitions that are told where they are used.
const INLINE: [&str; 4] = ["Size", "SecretSource", "SecretFile", "Store"];

#[test]
fn the_reference_is_what_the_schema_says() {
    let text = std::fs::read_to_string(FILE).expect("the chapter");
    let (written, _) = text.split_once(MARK).expect("the mark");
    let expected =
        format!("{written}{MARK}{}", reference(&flywheel_config::schema(flywheel_cli::KINDS)));
    if std::env::var_os("FLYWHEEL_GUIDE_WRITE").is_some() {
        std::fs::write(FILE, expected).expect("the chapter");
    } else {
        assert!(text == expected, "FLYWHEEL_GUIDE_WRITE=1 cargo test writes the chapter anew");
    }
}

#[test]
fn every_definition_has_its_section() {
    let schema = flywheel_config::schema(flywheel_cli::KINDS);
    for (name, definition) in schema["$defs"].as_object().expect("definitions") {
        let told = SECTIONS.iter().any(|(_, told)| told == name)
            || INLINE.contains(&name.as_str())
            || definition.get("oneOf").is_some();
        assert!(told, "{name} isn't in the reference");
    }
}

fn reference(schema: &Value) -> String {
    let mut out = String::new();
    section(&mut out, schema, "The head of the file", schema);
    for (heading, name) in SECTIONS {
        if name == AFTER_STORES {
            stores(&mut out, schema);
        }
        section(&mut out, schema, heading, &schema["$defs"][name]);
    }
    out
}

fn stores(out: &mut String, schema: &Value) {
    for kind in schema["$defs"]["Store"]["oneOf"].as_array().expect("kinds of stores") {
        let name = kind["properties"]["kind"]["const"].as_str().expect("a kind");
        section(out, schema, &format!("`[stores.NAME]` with `kind = \"{name}\"`"), kind);
    }
}

fn section(out: &mut String, schema: &Value, heading: &str, definition: &Value) {
    let _ = writeln!(out, "\n## {heading}\n");
    wrap(out, "", description(definition));
    out.push('\n');
    let required: Vec<_> =
        definition["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, property) in definition["properties"].as_object().expect("keys") {
        if property.get("const").is_some() {
            continue;
        }
        let mut form = form(schema, property);
        if required.contains(&name.as_str()) {
            form.push_str(", required");
        }
        wrap(out, "- ", &format!("`{name}` ({form}): {}", description(property)));
        for value in values(schema, property) {
            let text = value["const"].as_str().expect("a value");
            wrap(out, "  - ", &format!("`\"{text}\"`: {}", description(value)));
        }
    }
}

fn description(of: &Value) -> &str {
    of["description"].as_str().unwrap_or_default()
}

/// What a key's value looks like.
fn form(schema: &Value, property: &Value) -> String {
    if let Some(name) = reference_of(property) {
        return match name {
            "Size" => "size".into(),
            "SecretSource" => "secret".into(),
            _ if schema["$defs"][name].get("oneOf").is_some() && name != "Store" => {
                "one of the texts below".into()
            }
            _ => "section".into(),
        };
    }
    if let Some(other) = property.get("additionalProperties").filter(|other| other.is_object()) {
        return format!("{}s by name", form(schema, other));
    }
    match kind(property) {
        "boolean" => "true or false".into(),
        "integer" => match (property["minimum"].as_i64(), property["maximum"].as_i64()) {
            (Some(from), Some(to)) => format!("number from {from} to {to}"),
            _ => "number".into(),
        },
        "array" => format!("list of {}s", form(schema, &property["items"])),
        _ if is_duration(property) => "duration".into(),
        _ => "text".into(),
    }
}

/// The type that isn't null.
fn kind(property: &Value) -> &str {
    match &property["type"] {
        Value::Array(kinds) => {
            kinds.iter().filter_map(Value::as_str).find(|&kind| kind != "null").unwrap_or_default()
        }
        kind => kind.as_str().unwrap_or_default(),
    }
}

/// Whether the schema's example is a number with a unit of time.
fn is_duration(property: &Value) -> bool {
    let example = property["examples"][0].as_str().unwrap_or_default();
    let unit = example.trim_start_matches(|character: char| character.is_ascii_digit());
    unit.len() < example.len() && ["us", "ms", "s", "m", "h"].contains(&unit)
}

/// The texts that a key may have.
fn values<'s>(schema: &'s Value, property: &Value) -> impl Iterator<Item = &'s Value> {
    let definition = reference_of(property).map(|name| &schema["$defs"][name]);
    let values = definition.and_then(|definition| definition["oneOf"].as_array());
    values.into_iter().flatten().filter(|value| value.get("const").is_some())
}

/// The name of the definition that a key refers to.
fn reference_of(property: &Value) -> Option<&str> {
    let direct = property["$ref"].as_str();
    let other = property["anyOf"].as_array().into_iter().flatten();
    direct
        .or_else(|| other.into_iter().find_map(|choice| choice["$ref"].as_str()))?
        .strip_prefix("#/$defs/")
}

/// Adds a paragraph, or an entry of a list, in lines of [`WIDTH`].
fn wrap(out: &mut String, bullet: &str, text: &str) {
    let mut line = String::from(bullet);
    let mut is_empty = true;
    for word in text.split_whitespace() {
        if !is_empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
            let _ = writeln!(out, "{line}");
            line = " ".repeat(bullet.len());
            is_empty = true;
        }
        if !is_empty {
            line.push(' ');
        }
        line.push_str(word);
        is_empty = false;
    }
    let _ = writeln!(out, "{line}");
}
