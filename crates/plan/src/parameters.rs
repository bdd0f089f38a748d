//! Constants as values of the column they are compared with or assigned to.

use bytes::Bytes;
use flywheel_sql::Constant;
use flywheel_types::{TypeInfo, Value, binary, cast, oid, text};
use flywheel_wire::frontend::format_at;

/// The parameters that a statement is executed with.
#[derive(Debug, Clone, Copy, Default)]
pub struct Parameters<'a> {
    /// Their types, as PostgreSQL's ParameterDescription gives them.
    pub types: &'a [u32],
    /// Their format codes, as Bind gives them.
    pub formats: &'a [i16],
    /// Their values, `None` for NULL.
    pub values: &'a [Option<Bytes>],
    /// Constants that PostgreSQL has computed because Flywheel couldn't read them; `None` before it was asked.
    pub computed: Option<&'a [Computed]>,
}

/// A constant as PostgreSQL reads it.
#[derive(Debug, Clone, PartialEq)]
pub struct Computed {
    /// The constant.
    pub constant: Constant,
    /// The type that it was cast to.
    pub type_oid: u32,
    /// What came out.
    pub value: Value,
}

impl Parameters<'_> {
    /// The constant as a value of type `ty`, where the implicit cast that PostgreSQL makes for an assignment or a comparison gives exactly
    /// that. `None`: only PostgreSQL can tell.
    #[must_use]
    pub fn resolve(&self, constant: &Constant, ty: &TypeInfo) -> Option<Value> {
        self.read(constant, ty).or_else(|| {
            let known = self
                .computed?
                .iter()
                .find(|known| known.constant == *constant && known.type_oid == ty.oid)?;
            Some(known.value.clone())
        })
    }

    fn read(&self, constant: &Constant, ty: &TypeInfo) -> Option<Value> {
        match constant {
            Constant::Null => Some(Value::Null),
            Constant::Bool(flag) => cast(Value::Bool(*flag), &TypeInfo::new(oid::BOOL, -1, "boolean"), ty),
            Constant::Number(digits) => number(digits, ty),
            Constant::String(literal) => text::decode(ty, literal),
            Constant::Parameter(position) => self.parameter(*position, ty),
            Constant::Cast(inner, name) => {
                let middle = named_type(name)?;
                cast(self.resolve(inner, &middle)?, &middle, ty)
            }
        }
    }

    fn parameter(&self, position: usize, ty: &TypeInfo) -> Option<Value> {
        let Some(bytes) = self.values.get(position)? else {
            return Some(Value::Null);
        };
        let declared = TypeInfo::new(*self.types.get(position)?, -1, "");
        if format_at(self.formats, position) == 0 {
            let written = std::str::from_utf8(bytes).ok()?;
            // Text of the column's own type is read with its modifier at once: '1.5' as numeric(10,2).
            if declared.oid == ty.oid {
                text::decode(ty, written)
            } else {
                cast(text::decode(&declared, written)?, &declared, ty)
            }
        } else {
            if !binary::is_canonical(declared.scalar) {
                return None;
            }
            cast(binary::decode(&declared, bytes)?, &declared, ty)
        }
    }
}

/// An integer literal is an integer, any other number a numeric (sql-syntax-lexical, "numeric constants").
fn number(digits: &str, ty: &TypeInfo) -> Option<Value> {
    let integer = TypeInfo::new(oid::INT8, -1, "bigint");
    match text::decode(&integer, digits) {
        Some(value) if digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') => cast(value, &integer, ty),
        _ => {
            let numeric = TypeInfo::new(oid::NUMERIC, -1, "numeric");
            cast(text::decode(&numeric, digits)?, &numeric, ty)
        }
    }
}

/// The type that a cast names, for the names that have no modifier.
fn named_type(name: &str) -> Option<TypeInfo> {
    let type_oid = match name {
        "bool" | "boolean" => oid::BOOL,
        "smallint" | "int2" => oid::INT2,
        "int" | "integer" | "int4" => oid::INT4,
        "bigint" | "int8" => oid::INT8,
        "numeric" | "decimal" => oid::NUMERIC,
        "text" => oid::TEXT,
        "varchar" | "character varying" => oid::VARCHAR,
        "uuid" => oid::UUID,
        "timestamptz" | "timestamp with time zone" => oid::TIMESTAMPTZ,
        "date" => oid::DATE,
        "bytea" => oid::BYTEA,
        "real" | "float4" => oid::FLOAT4,
        "double precision" | "float8" | "float" => oid::FLOAT8,
        _ => return None,
    };
    Some(TypeInfo::new(type_oid, -1, name))
}
