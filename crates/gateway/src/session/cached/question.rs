//! A query that is looked up.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use flywheel_plan::Parameters;
use flywheel_statement::Analysis;
use flywheel_wire::backend;

/// A query that is looked up.
pub(in crate::session) struct Question {
    pub(super) analysis: Arc<Analysis>,
    pub(super) types: Vec<u32>,
    pub(super) formats: Vec<i16>,
    pub(super) values: Vec<Option<Bytes>>,
}

impl Question {
    pub(super) fn parameters(&self) -> Parameters<'_> {
        Parameters {
            types: &self.types,
            formats: &self.formats,
            values: &self.values,
            ..Parameters::default()
        }
    }
}

/// Which messages stand before an answer's own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub(super) parse: bool,
    pub(super) bind: bool,
}

impl Head {
    pub(super) fn write(self, out: &mut BytesMut) {
        if self.parse {
            backend::parse_complete(out);
        }
        if self.bind {
            backend::bind_complete(out);
        }
    }
}
