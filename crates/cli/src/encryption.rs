//! TLS to PostgreSQL, as a url's `sslmode` says.

use std::sync::Arc;

use flywheel_config::SslMode;
use flywheel_postgres::Encryption;
use flywheel_tls::{Connector, Flaw, Pem, Trust};

/// How connections to a url's hosts are encrypted.
pub(crate) fn to_servers(mode: SslMode, pem: &Pem) -> Result<Encryption, Flaw> {
    let connector = |trust| Connector::new(trust, pem).map(Arc::new);
    Ok(match mode {
        SslMode::Disable => Encryption::Never,
        SslMode::Allow => Encryption::Allowed(connector(Trust::Anybody)?),
        SslMode::Prefer => Encryption::Preferred(connector(Trust::Anybody)?),
        // As libpq does it: with authorities at hand, it is verify-ca.
        SslMode::Require if pem.authorities.is_none() => {
            Encryption::Required(connector(Trust::Anybody)?)
        }
        SslMode::Require | SslMode::VerifyCa => Encryption::Required(connector(Trust::Authority)?),
        SslMode::VerifyFull => Encryption::Required(connector(Trust::Host)?),
    })
}
