//! TLS to a server, as libpq's `sslmode` asks for it.

use std::sync::Arc;

use flywheel_tls::Connector;

/// Whether a connection to a server is encrypted. Over a Unix-domain socket none is.
#[derive(Debug, Clone, Default)]
pub enum Encryption {
    /// `disable`: it isn't.
    #[default]
    Never,
    /// `allow`: where the server wants it.
    Allowed(Arc<Connector>),
    /// `prefer`: where the server can.
    Preferred(Arc<Connector>),
    /// `require`, `verify-ca`, `verify-full`: otherwise there is no connection. How the server
    /// proves who it is, the connector knows.
    Required(Arc<Connector>),
}

/// One attempt to connect.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Attempt<'e> {
    /// In the clear.
    Plain,
    /// With TLS, where the server has it.
    IfOffered(&'e Connector),
    /// With TLS.
    Tls(&'e Connector),
}

impl Encryption {
    /// What is tried, one after the other.
    pub(crate) fn attempts(&self) -> (Attempt<'_>, Option<Attempt<'_>>) {
        match self {
            Self::Never => (Attempt::Plain, None),
            Self::Allowed(connector) => (Attempt::Plain, Some(Attempt::Tls(connector))),
            Self::Preferred(connector) => (Attempt::IfOffered(connector), Some(Attempt::Plain)),
            Self::Required(connector) => (Attempt::Tls(connector), None),
        }
    }

    /// What is used to certificates from now on.
    pub fn renew(&self, with: &Self) {
        if let (Some(own), Some(new)) = (self.connector(), with.connector()) {
            own.renew(new);
        }
    }

    /// What begins TLS, where there may be any.
    pub(crate) fn connector(&self) -> Option<&Arc<Connector>> {
        match self {
            Self::Never => None,
            Self::Allowed(connector) | Self::Preferred(connector) | Self::Required(connector) => {
                Some(connector)
            }
        }
    }
}
