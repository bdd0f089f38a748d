//! JSON as PostgreSQL prints `jsonb` (jsonb_util.c, jsonb.c): members by the length of their names,
//! then their bytes, the last of a name counts; numbers as `numeric` prints them; one blank after
//! `:` and `,`.

use serde_json::Value as Json;

/// The document as PostgreSQL would print it; as it is when it is nested too deeply to be read.
/// `None`: no jsonb.
pub(crate) fn canonical(document: &str) -> Option<String> {
    // What can't be built here is valid all the same: the caller has looked.
    let Ok(json) = serde_json::from_str::<Json>(document) else {
        return Some(document.to_owned());
    };
    let mut out = String::with_capacity(document.len());
    print(&json, &mut out)?;
    Some(out)
}

fn print(json: &Json, out: &mut String) -> Option<()> {
    match json {
        Json::Null | Json::Bool(_) | Json::String(_) => out.push_str(&json.to_string()),
        Json::Number(number) => out.push_str(&plain_number(number.as_str())?),
        Json::Array(items) => {
            out.push('[');
            for (position, item) in items.iter().enumerate() {
                if position > 0 {
                    out.push_str(", ");
                }
                print(item, out)?;
            }
            out.push(']');
        }
        Json::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by(|(a, _), (b, _)| (a.len(), a.as_bytes()).cmp(&(b.len(), b.as_bytes())));
            out.push('{');
            for (position, (name, member)) in members.into_iter().enumerate() {
                if position > 0 {
                    out.push_str(", ");
                }
                out.push_str(&Json::from(name.as_str()).to_string());
                out.push_str(": ");
                print(member, out)?;
            }
            out.push('}');
        }
    }
    Some(())
}

/// The most digits before the point, and after it, that `numeric` holds (datatype-numeric).
const DIGITS: (usize, usize) = (131_072, 16_383);

/// A JSON number without exponent and without the sign of a zero, all its digits kept: `1.50e1` is
/// `15.0`. `None`: no `numeric` holds it.
pub(crate) fn plain_number(number: &str) -> Option<String> {
    let (negative, rest) = number.strip_prefix('-').map_or((false, number), |rest| (true, rest));
    let (mantissa, exponent) = rest.split_once(['e', 'E']).unwrap_or((rest, "0"));
    let exponent: i64 =
        exponent.parse().ok().filter(|exponent: &i64| exponent.unsigned_abs() < 200_000)?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let point = i64::try_from(whole.len()).ok()? + exponent;
    let scale = usize::try_from((i64::try_from(fraction.len()).ok()? - exponent).max(0)).ok()?;
    let (whole, fraction) = match usize::try_from(point) {
        Ok(point) if point >= digits.len() => {
            (digits.clone() + &"0".repeat(point - digits.len()), String::new())
        }
        Ok(point) => (digits[..point].to_owned(), digits[point..].to_owned()),
        Err(_) => (String::new(), "0".repeat(usize::try_from(-point).ok()?) + &digits),
    };
    let whole = whole.trim_start_matches('0');
    if whole.len() > DIGITS.0 || scale > DIGITS.1 {
        return None;
    }
    let is_zero = whole.is_empty() && fraction.bytes().all(|digit| digit == b'0');
    let mut out = String::from(if negative && !is_zero { "-" } else { "" });
    out.push_str(if whole.is_empty() { "0" } else { whole });
    if !fraction.is_empty() {
        out.push('.');
        out.push_str(&fraction);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_postgresql_prints_it() {
        for (written, printed) in [
            (r#"{"bb":1,"c":{"y":[]},"a":{},"bb":2}"#, r#"{"a": {}, "c": {"y": []}, "bb": 2}"#),
            (
                r#"[1e2, -0, 1.50E1,0.10e-2,-12e-1 ,1.0, 12345678901234567890.5]"#,
                "[100, 0, 15.0, 0.0010, -1.2, 1.0, 12345678901234567890.5]",
            ),
            (r#" "\u00e9\/\u001f\n" "#, r#""é/\u001f\n""#),
            ("-0.00", "0.00"),
            ("1e-3", "0.001"),
            ("null", "null"),
        ] {
            assert_eq!(canonical(written).as_deref(), Some(printed), "{written}");
            assert_eq!(canonical(printed).as_deref(), Some(printed), "{printed} again");
        }
        assert_eq!(canonical("1e200000"), None);
        assert_eq!(canonical("[1e-20000]"), None);
        assert_eq!(canonical("1e-9223372036854775808"), None);
        let deep = "[".repeat(1000) + &"]".repeat(1000);
        assert_eq!(canonical(&deep).as_deref(), Some(deep.as_str()));
    }
}
