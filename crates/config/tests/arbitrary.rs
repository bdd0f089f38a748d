//! Whatever a file holds, it is read or reported, never a panic, and a report points into the file.

use flywheel_config::parse;
use proptest::prelude::*;

const PRODUCTION: &str = include_str!("../../../config/production.toml");

fn check(text: &str) {
    let Err(report) = parse("app.toml", text, &|name| (name.len() % 2 == 0).then(|| name.to_owned())) else {
        return;
    };
    assert!(!report.diagnostics().is_empty());
    let lines: Vec<&str> = text.split('\n').collect();
    for mistake in report.diagnostics() {
        let (line, column) = report.position(mistake);
        assert!(line <= lines.len(), "line {line} of {}", lines.len());
        assert!(
            column <= lines[line - 1].chars().count() + 1,
            "column {column} of {:?}",
            lines[line - 1]
        );
    }
    assert!(!report.render(false).is_empty());
}

proptest! {
    #[test]
    fn any_text(text in "\\PC{0,200}") {
        check(&text);
    }

    #[test]
    fn an_example_with_a_piece_replaced(start in 0..PRODUCTION.len(), length in 0..60usize, with in "[a-z0-9\\[\\]\"'${}=.,:\\n ä]{0,20}") {
        let start = (start..).find(|&at| PRODUCTION.is_char_boundary(at)).unwrap_or_default();
        let end = (start + length..).find(|&at| PRODUCTION.is_char_boundary(at.min(PRODUCTION.len()))).unwrap_or_default().min(PRODUCTION.len());
        check(&format!("{}{with}{}", &PRODUCTION[..start], &PRODUCTION[end..]));
    }
}
