//! Whatever a file holds, it is read or reported, never a panic, and a report points into the file.

mod support;

use flywheel_cli::KINDS;
use flywheel_config::parse;
use proptest::prelude::*;
use support::{EMBEDDED, PRODUCTION, uncommented};

fn check(text: &str) {
    let environment = |name: &str| name.len().is_multiple_of(2).then(|| name.to_owned());
    let Err(report) = parse("app.toml", text, &environment, KINDS) else {
        return;
    };
    assert!(!report.diagnostics().is_empty());
    let lines: Vec<&str> = text.trim_start_matches('\u{feff}').split('\n').collect();
    let mut last = (1, 1);
    for mistake in report.diagnostics() {
        let (start, end) = (mistake.span.start, mistake.span.end);
        assert!(start <= end && end <= text.len(), "{start}..{end} of {}: {mistake:?}", text.len());
        assert!(!mistake.message.is_empty() && !mistake.help.is_empty(), "{mistake:?}");
        let (line, column) = report.position(mistake);
        assert!(last <= (line, column), "{last:?} before {mistake:?}");
        last = (line, column);
        assert!((1..=lines.len()).contains(&line), "line {line} of {}", lines.len());
        let width = lines[line - 1].chars().count();
        assert!((1..=width + 1).contains(&column), "column {column} of {:?}", lines[line - 1]);
    }
    let rendered = report.render(false);
    for mistake in report.diagnostics() {
        let (line, column) = report.position(mistake);
        let head = format!("app.toml:{line}:{column}: {}\n", mistake.message);
        assert!(rendered.contains(&head), "{head} isn't in {rendered}");
    }
}

/// An example file, as it is or with its comments in force.
fn example() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(EMBEDDED.to_owned()),
        Just(PRODUCTION.to_owned()),
        Just(uncommented(EMBEDDED)),
        Just(uncommented(PRODUCTION)),
    ]
}

/// A piece of TOML, or nearly one.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z0-9\\[\\]\"'${}=.,:#\\n ä]{0,20}",
        "[a-z_]{1,12} = [0-9]{1,20}\n",
        proptest::sample::select(vec![
            "\n[stores.main]\n",
            "\n[[stores]]\n",
            "\n[[users]]\n",
            "\n[[tables]]\n",
            "\n[[routes]]\n",
            "\n[limits]\n",
            "name = \"a\"\n",
            "store = \"main\"\n",
            "kind = \"redis\"\n",
            "kind = \"postgres\"\n",
            "url = \"postgres://a@b\"\n",
            "stores.x.kind = \"memory\"\n",
            "when = {}\n",
            "to = \"main.replicas\"\n",
            "= inf\n",
            "= 1979-05-27T07:32:00Z\n",
            "= \"${UNSET}\"\n",
            "\"\"\"",
            "'''",
            "\r\n",
            "\u{feff}",
        ])
        .prop_map(str::to_owned),
    ]
}

/// The nearest place at or after this share of the text where a character begins.
fn place(text: &str, share: f64) -> usize {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a share from 0 to 1"
    )]
    let at = (text.len() as f64 * share) as usize;
    (at..=text.len()).find(|&at| text.is_char_boundary(at)).unwrap_or(text.len())
}

proptest! {
    #[test]
    fn any_text(text in "\\PC{0,200}") {
        check(&text);
    }

    #[test]
    fn any_pieces(pieces in proptest::collection::vec(piece(), 0..30)) {
        check(&pieces.concat());
    }

    #[test]
    fn an_example_with_pieces_replaced(
        mut text in example(),
        edits in proptest::collection::vec((0.0..=1.0, 0..60usize, piece()), 1..6),
    ) {
        for (share, length, piece) in edits {
            let start = place(&text, share);
            let end = (start + length..text.len())
            .find(|&at| text.is_char_boundary(at))
            .unwrap_or(text.len());
            text.replace_range(start..end.max(start), &piece);
        }
        check(&text);
    }

    #[test]
    fn an_example_with_lines_left_out(
        text in example(),
        kept in proptest::collection::vec(proptest::bool::weighted(0.9), 100),
    ) {
        let lines = text.split_inclusive('\n').zip(kept.into_iter().chain(std::iter::repeat(true)));
        check(&lines.filter_map(|(line, is_kept)| is_kept.then_some(line)).collect::<String>());
    }
}
