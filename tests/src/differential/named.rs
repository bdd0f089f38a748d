//! Statements with a name: made by SQL's PREPARE or by Parse, executed by SQL's EXECUTE or by Bind.

use super::writer::{Writer, quoted};
use crate::suite::{Parameter, Statement};

/// A statement that has been given a name.
#[derive(Debug, Clone)]
pub(super) struct Named {
    pub(super) name: String,
    pub(super) statement: Statement,
}

impl Named {
    /// SQL's PREPARE of it.
    pub(super) fn prepare(&self) -> String {
        let types: Vec<_> =
            self.statement.parameters.iter().map(|parameter| parameter.ty.as_str()).collect();
        let types =
            if types.is_empty() { String::new() } else { format!("({})", types.join(", ")) };
        format!("PREPARE {}{types} AS {}", self.name, self.statement.sql)
    }

    /// SQL's EXECUTE of it.
    pub(super) fn execute(&self) -> String {
        let values: Vec<_> = self.statement.parameters.iter().map(literal).collect();
        let values =
            if values.is_empty() { String::new() } else { format!("({})", values.join(", ")) };
        format!("EXECUTE {}{values}", self.name)
    }
}

fn literal(parameter: &Parameter) -> String {
    let value = parameter.value.as_ref().map_or_else(|| "NULL".to_owned(), |value| quoted(value));
    format!("CAST({value} AS {})", parameter.ty)
}

/// What SQL does with names beside executing them.
pub(super) fn beside(writer: &mut Writer<'_>, named: &Named) -> String {
    let name = &named.name;
    match writer.number(0, 3) {
        0 => format!("DEALLOCATE {name}"),
        1 => "DEALLOCATE ALL".to_owned(),
        2 => named.prepare(),
        _ => {
            "SELECT name, parameter_types FROM pg_prepared_statements WHERE name ~ '^q' ORDER BY 1"
                .to_owned()
        }
    }
}
