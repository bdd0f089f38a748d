//! What a client says.

/// How values are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// As text.
    Text,
    /// As the type's binary form.
    Binary,
}

/// Bind.
#[derive(Debug, Clone, Copy)]
pub struct Bind<'a> {
    /// The portal.
    pub portal: &'a str,
    /// The statement.
    pub statement: &'a str,
    /// The format of all parameters.
    pub parameter_format: Format,
    /// The parameters.
    pub parameters: &'a [Option<Vec<u8>>],
    /// The format of all result columns.
    pub result_format: Format,
}

/// A message under way to the server.
#[derive(Debug, Clone)]
pub struct Message(Vec<u8>);

impl Message {
    /// A message of this type with this body.
    pub fn new(tag: u8, body: &[u8]) -> Self {
        let mut bytes = vec![tag];
        bytes.extend_from_slice(&length(body.len() + 4).to_be_bytes());
        bytes.extend_from_slice(body);
        Self(bytes)
    }

    /// The startup packet.
    pub fn startup(parameters: &[(&str, &str)]) -> Self {
        Self::startup_of(0, parameters)
    }

    /// The startup packet for a minor version of protocol 3.
    pub fn startup_of(minor: u16, parameters: &[(&str, &str)]) -> Self {
        let mut body = (196_608 + i32::from(minor)).to_be_bytes().to_vec();
        for (name, value) in parameters {
            string(&mut body, name);
            string(&mut body, value);
        }
        body.push(0);
        let mut bytes = length(body.len() + 4).to_be_bytes().to_vec();
        bytes.extend_from_slice(&body);
        Self(bytes)
    }

    /// CancelRequest.
    pub fn cancel(process_id: i32, key: &[u8]) -> Self {
        let body = [&80_877_102_i32.to_be_bytes()[..], &process_id.to_be_bytes(), key].concat();
        Self([&length(body.len() + 4).to_be_bytes()[..], &body].concat())
    }

    /// Query.
    pub fn query(sql: &str) -> Self {
        let mut body = Vec::new();
        string(&mut body, sql);
        Self::new(b'Q', &body)
    }

    /// Query of a text that need not be UTF-8.
    pub fn query_of(sql: &[u8]) -> Self {
        Self::new(b'Q', &[sql, b"\0"].concat())
    }

    /// Parse of one, as the unnamed statement.
    pub fn parse_of(sql: &[u8]) -> Self {
        Self::new(b'P', &[b"\0", sql, b"\0\0\0"].concat())
    }

    /// Parse. Types that are 0, or missing, are the server's to find.
    pub fn parse(statement: &str, sql: &str, types: &[u32]) -> Self {
        let mut body = Vec::new();
        string(&mut body, statement);
        string(&mut body, sql);
        count(&mut body, types.len());
        for oid in types {
            body.extend_from_slice(&oid.to_be_bytes());
        }
        Self::new(b'P', &body)
    }

    /// Bind.
    pub fn bind(bind: &Bind<'_>) -> Self {
        let mut body = Vec::new();
        string(&mut body, bind.portal);
        string(&mut body, bind.statement);
        formats(&mut body, bind.parameter_format);
        count(&mut body, bind.parameters.len());
        for parameter in bind.parameters {
            match parameter {
                None => body.extend_from_slice(&(-1_i32).to_be_bytes()),
                Some(value) => {
                    body.extend_from_slice(&length(value.len()).to_be_bytes());
                    body.extend_from_slice(value);
                }
            }
        }
        formats(&mut body, bind.result_format);
        Self::new(b'B', &body)
    }

    /// Describe of a statement (`S`) or a portal (`P`).
    pub fn describe(kind: u8, name: &str) -> Self {
        let mut body = vec![kind];
        string(&mut body, name);
        Self::new(b'D', &body)
    }

    /// Execute, with a limit of rows; 0 is none.
    pub fn execute(portal: &str, rows: i32) -> Self {
        let mut body = Vec::new();
        string(&mut body, portal);
        body.extend_from_slice(&rows.to_be_bytes());
        Self::new(b'E', &body)
    }

    /// Sync.
    pub fn sync() -> Self {
        Self::new(b'S', &[])
    }

    /// A batch of one statement without parameters, unnamed: Parse, Bind, Execute, Sync.
    pub fn batch_of(sql: &str) -> [Self; 4] {
        let bind = Bind {
            portal: "",
            statement: "",
            parameter_format: Format::Text,
            parameters: &[],
            result_format: Format::Text,
        };
        [Self::parse("", sql, &[]), Self::bind(&bind), Self::execute("", 0), Self::sync()]
    }

    /// The bytes as they go over the wire.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

fn string(body: &mut Vec<u8>, text: &str) {
    body.extend_from_slice(text.as_bytes());
    body.push(0);
}

fn formats(body: &mut Vec<u8>, format: Format) {
    body.extend_from_slice(&1_i16.to_be_bytes());
    body.extend_from_slice(&i16::from(format == Format::Binary).to_be_bytes());
}

fn count(body: &mut Vec<u8>, count: usize) {
    body.extend_from_slice(&u16::try_from(count).expect("a count of the protocol").to_be_bytes());
}

fn length(length: usize) -> i32 {
    i32::try_from(length).expect("a length of the protocol")
}
