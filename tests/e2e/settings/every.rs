//! Every setting that a session may change, set in every form, through a connection that another
//! client has in between.

use flywheel_tests::World;
use flywheel_tests::raw::Message;

use super::both::{Both, said, world};

/// Settings and a value that isn't the one that they have. Some aren't values of the session's, or
/// change what is compared.
const SETTINGS: &str = "SELECT name, CASE vartype WHEN 'bool' THEN CASE setting WHEN 'on' THEN 'off' ELSE 'on' END
  WHEN 'enum' THEN (SELECT value FROM unnest(enumvals) AS value WHERE value <> setting ORDER BY value DESC LIMIT 1)
  WHEN 'string' THEN CASE name WHEN 'DateStyle' THEN 'SQL, YMD' WHEN 'TimeZone' THEN 'Asia/Tokyo' WHEN 'search_path' THEN 'apart, pg_temp' ELSE 'x' END
  ELSE (SELECT trunc(value) FROM (VALUES (least(max_val::numeric, greatest(min_val::numeric, 100000))), (least(max_val::numeric, greatest(min_val::numeric, 90000))),
   (min_val::numeric)) AS v (value) WHERE trunc(value) <> setting::numeric LIMIT 1)::text END
 FROM pg_settings WHERE context IN ('user', 'superuser') AND name NOT LIKE 'transaction%' AND name NOT LIKE 'trace%'
  AND (vartype <> 'string' OR name IN ('DateStyle', 'TimeZone', 'search_path', 'application_name'))
  AND name NOT IN ('client_encoding', 'standard_conforming_strings', 'seed', 'role', 'session_authorization') ORDER BY 1";

/// The forms; `$n` is the setting and `$v` the value.
const FORMS: &[&[&str]] = &[
    &["SET $n = $v", "SET $n TO DEFAULT"],
    &["SELECT set_config('$n', $v, false)", "SELECT set_config('$n', NULL, false)"],
    &["UPDATE pg_settings SET setting = $v WHERE name = '$n'", "RESET $n"],
    &["BEGIN", "SET LOCAL $n = $v", "COMMIT", "SET SESSION $n TO $v", "RESET ALL"],
    &["SELECT assign('$n', $v)", "BEGIN", "SET $n TO DEFAULT", "ROLLBACK", "DISCARD ALL"],
];

async fn names(world: &World) -> Vec<(String, String)> {
    let rows = world.oracle().await.query(SETTINGS, &[]).await.expect("settings");
    rows.iter().filter_map(|row| Some((row.get(0), row.get::<_, Option<String>>(1)?))).collect()
}

#[tokio::test]
async fn every_setting_is_its_sessions() {
    let Some(world) = world("pool_size = 1\nacquire_timeout = \"5s\"").await else {
        return;
    };
    let function = "CREATE FUNCTION assign(name text, value text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN \
        EXECUTE format('SET %s = %L', name, value); RETURN current_setting(name); END $$";
    for client in [world.behind().await, world.oracle().await] {
        client.batch_execute(function).await.expect("a function");
    }
    let names = names(&world).await;
    assert!(names.len() > 100, "{names:?}");
    let mut other = Both::start(&world, &[]).await;
    for (position, (name, value)) in names.iter().enumerate() {
        // One form for each suffices to find one that is forgotten; all of them for those that are
        // special.
        let is_special =
            ["DateStyle", "TimeZone", "search_path", "work_mem", "default_transaction_read_only"]
                .contains(&name.as_str());
        for (number, form) in FORMS.iter().enumerate() {
            if !is_special && number != position % FORMS.len() {
                continue;
            }
            let mut one = Both::start(&world, &[]).await;
            for text in *form {
                let value =
                    if name == "search_path" && text.starts_with("SET ") && !text.contains('(') {
                        value.clone()
                    } else {
                        format!("'{value}'")
                    };
                let sql = text.replace("$n", name).replace("$v", &value);
                let what = format!("{name}: {sql}");
                one.say(&[Message::query(&sql)], &what).await;
                let shows = format!(
                    "SELECT setting, reset_val, source FROM pg_settings WHERE name = '{name}'"
                );
                let is_open = text.starts_with("BEGIN")
                    || text.starts_with("SET LOCAL")
                    || form.len() == 5 && *text == "SET $n TO DEFAULT";
                if !is_open {
                    // Its function's name of a setting isn't known, so that it keeps its
                    // connection.
                    if !form[0].contains("assign('$n'") {
                        said(&mut other.ours, &[Message::query(&shows)]).await;
                        other
                            .say(&[Message::query(&shows)], &format!("another's after {what}"))
                            .await;
                    }
                    let shows =
                        format!("SELECT setting, reset_val FROM pg_settings WHERE name = '{name}'");
                    one.say(&[Message::query(&shows)], &what).await;
                }
            }
        }
    }
}
