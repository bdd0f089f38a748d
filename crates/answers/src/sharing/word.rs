//! What a gateway tells the others: what its clients have written, by database.

use std::collections::BTreeMap;

use flywheel_cache::{Part, TableId, Touch};

/// The form that is written here. Word in another one isn't understood, and counts as missed.
const FORMAT: u8 = 1;
/// So many parts of tables are told one by one.
const MAX_PARTS: usize = 500;
/// In the place of a number of parts.
const EVERYTHING: u32 = u32::MAX;
const DEFINES: u8 = 1;

/// What was written in databases, by their names to clients.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Word {
    pub(super) databases: BTreeMap<String, Said>,
}

/// What was written in one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The tables and rows that were written.
    pub written: Touch,
    /// What FLUSH CACHE named: it is forgotten also where writes don't matter.
    pub flushed: Touch,
    /// A definition was changed.
    pub defines: bool,
}

impl Default for Said {
    fn default() -> Self {
        let nothing = || Touch::Tables(Vec::new());
        Self { written: nothing(), flushed: nothing(), defines: false }
    }
}

impl Said {
    /// Adds what was said later.
    pub fn add(&mut self, other: &Self) {
        for (own, others) in
            [(&mut self.written, &other.written), (&mut self.flushed, &other.flushed)]
        {
            own.add(others);
            if let Touch::Tables(parts) = own
                && parts.len() > MAX_PARTS
            {
                parts.iter_mut().for_each(|(_, part)| *part = Part::Whole);
                parts.sort_unstable_by_key(|(table, _)| *table);
                parts.dedup();
            }
        }
        self.defines |= other.defines;
    }
}

impl Word {
    pub(crate) fn is_nothing(&self) -> bool {
        self.databases.is_empty()
    }

    pub(crate) fn add(&mut self, database: &str, said: &Said) {
        match self.databases.get_mut(database) {
            Some(of) => of.add(said),
            None => self.databases.entry(database.to_owned()).or_default().add(said),
        }
    }

    pub(crate) fn write(&self) -> Vec<u8> {
        let mut out = vec![FORMAT];
        for (name, said) in &self.databases {
            out.extend_from_slice(&u16::try_from(name.len()).unwrap_or(u16::MAX).to_be_bytes());
            out.extend_from_slice(&name.as_bytes()[..name.len().min(usize::from(u16::MAX))]);
            out.push(if said.defines { DEFINES } else { 0 });
            write_touch(&mut out, &said.written);
            write_touch(&mut out, &said.flushed);
        }
        out
    }

    /// `None`: it isn't understood.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let mut rest = Rest(bytes);
        let mut word = Self::default();
        if bytes.is_empty() {
            return Some(word);
        }
        if rest.number::<1>()? != [FORMAT] {
            return None;
        }
        while !rest.0.is_empty() {
            let length = usize::from(u16::from_be_bytes(rest.number()?));
            let name = std::str::from_utf8(rest.take(length)?).ok()?.to_owned();
            let said = Said {
                defines: rest.number::<1>()? == [DEFINES],
                written: rest.touch()?,
                flushed: rest.touch()?,
            };
            word.databases.insert(name, said);
        }
        Some(word)
    }
}

fn write_touch(out: &mut Vec<u8>, touch: &Touch) {
    let Touch::Tables(parts) = touch else {
        return out.extend_from_slice(&EVERYTHING.to_be_bytes());
    };
    out.extend_from_slice(&u32::try_from(parts.len()).unwrap_or(EVERYTHING).to_be_bytes());
    for (table, part) in parts {
        out.extend_from_slice(&table.to_be_bytes());
        match part {
            Part::Whole => out.push(0),
            Part::Row(row) => {
                out.push(1);
                out.extend_from_slice(&row.to_be_bytes());
            }
        }
    }
}

/// What isn't read yet.
struct Rest<'b>(&'b [u8]);

impl<'b> Rest<'b> {
    fn take(&mut self, length: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn number<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn touch(&mut self) -> Option<Touch> {
        let count = u32::from_be_bytes(self.number()?);
        if count == EVERYTHING {
            return Some(Touch::All);
        }
        let mut parts = Vec::new();
        for _ in 0..count {
            parts.push(self.part()?);
        }
        Some(Touch::Tables(parts))
    }

    fn part(&mut self) -> Option<(TableId, Part)> {
        let table = TableId::from_be_bytes(self.number()?);
        let part = match self.number::<1>()? {
            [0] => Part::Whole,
            [1] => Part::Row(u64::from_be_bytes(self.number()?)),
            _ => return None,
        };
        Some((table, part))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables(parts: &[(TableId, Part)]) -> Touch {
        Touch::Tables(parts.to_vec())
    }

    #[test]
    fn is_read_as_it_was_written() {
        let mut word = Word::default();
        assert_eq!(Word::read(&word.write()), Some(word.clone()));
        let written = |written| Said { written, ..Said::default() };
        word.add("app", &written(tables(&[(1, Part::Row(7)), (2, Part::Whole)])));
        word.add("app", &written(tables(&[(1, Part::Row(7)), (3, Part::Whole)])));
        word.add("größe", &written(Touch::All));
        word.add(
            "defined",
            &Said { defines: true, flushed: tables(&[(9, Part::Whole)]), ..Said::default() },
        );
        assert_eq!(Word::read(&word.write()), Some(word.clone()));
        let Touch::Tables(parts) = &word.databases["app"].written else { panic!() };
        assert_eq!(parts.len(), 3);
        // Cut anywhere it is either not understood or less, and never a panic.
        let bytes = word.write();
        for end in 0..bytes.len() {
            assert_ne!(Word::read(&bytes[..end]), Some(word.clone()));
        }
        assert_eq!(Word::read(&[&[2], &bytes[1..]].concat()), None);
    }

    #[test]
    fn of_many_rows_the_table_is_told() {
        let mut word = Word::default();
        for row in 0..2000 {
            let said = Said {
                written: tables(&[(1, Part::Row(row)), (2, Part::Row(row % 2))]),
                ..Said::default()
            };
            word.add("app", &said);
        }
        let Touch::Tables(parts) = &word.databases["app"].written else { panic!() };
        assert!(parts.len() <= MAX_PARTS);
        assert!(parts.contains(&(1, Part::Whole)));
    }
}
