//! Each type with its inputs: chosen ones, and such as patterns make.

use flywheel_types::{TypeInfo, Value, oid, text};
use proptest::{
    prelude::*, strategy::ValueTree as _, string::string_regex, test_runner::TestRunner,
};

pub(crate) const SAMPLES: usize = 3_000;

/// A type, the function that sends it, and inputs for it.
pub(crate) struct Case {
    pub(crate) ty: TypeInfo,
    pub(crate) send: &'static str,
    pub(crate) inputs: Vec<String>,
}

fn case(type_oid: u32, name: &str, send: &'static str, inputs: Vec<String>) -> Case {
    Case { ty: TypeInfo::new(type_oid, -1, name), send, inputs }
}

fn modified(typmod: i32, case: Case) -> Case {
    Case { ty: TypeInfo::new(case.ty.oid, typmod, case.ty.name), ..case }
}

fn numeric(precision: i32, scale: i32, inputs: Vec<String>) -> Case {
    let typmod = ((precision << 16) | (scale & 0x7ff)) + 4;
    modified(
        typmod,
        case(oid::NUMERIC, &format!("numeric({precision},{scale})"), "numeric_send", inputs),
    )
}

/// The given inputs, then pseudo-random ones that match the patterns; the same ones on every run.
fn inputs(given: &[&str], patterns: &[&str]) -> Vec<String> {
    let mut inputs: Vec<String> = given.iter().map(ToString::to_string).collect();
    for pattern in patterns {
        inputs.extend(samples(string_regex(pattern).expect("a pattern")));
    }
    inputs
}

pub(crate) fn samples<T: std::fmt::Debug>(
    strategy: impl Strategy<Value = T>,
) -> impl Iterator<Item = T> {
    let mut runner = TestRunner::deterministic();
    (0..SAMPLES).map(move |_| strategy.new_tree(&mut runner).expect("a sample").current())
}

fn singles() -> Vec<String> {
    let mut inputs = inputs(
        &[
            "0",
            "-0",
            "NaN",
            "inf",
            "Infinity",
            "-infinity",
            "3.4028235e38",
            "3.4028236e38",
            "1e39",
            "1e-45",
            "7e-46",
            "1e-46",
            "0x1p3",
            "1e",
            ".",
        ],
        &["[ ]?[-+]?[0-9]{0,9}\\.?[0-9]{0,9}([eE][-+]?[0-9]{1,2})?"],
    );
    inputs.extend(samples(any::<u32>()).map(|bits| format!("{:e}", f32::from_bits(bits))));
    // large, where digits lie midway between two numbers, and halves and quarters, where digits are
    // equally near
    inputs.extend(samples(24..60_u32).zip(samples(any::<u32>())).map(|(power, bits)| {
        (2_f32.powi(power.cast_signed()) * (1.0 + f32::from_bits(bits >> 9 | 127 << 23).fract()))
            .to_string()
    }));
    inputs.extend(
        samples(any::<u32>())
            .map(|bits| (f64::from(bits >> 8) / f64::from(1 << (bits & 7))).to_string()),
    );
    inputs.extend((-149..128).map(|power| 2_f32.powi(power).to_string()));
    inputs
}

fn doubles() -> Vec<String> {
    let mut inputs = inputs(
        &[
            "0",
            "-0",
            "NaN",
            "inf",
            "Infinity",
            "-infinity",
            "1e23",
            "1e22",
            "5e-324",
            "2e-324",
            "1.7976931348623157e308",
            "1e309",
            "1e-400",
            "0e999",
            "123456789012345",
            "1234567890123456",
            "0.0001",
            "0.00001",
        ],
        &[
            "[ ]?[-+]?[0-9]{0,20}\\.?[0-9]{0,20}([eE][-+]?[0-9]{1,3})?",
            "[1-9][0-9]{15,16}(\\.(25|5|75|125|375|625|875))?",
            "[1-9][0-9]{13,14}(\\.(25|5|75|125|375|625|875))",
        ],
    );
    inputs.extend(samples(any::<u64>()).map(|bits| format!("{:e}", f64::from_bits(bits))));
    inputs.extend(samples(53..130_u32).zip(samples(any::<u64>())).map(|(power, bits)| {
        (2_f64.powi(power.cast_signed()) * (1.0 + f64::from_bits(bits >> 12 | 1023 << 52).fract()))
            .to_string()
    }));
    inputs.extend((-1074..1024).map(|power| 2_f64.powi(power).to_string()));
    inputs.extend((-30..60).map(|power| format!("1e{power}")));
    inputs
}

