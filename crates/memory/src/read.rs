//! Reads of a table's rows.

use flywheel_store::{Bound, KeyRange, Layout, ScoreRange, StoreError, after_prefix, score};
use flywheel_types::{Key, Row, ordered, text};

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

    /// The rows of a range over other columns than the key's. All rows are looked at: no order but
    /// the key's is kept here.
    pub(crate) fn index_range(
        &self,
        columns: &[usize],
        range: &KeyRange,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let mut rows = Vec::new();
        for fields in self.between(Vec::new(), None) {
            let row = self.decode(fields)?;
            if range.contains(columns, &row) {
                rows.push(row);
            }
        }
        rows.sort_by_cached_key(|row| KeyRange::sort_key(columns, row));
        if range.descending {
            rows.reverse();
        }
        rows.truncate(limit);
        Ok(rows)
    }

    pub(crate) fn by_score(
        &self,
        range: &ScoreRange,
        offset: usize,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let mut by_score = self.scored(range)?;
        let order = |a: &(f64, &Fields), b: &(f64, &Fields)| {
            if range.descending { b.0.total_cmp(&a.0) } else { a.0.total_cmp(&b.0) }
        };
        // Only the part that is returned is sorted: a board is long and its head short.
        let head = offset.saturating_add(limit);
        if offset == 0 && head < by_score.len() {
            by_score.select_nth_unstable_by(head, order);
            by_score.truncate(head);
        }
        by_score.sort_by(order);
        let page = by_score.into_iter().skip(offset).take(limit);
        page.map(|(_, fields)| self.decode(fields)).collect()
    }

    pub(crate) fn count_by_score(&self, range: &ScoreRange) -> Result<u64, StoreError> {
        Ok(self.scored(range)?.len() as u64)
    }

    /// The row of a key, and how many of its partition have a lower score, or a higher one.
    pub(crate) fn rank(
        &mut self,
        key: &Key,
        descending: bool,
    ) -> Result<Option<(Row, u64)>, StoreError> {
        let position = self.score_position()?;
        let Some(row) = self.get(std::slice::from_ref(key))?.pop().flatten() else {
            return Ok(None);
        };
        let end = Bound::Excluded(row[position].clone());
        let (lower, upper) =
            if descending { (end, Bound::Unbounded) } else { (Bound::Unbounded, end) };
        let ahead = ScoreRange {
            partition: (!key.sort().is_empty()).then(|| key.partition().clone()),
            lower,
            upper,
            descending,
        };
        Ok(Some((row, self.count_by_score(&ahead)?)))
    }

    /// The rows of a range with their scores.
    fn scored(&self, range: &ScoreRange) -> Result<Vec<(f64, &Fields)>, StoreError> {
        let position = self.score_position()?;
        let first = range
            .partition
            .as_ref()
            .map_or_else(Vec::new, |value| ordered::encode(std::slice::from_ref(value)));
        let end = after_prefix(first.clone());
        let mut scored = Vec::new();
        for fields in self.between(first, end) {
            let score = self.score_of(fields, position)?;
            if range.holds(score) {
                scored.push((score, fields));
            }
        }
        Ok(scored)
    }

    fn score_position(&self) -> Result<usize, StoreError> {
        match self.table.layout {
            Layout::SortedSet { score } => Ok(score),
            _ => Err(StoreError::Unsupported {
                what: format!("table \"{}\" isn't a sorted set", self.table.table.name),
            }),
        }
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

    /// The first `limit` rows.
    pub(crate) fn some(&self, limit: usize) -> Result<Vec<Row>, StoreError> {
        self.sample(limit).into_iter().collect()
    }

    /// Up to `limit` rows, those that can't be read as their errors.
    pub(crate) fn sample(&self, limit: usize) -> Vec<Result<Row, StoreError>> {
        self.between(Vec::new(), None).take(limit).map(|fields| self.decode(fields)).collect()
    }

    fn score_of(&self, fields: &Fields, position: usize) -> Result<f64, StoreError> {
        let ty = &self.table.table.columns[position].ty;
        let value =
            self.field(fields, position).and_then(|field| text::decode_canonical(ty, field));
        match value {
            Some(value) => score(&value),
            // The whole row's error names the row.
            None => self.decode(fields).map(|_| f64::NAN),
        }
    }
}
