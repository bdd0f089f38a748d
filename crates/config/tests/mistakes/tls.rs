//! `[tls]`, TLS to PostgreSQL, and users with certificates.

use super::{WELL, adding, has};

const PEM: &str = "a PEM file, by a path that is absolute or relative to this file";
const NOT_THERE: &str = "can't read /nowhere/a.crt: No such file or directory (os error 2)";

#[test]
fn files_that_are_none() {
    let text =
        "[tls]\ncert_file = \"/nowhere/a.crt\"\nkey_file = \"/nowhere/a.crt\"\nmode = \"always\"\n";
    has(
        &format!("{WELL}{text}"),
        &[
            (11, 13, NOT_THERE, PEM),
            (12, 12, NOT_THERE, PEM),
            (13, 8, "`mode` can't be \"always\"", "`mode` is one of: \"prefer\", \"require\""),
        ],
    );
    let url = "url = \"postgres://app@db/app?sslmode=verify-full\"\ntls_ca_cert_file = \"/nowhere/a.crt\"";
    has(&WELL.replace("url = \"postgres://app@db/app\"", url), &[(5, 20, NOT_THERE, PEM)]);
}

#[test]
fn keys_that_mean_nothing() {
    let empty = "can't read /dev/null: it holds nothing in PEM";
    let url = "url = \"postgres://app@db/app?sslmode=verify-full\"\ntls_key_file = \"/dev/null\"";
    has(
        &WELL.replace("url = \"postgres://app@db/app\"", url),
        &[
            (
                5,
                16,
                "`tls_key_file` without `tls_cert_file`",
                "give the client's certificate and its key, or neither",
            ),
            (5, 16, empty, PEM),
        ],
    );
    adding(&[(
        "[[users]]\nname = \"robot\"\ncommon_names = [\"robot\"]\n",
        (
            12,
            16,
            "`common_names` where clients show no certificate",
            "set `client_ca_file` in [tls], or leave it out",
        ),
    )]);
}
