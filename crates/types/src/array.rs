//! One-dimensional arrays, as far as `column = ANY (array)` needs them: cut into their elements,
//! the elements not yet read.

use crate::oid;

/// The element type of an array type, for the types that a key can have.
#[must_use]
pub fn element_type(array: u32) -> Option<u32> {
    Some(match array {
        1000 => oid::BOOL,
        1001 => oid::BYTEA,
        1005 => oid::INT2,
        1007 => oid::INT4,
        1016 => oid::INT8,
        1003 => oid::NAME,
        1028 => oid::OID,
        1014 => oid::BPCHAR,
        651 => oid::CIDR,
        1040 => oid::MACADDR,
        1041 => oid::INET,
        1183 => oid::TIME,
        1009 => oid::TEXT,
        1015 => oid::VARCHAR,
        1021 => oid::FLOAT4,
        1022 => oid::FLOAT8,
        1115 => oid::TIMESTAMP,
        1182 => oid::DATE,
        1185 => oid::TIMESTAMPTZ,
        1231 => oid::NUMERIC,
        2951 => oid::UUID,
        _ => return None,
    })
}

/// The elements of an array in text (arrays-io): `None` for NULL. Declines what has more dimensions
/// or bounds of its own.
#[must_use]
pub fn text_elements(array: &str) -> Option<Vec<Option<String>>> {
    let inner = array.trim().strip_prefix('{')?.strip_suffix('}')?;
    let mut elements = Vec::new();
    let mut characters = inner.chars().peekable();
    if inner.trim().is_empty() {
        return Some(elements);
    }
    loop {
        while characters.next_if(|character| character.is_ascii_whitespace()).is_some() {}
        let mut element = String::new();
        let quoted = characters.next_if_eq(&'"').is_some();
        loop {
            match characters.peek().copied() {
                None | Some(',') if !quoted => break,
                Some('"') if quoted => {
                    characters.next();
                    break;
                }
                Some('\\') => {
                    characters.next();
                    element.push(characters.next()?);
                }
                None | Some('{' | '}' | '"') if !quoted || characters.peek().is_none() => {
                    return None;
                }
                Some(character) => {
                    characters.next();
                    element.push(character);
                }
                None => return None,
            }
        }
        if quoted {
            while characters.next_if(|character| character.is_ascii_whitespace()).is_some() {}
            elements.push(Some(element));
        } else {
            let plain = element.trim_end();
            // An unquoted element isn't empty.
            elements.push(match plain {
                "" => return None,
                null if null.eq_ignore_ascii_case("null") => None,
                _ => Some(plain.to_owned()),
            });
        }
        match characters.next() {
            None => return Some(elements),
            Some(',') => {}
            Some(_) => return None,
        }
    }
}

/// The element type and the elements of an array in binary (`array_send`): `None` for NULL.
/// Declines more than one dimension.
#[must_use]
pub fn binary_elements(array: &[u8]) -> Option<(u32, Vec<Option<&[u8]>>)> {
    let mut rest = array;
    let mut int = || {
        let (head, tail) = rest.split_first_chunk::<4>()?;
        rest = tail;
        Some(i32::from_be_bytes(*head))
    };
    let (dimensions, _has_nulls, element) = (int()?, int()?, int()?);
    let element = u32::from_ne_bytes(element.to_ne_bytes());
    if dimensions == 0 {
        return Some((element, Vec::new()));
    }
    if dimensions != 1 {
        return None;
    }
    let (count, _lower_bound) = (int()?, int()?);
    let mut elements = Vec::new();
    for _ in 0..count {
        let (head, tail) = rest.split_first_chunk::<4>()?;
        rest = tail;
        elements.push(match usize::try_from(i32::from_be_bytes(*head)) {
            Err(_) => None,
            Ok(length) => {
                let (value, tail) = rest.split_at_checked(length)?;
                rest = tail;
                Some(value)
            }
        });
    }
    rest.is_empty().then_some((element, elements))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_as_postgresql_cuts_it() {
        let some = |texts: &[&str]| {
            Some(texts.iter().map(|text| Some((*text).to_owned())).collect::<Vec<_>>())
        };
        assert_eq!(text_elements("{}"), some(&[]));
        assert_eq!(text_elements(" { 1 , 2 } "), some(&["1", "2"]));
        assert_eq!(
            text_elements("{a b,\"c,d\",\"e\\\"f\\\\\",\"\",\"NULL\"}"),
            some(&["a b", "c,d", "e\"f\\", "", "NULL"])
        );
        assert_eq!(text_elements("{1,NULL,null}"), Some(vec![Some("1".into()), None, None]));
        for declined in [
            "",
            "1",
            "{1",
            "{{1},{2}}",
            "[0:1]={1,2}",
            "{1,}",
            "{,1}",
            "{\"a\"b}",
            "{a\"b\"}",
            "{\"a}",
            "{a\\",
        ] {
            assert_eq!(text_elements(declined), None, "{declined}");
        }
    }

    #[test]
    fn binary_is_cut_and_never_read_past_its_end() {
        let ints = |values: &[i32]| {
            values.iter().flat_map(|value| value.to_be_bytes()).collect::<Vec<u8>>()
        };
        let one = ints(&[1, 1, 23, 3, 1, 4, 7, -1, 4, 9]);
        let (seven, nine) = (7_i32.to_be_bytes(), 9_i32.to_be_bytes());
        assert_eq!(
            binary_elements(&one),
            Some((23, vec![Some(&seven[..]), None, Some(&nine[..])]))
        );
        assert_eq!(binary_elements(&ints(&[0, 0, 25])), Some((25, vec![])));
        assert_eq!(binary_elements(&ints(&[2, 0, 23, 1, 1, 1, 1, 4, 7])), None);
        for end in 0..one.len() {
            assert_eq!(binary_elements(&one[..end]), None);
        }
        assert_eq!(binary_elements(&ints(&[1, 0, 23, i32::MAX, 1])), None);
    }
}
