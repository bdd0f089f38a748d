//! The shards of a stream.

use aws_sdk_dynamodbstreams::Client;
use aws_sdk_dynamodbstreams::error::ProvideErrorMetadata;
use aws_sdk_dynamodbstreams::types::{Record, ShardIteratorType};
use flywheel_store::StoreError;

use crate::error::store_error;

/// The most records that one answer has.
const MOST_RECORDS: usize = 1000;
/// An answer ends at 1 MB; one that is this long, in bytes, may have ended for that.
const LONG: i64 = 1 << 18;

/// A shard.
pub(super) struct Shard {
    pub(super) id: String,
    /// Whom it follows.
    pub(super) parent: Option<String>,
    /// Nothing will be added to it.
    pub(super) has_ended: bool,
}

/// Where a shard is read from.
#[derive(Clone, Copy)]
pub(super) enum Begin {
    /// Its first record.
    First,
    /// What comes after this moment.
    Latest,
}

/// What a shard has.
pub(super) struct Answer {
    pub(super) records: Vec<Record>,
    /// Where it is read on; `None`: it has ended.
    pub(super) next: Option<String>,
    /// There was no more.
    pub(super) is_all: bool,
}

/// All shards that the stream has still.
pub(super) async fn list(client: &Client, arn: &str) -> Result<Vec<Shard>, StoreError> {
    let mut shards = Vec::new();
    let mut after = None;
    loop {
        let answer = client
            .describe_stream()
            .stream_arn(arn)
            .set_exclusive_start_shard_id(after)
            .send()
            .await;
        let description = answer.map_err(|error| store_error(arn, &error))?.stream_description;
        let Some(description) = description else { return Ok(shards) };
        for shard in description.shards.unwrap_or_default() {
            let Some(id) = shard.shard_id else { continue };
            let range = shard.sequence_number_range;
            shards.push(Shard {
                id,
                parent: shard.parent_shard_id,
                has_ended: range.is_some_and(|range| range.ending_sequence_number.is_some()),
            });
        }
        after = description.last_evaluated_shard_id;
        if after.is_none() {
            return Ok(shards);
        }
    }
}

/// Where reading begins; `None`: there is nothing to be read.
pub(super) async fn begin(
    client: &Client,
    arn: &str,
    shard: &str,
    at: Begin,
) -> Result<Option<String>, StoreError> {
    let kind = match at {
        Begin::First => ShardIteratorType::TrimHorizon,
        Begin::Latest => ShardIteratorType::Latest,
    };
    let request =
        client.get_shard_iterator().stream_arn(arn).shard_id(shard).shard_iterator_type(kind);
    let answer = request.send().await.map_err(|error| store_error(arn, &error))?;
    Ok(answer.shard_iterator)
}

/// What has come since. `None`: it can't be read on from there, since records were deleted (they
/// are after a day) or too much time has gone by.
pub(super) async fn records(
    client: &Client,
    arn: &str,
    at: &str,
) -> Result<Option<Answer>, StoreError> {
    let answer = match client.get_records().shard_iterator(at).send().await {
        Ok(answer) => answer,
        Err(error)
            if matches!(
                error.code(),
                Some("TrimmedDataAccessException" | "ExpiredIteratorException")
            ) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(store_error(arn, &error)),
    };
    let records = answer.records.unwrap_or_default();
    let sizes = records.iter().filter_map(|record| record.dynamodb.as_ref()?.size_bytes);
    Ok(Some(Answer {
        is_all: records.len() < MOST_RECORDS && sizes.sum::<i64>() < LONG,
        next: answer.next_shard_iterator,
        records,
    }))
}
