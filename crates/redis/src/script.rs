//! Scripts, by their digest and, where a server doesn't know that yet, whole.

use redis::Cmd;

/// A script's text.
#[derive(Debug)]
pub(crate) struct Program {
    text: &'static str,
    digest: String,
}

impl Program {
    pub(crate) fn new(text: &'static str) -> Self {
        Self { text, digest: redis::Script::new(text).get_hash().to_owned() }
    }

    /// A run of it.
    pub(crate) fn run(&self, keys: Vec<String>, arguments: Vec<Vec<u8>>) -> Run<'_> {
        Run { program: self, keys, arguments }
    }
}

/// One run of a script, all of whose keys are in one slot.
#[derive(Debug)]
pub(crate) struct Run<'p> {
    program: &'p Program,
    pub(crate) keys: Vec<String>,
    arguments: Vec<Vec<u8>>,
}

impl Run<'_> {
    /// The command that names the script by its digest.
    pub(crate) fn by_digest(&self) -> Cmd {
        self.command("EVALSHA", &self.program.digest)
    }

    /// The command that brings the script along, which the server keeps.
    pub(crate) fn whole(&self) -> Cmd {
        self.command("EVAL", self.program.text)
    }

    fn command(&self, name: &str, script: &str) -> Cmd {
        let mut command = redis::cmd(name);
        command.arg(script).arg(self.keys.len()).arg(&self.keys).arg(&self.arguments);
        command
    }
}
