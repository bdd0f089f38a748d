//! All rows: Scan, in segments where the table is large.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicUsize, Ordering},
};

use aws_sdk_dynamodb::types::AttributeValue;
use flywheel_store::{StoreError, StoreTable, now_micros};
use flywheel_types::Row;
use futures_util::future::try_join_all;

use crate::table::OwnTable;
use crate::{
    client::DynamoStore,
    error::store_error,
    expression::Placeholders,
    item::{self, Item},
    paging::PageSize,
    projection,
};

/// Into how many segments a table is split that has more than a page, unless its configuration
/// says.
const SEGMENTS: u32 = 4;

/// The most pages that are read for some rows: others than these may hold expired items only.
const SOME_PAGES: usize = 16;

/// A scan, or a segment of it.
struct Part<'a> {
    table: &'a StoreTable,
    limit: usize,
    /// Rows that all segments have found.
    found: &'a AtomicUsize,
    /// Number and count of segments.
    segment: Option<(u32, u32)>,
}

impl DynamoStore {
    pub(crate) async fn scan_rows(
        &self,
        table: &StoreTable,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let found = AtomicUsize::new(0);
        let part = |segment| Part { table, limit, found: &found, segment };
        let segments = match OwnTable::of(table).scan_segments {
            Some(segments) => segments,
            None => {
                let whole = part(None);
                let (rows, rest) = self
                    .scan_page(&whole, None, &mut PageSize::of(limit.saturating_add(1)))
                    .await?;
                if rest.is_none() {
                    return Ok(rows);
                }
                // Its first page is read again: segments are another division of the table.
                found.store(0, Ordering::Relaxed);
                SEGMENTS
            }
        };
        let part = |segment| part((segments > 1).then_some((segment, segments)));
        let segments = (0..segments).map(|segment| self.scan_part(part(segment)));
        Ok(try_join_all(segments).await?.concat())
    }

    /// The first rows of a scan; `None` where too many items in front of them don't count.
    pub(crate) async fn some_rows(
        &self,
        table: &StoreTable,
        limit: usize,
    ) -> Result<Option<Vec<Row>>, StoreError> {
        let found = AtomicUsize::new(0);
        let part = Part { table, limit: usize::MAX, found: &found, segment: None };
        let mut page = PageSize::of(limit);
        let mut rows = Vec::new();
        let mut start = None;
        for _ in 0..SOME_PAGES {
            if rows.len() >= limit {
                break;
            }
            let (more, rest) = self.scan_page(&part, start, &mut page).await?;
            rows.extend(more);
            start = rest;
            if start.is_none() {
                break;
            }
        }
        let is_whole = start.is_none() || rows.len() >= limit;
        rows.truncate(limit);
        Ok(is_whole.then_some(rows))
    }

    async fn scan_part(&self, part: Part<'_>) -> Result<Vec<Row>, StoreError> {
        let mut page = PageSize::of(part.limit.saturating_add(1));
        let mut all = Vec::new();
        let mut start = None;
        loop {
            let (rows, rest) = self.scan_page(&part, start, &mut page).await?;
            all.extend(rows);
            start = rest;
            if start.is_none() {
                return Ok(all);
            }
        }
    }

    /// A page, and where the next one begins.
    async fn scan_page(
        &self,
        part: &Part<'_>,
        start: Option<HashMap<String, AttributeValue>>,
        page: &mut PageSize,
    ) -> Result<(Vec<Row>, Option<Item>), StoreError> {
        let (table, limit) = (part.table, part.limit);
        let name = self.table_name(table);
        let now = now_micros();
        let mut placeholders = Placeholders::default();
        let projection = projection::of(table, true, &mut placeholders);
        let segment = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
        let answer = self
            .client
            .scan()
            .table_name(&name)
            .consistent_read(table.consistent_read)
            .set_segment(part.segment.map(|(number, _)| segment(number)))
            .set_total_segments(part.segment.map(|(_, count)| segment(count)))
            .set_projection_expression(projection)
            .set_expression_attribute_names(placeholders.into_maps().0)
            .limit(page.next())
            .set_exclusive_start_key(start)
            .send()
            .await
            .map_err(|error| store_error(&name, &error))?;
        let mut rows = Vec::new();
        for item in answer.items.unwrap_or_default() {
            rows.extend(item::decode_live(table, item, now)?);
        }
        if part.found.fetch_add(rows.len(), Ordering::Relaxed) + rows.len() > limit {
            return Err(StoreError::TooManyRows { limit });
        }
        Ok((rows, answer.last_evaluated_key.filter(|key| !key.is_empty())))
    }
}
