//! Names of tables.

use flywheel_types::TableName;

use super::Resolver;

/// PostgreSQL cuts longer names off (NAMEDATALEN - 1): a longer one is never that of a table.
const LONGEST: usize = 63;

impl Resolver<'_> {
    /// `schema.table` or `table`, parts quoted where they need it; `None` when it is neither, which
    /// is reported.
    pub(super) fn table_name(&mut self, path: &[&str], text: &str) -> Option<TableName> {
        let Some(name) = parse(text) else {
            self.mistake(
                path,
                format!("\"{text}\" isn't a table's name"),
                "write schema.table, with double quotes around parts that PostgreSQL would fold: public.\"Sessions\"",
            );
            return None;
        };
        if let Some(long) = [&name.schema, &name.name].into_iter().find(|part| part.len() > LONGEST)
        {
            self.mistake(
                path,
                format!("\"{long}\" is too long for a name"),
                format!("names have at most {LONGEST} bytes in PostgreSQL"),
            );
            return None;
        }
        Some(name)
    }
}

/// Folds as PostgreSQL does in UTF-8: ASCII letters only (downcase_identifier in scansup.c).
fn parse(text: &str) -> Option<TableName> {
    let (first, rest) = part(text.trim())?;
    let Some(rest) = rest.strip_prefix('.') else {
        return rest.is_empty().then(|| TableName::new("public", first));
    };
    let (second, rest) = part(rest)?;
    rest.is_empty().then(|| TableName::new(first, second))
}

/// The first part of a name, and what follows it.
fn part(text: &str) -> Option<(String, &str)> {
    if let Some(quoted) = text.strip_prefix('"') {
        // Inside, "" stands for ".
        let mut end = quoted.find('"')?;
        while quoted[end + 1..].starts_with('"') {
            end += 2 + quoted[end + 2..].find('"')?;
        }
        return (end > 0).then(|| (quoted[..end].replace("\"\"", "\""), &quoted[end + 1..]));
    }
    let end = text.find('.').unwrap_or(text.len());
    let (part, rest) = text.split_at(end);
    let is_plain = part.starts_with(|first: char| first.is_alphabetic() || first == '_')
        && part.chars().all(|each| each.is_alphanumeric() || matches!(each, '_' | '$'));
    is_plain.then(|| (part.to_ascii_lowercase(), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_sql_reads_them() {
        let cases = [
            ("sessions", Some(("public", "sessions"))),
            ("Shop.Sessions", Some(("shop", "sessions"))),
            ("public.\"Sessions\"", Some(("public", "Sessions"))),
            ("\"a.b\".\"c\"\"d\"", Some(("a.b", "c\"d"))),
            ("ÜBER", Some(("public", "Über"))),
            ("a$1", Some(("public", "a$1"))),
            ("\"\"\"\"", Some(("public", "\""))),
            ("", None),
            (".", None),
            ("public.", None),
            (".sessions", None),
            ("a.b.c", None),
            ("1a", None),
            ("a b", None),
            ("\"", None),
            ("\"\"", None),
            ("\"a\"\"", None),
            ("\"a\"b", None),
        ];
        for (text, expected) in cases {
            assert_eq!(
                parse(text),
                expected.map(|(schema, name)| TableName::new(schema, name)),
                "{text}"
            );
        }
    }
}
