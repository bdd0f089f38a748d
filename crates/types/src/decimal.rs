//! The digits of a `numeric`, and their canonical form.

use crate::Value;

/// A declared precision and scale, as [`crate::Scalar::Numeric`] carries them.
pub(crate) type Modifier = Option<(u16, i16)>;

/// PostgreSQL's limits (datatype-numeric): digits before and after the decimal point.
const MAX_WHOLE: usize = 131_072;
pub(crate) const MAX_FRACTION: usize = 16_383;

/// The names of the values that aren't numbers, as PostgreSQL prints them.
pub(crate) const NAN: &str = "NaN";
pub(crate) const INFINITY: &str = "Infinity";
pub(crate) const NEGATIVE_INFINITY: &str = "-Infinity";

/// A decimal number: a sign and ASCII digits on both sides of the point. `whole` may have leading
/// zeros.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Decimal<'a> {
    pub(crate) negative: bool,
    pub(crate) whole: &'a str,
    pub(crate) fraction: &'a str,
}

impl<'a> Decimal<'a> {
    /// Reads a plain decimal number: `-1.50`, `.5`, `5.`; no exponent.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let (negative, unsigned) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let has_digits = !(whole.is_empty() && fraction.is_empty());
        (has_digits && all_digits(whole) && all_digits(fraction)).then_some(Self {
            negative,
            whole,
            fraction,
        })
    }

    /// The number as PostgreSQL prints it after the modifier is applied; `None` where it would be
    /// rounded or is out of range.
    pub(crate) fn canonical(self, modifier: Modifier) -> Option<String> {
        let whole = self.whole.trim_start_matches('0');
        let digits_after = match modifier {
            None => self.fraction.len(),
            Some((_, scale)) => usize::from(scale.max(0).unsigned_abs()),
        };
        let (fraction, dropped) = self.fraction.split_at(digits_after.min(self.fraction.len()));
        if !is_zero(dropped) || whole.len() > MAX_WHOLE || digits_after > MAX_FRACTION {
            return None;
        }
        let zero = whole.is_empty() && is_zero(fraction);
        if let Some((precision, scale)) = modifier
            && !zero
        {
            if scale < 0 {
                let kept = whole.len().checked_sub(usize::from(scale.unsigned_abs()))?;
                if !is_zero(&whole[kept..]) {
                    return None;
                }
            }
            if magnitude(whole, fraction) > i64::from(precision) - i64::from(scale) {
                return None;
            }
        }

        let mut out = String::with_capacity(whole.len() + digits_after + 3);
        if self.negative && !zero {
            out.push('-');
        }
        out.push_str(if whole.is_empty() { "0" } else { whole });
        if digits_after > 0 {
            out.push('.');
            out.push_str(fraction);
            out.extend(std::iter::repeat_n('0', digits_after - fraction.len()));
        }
        Some(out)
    }
}

/// Reads and canonicalises a `numeric`, the values that aren't numbers included. An infinity fits
/// no declared precision.
pub(crate) fn read(text: &str, modifier: Modifier) -> Option<Value> {
    if let Some(number) = Decimal::parse(text) {
        return number.canonical(modifier).map(Value::Numeric);
    }
    let name = [NAN, INFINITY, NEGATIVE_INFINITY]
        .into_iter()
        .find(|name| name.eq_ignore_ascii_case(text))?;
    (name == NAN || modifier.is_none()).then(|| Value::Numeric(name.to_owned()))
}

fn is_zero(digits: &str) -> bool {
    digits.bytes().all(|digit| digit == b'0')
}

/// The position of the first significant digit before (positive) or after the point (zero and
/// below).
fn magnitude(whole: &str, fraction: &str) -> i64 {
    let leading_zeros = || fraction.bytes().take_while(|&digit| digit == b'0').count();
    let position = if whole.is_empty() { leading_zeros() } else { whole.len() };
    let position = i64::try_from(position).unwrap_or(i64::MAX);
    if whole.is_empty() { -position } else { position }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str, modifier: Modifier) -> Option<String> {
        match read(text, modifier)? {
            Value::Numeric(text) => Some(text),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn printed_as_postgresql_does() {
        for (text, expected) in [
            ("0", "0"),
            ("-0", "0"),
            ("-0.00", "0.00"),
            (".5", "0.5"),
            ("-.5", "-0.5"),
            ("5.", "5"),
            ("+007.10", "7.10"),
            ("nan", "NaN"),
            ("-INFINITY", "-Infinity"),
        ] {
            assert_eq!(canonical(text, None).as_deref(), Some(expected), "{text}");
        }
        for text in ["", ".", "-", "+-1", "1e5", "1_000", "0x1f", "1 2", "٣", "--1", "1.2.3"] {
            assert_eq!(canonical(text, None), None, "{text}");
        }
    }

    #[test]
    fn a_modifier_pads_and_never_rounds() {
        for (text, modifier, expected) in [
            ("1.5", (10, 2), Some("1.50")),
            ("1.500", (10, 2), Some("1.50")),
            ("1.505", (10, 2), None),
            ("99999999.99", (10, 2), Some("99999999.99")),
            ("100000000", (10, 2), None),
            ("0", (10, 2), Some("0.00")),
            ("-0.000", (10, 2), Some("0.00")),
            ("NaN", (10, 2), Some("NaN")),
            ("Infinity", (10, 2), None),
            ("0.00123", (3, 5), Some("0.00123")),
            ("0.01", (3, 5), None),
            ("12000", (3, -3), Some("12000")),
            ("12300", (3, -3), None),
            ("999000", (3, -3), Some("999000")),
            ("1000000", (3, -3), None),
            ("20", (3, -3), None),
            ("0", (3, -3), Some("0")),
        ] {
            assert_eq!(canonical(text, Some(modifier)).as_deref(), expected, "{text} {modifier:?}");
        }
    }

    #[test]
    fn digits_are_limited() {
        assert!(canonical(&"9".repeat(MAX_WHOLE), None).is_some());
        assert_eq!(canonical(&"9".repeat(MAX_WHOLE + 1), None), None);
        assert!(canonical(&format!("0.{}", "1".repeat(MAX_FRACTION)), None).is_some());
        assert_eq!(canonical(&format!("0.{}", "1".repeat(MAX_FRACTION + 1)), None), None);
    }
}
