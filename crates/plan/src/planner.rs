//! The decision, once per distinct text.

use std::sync::Arc;

use flywheel_sql::{Constant, Expression, Parsed, Role};
use flywheel_wire::{PgError, sqlstate};

use crate::capability;
use crate::fetch::{self, ColumnTypes, Fetch, FetchAccess};
use crate::physical::{Needs, needs_tables};
use crate::{Access, Home, Homes, Native, NativeSelect, ReadOperation, Visible};

/// How a statement that names a store table is answered.
#[derive(Debug, Clone)]
pub struct Plan {
    /// By one store operation, when its constants resolve.
    pub native: Option<(Native, Arc<Home>)>,
    /// By PostgreSQL, otherwise.
    pub general: General,
}

/// How PostgreSQL answers a statement over rows that aren't its own.
#[derive(Debug, Clone)]
pub enum General {
    /// A statement that changes no store table: fetched rows stand in the place of each.
    Read {
        /// The rows.
        fetches: Vec<Fetch>,
        /// The rows are put into PostgreSQL's own tables instead, where the statement runs as it
        /// is.
        in_tables: bool,
    },
    /// A statement that changes store tables: PostgreSQL runs it on their rows, staged in its own
    /// empty tables in a transaction that is rolled back; the difference is written to the store.
    Write {
        /// The tables that it changes, with the rows to stage: those that UPDATE and DELETE can
        /// touch.
        targets: Vec<Target>,
        /// The rows of store tables that it only reads.
        fetches: Vec<Fetch>,
        /// Rows that its INSERT may collide with must be staged too: they are known only once the
        /// new rows are.
        on_conflict: bool,
        /// The rows that it only reads are put into PostgreSQL's own tables too, where the
        /// statement runs as it is.
        in_tables: bool,
    },
    /// Not at all.
    Refuse(PgError),
}

/// A store table that a statement changes.
#[derive(Debug, Clone)]
pub struct Target {
    /// The table.
    pub home: Arc<Home>,
    /// The rows to stage; `None` for the table of an INSERT.
    pub fetch: Option<Fetch>,
    /// The keys of an INSERT's rows, where the text says them: with ON CONFLICT their rows are
    /// staged at once. What they leave out is found when the new rows are known.
    pub inserted: Option<Access>,
}

impl General {
    /// The store tables that it reads or writes, each once, in one order for everybody.
    #[must_use]
    pub fn homes(&self) -> Vec<&Arc<Home>> {
        let (targets, fetches) = match self {
            Self::Read { fetches, .. } => (&[][..], fetches),
            Self::Write { targets, fetches, .. } => (&targets[..], fetches),
            Self::Refuse(_) => return Vec::new(),
        };
        let mut homes: Vec<&Arc<Home>> = targets
            .iter()
            .map(|target| &target.home)
            .chain(fetches.iter().map(|fetch| &fetch.home))
            .collect();
        homes.sort_by_key(|home| home.table.table.oid);
        homes.dedup_by_key(|home| home.table.table.oid);
        homes
    }
}

impl Plan {
    /// The expressions that need no row, in what a store answers alone.
    #[must_use]
    pub fn native_expressions(&self) -> Vec<&Expression> {
        let constants = self.native.as_ref().map(|(native, _)| native.constants());
        expressions(constants.into_iter().flatten())
    }

    /// The same in what says which rows are fetched for PostgreSQL.
    #[must_use]
    pub fn fetch_expressions(&self) -> Vec<&Expression> {
        let (targets, fetches) = match &self.general {
            General::Read { fetches, .. } => (&[][..], fetches),
            General::Write { targets, fetches, .. } => (&targets[..], fetches),
            General::Refuse(_) => return Vec::new(),
        };
        let of_targets = targets.iter().filter_map(|target| target.fetch.as_ref());
        let mut constants: Vec<&Constant> = Vec::new();
        for fetch in of_targets.chain(fetches) {
            if let FetchAccess::Direct(access) = &fetch.access {
                constants.extend(access.values());
            }
        }
        if let Some((native @ Native::Top(_), _)) = &self.native {
            constants.extend(native.constants());
        }
        expressions(constants.into_iter())
    }

