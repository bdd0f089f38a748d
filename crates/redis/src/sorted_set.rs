//! Tables that are sorted sets: the key's last column is the member, the score column its score.

use std::sync::LazyLock;

use flywheel_store::{Layout, ScoreEnd, ScoreRange, StoreError, StoreTable, score, text_row};
use flywheel_types::{Key, Row, Scalar, Value, ordered, text};
use redis::Cmd;

use crate::key::Keyspace;
use crate::read::CHUNK;
use crate::script::Program;
use crate::store::RedisStore;

static RANK: LazyLock<Program> = LazyLock::new(|| Program::new(include_str!("scripts/rank.lua")));

/// The longest set that is read whole to give its members in their own order, of which Redis knows
/// nothing.
const READ_WHOLE: usize = 100_000;

/// Members with their scores, as Redis prints them.
type Members = Vec<(Vec<u8>, Vec<u8>)>;

impl RedisStore {
    pub(crate) async fn members(
        &self,
        table: &StoreTable,
        keys: &[Key],
        score: usize,
    ) -> Result<Vec<Option<Row>>, StoreError> {
        let mut rows = Vec::with_capacity(keys.len());
        for keys in keys.chunks(CHUNK) {
            let addresses: Vec<(String, String)> =
                keys.iter().map(|key| address(&self.keys, table, key)).collect();
            let command = |(set, member): &(String, String)| {
                redis::cmd("ZSCORE").arg(set).arg(member).to_owned()
            };
            let commands =
                addresses.iter().map(|address| (address.0.as_str(), command(address))).collect();
            let scores: Vec<Option<Vec<u8>>> = self.servers.query_each(commands).await?;
            for (key, text) in keys.iter().zip(scores) {
                rows.push(text.map(|text| row(table, key, score, &text)).transpose()?);
            }
        }
        Ok(rows)
    }

    pub(crate) async fn members_by_score(
        &self,
        table: &StoreTable,
        range: &ScoreRange,
        offset: usize,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let Layout::SortedSet { score } = table.layout else {
            return Err(table.not_a_sorted_set());
        };
        if limit == 0 {
            return Ok(Vec::new());
        }
        let set = self.set(table, range);
        let members: Members =
            self.servers.query(&set, &by_score(&set, range, offset, limit)).await?;
        members
            .into_iter()
            .map(|(member, text)| {
                row_of_member(table, range.partition.as_ref(), score, &member, &text)
            })
            .collect()
    }

    pub(crate) async fn count_members(
        &self,
        table: &StoreTable,
        range: &ScoreRange,
    ) -> Result<u64, StoreError> {
        if !matches!(table.layout, Layout::SortedSet { .. }) {
            return Err(table.not_a_sorted_set());
        }
        let set = self.set(table, range);
        let command = if range.is_whole() {
            redis::cmd("ZCARD").arg(&set).to_owned()
        } else {
            let (lower, upper) = range.ends();
            redis::cmd("ZCOUNT").arg(&set).arg(limit_of(lower)).arg(limit_of(upper)).to_owned()
        };
        self.servers.query(&set, &command).await
    }

    pub(crate) async fn member_with_rank(
        &self,
        table: &StoreTable,
        key: &Key,
        descending: bool,
    ) -> Result<Option<(Row, u64)>, StoreError> {
        let Layout::SortedSet { score } = table.layout else {
            return Err(table.not_a_sorted_set());
        };
        let (set, member) = address(&self.keys, table, key);
        let order = if descending { "descending" } else { "ascending" };
        let run = RANK.run(vec![set], vec![member.into_bytes(), order.into()]);
        let found: Option<(Vec<u8>, u64)> = self.servers.read(&run).await?;
        found.map(|(text, ahead)| Ok((row(table, key, score, &text)?, ahead))).transpose()
    }