fn decimals() -> Vec<String> {
    let mut inputs = inputs(
        &[
            "0",
            "-0",
            "-0.00",
            ".5",
            "5.",
            ".",
            "",
            "+1",
            "NaN",
            "nan",
            "Infinity",
            "-infinity",
            "inf",
            "99999999.99",
            "99999999.995",
            "999.999",
            "0.00123",
            "0.01",
            "123400",
            "123456",
            "0.000012",
            "1e5",
            "100000000",
        ],
        &[
            "[ ]?[-+]?[0-9]{0,12}(\\.[0-9]{0,8})?",
            "-?0{0,5}[0-9]{0,60}\\.0{0,9}[0-9]{0,60}0{0,9}",
            "[1-9][0-9]{0,4}00",
            "-?0?\\.00[0-9]{0,3}0{0,3}",
        ],
    );
    inputs.push("9".repeat(131_072));
    inputs.push("9".repeat(131_073));
    inputs.push(format!("0.{}1", "0".repeat(16_382)));
    inputs.push(format!("0.{}1", "0".repeat(16_383)));
    inputs
}

fn timestamps() -> Vec<String> {
    let mut inputs = inputs(
        &[
            "infinity",
            "-infinity",
            "Infinity",
            "epoch",
            "294276-12-31 23:59:59.999999+00",
            "294277-01-01 00:00:00+00",
            "4714-11-24 00:00:00+00 BC",
            "4714-11-23 23:59:59+00 BC",
            "0001-01-01 00:00:00+01",
            "0000-01-01 00:00:00Z",
            "2026-01-02 24:00:00+00",
            "2026-01-02 23:59:60Z",
            "2026-01-02 03:04:05.9999999+00",
            "2026-01-02",
            "0044-03-15T12:00:00Z BC",
            "12026-01-02T03:04Z",
            "2026-01-02 03:04:05+15:59:59",
            "2026-01-02 03:04:05-15:59:59",
            "2026-01-02 03:04:05+16",
        ],
        &[
            "[0-9]{4}-(0[1-9]|1[0-2])-[0-3][0-9][ T][0-2][0-9]:[0-5][0-9](:[0-6][0-9](\\.[0-9]{1,7})?)?([-+][01][0-9]((:?[0-6][0-9])|(:[0-5][0-9]:[0-5][0-9]))?|Z|z)( BC)?",
            "[0-9]{3,7}-[0-9]{1,2}-[0-9]{1,2}[ T][0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}([-+][0-9]{1,4}|Z)( BC)?",
        ],
    );
    inputs.extend(
        samples(-211_813_488_000_000_000..9_223_371_331_200_000_000_i64)
            .map(|micros| printed(&Value::Timestamptz(micros))),
    );
    inputs.extend(
        samples(-100_000_000_000_000_000..1_000_000_000_000_000_i64)
            .map(|micros| printed(&Value::Timestamptz(micros))),
    );
    inputs
}

/// With a zone, which PostgreSQL leaves out, and without one.
fn local_timestamps() -> Vec<String> {
    let zoned = timestamps().into_iter();
    let local = |input: String| {
        let bare = input.replace("+00", "").replace('Z', "");
        [bare.replace(".5", ""), bare, input]
    };
    zoned.flat_map(local).collect()
}

/// Of a precision. PostgreSQL rounds the last moment of its range to one that it doesn't read.
fn rounded(digits: i32, mut case: Case) -> Case {
    case.inputs.retain(|input| !input.starts_with("294276-12-31 23:59:59.9"));
    modified(digits, case)
}

