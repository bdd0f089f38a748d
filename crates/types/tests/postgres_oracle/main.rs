//! Compares both formats with a real PostgreSQL, named by `FLYWHEEL_TEST_POSTGRES` (a libpq URL);
//! without it nothing is tested.

mod cases;

use std::error::Error;

use bytes::BytesMut;
use flywheel_types::{TypeInfo, Value, binary, oid, text};
use proptest::prelude::*;
use tokio_postgres::{
    Client, NoTls,
    types::{IsNull, ToSql, Type, to_sql_checked},
};

use self::cases::{Case, SAMPLES, cases, printed, samples};

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
