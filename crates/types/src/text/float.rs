//! Floating-point numbers: correctly rounded in, the shortest digits that read back alike out.

use std::{fmt::LowerExp, str::FromStr};

/// What differs between `real` and `double precision`.
pub(super) trait Float: Copy + PartialEq + FromStr + LowerExp {
    /// Decimal digits that any decimal number keeps through this type: `FLT_DIG` and `DBL_DIG`.
    /// From this exponent on PostgreSQL prints the scientific form.
    const DIGITS: usize;
    const NAN: Self;
    const INFINITY: Self;

    fn is_nan(self) -> bool;
    fn is_zero(self) -> bool;
    fn is_finite(self) -> bool;
    fn is_negative(self) -> bool;
    fn negated(self) -> Self;
    /// `m` and `e` of a positive finite number m·2^e.
    fn parts(self) -> (u64, i32);
}

macro_rules! float {
    ($float:ident) => {
        impl Float for $float {
            const DIGITS: usize = $float::DIGITS as usize;
            const NAN: Self = $float::NAN;
            const INFINITY: Self = $float::INFINITY;

            fn is_nan(self) -> bool {
                self.is_nan()
            }

            fn is_zero(self) -> bool {
                self == 0.0
            }

            fn is_finite(self) -> bool {
                self.is_finite()
            }

            fn is_negative(self) -> bool {
                self.is_sign_negative()
            }

            fn negated(self) -> Self {
                -self
            }

            fn parts(self) -> (u64, i32) {
                const FRACTION_BITS: u32 = $float::MANTISSA_DIGITS - 1;
                const LEAST_EXPONENT: i32 = $float::MIN_EXP - $float::MANTISSA_DIGITS.cast_signed();
                let bits = u64::from(self.to_bits());
                let fraction = bits & ((1 << FRACTION_BITS) - 1);
                match i32::try_from(bits >> FRACTION_BITS).unwrap_or(0) {
                    0 => (fraction, LEAST_EXPONENT),
                    biased => (fraction | 1 << FRACTION_BITS, LEAST_EXPONENT + biased - 1),
                }
            }
        }
    };
}

float!(f32);
float!(f64);

/// Decimal forms and the names of the rest. `None` as well for what PostgreSQL refuses as out of
/// range: an infinity or a zero that came of rounding.
pub(super) fn decode<F: Float>(text: &str) -> Option<F> {
    for (name, value) in
        [("NaN", F::NAN), ("Infinity", F::INFINITY), ("-Infinity", F::INFINITY.negated())]
    {
        if name.eq_ignore_ascii_case(text) {
            return Some(value);
        }
    }
    if !text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte)) {
        return None;
    }
    let number: F = text.parse().ok()?;
    let mantissa = text.split(['e', 'E']).next()?;
    let underflows = number.is_zero() && mantissa.bytes().any(|byte| matches!(byte, b'1'..=b'9'));
    (number.is_finite() && !underflows).then_some(number)
}

pub(super) fn encode<F: Float>(number: F, out: &mut Vec<u8>) {
    if number.is_nan() {
        out.extend_from_slice(b"NaN");
        return;
    }
    let magnitude = if number.is_negative() {
        out.push(b'-');
        number.negated()
    } else {
        number
    };
    if !magnitude.is_finite() {
        out.extend_from_slice(b"Infinity");
    } else if magnitude.is_zero() {
        out.push(b'0');
    } else {
        let (digits, exponent) = shortest(magnitude);
        push_digits::<F>(digits.as_bytes(), exponent, out);
    }
}

/// The shortest significant digits that read back as this positive number, and the exponent of the
/// first.
///
/// They are Rust's but for two cases, in which PostgreSQL's are others: of two equally near digit
/// strings it takes the even one, and it avoids those that lie exactly midway between two numbers
/// (1e23, which it prints as 9.999999999999999e+22), because not every reader rounds half to even.
fn shortest<F: Float>(number: F) -> (String, i32) {
    let (mut digits, mut exponent) = split(&format!("{number:e}"));
    if digits.len() >= F::DIGITS {
        let (nearest, nearest_exponent) = split(&format!("{number:.*e}", digits.len() - 1));
        if reads_as(&nearest, nearest_exponent, number) {
            (digits, exponent) = (nearest, nearest_exponent);
        }
    }
    // The nearest with a digit more is no farther off than midway: it reads back, or is the same
    // point again.
    while is_midway(&digits, exponent, number) {
        (digits, exponent) = split(&format!("{number:.*e}", digits.len()));
    }
    digits.truncate(digits.trim_end_matches('0').len());
    (digits, exponent)
}

/// The digits and the exponent of Rust's scientific form, `1.25e-7`.
fn split(scientific: &str) -> (String, i32) {
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    (mantissa.replace('.', ""), exponent.parse().unwrap_or(0))
}

fn reads_as<F: Float>(digits: &str, exponent: i32, number: F) -> bool {
    let (first, rest) = digits.split_at(1);
    format!("{first}.{rest}e{exponent}").parse().is_ok_and(|read: F| read == number)
}

/// Whether the decimal number lies exactly midway between `number` = m·2^e and a neighbour, at
/// (2m±1)·2^(e−1).
///
/// With d·10^k the decimal number, this is d·5^k·2^k = (2m±1)·2^(e−1): the odd factors agree and
/// the powers of two do. The lower neighbour of a power of two is nearer than that, but a point
/// midway to it is never the shortest: neither 2^54−1 nor 2^25−1 is divisible by 5.
fn is_midway<F: Float>(digits: &str, exponent: i32, number: F) -> bool {
    let (mantissa, binary_exponent) = number.parts();
    let midway = |odd: u64| {
        let last_exponent = exponent - i32::try_from(digits.len()).ok()? + 1;
        let power_of_five = 5_u128.checked_pow(last_exponent.unsigned_abs())?;
        let decimal: u128 = digits.parse().ok()?;
        let (decimal, odd) = if last_exponent >= 0 {
            (decimal.checked_mul(power_of_five)?, u128::from(odd))
        } else {
            (decimal, u128::from(odd).checked_mul(power_of_five)?)
        };
        let twos = decimal.trailing_zeros();
        Some(decimal >> twos == odd && twos.cast_signed() + last_exponent == binary_exponent - 1)
    };
    // What overflows 128 bits is out of the range of odd factors.
    midway(2 * mantissa + 1).unwrap_or(false) || midway(2 * mantissa - 1).unwrap_or(false)
}

/// The fixed form, or the scientific one for exponents that `%g` with the type's digits would give
/// it to.
fn push_digits<F: Float>(digits: &[u8], exponent: i32, out: &mut Vec<u8>) {
    let (first, rest) = digits.split_at(1);
    match usize::try_from(exponent) {
        Ok(exponent) if exponent < F::DIGITS => {
            let (whole, fraction) = digits.split_at(digits.len().min(exponent + 1));
            out.extend_from_slice(whole);
            out.extend(std::iter::repeat_n(b'0', exponent + 1 - whole.len()));
            if !fraction.is_empty() {
                out.push(b'.');
                out.extend_from_slice(fraction);
            }
        }
        Err(_) if exponent >= -4 => {
            out.extend_from_slice(b"0.");
            out.extend((exponent + 1..0).map(|_| b'0'));
            out.extend_from_slice(digits);
        }
        _ => {
            out.extend_from_slice(first);
            if !rest.is_empty() {
                out.push(b'.');
                out.extend_from_slice(rest);
            }
            let sign = if exponent < 0 { '-' } else { '+' };
            out.extend_from_slice(format!("e{sign}{:02}", exponent.unsigned_abs()).as_bytes());
        }
    }
}
