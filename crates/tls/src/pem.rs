//! Certificates and keys as PEM texts.

use std::fmt;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// The PEM texts of one side.
#[derive(Clone, Default)]
pub struct Pem {
    /// The certificate, with those that lead from it to an authority.
    pub certificate: Option<Vec<u8>>,
    /// Its private key.
    pub key: Option<Vec<u8>>,
    /// The authorities that are trusted.
    pub authorities: Option<Vec<u8>>,
}

/// Which of the texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The certificate.
    Certificate,
    /// The key.
    Key,
    /// The authorities.
    Authorities,
}

/// Why a text can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct Flaw {
    /// Which text.
    pub part: Part,
    /// What is wrong with it.
    pub what: String,
}

impl Flaw {
    pub(crate) fn new(part: Part, what: impl fmt::Display) -> Self {
        Self { part, what: what.to_string() }
    }
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pem")
            .field("certificate", &self.certificate.is_some())
            .field("key", &self.key.is_some())
            .field("authorities", &self.authorities.is_some())
            .finish()
    }
}

impl Pem {
    /// The certificate and its key; `None` where there is neither.
    pub(crate) fn identity(&self) -> Result<Option<Identity>, Flaw> {
        let (Some(certificate), Some(key)) = (&self.certificate, &self.key) else {
            return Ok(None);
        };
        let chain = certificates(certificate, Part::Certificate)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| {
            Flaw::new(Part::Key, format_args!("no private key in PEM: {error}"))
        })?;
        Ok(Some(Identity { chain, key }))
    }

    /// The authorities; `None` where the operating system's are to be trusted.
    pub(crate) fn authorities(&self) -> Result<Option<Vec<CertificateDer<'static>>>, Flaw> {
        self.authorities.as_ref().map(|text| certificates(text, Part::Authorities)).transpose()
    }
}

/// A certificate with its chain, and its key.
pub(crate) struct Identity {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
}

fn certificates(text: &[u8], part: Part) -> Result<Vec<CertificateDer<'static>>, Flaw> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(text)
        .collect::<Result<_, _>>()
        .map_err(|error| Flaw::new(part, format_args!("not PEM: {error}")))?;
    if found.is_empty() {
        return Err(Flaw::new(part, "no certificate in PEM"));
    }
    Ok(found)
}
