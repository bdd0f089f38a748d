//! What the configuration says of a table, before its definition is known.

use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;

use crate::StoreTable;

/// What a store's own keys say of a table.
pub trait TableOptions: Send + Sync + Debug {
    /// Sets in the table what they mean for its definition. The error is the name of a column that
    /// the definition lacks.
    ///
    /// # Errors
    /// The name of a column that the definition lacks.
    fn bind(&self, table: &mut StoreTable) -> Result<(), String>;
}

/// A table about which the store's own keys say nothing.
#[derive(Debug, Clone, Copy)]
pub struct NoOptions;

impl TableOptions for NoOptions {
    fn bind(&self, _: &mut StoreTable) -> Result<(), String> {
        Ok(())
    }
}

/// What a store alone knows of a table, of a type of its own.
#[derive(Debug, Clone, Default)]
pub struct Own(Option<Arc<dyn AnyDebug>>);

/// Any value that can be shared and printed.
trait AnyDebug: Any + Send + Sync + Debug {}

impl<T: Any + Send + Sync + Debug> AnyDebug for T {}

impl Own {
    /// Of this value.
    #[must_use]
    pub fn new<T: Any + Send + Sync + Debug>(value: T) -> Self {
        Self(Some(Arc::new(value)))
    }

    /// The value, if it is of this type.
    #[must_use]
    pub fn get<T: Any>(&self) -> Option<&T> {
        let value: &dyn Any = self.0.as_deref()?;
        value.downcast_ref()
    }
}

/// A secondary index, with columns by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexChoice {
    /// Its name.
    pub name: String,
    /// Its columns.
    pub columns: Vec<String>,
    /// Whether it may lag behind the table; `None`: as is usual for such columns.
    pub is_eventual: Option<bool>,
    /// Whether reads through it must see every write before them.
    pub consistent_read: bool,
}
