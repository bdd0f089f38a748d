//! EXPLAIN of a statement that isn't a plain relay.

use super::Answer;

/// The plan as rows. The one column is text, whose binary format is the same bytes.
pub(super) fn answer(lines: &[String]) -> Answer {
    let mut answer = Answer::tagged("EXPLAIN");
    for line in lines {
        answer.push_text(line);
    }
    answer
}
