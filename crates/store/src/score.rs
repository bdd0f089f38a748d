//! Scores of sorted sets, which are doubles, and ranges of them.

use std::ops::RangeInclusive;

use flywheel_types::{Scalar, Value};

use crate::change::within;
use crate::{Assignment, Bound, StoreError};

/// Integers are exact as doubles up to this and no further.
const EXACT_INTEGER: i64 = 1 << 53;

/// The members of one sorted set between two scores.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreRange {
    /// The partition column's value; `None` when the table is one set.
    pub partition: Option<Value>,
    /// Lower end.
    pub lower: Bound,
    /// Upper end.
    pub upper: Bound,
    /// From the highest score to the lowest.
    pub descending: bool,
}

/// One end of a range of doubles.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScoreEnd {
    /// The double.
    pub score: f64,
    /// Whether it lies in the range.
    pub included: bool,
}

impl ScoreRange {
    /// Whether it is the whole set.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.lower == Bound::Unbounded && self.upper == Bound::Unbounded
    }

    /// Its two ends as doubles, exactly: a set holds no integer past ±2^53 and no NaN, so that an
    /// end out there takes in all or nothing.
    #[must_use]
    pub fn ends(&self) -> (ScoreEnd, ScoreEnd) {
        (end(&self.lower, f64::NEG_INFINITY), end(&self.upper, f64::INFINITY))
    }

    /// Whether a score lies between the ends.
    #[must_use]
    pub fn holds(&self, score: f64) -> bool {
        let (lower, upper) = self.ends();
        #[allow(clippy::float_cmp, reason = "the same double is meant")]
        let at = |end: ScoreEnd| end.included && score == end.score;
        (score > lower.score || at(lower)) && (score < upper.score || at(upper))
    }
}

/// `open` is the infinity at which the range has no end on this side.
fn end(bound: &Bound, open: f64) -> ScoreEnd {
    let (value, included) = match bound {
        Bound::Unbounded => {
            return ScoreEnd { score: open, included: true };
        }
        Bound::Included(value) => (value, true),
        Bound::Excluded(value) => (value, false),
    };
    match score(value) {
        Ok(score) => ScoreEnd { score, included },
        // Past everything that a set holds, above where it is too high or NaN.
        Err(_) => {
            let score =
                if matches!(value, Value::Int(..0)) { f64::NEG_INFINITY } else { f64::INFINITY };
            ScoreEnd { score, included: score.to_bits() == open.to_bits() }
        }
    }
}

/// The stored scores, of a column of type `scalar`, to which `amount` can be added exactly; `None`:
/// none.
#[must_use]
pub fn score_addends(scalar: Scalar, amount: i64) -> Option<RangeInclusive<i64>> {
    let exact = within(-EXACT_INTEGER..=EXACT_INTEGER, amount)?;
    let fitting = Assignment::addends(scalar, amount)?;
    let (least, greatest) = (*exact.start().max(fitting.start()), *exact.end().min(fitting.end()));
    (least <= greatest).then_some(least..=greatest)
}

/// The value of a score column as a sorted set's double, where that is exact.
pub fn score(value: &Value) -> Result<f64, StoreError> {
    let refuse = |why: &str| Err(StoreError::LimitExceeded { what: format!("score {why}") });
    match value {
        #[expect(clippy::cast_precision_loss, reason = "checked to be exact")]
        Value::Int(number) if (-EXACT_INTEGER..=EXACT_INTEGER).contains(number) => {
            Ok(*number as f64)
        }
        Value::Int(number) => refuse(&format!(
            "{number} is past ±2^53 ({EXACT_INTEGER}), up to which a sorted set is exact"
        )),
        Value::Float4(number) if !number.is_nan() => Ok(f64::from(*number)),
        Value::Float8(number) if !number.is_nan() => Ok(*number),
        Value::Float4(_) | Value::Float8(_) => refuse("NaN has no place in a sorted set"),
        _ => refuse("isn't a number"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_past_what_is_exact() {
        let range = |lower: Bound, upper: Bound| ScoreRange {
            partition: None,
            lower,
            upper,
            descending: false,
        };
        let greatest = 9_007_199_254_740_992.0;
        let from = |value: i64| range(Bound::Included(Value::Int(value)), Bound::Unbounded);
        let to = |value: i64| range(Bound::Unbounded, Bound::Excluded(Value::Int(value)));
        assert!(from(EXACT_INTEGER).holds(greatest) && !from(EXACT_INTEGER + 1).holds(greatest));
        assert!(from(i64::MIN).holds(-greatest));
        assert!(to(EXACT_INTEGER + 1).holds(greatest) && !to(EXACT_INTEGER).holds(greatest));
        assert!(!to(-EXACT_INTEGER - 1).holds(-greatest));
        let nan = || Value::Float8(f64::NAN);
        assert!(!range(Bound::Included(nan()), Bound::Unbounded).holds(f64::INFINITY));
        assert!(range(Bound::Unbounded, Bound::Excluded(nan())).holds(f64::INFINITY));
        let zero = range(Bound::Included(Value::Float8(0.0)), Bound::Included(Value::Float8(0.0)));
        assert!(zero.holds(-0.0), "PostgreSQL, too, takes the zeros for equal");
    }
}
