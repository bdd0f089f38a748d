//! The proleptic Gregorian calendar, in days since 2000-01-01 and astronomical years (0 is 1 BC, −1
//! is 2 BC).

/// Days from 0000-03-01, where the arithmetic's eras begin, to 2000-01-01.
const ERA_OFFSET: i64 = 730_425;
const DAYS_PER_ERA: i64 = 146_097;

/// The first day of PostgreSQL's calendar, 4714-11-24 BC: Julian day 0.
pub(crate) const MIN_DAY: i64 = -2_451_545;
/// The day after `date`'s last, 5874897-12-31.
pub(crate) const END_DAY: i64 = 2_145_031_949;

pub(crate) const MICROS_PER_SECOND: i64 = 1_000_000;
pub(crate) const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;

/// The days that a `date` may hold, its infinities aside.
pub(crate) fn is_valid_date(days: i64) -> bool {
    (MIN_DAY..END_DAY).contains(&days)
}

/// The microseconds that a `timestamptz` may hold, its infinities aside: to the end of the year
/// 294276 in UTC.
pub(crate) fn is_valid_timestamp(micros: i64) -> bool {
    const END: i64 = 9_223_371_331_200_000_000;
    (MIN_DAY * MICROS_PER_DAY..END).contains(&micros)
}

/// The day of a date; `None` when there is no such month or day.
pub(crate) fn day_number(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=length).contains(&day) {
        return None;
    }
    // Years begin in March here, so that the leap day is a year's last.
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * DAYS_PER_ERA + day_of_era - ERA_OFFSET)
}

/// Year, month and day of a day.
pub(crate) fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + ERA_OFFSET;
    let (era, day_of_era) = (days.div_euclid(DAYS_PER_ERA), days.rem_euclid(DAYS_PER_ERA));
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = (march_month + 2) % 12 + 1;
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_days() {
        for (date, days) in [
            ((2000, 1, 1), 0),
            ((1999, 12, 31), -1),
            ((2000, 3, 1), 60),
            ((1970, 1, 1), -10_957),
            ((-4713, 11, 24), MIN_DAY),
            ((5_874_897, 12, 31), END_DAY - 1),
        ] {
            assert_eq!(day_number(date.0, date.1, date.2), Some(days), "{date:?}");
            assert_eq!(date_of(days), date);
        }
        for (year, month, day) in [
            (2026, 2, 29),
            (1900, 2, 29),
            (2026, 0, 1),
            (2026, 13, 1),
            (2026, 4, 31),
            (2026, 1, 0),
            (2026, 1, 32),
        ] {
            assert_eq!(day_number(year, month, day), None);
        }
        assert!(day_number(2000, 2, 29).is_some() && day_number(-4, 2, 29).is_some());
    }

    #[test]
    fn every_day_of_some_eras() {
        for days in -400_000..400_000 {
            let (year, month, day) = date_of(days);
            assert_eq!(day_number(year, month, day), Some(days));
        }
    }
}
