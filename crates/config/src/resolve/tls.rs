//! `[tls]`, and TLS to PostgreSQL.

use std::sync::Arc;

use flywheel_kind::Secret;
use flywheel_tls::{Acceptor, Connector, Flaw, Part, Pem, Trust};

use super::Resolver;
use crate::config::{SslMode, Tls};
use crate::file::{self, TlsMode};

/// The files that TLS to a store's servers is made of, as the store's keys name them.
pub(super) struct TlsFiles<'f> {
    pub(super) authorities: Option<&'f str>,
    pub(super) certificate: Option<&'f str>,
    pub(super) key: Option<&'f str>,
}

impl Resolver<'_> {
    /// TLS to clients; `None` when there is a mistake, which is reported.
    pub(super) fn tls(&mut self, tls: &file::Tls) -> Option<Tls> {
        let mut section = self.section(&["tls"]);
        let certificate = section.pem(&["cert_file"], Some(&tls.cert_file));
        let key = section.pem(&["key_file"], Some(&tls.key_file));
        let authorities = section.pem(&["client_ca_file"], tls.client_ca_file.as_deref());
        if authorities.is_none() && tls.client_ca_file.is_some() {
            return None;
        }
        let pem = Pem {
            certificate: Some(bytes(&certificate?)),
            key: Some(bytes(&key?)),
            authorities: authorities.as_ref().map(bytes),
        };
        match Acceptor::new(&pem) {
            Ok(acceptor) => Some(Tls {
                acceptor: Arc::new(acceptor),
                required: tls.mode == Some(TlsMode::Require),
            }),
            Err(flaw) => {
                let key = match flaw.part {
                    Part::Certificate => "cert_file",
                    Part::Key => "key_file",
                    Part::Authorities => "client_ca_file",
                };
                self.flawed(&["tls", key], &flaw);
                None
            }
        }
    }

    /// What TLS to a store's servers is made of, whose urls have these modes.
    pub(super) fn server_tls(
        &mut self,
        name: &str,
        files: &TlsFiles<'_>,
        modes: &[SslMode],
    ) -> Pem {
        let mut section = self.section(&["stores", name]);
        let verifies = |mode: &SslMode| {
            matches!(mode, SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull)
        };
        if files.authorities.is_some() && !modes.is_empty() && !modes.iter().any(verifies) {
            section.mistake(
                &["tls_ca_cert_file"],
                "`tls_ca_cert_file` where any certificate will do",
                "write sslmode=verify-full, verify-ca or require in the url, or leave it out",
            );
        }
        if !modes.is_empty() && modes.iter().all(|mode| *mode == SslMode::Disable) {
            for key in ["tls_cert_file", "tls_key_file"] {
                if section.is_there(&[key]) {
                    section.mistake(
                        &[key],
                        format!("`{key}` without TLS"),
                        "leave it out, or take sslmode=disable from the url",
                    );
                }
            }
        }
        for (given, missing) in
            [("tls_cert_file", "tls_key_file"), ("tls_key_file", "tls_cert_file")]
        {
            if section.is_there(&[given]) && !section.is_there(&[missing]) {
                section.mistake(
                    &[given],
                    format!("`{given}` without `{missing}`"),
                    "give the client's certificate and its key, or neither",
                );
            }
        }
        let authorities = section.pem(&["tls_ca_cert_file"], files.authorities);
        let certificate = section.pem(&["tls_cert_file"], files.certificate);
        let key = section.pem(&["tls_key_file"], files.key);
        let pem = Pem {
            certificate: certificate.as_ref().map(bytes),
            key: key.as_ref().map(bytes),
            authorities: authorities.as_ref().map(bytes),
        };
        if let Err(flaw) = Connector::new(Trust::Anybody, &pem) {
            let key = match flaw.part {
                Part::Certificate => "tls_cert_file",
                Part::Key => "tls_key_file",
                Part::Authorities => "tls_ca_cert_file",
            };
            self.flawed(&["stores", name, key], &flaw);
        }
        pem
    }

    fn flawed(&mut self, path: &[&str], flaw: &Flaw) {
        self.mistake(
            path,
            format!("this file can't be used: {flaw}"),
            "certificates and keys are PEM, X.509 version 3, RSA of 2048 bits or more, ECDSA or Ed25519",
        );
    }
}

fn bytes(secret: &Secret) -> Vec<u8> {
    secret.expose().as_bytes().to_vec()
}