    fn set(&self, table: &StoreTable, range: &ScoreRange) -> String {
        match &range.partition {
            Some(partition) => self.keys.partition(table, partition),
            None => self.keys.table(table),
        }
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
        let count: usize = self.servers.query(&set, redis::cmd("ZCARD").arg(&set)).await?;
        if count > READ_WHOLE.max(limit) {
            return Err(StoreError::LimitExceeded {
                what: format!(
                    "the sorted set {set} has {count} members, more than the {READ_WHOLE} that can be put in their own order; \
                     order by \"{}\" instead",
                    table.table.columns[score].name
                ),
            });
        }
        let members: Members = self.servers.query(&set, &all(&set, count)).await?;
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

    /// Up to `limit` members of a set of the partition whose text is given, each with its own
    /// error.
    pub(crate) async fn members_of(
        &self,
        table: &StoreTable,
        set: &str,
        partition: Option<&str>,
        score: usize,
        limit: usize,
    ) -> Result<Vec<Result<Row, StoreError>>, StoreError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let column = table.table.partition_column();
        let partition = match partition {
            None => None,
            Some(partition) => match text::decode_canonical(&column.ty, partition) {
                Some(value) => Some(value),
                None => return Ok(vec![Err(malformed(set, &column.name, &column.ty.name))]),
            },
        };
        let members: Members = self.servers.query(set, &all(set, limit)).await?;
        let row = |(member, text): &(Vec<u8>, Vec<u8>)| {
            row_of_member(table, partition.as_ref(), score, member, text)
        };
        Ok(members.iter().map(row).collect())
    }
}

/// Up to `limit` members from the lowest score on.
fn all(set: &str, limit: usize) -> Cmd {
    ranked(redis::cmd("ZRANGE"), set, 0, limit)
}

/// ZREVRANGE and the like rather than ZRANGE with options, which Redis has from 6.2 on.
pub(crate) fn by_score_command(descending: bool, whole: bool) -> &'static str {
    match (descending, whole) {
        (false, true) => "ZRANGE",
        (true, true) => "ZREVRANGE",
        (false, false) => "ZRANGEBYSCORE",
        (true, false) => "ZREVRANGEBYSCORE",
    }
}

fn by_score(set: &str, range: &ScoreRange, offset: usize, limit: usize) -> Cmd {
    let mut command = redis::cmd(by_score_command(range.descending, range.is_whole()));
    if range.is_whole() {
        return ranked(command, set, offset, limit);
    }
    let (lower, upper) = range.ends();
    let (from, to) = if range.descending { (upper, lower) } else { (lower, upper) };
    command.arg(set).arg(limit_of(from)).arg(limit_of(to)).arg("WITHSCORES");
    command.arg("LIMIT").arg(integer(offset)).arg(integer(limit));
    command
}

fn ranked(mut command: Cmd, set: &str, offset: usize, limit: usize) -> Cmd {
    let last = offset.saturating_add(limit).saturating_sub(1);
    command.arg(set).arg(integer(offset)).arg(integer(last)).arg("WITHSCORES");
    command
}

/// Past what Redis can count means past the end.
fn integer(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// An end of a range as ZRANGEBYSCORE and ZCOUNT take it.
fn limit_of(end: ScoreEnd) -> String {
    format!("{}{:e}", if end.included { "" } else { "(" }, end.score)
}

/// The set and the member of a key.
pub(crate) fn address(keys: &Keyspace, table: &StoreTable, key: &Key) -> (String, String) {
    match key.sort() {
        [] => (keys.table(table), text_row::encode(key.partition()).unwrap_or_default()),
        [member, ..] => {
            (keys.partition(table, key.partition()), text_row::encode(member).unwrap_or_default())
        }
    }
}

/// A score as ZADD takes it, to the last bit.
pub(crate) fn score_argument(value: &Value) -> Result<String, StoreError> {
    Ok(format!("{:e}", score(value)?))
}

/// The row of a key with a score as Redis prints it.
pub(crate) fn row(
    table: &StoreTable,
    key: &Key,
    score: usize,
    text: &[u8],
) -> Result<Row, StoreError> {
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

fn row_of_member(
    table: &StoreTable,
    partition: Option<&Value>,
    score: usize,
    member: &[u8],
    text: &[u8],
) -> Result<Row, StoreError> {
    let definition = &table.table;
    let column = definition.sort_columns().next().unwrap_or_else(|| definition.partition_column());
    let value = std::str::from_utf8(member)
        .ok()
        .and_then(|member| text::decode_canonical(&column.ty, member))
        .ok_or_else(|| {
            malformed(&String::from_utf8_lossy(member), &column.name, &column.ty.name)
        })?;
    let key = Key::new(partition.cloned().into_iter().chain([value]).collect());
    row(table, &key, score, text)
}

/// A double as a value of the score's type, if it is one: somebody else's ZINCRBY may have made a
/// fraction.
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
