//! DynamoDB's numbers: decimals of up to 38 significant digits that come back without trailing
//! zeros.
//!
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html>

/// Exponents past this are no number of ours: it is more than `numeric` can hold, and printing them
/// would fill the memory.
const EXPONENT_BOUND: u64 = 200_000;

/// A decimal number as `0.DIGITS × 10^point`, the digits without leading and trailing zeros; zero
/// has no digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decimal {
    negative: bool,
    digits: String,
    point: i64,
}

impl Decimal {
    /// Reads a decimal, with or without an exponent; `None` for anything else, `NaN` and infinities
    /// included.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (negative, unsigned) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = [whole, fraction].concat();
        if all.is_empty()
            || !all.bytes().all(|byte| byte.is_ascii_digit())
            || exponent.unsigned_abs() > EXPONENT_BOUND
        {
            return None;
        }
        let significant = all.trim_start_matches('0');
        if significant.is_empty() {
            return Some(Self { negative: false, digits: String::new(), point: 0 });
        }
        let leading_zeros = i64::try_from(all.len() - significant.len()).ok()?;
        let point = i64::try_from(whole.len()).ok()? - leading_zeros + exponent;
        Some(Self { negative, digits: significant.trim_end_matches('0').to_owned(), point })
    }

    /// How many significant digits it has.
    pub(crate) fn precision(&self) -> usize {
        self.digits.len()
    }

    /// Whether DynamoDB keeps it exactly: up to 38 digits, a magnitude of 1E-130 to 9.99…E+125, or
    /// zero.
    pub(crate) fn fits(&self) -> bool {
        self.precision() <= 38 && (self.digits.is_empty() || (-129..=126).contains(&self.point))
    }

    /// As PostgreSQL prints a `numeric` of just the digits that it needs.
    pub(crate) fn to_plain(&self) -> String {
        let digits = i64::try_from(self.digits.len()).unwrap_or(i64::MAX);
        self.print((digits - self.point).max(0))
    }

    /// As PostgreSQL prints it at a scale; `None` when it has more digits after the point than
    /// that.
    pub(crate) fn to_scale(&self, scale: i16) -> Option<String> {
        // A negative scale rounds before the point and prints no fraction.
        let scale = i64::from(scale.max(0));
        let digits = i64::try_from(self.digits.len()).ok()?;
        (digits - self.point <= scale).then(|| self.print(scale))
    }

    fn print(&self, scale: i64) -> String {
        let mut out = String::new();
        if self.negative {
            out.push('-');
        }
        let digit = |place: i64| {
            usize::try_from(place)
                .ok()
                .and_then(|at| self.digits.as_bytes().get(at))
                .map_or('0', |&byte| char::from(byte))
        };
        if self.point <= 0 {
            out.push('0');
        } else {
            out.extend((0..self.point).map(digit));
        }
        if scale > 0 {
            out.push('.');
            out.extend((self.point..self.point + scale).map(digit));
        }
        out
    }
}

/// Whether a printed number ends in a zero after the point, which DynamoDB would drop.
pub(crate) fn has_trailing_zero(text: &str) -> bool {
    text.contains('.') && text.ends_with('0')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plain(text: &str) -> Option<String> {
        Decimal::parse(text).map(|number| number.to_plain())
    }

    #[test]
    fn any_spelling_is_read() {
        for (text, expected) in [
            ("0", "0"),
            ("-0", "0"),
            ("0E+10", "0"),
            ("007.50", "7.5"),
            ("1E+3", "1000"),
            ("-1.5e2", "-150"),
            ("12E-4", "0.0012"),
            (".5", "0.5"),
            ("100", "100"),
            ("0.001", "0.001"),
        ] {
            assert_eq!(plain(text).as_deref(), Some(expected), "{text}");
        }
        for text in [
            "",
            "-",
            ".",
            "NaN",
            "Infinity",
            "1e",
            "1.2.3",
            "1e999999999",
            "1e-9223372036854775808",
            "0x1",
            "--1",
            "é",
        ] {
            assert_eq!(plain(text), None, "{text}");
        }
    }

    #[test]
    fn the_scale_is_put_back() {
        let at = |text: &str, scale| Decimal::parse(text).and_then(|number| number.to_scale(scale));
        assert_eq!(at("1.5", 2).as_deref(), Some("1.50"));
        assert_eq!(at("0", 3).as_deref(), Some("0.000"));
        assert_eq!(at("-0.01", 2).as_deref(), Some("-0.01"));
        assert_eq!(at("12300", -2).as_deref(), Some("12300"));
        assert_eq!(at("1.555", 2), None);
    }

    #[test]
    fn range_ends_are_dynamodbs() {
        let fits = |text: &str| Decimal::parse(text).is_some_and(|number| number.fits());
        assert!(fits("1E-130") && !fits("9.99E-131"));
        assert!(fits("9.9999999999999999999999999999999999999E+125") && !fits("1E+126"));
        assert!(
            fits("12345678901234567890123456789012345678")
                && !fits("123456789012345678901234567890123456789")
        );
    }

    proptest! {
        #[test]
        fn plain_is_stable(text in "-?[0-9]{1,30}(\\.[0-9]{1,30})?([eE][+-]?[0-9]{1,2})?") {
            let once = plain(&text).unwrap();
            prop_assert_eq!(plain(&once).unwrap(), once.clone());
            prop_assert!(!has_trailing_zero(&once));
        }

        #[test]
        fn nothing_panics(text in ".*") {
            let _ = plain(&text);
        }
    }
}