    /// The same plan with other values for its tables.
    #[must_use]
    pub fn with_homes(&self, other: &dyn Fn(&Arc<Home>) -> Arc<Home>) -> Self {
        let fetch = |fetch: &Fetch| Fetch { home: other(&fetch.home), ..fetch.clone() };
        let general = match &self.general {
            General::Read { fetches, in_tables } => General::Read {
                fetches: fetches.iter().map(fetch).collect(),
                in_tables: *in_tables,
            },
            General::Write { targets, fetches, on_conflict, in_tables } => General::Write {
                targets: targets
                    .iter()
                    .map(|target| Target {
                        home: other(&target.home),
                        fetch: target.fetch.as_ref().map(fetch),
                        inserted: target.inserted.clone(),
                    })
                    .collect(),
                fetches: fetches.iter().map(fetch).collect(),
                on_conflict: *on_conflict,
                in_tables: *in_tables,
            },
            General::Refuse(error) => General::Refuse(error.clone()),
        };
        Self {
            native: self.native.as_ref().map(|(native, home)| (native.clone(), other(home))),
            general,
        }
    }

    /// The same plan with the rows in PostgreSQL's own tables, where they are `whole`.
    #[must_use]
    pub fn in_tables(&self, whole: &dyn Fn(&Arc<Home>) -> Arc<Home>) -> Self {
        let mut plan = self.with_homes(whole);
        plan.native = None;
        if let General::Read { in_tables, .. } | General::Write { in_tables, .. } =
            &mut plan.general
        {
            *in_tables = true;
        }
        plan
    }
}

fn expressions<'c>(constants: impl Iterator<Item = &'c Constant>) -> Vec<&'c Expression> {
    let expression = |constant: &'c Constant| match constant {
        Constant::Expression(expression) => Some(&**expression),
        _ => None,
    };
    constants.filter_map(expression).collect()
}

/// Makes plans for the homes as they are now.
#[derive(Debug, Clone, Copy)]
pub struct Planner<'a> {
    /// Which table lives where.
    pub homes: &'a Homes,
    /// What names mean to the session.
    pub visible: &'a Visible,
    /// Types of the relational columns that the statement compares with others.
    pub types: &'a ColumnTypes,
}

impl Planner<'_> {
    /// The plan for a statement; `None` when it names no store table after all.
    #[must_use]
    pub fn plan(&self, parsed: &Parsed) -> Option<Plan> {
        let homed: Vec<(usize, Arc<Home>)> = parsed
            .relations
            .iter()
            .enumerate()
            .filter_map(|(position, relation)| {
                Some((position, self.homes.resolve(&relation.name, self.visible)?.clone()))
            })
            .collect();
        if homed.is_empty() {
            return None;
        }
        let needs = match needs_tables(parsed, &homed) {
            Ok(needs) => needs,
            Err(error) => {
                return Some(Plan { native: None, general: General::Refuse(error) });
            }
        };
        let homes = homed.iter().map(|(position, home)| (*position, &**home));
        if let Err(error) = capability::check(parsed, homes) {
            return Some(Plan { native: None, general: General::Refuse(error) });
        }
        let native = match (&parsed.shape, &homed[..]) {
            (Some(shape), [(position, home)])
                if parsed.relations.len() == 1 && needs != Needs::Columns =>
            {
                let locks = parsed.locks(*position);
                let native = Native::of(shape, &parsed.relations[*position], home);
                native.and_then(|native| match native {
                    // Which rows it locks is PostgreSQL's to choose.
                    Native::Select(select)
                        if locks
                            && (select.read == ReadOperation::Some
                                || !select.filter.is_empty()) =>
                    {
                        None
                    }
                    Native::Select(select) if locks => {
                        // Whether a row is still as it was is known of a whole one only.
                        Some((Native::Select(NativeSelect { locks, ..select }), home.clone()))
                    }
                    Native::Select(select) => {
                        let home = home.wanting(&select.wanted());
                        Some((Native::Select(select), home))
                    }
                    native => (!locks).then(|| (native, home.clone())),
                })
            }
            _ => None,
        };
        Some(Plan { native, general: general(parsed, &homed, self.types, needs != Needs::Nothing) })
    }
}

