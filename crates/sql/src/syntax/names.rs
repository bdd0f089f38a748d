//! What the names in a tree stand for.
//!
//! Relations are found by the nodes that hold names, wherever in the grammar those stand, not by
//! walking the clauses that are known to have some. A name in a node of an unknown kind makes the
//! statement unread; so does a text that our lexer and the grammar's cut differently, since what
//! one takes for a string the other may take for a name. `sql/tests/places.rs` has a statement for
//! every production in which a relation may stand.

use super::{Kind, Node};
use crate::lex::fold;

/// What a name stands for, as far as relations are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// A table or view.
    Relation,
    /// Anything else: a column, an alias, a function, a type, …
    Other,
}

/// What a name stands for by the node that holds it; `None` for a node that isn't known here. A
/// name in such a node may be a relation's.
pub(crate) fn standing(holder: Kind) -> Option<Standing> {
    use Kind::*;
    match holder {
        RELATION_NAME_REF | TABLE_NAME | TABLE_NAME_REF | VIEW | VIEW_REF => {
            Some(Standing::Relation)
        }
        // Columns, and what is called like one.
        NAME_REF | COLUMN_NAME | COLUMN_NAME_REF | QUALIFIED_COLUMN_NAME_REF | COMPOSITE_FIELD
        | COMPOSITE_FIELD_REF | PARAM_NAME | PARAM_NAME_REF | ELEMENT_TAG | XML_ATTR
        | XML_PI_TARGET | XML_NAMESPACE_PREFIX | JSON_VARIABLE_NAME | JSON_PATH_NAME
        | JSON_PATH_NAME_REF
        // Names that a statement gives to relations of its own.
        | TABLE_ALIAS | CTE_NAME | TRANSITION_RELATION_NAME | WINDOW | WINDOW_REF
        // Words of the grammar that are read as names.
        | JSON_ENCODING | EXTRACT_FIELD_NAME | OPTION_IDENT | STORAGE_MODE
        | COMPRESSION_METHOD_NAME | PARTITION_STRATEGY | OPTION_ITEM_KEY | OPTION_ITEM_VALUE_NAME
        | ATTRIBUTE_NAME | ATTRIBUTE_NAMESPACE | HASH_PARTITION_BOUND | EXPLAIN_OPTION_NAME
        | EXPLAIN_OPTION_VALUE | COPY_OPTION_KEY | COPY_OPTION_VALUE_NAME | FOREIGN_OPTION_NAME
        | CONFIG_VALUE_NAME | CONFIG_PARAMETER_REF | STATISTICS_KIND | PARALLEL_FUNC_OPTION
        | EXTENSION_VERSION | AS_POLICY_TYPE | RULE_EVENT | EVENT_TRIGGER_EVENT
        | EVENT_TRIGGER_FILTER_VARIABLE | TEXT_SEARCH_TOKEN_KIND | VACUUM_OPTION_NAME
        | VACUUM_OPTION_VALUE_NAME | REINDEX_OPTION_CONCURRENTLY | REINDEX_OPTION_VERBOSE
        | CHECKPOINT_OPTION_NAME | DATABASE_OPTION_GENERIC | ROLE_OPTION_GENERIC
        | GRANT_ROLE_OPTION_NAME | REVOKE_COMMAND | SECURITY_LABEL_PROVIDER
        // Types, functions, operators, and what else isn't a relation.
        | PATH_TYPE | PERCENT_TYPE | OP | TYPE_NAME | TYPE_NAME_REF | FUNCTION_NAME
        | FUNCTION_NAME_REF | PROCEDURE_NAME | PROCEDURE_NAME_REF | ROUTINE_NAME
        | ROUTINE_NAME_REF | AGGREGATE | AGGREGATE_NAME | COLLATION | COLLATION_REF | CONVERSION
        | CONVERSION_REF | DOMAIN | DOMAIN_REF | OP_CLASS_NAME | OP_CLASS_REF | OP_FAMILY_NAME
        | OP_FAMILY_REF | SEQUENCE | SEQUENCE_REF | INDEX | INDEX_REF | CONSTRAINT_NAME
        | CONSTRAINT_NAME_REF | STATISTICS | STATISTICS_REF | TEXT_SEARCH_CONFIGURATION
        | TEXT_SEARCH_CONFIGURATION_REF | TEXT_SEARCH_DICTIONARY | TEXT_SEARCH_DICTIONARY_REF
        | TEXT_SEARCH_PARSER | TEXT_SEARCH_PARSER_REF | TEXT_SEARCH_TEMPLATE
        | TEXT_SEARCH_TEMPLATE_REF | EVENT_TRIGGER | EVENT_TRIGGER_REF | EXTENSION | EXTENSION_REF
        | FOREIGN_DATA_WRAPPER | FOREIGN_DATA_WRAPPER_REF | LANGUAGE | LANGUAGE_REF | PUBLICATION
        | PUBLICATION_REF | ROLE | ROLE_NAME_REF | SCHEMA | SCHEMA_REF | SERVER | SERVER_REF
        | SUBSCRIPTION | SUBSCRIPTION_REF | REMOTE_TABLE_NAME_REF | TABLESPACE | TABLESPACE_REF
        | ACCESS_METHOD | ACCESS_METHOD_REF | POLICY | POLICY_REF | RULE | RULE_REF | TRIGGER
        | TRIGGER_REF | CHANNEL | CHANNEL_REF | CURSOR | CURSOR_REF | PREPARED_STATEMENT
        | PREPARED_STATEMENT_REF | SAVEPOINT | SAVEPOINT_REF | DATABASE | DATABASE_REF => {
            Some(Standing::Other)
        }
        _ => None,
    }
}

/// A name's parts, folded: a schema's and a relation's, for instance. `None` where one isn't a
/// plain name.
pub(crate) fn path(holder: Node<'_>) -> Option<Vec<String>> {
    let mut parts = Vec::new();
    for node in holder
        .all()
        .filter(|node| matches!(node.kind(), Kind::PATH_SEGMENT | Kind::PATH_SEGMENT_REF))
    {
        parts.push(word(node)?);
    }
    (!parts.is_empty()).then_some(parts)
}

/// The one name that a node is, folded.
pub(crate) fn word(node: Node<'_>) -> Option<String> {
    let mut tokens = node.tokens();
    let first = tokens.next()?;
    // A name with its escape character is one.
    let is_one = tokens.next().is_none_or(|next| next.is(Kind::UESCAPE_KW));
    let is_name = first.is(Kind::IDENT) || first.kind().is_keyword();
    (is_one && is_name).then(|| fold(node.text()).into_owned())
}

/// `current_date` and the like, which are no columns.
pub(crate) fn is_computed(name: Node<'_>) -> bool {
    use Kind::*;
    name.tokens().any(|token| {
        matches!(
            token.kind(),
            CURRENT_CATALOG_KW
                | CURRENT_DATE_KW
                | CURRENT_ROLE_KW
                | CURRENT_SCHEMA_KW
                | CURRENT_TIME_KW
                | CURRENT_TIMESTAMP_KW
                | CURRENT_USER_KW
                | LOCALTIME_KW
                | LOCALTIMESTAMP_KW
                | SESSION_USER_KW
                | SYSTEM_USER_KW
                | USER_KW
        )
    })
}
