//! Constants as values of the column they are compared with or assigned to.
//!
//! A key constant is used only when the comparison is exact: `bigint = float8` or `varchar =
//! char(n)` is compared as a third type, in which several keys may equal the constant; then
//! PostgreSQL decides over all rows. For the same reason equality is followed from one column to
//! another (`fetch.rs`) only between columns of one family of types.

use bytes::Bytes;
use flywheel_sql::{Constant, Expression};
use flywheel_types::{Scalar, TypeInfo, Value, array, binary, cast, oid, text};
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
    /// Constants that PostgreSQL has computed because Flywheel couldn't read them; `None` before it
    /// was asked.
    pub computed: Option<&'a [Computed]>,
    /// The values of the expressions that PostgreSQL computes first; none before it was asked.
    pub expressions: &'a [Expressed],
}

/// An expression's value.
#[derive(Debug, Clone, PartialEq)]
pub struct Expressed {
    /// The expression.
    pub expression: Expression,
    /// Its type.
    pub ty: TypeInfo,
    /// What came out.
    pub value: Value,
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
    /// The constant as a value of type `ty`, where the implicit cast that PostgreSQL makes for an
    /// assignment or a comparison gives exactly that. `None`: only PostgreSQL can tell.
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

    /// What the constant adds to an integer column of type `ty`, where it is an integer too: then
    /// the sum is one, and is of `ty` or out of range, whichever of their types PostgreSQL adds in.
    #[must_use]
    pub fn resolve_addend(&self, constant: &Constant, ty: &TypeInfo) -> Option<i64> {
        let is_integer = |type_oid| matches!(type_oid, oid::INT2 | oid::INT4 | oid::INT8);
        let bigint = TypeInfo::new(oid::INT8, -1, "bigint");
        let value = match constant {
            // Unless it is too long for one.
            Constant::Number(digits) => return digits.parse().ok(),
            // It is read as the column's type.
            Constant::String(_) => self.resolve(constant, ty)?,
            Constant::Parameter(position) if is_integer(*self.types.get(*position)?) => {
                self.resolve(constant, &bigint)?
            }
            Constant::Cast(_, name) if is_integer(named_type(name)?.oid) => {
                self.resolve(constant, &bigint)?
            }
            Constant::Expression(expression) if is_integer(self.expressed(expression)?.ty.oid) => {
                self.resolve(constant, &bigint)?
            }
            _ => return None,
        };
        match value {
            Value::Int(number) => Some(number),
            _ => None,
        }
    }

    /// The constant as the value of a key column of type `ty` that it is compared with. `None` also
    /// where PostgreSQL compares them as a third type, so that several keys, or none, may equal it.
    #[must_use]
    pub fn resolve_key(&self, constant: &Constant, ty: &TypeInfo) -> Option<Value> {
        if self.compares_exactly(constant, ty) { self.resolve(constant, ty) } else { None }
    }

    /// The values of type `ty` that a key column must equal one of: the constant's, or those of an
    /// array's elements.
    #[must_use]
    pub fn resolve_each(&self, constant: &Constant, ty: &TypeInfo) -> Option<Vec<Value>> {
        match constant {
            Constant::Element(array) => self.elements(array, ty),
            one => Some(vec![self.resolve_key(one, ty)?]),
        }
    }

    fn elements(&self, array: &Constant, ty: &TypeInfo) -> Option<Vec<Value>> {
        let own = |element: TypeInfo| same_family(&element, ty).then_some(element);
        match array {
            Constant::Null => Some(Vec::new()),
            // Its type is what the column asks for.
            Constant::String(text) => text_elements(text, ty, ty),
            Constant::Cast(inner, name) => {
                let element = own(named_type(name.strip_suffix("[]")?)?)?;
                match &**inner {
                    Constant::String(text) => text_elements(text, &element, ty),
                    Constant::Parameter(_) => self.elements(inner, ty),
                    _ => None,
                }
            }
            Constant::Parameter(position) => {
                let element =
                    own(TypeInfo::new(array::element_type(*self.types.get(*position)?)?, -1, ""))?;
                let Some(bytes) = self.values.get(*position)? else {
                    return Some(Vec::new());
                };
                if format_at(self.formats, *position) == 0 {
                    return text_elements(std::str::from_utf8(bytes).ok()?, &element, ty);
                }
                let (oid, elements) = array::binary_elements(bytes)?;
                let read = |bytes: &[u8]| cast(binary::decode(&element, bytes)?, &element, ty);
                let readable = oid == element.oid && binary::is_canonical(element.scalar);
                readable.then(|| elements.into_iter().flatten().map(read).collect())?
            }
            _ => None,
        }
    }

