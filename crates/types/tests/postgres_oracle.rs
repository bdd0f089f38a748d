//! Compares both formats with a real PostgreSQL, named by `FLYWHEEL_TEST_POSTGRES` (a libpq URL);
//! without it nothing is tested.

use std::error::Error;

use bytes::BytesMut;
use flywheel_types::{TypeInfo, Value, binary, oid, text};
use proptest::{
    prelude::*, strategy::ValueTree as _, string::string_regex, test_runner::TestRunner,
};
use tokio_postgres::{
    Client, NoTls,
    types::{IsNull, ToSql, Type, to_sql_checked},
};

const SAMPLES: usize = 3_000;

/// The settings that `text::encode` prints under.
const CANONICAL: &str = "SET TimeZone = 'UTC'; SET DateStyle = 'ISO'; SET bytea_output = 'hex'; SET extra_float_digits = 1";
/// Settings that no reading may depend on.
const FOREIGN: &str = "SET TimeZone = 'Asia/Kolkata'; SET DateStyle = 'SQL, DMY'; SET bytea_output = 'escape'; SET extra_float_digits = -3";

/// What PostgreSQL makes of an input, both results NULL when it refuses it.
const FUNCTION: &str = "CREATE FUNCTION pg_temp.read(type text, send text, input text, OUT printed text, OUT sent bytea)
    LANGUAGE plpgsql AS $$
    BEGIN
        EXECUTE format('SELECT format(''%%s'', v), %s(v) FROM (SELECT $1::%s AS v) AS s', send, type) USING input INTO printed, sent;
    EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
    END $$";

async fn connect(settings: &str) -> Option<Client> {
    let url = std::env::var("FLYWHEEL_TEST_POSTGRES")
        .expect("FLYWHEEL_TEST_POSTGRES: ./test starts the server and sets it");
    let (client, connection) =
        tokio_postgres::connect(&url, NoTls).await.expect("PostgreSQL is reachable");
    tokio::spawn(connection);
    client.batch_execute(settings).await.expect("settings");
    client.batch_execute(FUNCTION).await.expect("a temporary function");
    Some(client)
}

/// A type, the function that sends it, and inputs for it.
struct Case {
    ty: TypeInfo,
    send: &'static str,
    inputs: Vec<String>,
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

fn samples<T: std::fmt::Debug>(strategy: impl Strategy<Value = T>) -> impl Iterator<Item = T> {
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

fn cases() -> Vec<Case> {
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

fn printed(value: &Value) -> String {
    let mut out = Vec::new();
    text::encode(value, &mut out);
    String::from_utf8(out).expect("UTF-8")
}

fn sent(ty: &TypeInfo, value: &Value) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    binary::encode(ty, value, &mut out).then_some(out)
}

/// What PostgreSQL prints and sends for each input; `None` where it refuses it.
async fn ask(client: &Client, case: &Case) -> Vec<Option<(String, Vec<u8>)>> {
    let query = "SELECT r.printed, r.sent FROM unnest($3::text[]) WITH ORDINALITY AS i(input, n), LATERAL pg_temp.read($1, $2, i.input) AS r ORDER BY i.n";
    let rows =
        client.query(query, &[&case.ty.name, &case.send, &case.inputs]).await.expect("an answer");
    rows.iter().map(|row| row.get::<_, Option<String>>(0).zip(row.get(1))).collect()
}

#[tokio::test]
async fn both_formats_are_postgresqls() {
    let Some(client) = connect(CANONICAL).await else { return };
    for case in cases() {
        let ty = &case.ty;
        let mut read = 0;
        let answers = ask(&client, &case).await;
        assert_eq!(answers.len(), case.inputs.len());
        for (input, answer) in case.inputs.iter().zip(&answers) {
            let context = format!("{} {input:?}", ty.name);
            if let Some(value) = text::decode(ty, input) {
                let (printed_there, sent_there) = answer
                    .as_ref()
                    .unwrap_or_else(|| panic!("{context}: refused, read as {value:?}"));
                assert_eq!(&printed(&value), printed_there, "{context}");
                assert_eq!(sent(ty, &value).as_ref(), Some(sent_there), "{context}");
                read += 1;
            }
            if let Some((printed_there, sent_there)) = answer {
                let value = text::decode_canonical(ty, printed_there)
                    .unwrap_or_else(|| panic!("{context}: {printed_there} isn't read"));
                assert_eq!(&printed(&value), printed_there, "{context}");
                assert_eq!(sent(ty, &value).as_ref(), Some(sent_there), "{context}");
                let back = binary::decode(ty, sent_there)
                    .unwrap_or_else(|| panic!("{context}: {sent_there:?} isn't read"));
                assert_eq!(&printed(&back), printed_there, "{context}");
            }
        }
        let accepted = answers.iter().flatten().count();
        eprintln!(
            "{}: {} inputs, PostgreSQL accepts {accepted}, {read} are read natively",
            ty.name,
            answers.len()
        );
    }
}

#[tokio::test]
async fn reading_depends_on_no_setting() {
    let Some(client) = connect(FOREIGN).await else { return };
    for case in cases() {
        let answers = ask(&client, &case).await;
        for (input, answer) in case.inputs.iter().zip(answers) {
            if let Some(value) = text::decode(&case.ty, input) {
                assert_eq!(
                    sent(&case.ty, &value),
                    answer.map(|(_, sent)| sent),
                    "{} {input:?}",
                    case.ty.name
                );
            }
        }
    }
}

/// A parameter's bytes as a client may send them.
#[derive(Debug)]
struct Raw(Vec<u8>);

impl ToSql for Raw {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(&self.0);
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

#[tokio::test]
async fn binary_numerics_of_clients_are_read_alike() {
    let Some(client) = connect(CANONICAL).await else { return };
    let groups = || {
        prop::collection::vec(
            prop_oneof![Just(0), Just(1), Just(1_000), Just(5_000), 0..10_010_u16],
            0..5,
        )
    };
    let sign = || prop::sample::select(vec![0, 0x4000, 0, 0x4000, 0xc000, 0xd000, 0xf000, 0x8000]);
    for (name, typmod) in [
        ("numeric", -1),
        ("numeric(10,2)", ((10 << 16) | 2) + 4),
        ("numeric(3,-2)", ((3 << 16) | (-2 & 0x7ff)) + 4),
    ] {
        let ty = TypeInfo::new(oid::NUMERIC, typmod, name);
        let statement = client
            .prepare_typed(&format!("SELECT ($1::{name})::text"), &[Type::NUMERIC])
            .await
            .expect("a statement");
        let mut read = 0;
        for (groups, weight, sign, scale) in samples((groups(), -4..5_i16, sign(), 0..20_u16)) {
            let count = u16::try_from(groups.len()).expect("few");
            let words = [&[count, weight.cast_unsigned(), sign, scale], &groups[..]].concat();
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
            if let Some(value) = binary::decode(&ty, &bytes) {
                let row = client
                    .query_one(&statement, &[&Raw(bytes)])
                    .await
                    .unwrap_or_else(|error| panic!("{words:?} {value:?}: {error:?}"));
                assert_eq!(row.get::<_, String>(0), printed(&value), "{name} {words:?}");
                read += 1;
            }
        }
        eprintln!("{name}: {read} of {SAMPLES} are read natively");
    }
}
