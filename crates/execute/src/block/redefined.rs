//! What transaction blocks do to definitions of store tables. Inside a block PostgreSQL may show
//! other definitions than to everybody else: what the block itself has made of them, or what they
//! were when its snapshot was taken. Those are the block's own. When it is over, definitions are
//! read anew for all, and the stores follow it.

use flywheel_plan::Home;
use flywheel_types::TableName;

use crate::homes::Catalogue;
use crate::options::TableHome;

/// What a block has done to definitions.
#[derive(Debug, Default)]
pub struct Redefined {
    /// The definitions as the block sees them, where they aren't those that everybody sees.
    pub(crate) catalogue: Option<Box<Catalogue>>,
    /// It has changed a store table's definition, or may have.
    pub is_changed: bool,
    /// Tables that it has made or dropped.
    pub names: Vec<TableName>,
    /// Tables that it has made in their stores, where nothing in PostgreSQL could outlive it and
    /// say so.
    pub unnoted: Vec<Home>,
}

impl Redefined {
    /// Whether nothing has to follow.
    pub fn is_empty(&self) -> bool {
        !self.is_changed && self.names.is_empty() && self.unnoted.is_empty()
    }

    /// The definitions as the block sees them, where all others see `common`.
    pub fn catalogue<'c>(&'c self, common: &'c Catalogue) -> &'c Catalogue {
        self.catalogue.as_deref().unwrap_or(common)
    }

    /// Whether the block sees definitions of its own.
    pub fn are_own(&self) -> bool {
        self.catalogue.is_some()
    }

    /// What was seen was undone in part.
    pub fn look_again(&mut self) {
        if let Some(catalogue) = &mut self.catalogue {
            **catalogue = catalogue.within();
        }
    }

    /// What an earlier block has left is done together with this one's.
    pub fn add(&mut self, other: Self) {
        self.is_changed |= other.is_changed || other.catalogue.is_some();
        self.names.extend(other.names);
        self.unnoted.extend(other.unnoted);
    }

    /// Something may be left to do for any table.
    pub fn add_all(&mut self, configured: &[TableHome]) {
        self.is_changed = true;
        self.names.extend(configured.iter().map(|table| table.name.clone()));
    }
}
