//! `auth`, `[[users]]` and secrets.

use flywheel_cli::KINDS;

use super::{Mistake, WELL, has};

/// A file that asks for passwords, with these users from line 9 on, has these mistakes.
#[track_caller]
fn with(users: &str, expected: &[Mistake<'_>]) {
    has(&format!("{}{users}", WELL.replace("auth = \"trust\"\n", "")), expected);
}

#[track_caller]
fn password(password: &str, expected: Mistake<'_>) {
    with(&format!("[[users]]\nname = \"a\"\npassword = {password}\n"), &[expected]);
}

#[test]
fn somebody_can_log_in() {
    let (message, help) = (
        "nobody can log in: there are no users",
        "add [[users]] with name and password, or set auth = \"trust\"",
    );
    with("", &[(1, 1, message, help)]);
    has(&WELL.replace("trust", "scram-sha-256"), &[(1, 8, message, help)]);
    has(
        &format!("users = []\n{}", WELL.replace("trust", "scram-sha-256")),
        &[(1, 9, message, help)],
    );
}

#[test]
fn users() {
    with(
        "[[users]]\nname = \"a\"\n",
        &[(
            9,
            1,
            "user \"a\" has no password",
            "add password = \"${VAR}\" or password = { file = \"…\" }, or set auth = \"trust\"",
        )],
    );
    with(
        &"[[users]]\nname = \"a\"\npassword = \"x\"\n".repeat(2),
        &[(13, 8, "user \"a\" is listed twice", "a user has one entry")],
    );
}

#[test]
fn passwords() {
    let empty = "no client can log in with it: write the password";
    password("\"\"", (11, 12, "the password of user \"a\" is empty", empty));
    password(
        "\"md51a1dc91c907325c69271ddf0c944bc72\"",
        (
            11,
            12,
            "the password of user \"a\" is an MD5 hash, from which SCRAM can't be answered",
            "write the password itself, or what pg_authid has after ALTER ROLE …",
        ),
    );
    password(
        "\"${UNSET}\"",
        (
            11,
            12,
            "environment variable UNSET isn't set",
            "set UNSET, or write $${ for the characters ${",
        ),
    );
    password(
        "{ file = \"nowhere\" }",
        (
            11,
            21,
            "can't read the secret in nowhere: No such file or directory (os error 2)",
            "give the path of a file that this user can read; the path is relative to the configuration file",
        ),
    );
}

#[test]
fn verifiers() {
    let key = "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=";
    let whole = format!("SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==${key}:{key}");
    let broken = [
        "SCRAM-SHA-256$broken".to_owned(),
        whole.replace("4096", "none"),
        whole.replace("4096", "0"),
        whole.replace("Q==$", "$"),
        whole.replace(&format!(":{key}"), ""),
        whole.replace(&format!(":{key}"), ":WG5d"),
    ];
    for verifier in broken {
        password(
            &format!("\"{verifier}\""),
            (
                11,
                12,
                "the password of user \"a\" is a broken SCRAM verifier",
                "write it as pg_authid has it, SCRAM-SHA-256$iterations:salt$stored:server, or write the password itself",
            ),
        );
    }
    let text = format!(
        "{}[[users]]\nname = \"a\"\npassword = \"{whole}\"\n",
        WELL.replace("auth = \"trust\"\n", "")
    );
    flywheel_config::parse("app.toml", &text, &|_| None, KINDS).expect("no mistake");
}
