//! The tables of the chapter on operations name what there is.

use std::collections::BTreeSet;
use std::path::Path;

/// Words of the chapter that only look like metrics: a crate in `log.level`, and the console's
/// database.
const NOT_METRICS: [&str; 2] = ["flywheel_gateway", "flywheel_admin"];

fn text(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn operations() -> &'static str {
    flywheel_guide::chapter("operations").expect("the chapter").text
}

/// The words of a text that begin so.
fn words(text: &str, beginning: &str) -> BTreeSet<String> {
    let is_word = |character: char| character.is_ascii_alphanumeric() || character == '_';
    text.split(|character| !is_word(character))
        .filter(|word| word.starts_with(beginning))
        .map(str::to_owned)
        .collect()
}

/// A metric's name as the code has it: what the format adds is taken off.
fn family(name: &str) -> &str {
    let name = name.strip_suffix("_total").or_else(|| name.strip_suffix("_info")).unwrap_or(name);
    name.strip_suffix("_seconds").or_else(|| name.strip_suffix("_bytes")).unwrap_or(name)
}

#[test]
fn every_metric_is_told() {
    let told = words(operations(), "flywheel_");
    let told: BTreeSet<_> = told.iter().map(|name| family(name)).collect();
    let code = text("../metrics/src/collector.rs") + &text("../metrics/src/operations.rs");
    let code: BTreeSet<_> = code.split('"').filter(|text| !text.contains(' ')).collect();
    for name in &told {
        let of_a_rule = name.strip_prefix("flywheel_cache_").unwrap_or(name);
        let there = code.iter().any(|text| family(text) == *name)
            || code.contains(of_a_rule)
            || NOT_METRICS.contains(name);
        assert!(there, "{name} isn't a metric");
    }
    for name in code.iter().filter(|text| text.starts_with("flywheel_") && !text.contains('{')) {
        assert!(told.contains(family(name)), "{name} isn't in the chapter");
    }
}

#[test]
fn every_sqlstate_is_one_of_ours() {
    let code = text("../wire/src/sqlstate.rs");
    let rows = operations().lines().skip_while(|line| !line.starts_with("| SQLSTATE")).skip(2);
    let mut count = 0;
    for row in rows.take_while(|line| line.starts_with('|')) {
        for state in row.split('|').nth(1).unwrap_or_default().split(',') {
            assert!(code.contains(&format!("\"{}\"", state.trim())), "{row}");
            count += 1;
        }
    }
    assert!(count > 10, "the table isn't there");
}
