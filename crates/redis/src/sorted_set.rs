//! Tables that are sorted sets: the key's last column is the member, the score column its score.

use flywheel_store::{Layout, StoreError, StoreTable, score, text_row};
use flywheel_types::{Key, Row, Scalar, Value, ordered, text};
use redis::{Cmd, Pipeline};

use crate::key::Keyspace;
use crate::read::CHUNK;
use crate::store::RedisStore;

/// The longest set that is read whole to give its members in their own order, of which Redis knows nothing.
const READ_WHOLE: usize = 100_000;

/// Members with their scores, as Redis prints them.
type Members = Vec<(Vec<u8>, Vec<u8>)>;

impl RedisStore {
    pub(crate) async fn members(&self, table: &StoreTable, keys: &[Key], score: usize) -> Result<Vec<Option<Row>>, StoreError> {
        let mut rows = Vec::with_capacity(keys.len());
        for keys in keys.chunks(CHUNK) {
            let mut commands = Pipeline::with_capacity(keys.len());
            for key in keys {
                let (set, member) = address(&self.keys, table, key);
                commands.cmd("ZSCORE").arg(set).arg(member);
            }
            let scores: Vec<Option<Vec<u8>>> = self.link.query_all(&commands).await?;
            for (key, text) in keys.iter().zip(scores) {
                rows.push(text.map(|text| row(table, key, score, &text)).transpose()?);
            }
        }
        Ok(rows)
    }

    pub(crate) async fn members_by_score(
        &self,
        table: &StoreTable,
        partition: Option<&Value>,
        descending: bool,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let Layout::SortedSet { score } = table.layout else {
            return Err(StoreError::Unsupported {
                what: format!("table \"{}\" isn't a sorted set", table.table.name),
            });
        };
        let Some(last) = limit.checked_sub(1) else {
            return Ok(Vec::new());
        };
        let set = match partition {
            Some(partition) => self.keys.partition(table, partition),
            None => self.keys.table(table),
        };
        let members: Members = self.link.query(&by_score(&set, descending, last)).await?;
        members
            .into_iter()
            .map(|(member, text)| row_of_member(table, partition, score, &member, &text))
            .collect()
    }

    /// Members between two of their [`ordered`] bytes, in that order.
    pub(crate) async fn members_between(
        &self,
        table: &StoreTable,
        partition: &Value,
        score: usize,
        (first, end): (Vec<u8>, Option<Vec<u8>>),
        descending: bool,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let set = self.keys.partition(table, partition);
        let count: usize = self.link.query(redis::cmd("ZCARD").arg(&set)).await?;
        if count > READ_WHOLE.max(limit) {
            return Err(StoreError::LimitExceeded {
                what: format!(
                    "the sorted set {set} has {count} members, more than the {READ_WHOLE} that can be put in their own order; \
                     order by \"{}\" instead",
                    table.table.columns[score].name
                ),
            });
        }
        let members: Members = self.link.query(&by_score(&set, false, count)).await?;
        let mut rows = Vec::new();
        for (member, text) in members {
            let row = row_of_member(table, Some(partition), score, &member, &text)?;
            let bytes = ordered::encode(&[row[table.table.primary_key[1]].clone()]);
            if bytes >= first && end.as_ref().is_none_or(|end| bytes < *end) {
                rows.push((bytes, row));
            }
        }
        rows.sort_unstable_by(|(a, _), (b, _)| if descending { b.cmp(a) } else { a.cmp(b) });
        Ok(rows.into_iter().map(|(_, row)| row).take(limit).collect())
    }

    /// Up to `limit` members of a set of the partition whose text is given, each with its own error.
    pub(crate) async fn members_of(
        &self,
        table: &StoreTable,
        set: &str,
        partition: Option<&str>,
        score: usize,
        limit: usize,
    ) -> Result<Vec<Result<Row, StoreError>>, StoreError> {
        let Some(last) = limit.checked_sub(1) else {
            return Ok(Vec::new());
        };
        let column = table.table.partition_column();
        let partition = match partition {
            None => None,
            Some(partition) => match text::decode_canonical(&column.ty, partition) {
                Some(value) => Some(value),
                None => return Ok(vec![Err(malformed(set, &column.name, &column.ty.name))]),
            },
        };
        let members: Members = self.link.query(&by_score(set, false, last)).await?;
        let row = |(member, text): &(Vec<u8>, Vec<u8>)| row_of_member(table, partition.as_ref(), score, member, text);
        Ok(members.iter().map(row).collect())
    }
}

