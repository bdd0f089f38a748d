//! `numeric`'s binary format: four 16-bit numbers (count of groups, weight of the first group,
//! sign, digits after the point), then the groups, each of four decimal digits.

use std::{fmt::Write as _, ops::Range};

use crate::{
    Value,
    decimal::{self, Decimal, INFINITY, Modifier, NAN, NEGATIVE_INFINITY},
};

const POSITIVE: u16 = 0;
const NEGATIVE: u16 = 0x4000;
const SIGN_NAN: u16 = 0xc000;
const SIGN_INFINITY: u16 = 0xd000;
const SIGN_NEGATIVE_INFINITY: u16 = 0xf000;
/// What PostgreSQL sends there for the infinities: bits of their sign, which its reader ignores.
const DIGITS_AFTER_INFINITY: u16 = 0x20;

/// Decimal digits of a group.
const GROUP: usize = 4;

/// Groups without a digit say nothing: PostgreSQL strips them, and so may a sender or not. Digits
/// that the stated count of digits after the point would hide are declined, for PostgreSQL cuts
/// them off.
pub(super) fn decode(bytes: &[u8], modifier: Modifier) -> Option<Value> {
    let (words, odd) = bytes.as_chunks();
    let (header, groups) = words.split_first_chunk()?;
    let [count, weight, sign, digits_after] = header.map(u16::from_be_bytes);
    let group_at =
        |position: usize| groups.get(position).map_or(0, |group| u16::from_be_bytes(*group));
    if !odd.is_empty()
        || groups.len() != usize::from(count)
        || (0..groups.len()).any(|position| group_at(position) > 9_999)
    {
        return None;
    }
    let digits_after = usize::from(digits_after);
    if digits_after > decimal::MAX_FRACTION {
        return None;
    }
    let name = match sign {
        POSITIVE | NEGATIVE => None,
        SIGN_NAN => Some(NAN),
        SIGN_INFINITY => Some(INFINITY),
        SIGN_NEGATIVE_INFINITY => Some(NEGATIVE_INFINITY),
        _ => return None,
    };
    if let Some(name) = name {
        return decimal::read(name, modifier);
    }

    // Lengths follow from `weight` and `digits_after`, 16 bits each, and never from the count.
    let groups_before = i64::from(weight.cast_signed()) + 1;
    let groups_shown = groups_before + i64::try_from(digits_after.div_ceil(GROUP)).ok()?;
    let digits = |positions: Range<i64>| {
        positions.fold(String::new(), |mut digits, position| {
            let group = usize::try_from(position).map_or(0, group_at);
            let _ = write!(digits, "{group:04}"); // writing to a String can't fail
            digits
        })
    };
    let whole = digits(0..groups_before);
    let fraction = digits(groups_before..groups_shown);
    let (fraction, hidden_digits) = fraction.split_at(digits_after);
    let first_hidden = usize::try_from(groups_shown).unwrap_or(0);
    if hidden_digits.bytes().any(|digit| digit != b'0')
        || (first_hidden..groups.len()).any(|position| group_at(position) != 0)
    {
        return None;
    }
    Decimal { negative: sign == NEGATIVE, whole: &whole, fraction }
        .canonical(modifier)
        .map(Value::Numeric)
}

/// False, and nothing appended, when `text` is no `numeric` in canonical form.
pub(super) fn encode(text: &str, out: &mut Vec<u8>) -> bool {
    let special = match text {
        NAN => Some((SIGN_NAN, 0)),
        INFINITY => Some((SIGN_INFINITY, DIGITS_AFTER_INFINITY)),
        NEGATIVE_INFINITY => Some((SIGN_NEGATIVE_INFINITY, DIGITS_AFTER_INFINITY)),
        _ => None,
    };
    if let Some((sign, digits_after)) = special {
        push_words(out, &[0, 0, sign, digits_after]);
        return true;
    }
    encode_number(text, out).is_some()
}

fn encode_number(text: &str, out: &mut Vec<u8>) -> Option<()> {
    let number = Decimal::parse(text)?;
    let whole = number.whole.as_bytes();
    let fraction = number.fraction.as_bytes();
    let digits_after = u16::try_from(fraction.len()).ok()?;

    // The point falls between two groups, so the first and the last may be short.
    let (short, full) = whole.split_at(whole.len() % GROUP);
    let before = std::iter::once(short)
        .filter(|group| !group.is_empty())
        .chain(full.chunks(GROUP))
        .map(|group| value(group, 0));
    let after = fraction.chunks(GROUP).map(|group| value(group, GROUP - group.len()));
    let groups: Vec<u16> = before.chain(after).collect();

    let leading_zeros = groups.iter().take_while(|&&group| group == 0).count();
    let significant = &groups[leading_zeros..];
    let trailing_zeros = significant.iter().rev().take_while(|&&group| group == 0).count();
    let significant = &significant[..significant.len() - trailing_zeros];

    let (weight, sign) = if significant.is_empty() {
        (0, POSITIVE)
    } else {
        let groups_before = i32::try_from(whole.len().div_ceil(GROUP)).ok()?;
        let weight = groups_before - 1 - i32::try_from(leading_zeros).ok()?;
        (i16::try_from(weight).ok()?, if number.negative { NEGATIVE } else { POSITIVE })
    };
    let count = u16::try_from(significant.len()).ok()?;
    push_words(out, &[count, weight.cast_unsigned(), sign, digits_after]);
    push_words(out, significant);
    Some(())
}

/// The number that up to four digits and some zeros after them make.
fn value(digits: &[u8], zeros_after: usize) -> u16 {
    let zeros = std::iter::repeat_n(&b'0', zeros_after);
    digits.iter().chain(zeros).fold(0, |number, digit| number * 10 + u16::from(digit - b'0'))
}

fn push_words(out: &mut Vec<u8>, words: &[u16]) {
    out.extend(words.iter().flat_map(|word| word.to_be_bytes()));
}
