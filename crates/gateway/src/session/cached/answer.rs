//! The answer in what a client was told.

use flywheel_wire::{PgError, frame, reply};

/// Whether the error says that there is nobody to answer, rather than that the statement is wrong.
pub(super) fn is_outage(error: &PgError) -> bool {
    ["08", "53", "57P", "58"].iter().any(|class| error.code().starts_with(class))
}

/// The digest of the columns that a client was told.
pub(super) fn described(told: &[u8]) -> Option<u64> {
    let mut at = 0;
    while let Ok(Some((tag, length))) = frame::peek(&told[at..], i32::MAX as usize) {
        let message = told.get(at..at + length)?;
        if tag == reply::tag::ROW_DESCRIPTION {
            return reply::columns_digest(&message[frame::HEADER_LEN..]);
        }
        at += length;
    }
    None
}

/// The answer in what a client was told: descriptions, rows, CommandComplete or PortalSuspended. An
/// error that it is; nothing for what can't be kept.
pub(super) fn answer(told: &[u8]) -> Result<&[u8], Option<PgError>> {
    use reply::tag;
    let (mut at, mut start, mut end) = (0, None, None);
    while at < told.len() {
        let Ok(Some((tag, length))) = frame::peek(&told[at..], i32::MAX as usize) else {
            return Err(None);
        };
        let Some(message) = told.get(at..at + length) else {
            return Err(None);
        };
        match tag {
            tag::PARSE_COMPLETE | tag::BIND_COMPLETE if start.is_none() => {}
            tag::BIND_COMPLETE
            | tag::PARAMETER_DESCRIPTION
            | tag::ROW_DESCRIPTION
            | tag::DATA_ROW
                if end.is_none() =>
            {
                start = start.or(Some(at));
            }
            // A row limit that is met ends the answer: the portal ends with its Sync.
            tag::COMMAND_COMPLETE | tag::PORTAL_SUSPENDED if end.is_none() => {
                start = start.or(Some(at));
                end = Some(at + length);
            }
            tag::READY_FOR_QUERY
                if end.is_some() && message.last() == Some(&b'I') && at + length == told.len() =>
            {
                return match (start, end) {
                    (Some(start), Some(end)) => Ok(&told[start..end]),
                    _ => Err(None),
                };
            }
            tag::ERROR_RESPONSE => return Err(Some(PgError::read(&message[frame::HEADER_LEN..]))),
            _ => return Err(None),
        }
        at += length;
    }
    Err(None)
}
