//! Reads of a table's rows.

use flywheel_store::{KeyRange, Layout, StoreError, after_prefix, score};
use flywheel_types::{Key, Row, Value, ordered, text};

use crate::rows::{Fields, View, key_bytes};

impl View<'_> {
    pub(crate) fn get(&mut self, keys: &[Key]) -> Result<Vec<Option<Row>>, StoreError> {
        keys.iter()
            .map(|key| {
                let key = key_bytes(key);
                self.remove_expired(&key);
                self.live(&key).map(|fields| self.decode(fields)).transpose()
            })
            .collect()
    }

    pub(crate) fn range(&self, range: &KeyRange, limit: usize) -> Result<Vec<Row>, StoreError> {
        let partition = ordered::encode(std::slice::from_ref(&range.partition));
        let Some((first, end)) = range.sort_bytes() else {
            return Ok(Vec::new());
        };
        let end = match end {
            Some(end) => Some([&partition[..], &end].concat()),
            None => after_prefix(partition.clone()),
        };
        let rows = self.between([partition, first].concat(), end);
        let decode = |fields| self.decode(fields);
        if range.descending {
            rows.rev().take(limit).map(decode).collect()
        } else {
            rows.take(limit).map(decode).collect()
        }
    }

    pub(crate) fn by_score(&self, partition: Option<&Value>, descending: bool, limit: usize) -> Result<Vec<Row>, StoreError> {
        let Layout::SortedSet { score: position } = self.table.layout else {
            return Err(StoreError::Unsupported {
                what: format!("table \"{}\" isn't a sorted set", self.table.table.name),
            });
        };
        let first = partition.map_or_else(Vec::new, |value| ordered::encode(std::slice::from_ref(value)));
        let end = after_prefix(first.clone());
        let mut by_score = self
            .between(first, end)
            .map(|fields| Ok((self.score_of(fields, position)?, fields)))
            .collect::<Result<Vec<(f64, &Fields)>, StoreError>>()?;
        let order = |a: &(f64, &Fields), b: &(f64, &Fields)| {
            if descending { b.0.total_cmp(&a.0) } else { a.0.total_cmp(&b.0) }
        };
        // Only the part that is returned is sorted: a board is long and its head short.
        if limit < by_score.len() {
            by_score.select_nth_unstable_by(limit, order);
            by_score.truncate(limit);
        }
        by_score.sort_by(order);
        by_score.into_iter().map(|(_, fields)| self.decode(fields)).collect()
    }

    pub(crate) fn scan(&self, limit: usize) -> Result<Vec<Row>, StoreError> {
        let mut rows = Vec::new();
        for fields in self.between(Vec::new(), None) {
            if rows.len() == limit {
                return Err(StoreError::TooManyRows { limit });
            }
            rows.push(self.decode(fields)?);
        }
        Ok(rows)
    }

    /// Up to `limit` rows, those that can't be read as their errors.
    pub(crate) fn sample(&self, limit: usize) -> Vec<Result<Row, StoreError>> {
        self.between(Vec::new(), None)
            .take(limit)
            .map(|fields| self.decode(fields))
            .collect()
    }

    fn score_of(&self, fields: &Fields, position: usize) -> Result<f64, StoreError> {
        let ty = &self.table.table.columns[position].ty;
        let value = self.field(fields, position).and_then(|field| text::decode_canonical(ty, field));
        match value {
            Some(value) => score(&value),
            // The whole row's error names the row.
            None => self.decode(fields).map(|_| f64::NAN),
        }
    }
}