fn dates() -> Vec<String> {
    let mut inputs = inputs(
        &[
            "infinity",
            "-infinity",
            "5874897-12-31",
            "5874898-01-01",
            "4714-11-24 BC",
            "4714-11-23 BC",
            "0001-01-01 BC",
            "0000-01-01",
            "0005-02-29 BC",
            "1900-02-29",
            "2000-02-29",
            "today",
        ],
        &["[0-9]{4,7}-[01][0-9]-[0-3][0-9]( BC)?", "[0-9]{1,4}-[0-9]{1,2}-[0-9]{1,2}"],
    );
    inputs.extend(samples(-2_451_545..2_145_031_949_i32).map(|days| printed(&Value::Date(days))));
    inputs.extend(samples(-1_000_000..1_000_000_i32).map(|days| printed(&Value::Date(days))));
    inputs
}

fn blanks() -> Vec<String> {
    inputs(&["", " a ", "a", "é  "], &["[ab\u{e9}\u{1}]{0,5}[ ]{0,3}"])
}

fn times() -> Vec<String> {
    inputs(
        &["24:00", "24:00:00", "24:00:00.1", "23:59:59.9999999", "23:59:60", "allballs", ""],
        &[
            "[ ]?[0-2][0-9]:[0-6][0-9](:[0-6][0-9](\\.[0-9]{1,7})?)?(\\+0[0-9])?",
            "[0-9]{1,2}:[0-9]{1,2}(:[0-9]{1,2})?( PM)?",
        ],
    )
}

fn hardware_addresses() -> Vec<String> {
    inputs(
        &["08002b010203", "0800.2b01.0203", "08-00-2b-01-02-03", "8:0:2b:1:2:3"],
        &["[0-9a-f]{2}(:[0-9a-f]{2}){5}", "[0-9A-F]{2}(:[0-9A-F]{2}){4,5}"],
    )
}

/// Networks and hosts, of both versions.
fn addresses() -> Vec<String> {
    let mut inputs = inputs(
        &["::", "::1", "::ffff:1.2.3.4", "::1.2.3.4", "::ffff", "10", "10.1", "1.2.3.4/32"],
        &[
            "[12]?[0-9]?[0-9](\\.[12]?[0-9]?[0-9]){3}(/[0-3]?[0-9])?",
            "(0|1|ab|ffff)(:(0|0|0|1|ab|ffff)){7}(/[0-9]{1,3})?",
            "::(ffff:)?(0|1|ab):[0-9]{1,3}(/128|/64)?",
            "(0:){5}(0|ffff|1):[0-9]{1,3}:[0-9]{1,3}(/128|/64)?",
        ],
    );
    // With no bit to the right of the network's, as a `cidr` must be.
    inputs.extend(samples(any::<(u32, u8)>()).map(|(address, bits)| {
        let bits = u32::from(bits % 33);
        let network = u64::from(address) >> (32 - bits) << (32 - bits);
        format!("{}/{bits}", std::net::Ipv4Addr::from(u32::try_from(network).unwrap_or(0)))
    }));
    inputs.extend(samples(any::<(u128, u8)>()).map(|(address, bits)| {
        let bits = u32::from(bits % 129);
        let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
        format!("{}/{bits}", std::net::Ipv6Addr::from(address & mask))
    }));
    inputs
}

