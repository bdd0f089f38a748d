//! Which attributes a read asks for: those of the columns that it needs. That saves no capacity
//! units, but time on the way.

use flywheel_store::StoreTable;

use crate::{expression::Placeholders, limits::EXPRESSION_BYTES, lock::ABSENT_ATTRIBUTE};

/// The ProjectionExpression of a read; `None` for whole items: all columns are needed, or naming
/// them takes more than an expression may. `tells_absent`: also what tells that an item isn't a
/// row.
pub(crate) fn of(
    table: &StoreTable,
    tells_absent: bool,
    placeholders: &mut Placeholders,
) -> Option<String> {
    let wanted = table.wanted.as_ref()?;
    // Each name is a placeholder of "#", some digits and ", ".
    if wanted.len() * "#1234, ".len() > EXPRESSION_BYTES {
        return None;
    }
    let columns = wanted.iter().map(|&position| table.table.columns[position].name.as_str());
    let names: Vec<_> = columns
        .chain(tells_absent.then_some(ABSENT_ATTRIBUTE))
        .map(|name| placeholders.name(name))
        .collect();
    Some(names.join(", "))
}

#[cfg(test)]
mod tests {
    use flywheel_types::oid;

    use super::*;
    use crate::test_tables::{column, history, table};

    #[test]
    fn what_isnt_needed_isnt_asked_for() {
        let mut placeholders = Placeholders::default();
        let narrow = history().wanting(&[2]);
        // The key and the expiry are always needed.
        assert_eq!(of(&narrow, true, &mut placeholders).as_deref(), Some("#0, #1, #2, #3, #4"));
        let names = placeholders.into_maps().0.unwrap();
        assert_eq!(
            [&names["#0"], &names["#1"], &names["#2"], &names["#3"]],
            ["owner", "at", "note", "expires"]
        );
        assert_eq!(of(&history(), true, &mut Placeholders::default()), None);
    }

    #[test]
    fn an_expression_past_its_limit_isnt_made() {
        let columns = (0..1500).map(|n| column(&format!("c{n}"), oid::INT4, -1)).collect();
        let wide = table(columns, vec![0], None).wanting(&(0..1000).collect::<Vec<_>>());
        assert_eq!(of(&wide, true, &mut Placeholders::default()), None);
    }
}
