//! What `options` in a startup packet says: the switches of `postgres`, as a session may give them.

use flywheel_wire::{PgError, sqlstate};

/// Letters that take a value, as PostgreSQL's getopt has them.
const WITH_VALUE: &str = "BcCDdfhkNprStvW";

/// Words of the text: spaces part them, a backslash keeps the next character.
fn words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut is_open) = (Vec::new(), String::new(), false);
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => {
                word.extend(characters.next());
                is_open = true;
            }
            _ if character.is_ascii_whitespace() => {
                if std::mem::take(&mut is_open) {
                    words.push(std::mem::take(&mut word));
                }
            }
            _ => {
                word.push(character);
                is_open = true;
            }
        }
    }
    if is_open {
        words.push(word);
    }
    words
}

fn invalid(word: &str) -> PgError {
    let message = format!("invalid command-line argument for server process: {word}");
    PgError::fatal(sqlstate::SYNTAX_ERROR, message)
        .with_hint("Try \"postgres --help\" for more information.")
}

/// `name=value`, where a dash in a name is an underscore.
fn assigned(assignment: &str, switch: &str) -> Result<(String, String), PgError> {
    let (name, value) = assignment.split_once('=').ok_or_else(|| {
        let message = format!("{switch}{assignment} requires a value");
        PgError::fatal(sqlstate::SYNTAX_ERROR, message)
    })?;
    Ok((name.replace('-', "_").to_lowercase(), value.to_owned()))
}

/// The setting that a letter stands for, with its value.
fn setting(letter: char, value: &str, word: &str) -> Result<Option<(String, String)>, PgError> {
    let name = match letter {
        'c' => return assigned(value, "-c ").map(Some),
        'B' => "shared_buffers",
        'D' => "data_directory",
        'h' => "listen_addresses",
        'k' => "unix_socket_directories",
        'N' => "max_connections",
        'p' => "port",
        'S' => "work_mem",
        'W' => "post_auth_delay",
        'e' => return Ok(Some(("datestyle".into(), "euro".into()))),
        'F' => return Ok(Some(("fsync".into(), "false".into()))),
        'i' => return Ok(Some(("listen_addresses".into(), "*".into()))),
        'l' => return Ok(Some(("ssl".into(), "true".into()))),
        'O' => return Ok(Some(("allow_system_table_mods".into(), "true".into()))),
        'P' => return Ok(Some(("ignore_system_indexes".into(), "true".into()))),
        's' => return Ok(Some(("log_statement_stats".into(), "true".into()))),
        'f' => {
            let plan = match value.chars().next() {
                Some('s') => "enable_seqscan",
                Some('i') => "enable_indexscan",
                Some('o') => "enable_indexonlyscan",
                Some('b') => "enable_bitmapscan",
                Some('t') => "enable_tidscan",
                Some('n') => "enable_nestloop",
                Some('m') => "enable_mergejoin",
                Some('h') => "enable_hashjoin",
                _ => return Err(invalid(word)),
            };
            return Ok(Some((plan.into(), "false".into())));
        }
        't' => {
            let stats = match (value.chars().next(), value.chars().nth(1)) {
                (Some('p'), Some('a')) => "log_parser_stats",
                (Some('p'), Some('l')) => "log_planner_stats",
                (Some('e'), _) => "log_executor_stats",
                _ => return Err(invalid(word)),
            };
            return Ok(Some((stats.into(), "true".into())));
        }
        // They mean nothing to a session.
        'C' | 'E' | 'j' | 'n' | 'r' | 'T' | 'v' => return Ok(None),
        'd' => {
            let levels =
                value.chars().next().filter(char::is_ascii_digit).ok_or_else(|| invalid(word))?;
            let level = if levels == '0' { "notice".to_owned() } else { format!("debug{levels}") };
            return Ok(Some(("log_min_messages".into(), level)));
        }
        _ => return Err(invalid(word)),
    };
    Ok(Some((name.to_owned(), value.to_owned())))
}

/// The settings that the text makes, in its order.
pub(super) fn settings(text: &str) -> Result<Vec<(String, String)>, PgError> {
    let mut settings = Vec::new();
    let mut words = words(text).into_iter();
    while let Some(word) = words.next() {
        if let Some(long) = word.strip_prefix("--") {
            if long.is_empty() {
                return words.next().map_or(Ok(settings), |rest| Err(invalid(&rest)));
            }
            settings.push(assigned(long, "--")?);
            continue;
        }
        let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) else {
            return Err(invalid(&word));
        };
        // Several letters may stand together; what follows one that takes a value is that value.
        let mut rest = letters.chars();
        while let Some(letter) = rest.next() {
            let setting = if !WITH_VALUE.contains(letter) {
                setting(letter, "", &word)?
            } else if rest.as_str().is_empty() {
                let value = words.next().ok_or_else(|| invalid(&word))?;
                setting(letter, &value, &value)?
            } else {
                setting(letter, &rest.by_ref().collect::<String>(), &word)?
            };
            settings.extend(setting);
        }
    }
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_as_postgres_reads_them() {
        let read = |text: &str| settings(text).unwrap();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            read("-c geqo=off --statement-timeout=5min"),
            [pair("geqo", "off"), pair("statement_timeout", "5min")]
        );
        assert_eq!(read("-csearch_path=a\\ b,c"), [pair("search_path", "a b,c")]);
        assert_eq!(
            read("-e -S 4096  -fh -tpl"),
            [
                pair("datestyle", "euro"),
                pair("work_mem", "4096"),
                pair("enable_hashjoin", "false"),
                pair("log_planner_stats", "true")
            ]
        );
        assert_eq!(read("-eS64"), [pair("datestyle", "euro"), pair("work_mem", "64")]);
        for wrong in ["-x", "plain", "-c", "-fx", "-c geqo", "-t p"] {
            assert!(settings(wrong).is_err(), "{wrong}");
        }
    }
}