pub(crate) fn cases() -> Vec<Case> {
    let integers = inputs(
        &[
            "32767",
            "32768",
            "-32768",
            "-32769",
            "2147483647",
            "2147483648",
            "-2147483648",
            "9223372036854775807",
            "9223372036854775808",
            "-9223372036854775808",
            "-0",
            "+1",
            " 1 ",
            "\u{b}1",
            "",
            "-",
            "1.0",
            "1e2",
        ],
        &["[ ]?[-+]?[0-9]{1,5}", "[-+]?[0-9]{1,20}[ \n]?"],
    );
    let texts = inputs(&["", " ", "abc  ", "é", "日本語テキスト", "\u{10ffff}"], &["[^\0]{0,8}"]);
    let uuids = inputs(
        &[
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
            "{A0EEBC999C0B4EF8BB6D6BB9BD380A11}",
            " a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        ],
        &[
            "\\{?[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\\}?",
            "([0-9a-f]{4}-?){8}",
            "([0-9a-f]{4}-?){7}[0-9a-f]{4}",
            "([0-9a-f]{2}-?){16}",
        ],
    );
    let documents = inputs(
        &[
            "{}",
            "[]",
            "null",
            "\"\\u00e9\\n\"",
            " { \"b\" : 1, \"a\" : [1.50, 1e3, true, null, \"x\"] , \"b\" : 2 } ",
            "{\"a\":{\"b\":{}}}",
            "1.0",
            "{",
            "",
        ],
        &[
            "\\[(-?[1-9][0-9]{0,6}(\\.[0-9]{1,4})?)(, ?\"[a-zé]{0,5}\"){0,3}\\]",
            "\\{\"[a-z]{0,3}\": ?[0-9]{1,3}\\}",
        ],
    );
    vec![
        case(
            oid::BOOL,
            "boolean",
            "boolsend",
            inputs(
                &["t", " TRUE ", "of", "o", "on", "yes", "1", "01", ""],
                &["[ ]?(t|T)?r?u?E?", "[01falsetrueyesnoffON]{0,5}"],
            ),
        ),
        case(oid::INT2, "smallint", "int2send", integers.clone()),
        case(oid::INT4, "integer", "int4send", integers.clone()),
        case(oid::INT8, "bigint", "int8send", integers),
        case(oid::FLOAT4, "real", "float4send", singles()),
        case(oid::FLOAT8, "double precision", "float8send", doubles()),
        case(oid::NUMERIC, "numeric", "numeric_send", decimals()),
        numeric(10, 2, decimals()),
        numeric(5, 0, decimals()),
        numeric(3, 5, decimals()),
        numeric(3, -2, decimals()),
        numeric(200, 100, decimals()),
        case(oid::TEXT, "text", "textsend", texts.clone()),
        case(oid::VARCHAR, "varchar", "varcharsend", texts.clone()),
        modified(5 + 4, case(oid::VARCHAR, "varchar(5)", "varcharsend", texts)),
        case(oid::UUID, "uuid", "uuid_send", uuids),
        case(oid::TIMESTAMPTZ, "timestamptz", "timestamptz_send", timestamps()),
        rounded(3, case(oid::TIMESTAMPTZ, "timestamptz(3)", "timestamptz_send", timestamps())),
        case(oid::TIMESTAMP, "timestamp", "timestamp_send", local_timestamps()),
        rounded(0, case(oid::TIMESTAMP, "timestamp(0)", "timestamp_send", local_timestamps())),
        rounded(6, case(oid::TIMESTAMP, "timestamp(6)", "timestamp_send", local_timestamps())),
        case(oid::DATE, "date", "date_send", dates()),
        case(oid::JSON, "json", "json_send", documents.clone()),
        case(oid::JSONB, "jsonb", "jsonb_send", documents),
        case(
            oid::BYTEA,
            "bytea",
            "byteasend",
            inputs(
                &["", "\\x", "\\x 00", "\\xde ad", "\\xabc", "abc", "\\000", "\\\\"],
                &["\\\\x([0-9a-fA-F]{2}){0,40}", "\\\\x[0-9a-g ]{0,8}"],
            ),
        ),
        case(oid::BPCHAR, "bpchar", "bpcharsend", blanks()),
        modified(3 + 4, case(oid::BPCHAR, "char(3)", "bpcharsend", blanks())),
        case(oid::TIME, "time", "time_send", times()),
        modified(2, case(oid::TIME, "time(2)", "time_send", times())),
        case(oid::OID, "oid", "oidsend", inputs(&["010", "0x1f"], &["[ ]?-?[0-9]{1,11}"])),
        case(oid::NAME, "name", "namesend", inputs(&["", " a "], &["[^\0]{0,8}", "[a-c]{60,66}"])),
        case(oid::MACADDR, "macaddr", "macaddr_send", hardware_addresses()),
        case(oid::INET, "inet", "inet_send", addresses()),
        case(oid::CIDR, "cidr", "cidr_send", addresses()),
    ]
}

pub(crate) fn printed(value: &Value) -> String {
    let mut out = Vec::new();
    text::encode(value, &mut out);
    String::from_utf8(out).expect("UTF-8")
}
