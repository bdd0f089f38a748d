//! Scripts.

use super::Frame;

/// A case of a script.
#[derive(Debug, Clone)]
pub struct Case {
    /// Its title.
    pub title: String,
    /// What is sent.
    pub frames: Vec<Frame>,
}

/// The cases of a script.
///
/// # Panics
/// A line of it can't be read.
pub fn cases(script: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut lines = script.lines().enumerate().peekable();
    while let Some((number, line)) = lines.next() {
        if line.is_empty() || line.starts_with("--") {
            continue;
        }
        if let Some(title) = line.strip_prefix("== ") {
            cases.push(Case { title: title.to_owned(), frames: Vec::new() });
            continue;
        }
        let mut whole = line.to_owned();
        while let Some((_, more)) = lines.next_if(|(_, next)| next.starts_with(' ')) {
            whole.push('\n');
            whole.push_str(more);
        }
        let frame =
            Frame::read(&whole).unwrap_or_else(|problem| panic!("line {}: {problem}", number + 1));
        let case =
            cases.last_mut().unwrap_or_else(|| panic!("line {}: no case has begun", number + 1));
        case.frames.push(frame);
    }
    cases
}
