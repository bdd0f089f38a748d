//! What a session has written, and how it ends answers: here, and at other gateways.

use std::sync::Arc;
use std::time::Duration;

use flywheel_cache::{Part, Touch};
use flywheel_plan::Parameters;
use flywheel_statement::Analysis;

use super::graph::Graph;
use super::{Caching, Memo, writing};
use crate::sharing::Said;

/// What a session has written that others don't see yet, or don't know for certain to see.
#[derive(Debug)]
pub struct Written {
    touch: Touch,
    /// A definition is among it.
    defines: bool,
    generation: u64,
}

impl Default for Written {
    fn default() -> Self {
        Self { touch: Touch::Tables(Vec::new()), defines: false, generation: 0 }
    }
}

impl Written {
    /// Whether it has written nothing.
    pub fn is_nothing(&self) -> bool {
        self.touch.is_nothing()
    }
}

impl Caching {
    /// A statement is about to be carried out: what it writes is noted, and ends answers now
    /// already.
    pub fn note(
        &self,
        written: &mut Written,
        analysis: &Analysis,
        position: usize,
        parameters: &Parameters<'_>,
        may_be_temporary: bool,
    ) {
        let generation = self.generation();
        let (touch, defines) = match self.current_graph() {
            Some(graph) => {
                let writings = Memo::of(analysis)
                    .writings(generation, || writing::all_of(analysis, Some(&graph)));
                writings[position].touch(parameters, may_be_temporary)
            }
            None => {
                self.lacking.notify_one();
                writing::of(analysis, position, None).touch(parameters, may_be_temporary)
            }
        };
        if touch.is_nothing() {
            return;
        }
        if defines {
            self.outdate();
        }
        self.invalidate(&touch);
        if written.is_nothing() {
            written.generation = generation;
        } else if written.generation != generation {
            written.touch = Touch::All;
        }
        written.touch.add(&touch);
        written.defines |= defines;
    }

    /// Something is about to be carried out of which nothing is known.
    pub fn note_anything(&self, written: &mut Written) {
        self.invalidate(&Touch::All);
        written.touch = Touch::All;
    }

    /// What was written can be seen by others now, or could have been since it was noted.
    pub fn apply(&self, written: &Written) {
        if written.is_nothing() {
            return;
        }
        if written.defines {
            self.outdate();
        }
        // A definition has changed in between: what the write reached isn't known.
        let touch =
            if written.generation == self.generation() { &written.touch } else { &Touch::All };
        self.invalidate(touch);
        self.tell(|| Said { written: touch.clone(), defines: written.defines, ..Said::default() });
    }

    /// Somebody else's transaction has been carried out in these tables, whoever began it.
    pub fn written_to(&self, tables: impl Iterator<Item = u32>) {
        let written = Touch::Tables(tables.map(|oid| (oid, Part::Whole)).collect());
        self.invalidate(&written);
        self.tell(|| Said { written, ..Said::default() });
    }

    /// Other gateways are to hear of it.
    fn tell(&self, said: impl FnOnce() -> Said) {
        if let Some(sharing) = &self.kept.sharing {
            sharing.tell(&self.database, &said());
        }
    }

    /// What another gateway's clients have written.
    pub fn hear(&self, said: &Said) {
        if said.defines {
            self.outdate();
        }
        self.invalidate(&said.written);
        self.forget(&said.flushed);
    }

    /// Another gateway may have said anything.
    pub fn miss(&self) {
        self.outdate();
    }

    fn forget(&self, flushed: &Touch) {
        self.invalidate(flushed);
        self.unwritten.invalidate(flushed);
    }

    /// What was written may become visible at any time: the server that was to carry it out has
    /// been lost.
    pub fn apply_for_a_while(self: &Arc<Self>, written: Written) {
        self.apply(&written);
        let caching = self.clone();
        tokio::spawn(async move {
            for seconds in [1, 5, 15, 60] {
                tokio::time::sleep(Duration::from_secs(seconds)).await;
                caching.apply(&written);
            }
        });
    }

    /// FLUSH CACHE: everything, or what was read from the relations of this name. False: there is
    /// none.
    pub fn flush(
        &self,
        relation: Option<&flywheel_sql::RelationName>,
        graph: Option<&Graph>,
    ) -> bool {
        let touch = match (relation, graph) {
            (Some(relation), Some(graph)) => {
                let found = graph.find(relation);
                if found.is_empty() {
                    return false;
                }
                Touch::Tables(
                    found
                        .iter()
                        .flat_map(|&oid| graph.bases(oid))
                        .map(|oid| (oid, Part::Whole))
                        .collect(),
                )
            }
            _ => Touch::All,
        };
        self.forget(&touch);
        self.tell(|| Said { flushed: touch, ..Said::default() });
        true
    }
}
