//! What is read of certificates.

use ring::digest::{Algorithm, SHA256, SHA384, SHA512, digest};
use x509_certificate::{CapturedX509Certificate, SignatureAlgorithm};

/// What both sides derive from the server's certificate to bind a login to their connection
/// (`tls-server-end-point`, RFC 5929): a hash by the function that it is signed with, in place of
/// SHA-1 by SHA-256. `None`: it is signed without one.
pub(crate) fn end_point(der: &[u8]) -> Option<Vec<u8>> {
    let certificate = CapturedX509Certificate::from_der(der).ok()?;
    let function: &Algorithm = match certificate.signature_algorithm()? {
        SignatureAlgorithm::RsaSha1
        | SignatureAlgorithm::RsaSha256
        | SignatureAlgorithm::EcdsaSha256 => &SHA256,
        SignatureAlgorithm::RsaSha384 | SignatureAlgorithm::EcdsaSha384 => &SHA384,
        SignatureAlgorithm::RsaSha512 => &SHA512,
        _ => return None,
    };
    Some(digest(function, der).as_ref().to_vec())
}

/// The same certificate in PEM.
pub(crate) fn to_pem(der: &[u8]) -> Option<String> {
    CapturedX509Certificate::from_der(der).ok().map(|certificate| certificate.encode_pem())
}

/// The common name of its subject.
pub(crate) fn common_name(der: &[u8]) -> Option<String> {
    CapturedX509Certificate::from_der(der).ok()?.subject_common_name()
}

/// Whether it is valid at this time.
pub(crate) fn is_current(der: &[u8]) -> bool {
    CapturedX509Certificate::from_der(der)
        .is_ok_and(|certificate| certificate.time_constraints_valid(None))
}
