//! The SQLSTATEs that Flywheel reports itself (PostgreSQL's appendix A).

/// Five characters that name an error condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SqlState(pub &'static str);

macro_rules! states {
    ($($(#[$doc:meta])* $name:ident = $code:literal;)*) => {
        $($(#[$doc])* pub const $name: SqlState = SqlState($code);)*
    };
}

states! {
    /// 01000
    WARNING = "01000";
    /// F0000: the configuration file isn't right.
    CONFIG_FILE_ERROR = "F0000";
    /// 08P01: a message that the protocol doesn't allow.
    PROTOCOL_VIOLATION = "08P01";
    /// 22021: bytes that aren't a text in the encoding.
    CHARACTER_NOT_IN_REPERTOIRE = "22021";
    /// 55P03: a row stays locked.
    LOCK_NOT_AVAILABLE = "55P03";
    /// 08006: the server connection broke.
    CONNECTION_FAILURE = "08006";
    /// 08007: a write whose answer was lost.
    TRANSACTION_RESOLUTION_UNKNOWN = "08007";
    /// 53200: a store has no room.
    OUT_OF_MEMORY = "53200";
    /// 08001: a server can't be reached.
    CANNOT_CONNECT = "08001";
    /// 0A000
    FEATURE_NOT_SUPPORTED = "0A000";
    /// 23505
    UNIQUE_VIOLATION = "23505";
    /// 23502
    NOT_NULL_VIOLATION = "23502";
    /// 55006: something uses it.
    OBJECT_IN_USE = "55006";
    /// 25006: a write in a read-only transaction.
    READ_ONLY_SQL_TRANSACTION = "25006";
    /// 25P01: a command that needs a transaction block.
    NO_ACTIVE_SQL_TRANSACTION = "25P01";
    /// 25P02: commands ignored until the end of a failed block.
    IN_FAILED_TRANSACTION = "25P02";
    /// 26000
    INVALID_STATEMENT_NAME = "26000";
    /// 28P01
    INVALID_PASSWORD = "28P01";
    /// 28000
    INVALID_AUTHORIZATION = "28000";
    /// 34000: no such portal.
    INVALID_CURSOR_NAME = "34000";
    /// 3D000: no such database.
    INVALID_CATALOG_NAME = "3D000";
    /// 40001
    SERIALIZATION_FAILURE = "40001";
    /// 42501
    INSUFFICIENT_PRIVILEGE = "42501";
    /// 42704: a name that nothing has.
    UNDEFINED_OBJECT = "42704";
    /// 42601
    SYNTAX_ERROR = "42601";
    /// 42P05: a prepared statement of this name is there already.
    DUPLICATE_PREPARED_STATEMENT = "42P05";
    /// 42P03: a portal of this name is there already.
    DUPLICATE_CURSOR = "42P03";
    /// 53300
    TOO_MANY_CONNECTIONS = "53300";
    /// 53400: a store's configured capacity is used up.
    CONFIGURATION_LIMIT_EXCEEDED = "53400";
    /// 54000: a limit of a store or of Flywheel.
    PROGRAM_LIMIT_EXCEEDED = "54000";
    /// 55000: an object that the statement needs is in no state for it.
    OBJECT_NOT_IN_PREREQUISITE_STATE = "55000";
    /// 57014: cancelled on request or by a timeout.
    QUERY_CANCELED = "57014";
    /// 57P01
    ADMIN_SHUTDOWN = "57P01";
    /// 57P03: a store is down.
    CANNOT_CONNECT_NOW = "57P03";
    /// 58000: something outside PostgreSQL failed.
    SYSTEM_ERROR = "58000";
    /// 58030
    IO_ERROR = "58030";
    /// 22023: a parameter value that isn't usable.
    INVALID_PARAMETER_VALUE = "22023";
    /// 22P03: a binary value of a parameter that its type can't have.
    INVALID_BINARY_REPRESENTATION = "22P03";
    /// XX000
    INTERNAL_ERROR = "XX000";
}