fn general(
    parsed: &Parsed,
    homed: &[(usize, Arc<Home>)],
    types: &ColumnTypes,
    in_tables: bool,
) -> General {
    if let Some((_, home)) =
        homed.iter().find(|(position, _)| parsed.relations[*position].role == Role::Object)
    {
        return General::Refuse(unsupported(home, "this kind of statement"));
    }
    let fetches = fetch::plan(&parsed.relations, homed, types);
    let (targets, fetches): (Vec<_>, Vec<_>) = fetches
        .into_iter()
        .partition(|fetch| parsed.relations[fetch.relation].role == Role::Target);
    let relational_target = parsed.relations.iter().enumerate().find(|(position, relation)| {
        relation.role == Role::Target
            && !relation.is_through_view
            && !homed.iter().any(|(each, _)| each == position)
    });
    if let (Some(home), None) = (twice(&targets, parsed), relational_target) {
        return General::Refuse(unsupported(
            home,
            "a statement that writes to it in more than one place",
        ));
    }
    match (&targets[..], relational_target) {
        ([], _) => General::Read {
            fetches: match in_tables {
                true => fetches,
                false => fetches.into_iter().map(|fetch| narrowed(fetch, parsed)).collect(),
            },
            in_tables,
        },
        ([store, ..], Some((_, relation))) => General::Refuse(
            PgError::error(
                sqlstate::FEATURE_NOT_SUPPORTED,
                format!(
                    "one statement can't write both to \"{}\", homed in {}, and to \"{}\" in PostgreSQL",
                    store.home.name(),
                    store.home.store.kind(),
                    relation.name
                ),
            )
            .with_hint("Split it into two statements in one transaction: first read what the second one needs."),
        ),
        (_, None) => {
            let target = |fetch: Fetch| Target {
                home: fetch.home.clone(),
                inserted: inserted_keys(parsed, &fetch),
                fetch: (!parsed.relations[fetch.relation].inserted).then_some(fetch),
            };
            General::Write {
                targets: merged(targets.into_iter().map(target)),
                fetches,
                on_conflict: parsed.on_conflict,
                in_tables,
            }
        }
    }
}

/// A table whose rows are changed in more than one of these places: which rows to stage is known of
/// one only.
fn twice<'f>(targets: &'f [Fetch], parsed: &Parsed) -> Option<&'f Home> {
    let mut changed: Vec<&Fetch> = Vec::new();
    for fetch in targets.iter().filter(|fetch| !parsed.relations[fetch.relation].inserted) {
        if changed.iter().any(|each| each.home.name() == fetch.home.name()) {
            return Some(&fetch.home);
        }
        changed.push(fetch);
    }
    None
}

/// One target for each table: what is inserted is found among the rows that come out, whatever else
/// has changed some.
fn merged(targets: impl Iterator<Item = Target>) -> Vec<Target> {
    let mut merged: Vec<Target> = Vec::new();
    for target in targets {
        match merged.iter_mut().find(|each| each.home.name() == target.home.name()) {
            Some(known) => {
                known.inserted = known.inserted.take().or(target.inserted);
                known.fetch = known.fetch.take().or(target.fetch);
            }
            None => merged.push(target),
        }
    }
    merged
}

/// The keys of rows that collide where they are taken, when all of them are constants.
fn inserted_keys(parsed: &Parsed, fetch: &Fetch) -> Option<Access> {
    let inserted = parsed.inserted.as_ref()?;
    if !parsed.on_conflict || !parsed.relations[fetch.relation].inserted {
        return None;
    }
    let table = &fetch.home.table.table;
    let place = |column: &usize| match &inserted.columns {
        Some(names) => names.iter().position(|name| *name == table.columns[*column].name),
        None => Some(*column),
    };
    let places = table.primary_key.iter().map(place).collect::<Option<Vec<_>>>()?;
    let key =
        |row: &Vec<Option<Constant>>| places.iter().map(|&place| row.get(place)?.clone()).collect();
    Some(Access::Keys(inserted.rows.iter().map(key).collect::<Option<_>>()?))
}

/// The fetch with the columns that the statement can mean. The others stand as NULL in rows that
/// PostgreSQL sees, which a domain might refuse.
fn narrowed(fetch: Fetch, parsed: &Parsed) -> Fetch {
    let table = &fetch.home.table.table;
    let Some(mentions) =
        parsed.mentions.as_ref().filter(|_| !table.has_checks && !parsed.locks(fetch.relation))
    else {
        return fetch;
    };
    // `t.f` is f(t), a function of the whole row, where `t` has no such column.
    let qualifier = parsed.relations[fetch.relation].qualifier();
    let is_function =
        |(of, name): &(String, String)| *of == qualifier && table.column(name).is_none();
    if parsed.members.iter().any(is_function) {
        return fetch;
    }
    let is_meant = |position: &usize| mentions.contains(&table.columns[*position].name);
    let columns: Vec<usize> = (0..table.columns.len()).filter(is_meant).collect();
    Fetch { home: fetch.home.wanting(&columns), ..fetch }
}

/// 0A000 about a table.
#[must_use]
pub fn unsupported(home: &Home, what: &str) -> PgError {
    PgError::error(
        sqlstate::FEATURE_NOT_SUPPORTED,
        format!(
            "{what} isn't supported for table \"{}\", homed in {}",
            home.name(),
            home.store.kind()
        ),
    )
    .with_hint(capability::abilities(home))
    .with_field(b's', home.name().schema.clone())
    .with_field(b't', home.name().name.clone())
}
