//! How a statement that names a store table is answered.
//!
//! [`Planner::plan`] decides once per distinct text; what depends on parameter values is resolved
//! at each execution by the plan's parts. A plan is pure data: it asks no store and no server. The
//! gateway carries it out.
//!
//! - [`Native`]: the store answers it exactly, alone. One file per shape in `native/`: a new shape
//!   is a new file there.
//! - [`General`]: PostgreSQL answers it, over rows fetched from the stores ([`Fetch`]), or on rows
//!   staged in its own empty tables when it writes. Every statement has such a plan, or a refusal.
//! - [`Access`]: which rows of a table can matter: keys, ranges of partitions, or all.
//! - [`Homes`]: which table lives where.
//! - [`explain`]: a plan in words.

mod access;
mod capability;
pub mod explain;
mod fetch;
mod home;
mod native;
mod new_values;
mod parameters;
mod physical;
mod planner;
mod rewrite;

pub use access::{Access, ResolvedAccess};
pub use capability::{check_alters, check_writes};
pub use fetch::{ColumnTypes, Fetch, FetchAccess, KeySource, joined_access};
pub use home::{Home, Homes, Visible};
pub use native::{
    Conditions, Filter, Native, NativeCount, NativeDelete, NativeInsert, NativeRanked,
    NativeSelect, NativeTop, NativeUpdate, OnConflict, RankedColumn, RankedRows, ReadOperation,
    ScoreAccess, assign,
};
pub use new_values::NewValuesQuery;
pub use parameters::{Computed, Expressed, Parameters};
pub use planner::{General, Plan, Planner, Target, unsupported};
pub use rewrite::{RowArray, row_source, rows_as_array, substitute};
