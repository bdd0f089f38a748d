//! A statement in the making: choices, values, parameters.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::kind::{Family, KINDS, Kind};
use crate::suite::Parameter;

/// Chooses, and collects the parameters that the text has got.
#[derive(Debug)]
pub(super) struct Writer<'a> {
    pub(super) random: &'a mut StdRng,
    pub(super) parameters: Vec<Parameter>,
    /// A statement of SQL's own (DECLARE) takes none.
    pub(super) takes_parameters: bool,
}

impl<'a> Writer<'a> {
    pub(super) const fn new(random: &'a mut StdRng) -> Self {
        Self { random, parameters: Vec::new(), takes_parameters: true }
    }

    /// Whether, so often in a hundred times.
    pub(super) fn chance(&mut self, percent: u32) -> bool {
        self.random.random_ratio(percent, 100)
    }

    pub(super) fn pick<'b, T: ?Sized>(&mut self, from: &[&'b T]) -> &'b T {
        from.choose(self.random).expect("something to choose from")
    }

    pub(super) fn number(&mut self, from: usize, to: usize) -> usize {
        self.random.random_range(from..=to)
    }

    /// One of the type's values.
    pub(super) fn plain(&mut self, kind: &Kind) -> &'static str {
        // The first ones mostly, so that rows meet.
        let most = if self.chance(70) { 4 } else { kind.values.len() };
        kind.values[..most.min(kind.values.len())].choose(self.random).expect("a value")
    }

    /// A value of the type in one of the ways of writing it.
    pub(super) fn value(&mut self, kind: &Kind) -> String {
        let value = self.plain(kind);
        let is_bare = kind.family == Family::Number
            && value.parse::<f64>().is_ok_and(f64::is_finite)
            && value != "-0";
        match self.number(0, 9) {
            0..4 if self.takes_parameters && kind.family != Family::Own => {
                self.parameter(kind.cast, Some(value))
            }
            4 | 5 => format!("{}::{}", quoted(value), kind.cast),
            6..8 if is_bare => value.to_owned(),
            _ => quoted(value),
        }
    }

    /// A value, now and then NULL.
    pub(super) fn value_or_null(&mut self, kind: &Kind) -> String {
        if !self.chance(12) {
            return self.value(kind);
        }
        if self.takes_parameters && kind.family != Family::Own && self.chance(50) {
            return self.parameter(kind.cast, None);
        }
        "NULL".to_owned()
    }

    /// A value that a comparison with this type takes, perhaps of a related type.
    pub(super) fn comparable(&mut self, kind: &Kind) -> String {
        let has_related = !matches!(kind.family, Family::List | Family::Span | Family::Own);
        if self.chance(80) || !has_related {
            return self.value_or_null(kind);
        }
        let related: Vec<_> =
            KINDS.iter().filter(|other| other.family == kind.family && other.is_ordered).collect();
        let other = self.pick(&related);
        let value = self.plain(other);
        if self.takes_parameters && self.chance(50) {
            return self.parameter(other.cast, Some(value));
        }
        format!("{}::{}", quoted(value), other.cast)
    }

    fn parameter(&mut self, ty: &str, value: Option<&str>) -> String {
        self.parameters.push(Parameter { ty: ty.to_owned(), value: value.map(str::to_owned) });
        format!("${}", self.parameters.len())
    }
}

/// A literal of no type yet.
pub(super) fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}
