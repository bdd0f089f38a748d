//! The settings that the client was told (ParameterStatus), and what follows from them.

use std::collections::HashMap;
use std::ops::Deref;

use flywheel_wire::Charset;

/// The setting that says in which encoding the client speaks.
pub(crate) const CLIENT_ENCODING: &str = "client_encoding";

/// What the client was told. How its texts are read is asked of each message, so it is found when a
/// setting changes.
#[derive(Debug, Default)]
pub(crate) struct Reported {
    values: HashMap<String, String>,
    charset: Charset,
}

impl Reported {
    /// A setting has another value; the one before.
    pub(crate) fn insert(&mut self, name: String, value: String) -> Option<String> {
        let before = self.values.insert(name, value);
        self.charset = charset(&self.values);
        before
    }

    /// How the client's texts are read.
    pub(crate) fn charset(&self) -> Charset {
        self.charset
    }
}

impl From<HashMap<String, String>> for Reported {
    fn from(values: HashMap<String, String>) -> Self {
        Self { charset: charset(&values), values }
    }
}

impl Deref for Reported {
    type Target = HashMap<String, String>;

    fn deref(&self) -> &Self::Target {
        &self.values
    }
}

fn charset(values: &HashMap<String, String>) -> Charset {
    let value = |name| values.get(name).map_or("UTF8", String::as_str);
    Charset::of(value(CLIENT_ENCODING), value("server_encoding"))
}
