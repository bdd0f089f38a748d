//! The records of a CSV file (RFC 4180).

/// A field; `None`: it is empty and not in quotes.
pub(crate) type Field = Option<String>;

/// The records of a text; the error is a line's number, beginning with 1, and what is wrong there.
pub(crate) fn records(text: &str, separator: u8) -> Result<Vec<Vec<Field>>, (usize, String)> {
    let separator = char::from(separator);
    let mut records = Vec::new();
    let mut characters = text.chars().peekable();
    let mut line = 1;
    while characters.peek().is_some() {
        let mut record = Vec::new();
        loop {
            let mut field = String::new();
            let is_quoted = characters.next_if_eq(&'"').is_some();
            if is_quoted {
                loop {
                    match characters.next() {
                        Some('"') if characters.next_if_eq(&'"').is_some() => field.push('"'),
                        Some('"') => break,
                        Some(character) => {
                            line += usize::from(character == '\n');
                            field.push(character);
                        }
                        None => return Err((line, "a quote isn't closed".into())),
                    }
                }
            } else {
                let is_field =
                    |&character: &char| character != separator && !"\r\n".contains(character);
                while let Some(character) = characters.next_if(is_field) {
                    field.push(character);
                }
            }
            record.push((is_quoted || !field.is_empty()).then_some(field));
            match characters.next() {
                Some(character) if character == separator => {}
                Some('\r') if characters.next_if_eq(&'\n').is_some() => break,
                Some('\n') | None => break,
                Some(_) => return Err((line, "something follows a closing quote".into())),
            }
        }
        line += 1;
        records.push(record);
    }
    Ok(records)
}
