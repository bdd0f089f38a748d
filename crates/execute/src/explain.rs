//! EXPLAIN of a statement that isn't a plain relay.

use serde_json::json;

use super::Answer;

/// The plan as rows. The one column is text or json, whose binary formats are the same bytes.
pub(super) fn answer(lines: &[String], as_json: bool) -> Answer {
    let mut answer = Answer::tagged("EXPLAIN");
    if as_json {
        answer.push_text(&json!([{ "Flywheel": lines }]).to_string());
        return answer;
    }
    for line in lines {
        answer.push_text(line);
    }
    answer
}
