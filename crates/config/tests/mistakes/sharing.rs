//! `[sharing]`

use super::adding;

const RULE: &str = "[[cache]]\nwhen = { tables = [\"words\"] }\nttl = \"1s\"\n";

#[test]
fn what_gateways_share() {
    let sharing = |keys: &str| format!("{RULE}[sharing]\n{keys}\n");
    adding(&[
        (
            &sharing("store = \"fats\""),
            (14, 9, "\"fats\" isn't a Redis store", "did you mean \"fast\"? Redis stores: fast"),
        ),
        (&sharing("store = \"dyn\""), (14, 9, "\"dyn\" isn't a Redis store", "Redis stores: fast")),
        (
            &sharing("store = \"fast\"\nmax_lag = \"soon\""),
            (
                15,
                11,
                "\"soon\" isn't a duration",
                "write a number with its unit, such as 500ms, 5s or 1m",
            ),
        ),
        (
            &sharing("store = \"fast\"\ncompress_above = \"8kB\""),
            (15, 18, "`compress_above` without `answers`", "leave it out, or write answers = true"),
        ),
        (
            "[sharing]\nstore = \"fast\"\n",
            (
                10,
                1,
                "`sharing` without a cache rule",
                "what gateways share is for the answers that they keep: add a [[cache]] rule, or leave it out",
            ),
        ),
    ]);
}
