//! Keys as bytes: equal keys have equal bytes, and byte order is PostgreSQL's order of the values
//! (text: the order of collation "C").

use crate::Value;

/// The values as one byte string whose order is the columns' order.
///
/// Integers, dates and timestamps are big-endian with the sign bit flipped; numerics carry sign,
/// magnitude and digits; text and bytea are closed by `00 00` with inner zero bytes as `00 ff`, so
/// that a prefix sorts first.
#[must_use]
pub fn encode(values: &[Value]) -> Vec<u8> {
    let mut out = Vec::with_capacity(values.len() * 9);
    for value in values {
        encode_one(value, &mut out);
    }
    out
}

fn encode_one(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.push(0xff), // NULLS LAST, PostgreSQL's default
        Value::Bool(flag) => out.push(u8::from(*flag)),
        Value::Int(number) => out.extend_from_slice(&flip(*number)),
        Value::Timestamp(micros) | Value::Timestamptz(micros) => {
            out.extend_from_slice(&flip(*micros))
        }
        Value::Time(micros) => out.extend_from_slice(&flip(*micros)),
        Value::Date(days) => out.extend_from_slice(&flip(i64::from(*days))),
        Value::Uuid(uuid) => out.extend_from_slice(uuid.as_bytes()),
        Value::Numeric(digits) => encode_numeric(digits, out),
        Value::Text(text) | Value::Json(text) | Value::Other(text) => {
            encode_bytes(text.as_bytes(), out)
        }
        // Compared without the blanks at their end (varchar.c, `bpcharcmp`).
        Value::Bpchar(text) => encode_bytes(text.trim_end_matches(' ').as_bytes(), out),
        Value::Bytea(bytes) => encode_bytes(bytes, out),
        Value::Float4(number) => out.extend_from_slice(&flip_float(f64::from(*number))),
        Value::Float8(number) => out.extend_from_slice(&flip_float(*number)),
    }
}

fn flip(number: i64) -> [u8; 8] {
    (number.cast_unsigned() ^ (1 << 63)).to_be_bytes()
}

fn flip_float(number: f64) -> [u8; 8] {
    let bits = number.to_bits();
    let ordered = if bits >> 63 == 1 { !bits } else { bits | (1 << 63) };
    ordered.to_be_bytes()
}

fn encode_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    for &byte in bytes {
        out.push(byte);
        if byte == 0 {
            out.push(0xff);
        }
    }
    out.extend_from_slice(&[0, 0]);
}

/// Class (−∞ < negative < zero < positive < ∞ < NaN), then the number of digits before the point,
/// then the digits; both inverted for negative numbers.
fn encode_numeric(text: &str, out: &mut Vec<u8>) {
    let class = match text {
        "-Infinity" => 0,
        "Infinity" => 4,
        "NaN" => 5,
        _ => {
            let (negative, digits) =
                text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
            let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
            let whole = whole.trim_start_matches('0');
            let fraction = fraction.trim_end_matches('0');
            if whole.is_empty() && fraction.is_empty() {
                2
            } else {
                let leading_zeros = if whole.is_empty() {
                    fraction.len() - fraction.trim_start_matches('0').len()
                } else {
                    0
                };
                let magnitude =
                    if whole.is_empty() { -(leading_zeros as i64) } else { whole.len() as i64 };
                let significant = [whole, &fraction[leading_zeros..]].concat();
                let significant = significant.trim_end_matches('0');
                let invert = if negative { 0xff } else { 0 };
                out.push(if negative { 1 } else { 3 });
                out.extend(flip(magnitude).iter().map(|byte| byte ^ invert));
                out.extend(significant.bytes().map(|byte| byte ^ invert));
                out.push(invert);
                return;
            }
        }
    };
    out.push(class);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(values: &[Value]) -> bool {
        values.windows(2).all(|pair| encode(&pair[..1]) < encode(&pair[1..]))
    }

    #[test]
    fn byte_order_is_value_order() {
        let numerics = [
            "-Infinity",
            "-123.4",
            "-123",
            "-12.99",
            "-0.5",
            "-0.05",
            "0",
            "0.05",
            "0.5",
            "1",
            "9.99",
            "10",
            "100",
            "123.4",
            "Infinity",
            "NaN",
        ];
        assert!(sorted(&numerics.map(|text| Value::Numeric(text.into()))));
        assert!(sorted(&[i64::MIN, -2, -1, 0, 1, i64::MAX].map(Value::Int)));
        assert!(sorted(
            &["", "\0", "\0\0", "a", "a\0", "ab", "b"].map(|text| Value::Text(text.into()))
        ));
        assert!(sorted(&["  ", "a  ", "a\u{1} ", "ab "].map(|text| Value::Bpchar(text.into()))));
        assert!(sorted(
            &[f64::NEG_INFINITY, -1.5, 0.0, 1e-300, 2.0, f64::INFINITY].map(Value::Float8)
        ));
        assert_eq!(
            encode(&[Value::Numeric("1.50".into())]),
            encode(&[Value::Numeric("1.5".into())])
        );
    }
}