    /// Whether `column = constant` holds for the one value that the constant's cast to the column's
    /// type gives, and no other.
    #[must_use]
    pub fn compares_exactly(&self, constant: &Constant, ty: &TypeInfo) -> bool {
        let own = match constant {
            // They take the column's type, or every value of theirs is one of its.
            Constant::Null | Constant::Bool(_) | Constant::String(_) | Constant::Number(_) => {
                return true;
            }
            Constant::Parameter(position) => {
                self.types.get(*position).map(|&oid| TypeInfo::new(oid, -1, ""))
            }
            Constant::Cast(_, name) => named_type(name),
            Constant::Element(_) => None,
            Constant::Expression(expression) => {
                self.expressed(expression).map(|known| known.ty.clone())
            }
        };
        own.is_some_and(|own| same_family(&own, ty))
    }

    fn read(&self, constant: &Constant, ty: &TypeInfo) -> Option<Value> {
        match constant {
            Constant::Null => Some(Value::Null),
            Constant::Bool(flag) => {
                cast(Value::Bool(*flag), &TypeInfo::new(oid::BOOL, -1, "boolean"), ty)
            }
            Constant::Number(digits) => number(digits, ty),
            Constant::String(literal) => text::decode(ty, literal),
            Constant::Parameter(position) => self.parameter(*position, ty),
            Constant::Element(_) => None,
            Constant::Cast(inner, name) => {
                let middle = named_type(name)?;
                cast(self.resolve(inner, &middle)?, &middle, ty)
            }
            Constant::Expression(expression) => {
                let known = self.expressed(expression)?;
                cast(known.value.clone(), &known.ty, ty)
            }
        }
    }

    fn expressed(&self, expression: &Expression) -> Option<&Expressed> {
        self.expressions.iter().find(|known| known.expression == *expression)
    }

    fn parameter(&self, position: usize, ty: &TypeInfo) -> Option<Value> {
        let Some(bytes) = self.values.get(position)? else {
            return Some(Value::Null);
        };
        let declared = TypeInfo::new(*self.types.get(position)?, -1, "");
        if format_at(self.formats, position) == 0 {
            let written = std::str::from_utf8(bytes).ok()?;
            // Text of the column's own type is read with its modifier at once: '1.5' as
            // numeric(10,2).
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

/// An array's elements, read as `element` and cast to `ty`. NULL equals nothing.
fn text_elements(array: &str, element: &TypeInfo, ty: &TypeInfo) -> Option<Vec<Value>> {
    let read = |written: String| cast(text::decode(element, &written)?, element, ty);
    array::text_elements(array)?.into_iter().flatten().map(read).collect()
}

/// Whether a value of type `own` is compared with one of type `key` without either losing anything.
fn same_family(own: &TypeInfo, key: &TypeInfo) -> bool {
    let is_exact =
        |scalar| matches!(scalar, Scalar::Int2 | Scalar::Int4 | Scalar::Int8 | Scalar::Numeric(_));
    let is_float = |scalar| matches!(scalar, Scalar::Float4 | Scalar::Float8);
    let is_text = |scalar| matches!(scalar, Scalar::Text | Scalar::Varchar(_));
    // A day is one moment of either timestamp. The other way round, a moment with a zone may be the
    // beginning of two days, and be two local times: where clocks are set.
    let is_day = |own: &TypeInfo, key: &TypeInfo| match key.oid {
        oid::TIMESTAMP | oid::TIMESTAMPTZ => own.oid == oid::DATE,
        oid::DATE => own.oid == oid::TIMESTAMP,
        _ => false,
    };
    own.oid == key.oid
        || (is_exact(own.scalar) && is_exact(key.scalar))
        || ((is_exact(own.scalar) || is_float(own.scalar)) && is_float(key.scalar))
        || (is_text(own.scalar) && is_text(key.scalar))
        // A `cidr` is compared as an `inet`.
        || (own.oid == oid::INET && key.oid == oid::CIDR)
        || is_day(own, key)
}

/// An integer literal is an integer, any other number a numeric (sql-syntax-lexical, "numeric
/// constants").
fn number(digits: &str, ty: &TypeInfo) -> Option<Value> {
    let integer = TypeInfo::new(oid::INT8, -1, "bigint");
    match text::decode(&integer, digits) {
        Some(value) if digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') => {
            cast(value, &integer, ty)
        }
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
        "timestamp" | "timestamp without time zone" => oid::TIMESTAMP,
        "timestamptz" | "timestamp with time zone" => oid::TIMESTAMPTZ,
        "date" => oid::DATE,
        "time" | "time without time zone" => oid::TIME,
        "inet" => oid::INET,
        "cidr" => oid::CIDR,
        "macaddr" => oid::MACADDR,
        "oid" => oid::OID,
        "bpchar" => oid::BPCHAR,
        "bytea" => oid::BYTEA,
        "real" | "float4" => oid::FLOAT4,
        "double precision" | "float8" | "float" => oid::FLOAT8,
        _ => return None,
    };
    Some(TypeInfo::new(type_oid, -1, name))
}