/// ZREVRANGE rather than ZRANGE … REV, which Redis has from 6.2 on.
fn by_score(set: &str, descending: bool, last: usize) -> Cmd {
    let mut command = redis::cmd(if descending { "ZREVRANGE" } else { "ZRANGE" });
    // Past what Redis can count means to the end, as −1 does.
    command.arg(set).arg(0).arg(i64::try_from(last).unwrap_or(-1)).arg("WITHSCORES");
    command
}

/// The set and the member of a key.
pub(crate) fn address(keys: &Keyspace, table: &StoreTable, key: &Key) -> (String, String) {
    match key.sort() {
        [] => (keys.table(table), text_row::encode(key.partition()).unwrap_or_default()),
        [member, ..] => (keys.partition(table, key.partition()), text_row::encode(member).unwrap_or_default()),
    }
}

/// A score as ZADD takes it, to the last bit.
pub(crate) fn score_argument(value: &Value) -> Result<String, StoreError> {
    Ok(format!("{:e}", score(value)?))
}

/// The row of a key with a score as Redis prints it.
pub(crate) fn row(table: &StoreTable, key: &Key, score: usize, text: &[u8]) -> Result<Row, StoreError> {
    let column = &table.table.columns[score];
    let value = std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse().ok())
        .and_then(|number| score_value(column.ty.scalar, number))
        .ok_or_else(|| malformed(&text_row::print_key(key), &column.name, &column.ty.name))?;
    let mut row = vec![Value::Null; table.table.columns.len()];
    for (&position, value) in table.table.primary_key.iter().zip(key.values()) {
        row[position] = value.clone();
    }
    row[score] = value;
    Ok(row)
}

fn row_of_member(table: &StoreTable, partition: Option<&Value>, score: usize, member: &[u8], text: &[u8]) -> Result<Row, StoreError> {
    let definition = &table.table;
    let column = definition.sort_columns().next().unwrap_or_else(|| definition.partition_column());
    let value = std::str::from_utf8(member)
        .ok()
        .and_then(|member| text::decode_canonical(&column.ty, member))
        .ok_or_else(|| malformed(&String::from_utf8_lossy(member), &column.name, &column.ty.name))?;
    let key = Key::new(partition.cloned().into_iter().chain([value]).collect());
    row(table, &key, score, text)
}

/// A double as a value of the score's type, if it is one: somebody else's ZINCRBY may have made a fraction.
fn score_value(scalar: Scalar, number: f64) -> Option<Value> {
    let integer = |least: i64, greatest: i64| {
        #[expect(clippy::cast_possible_truncation, reason = "compared with the number again")]
        let integer = number as i64;
        #[expect(clippy::cast_precision_loss, reason = "compared with the number")]
        let exact = integer as f64 == number && (least..=greatest).contains(&integer);
        exact.then_some(Value::Int(integer))
    };
    match scalar {
        Scalar::Int2 => integer(i16::MIN.into(), i16::MAX.into()),
        Scalar::Int4 => integer(i32::MIN.into(), i32::MAX.into()),
        Scalar::Int8 => integer(-(1 << 53), 1 << 53),
        Scalar::Float4 => {
            #[expect(clippy::cast_possible_truncation, reason = "compared with the number")]
            let narrow = number as f32;
            (f64::from(narrow).to_bits() == number.to_bits()).then_some(Value::Float4(narrow))
        }
        Scalar::Float8 => Some(Value::Float8(number)),
        _ => None,
    }
}

fn malformed(key: &str, column: &str, expected: &str) -> StoreError {
    StoreError::Malformed {
        key: key.to_owned(),
        attribute: column.to_owned(),
        expected: expected.to_owned(),
    }
}
