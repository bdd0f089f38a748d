//! Where a system column's value can go. Only forms that are known to keep it within the statement
//! are let through.

use std::collections::{BTreeSet, HashSet};

use super::SYSTEM;
use super::outline::{Clause, Outline};
use crate::lex::TokenKind;

/// Aggregates whose result is one or several of the values.
const KEEPING: [&str; 3] = ["min", "max", "array_agg"];

/// How many names a column may get on its way, at most.
const DEPTH: usize = 16;

/// Where values of system columns escape in a statement.
pub(super) struct Escapes<'o, 't> {
    outline: &'o Outline<'t>,
    /// Names by which columns of queries within have such values.
    names: BTreeSet<String>,
    /// Where they get those names.
    aliases: HashSet<usize>,
    /// The queries whose rows are only compared with such values.
    compared: HashSet<usize>,
}

/// A column's name and what stands in front of it.
#[derive(Clone, Copy)]
struct Operand {
    start: usize,
    end: usize,
}

impl<'o, 't> Escapes<'o, 't> {
    /// Whether the value of any escapes, by whatever name.
    pub(super) fn any(outline: &'o Outline<'t>) -> bool {
        let mut escapes = Self {
            outline,
            names: SYSTEM[..5].iter().map(|&name| name.to_owned()).collect(),
            aliases: HashSet::new(),
            compared: HashSet::new(),
        };
        // A name may be given to a column that goes by a name that was given to another.
        let known = (0..DEPTH).any(|_| !escapes.find_names());
        for at in escapes.places() {
            escapes.find_compared(at);
        }
        !known
            || escapes.leaves_by_rows()
            || escapes.places().into_iter().any(|at| escapes.leaves(at))
    }

    fn places(&self) -> Vec<usize> {
        (0..self.outline.len()).filter(|&at| self.is_one(at)).collect()
    }

    /// Whether a name there may mean such a value.
    fn is_one(&self, at: usize) -> bool {
        self.outline.is_reference(at)
            && self.names.contains(&*self.outline.word(at))
            && !self.aliases.contains(&at)
    }

    fn operand(&self, at: usize) -> Operand {
        let outline = self.outline;
        let mut start = at;
        while start >= 2 && outline.symbol(start - 1) == "." && outline.is_name(start - 2) {
            start -= 2;
        }
        Operand { start, end: at + 1 }
    }

    /// The column that begins here.
    fn operand_from(&self, start: usize) -> Option<Operand> {
        let mut at = start;
        while self.outline.is_name(at) && self.outline.symbol(at + 1) == "." {
            at += 2;
        }
        self.is_one(at).then_some(Operand { start, end: at + 1 })
    }

    /// The item of a select list that is this column, or an aggregate of it: where it begins and
    /// ends, and whether it is an aggregate.
    fn item(&self, at: usize) -> Option<(Operand, bool)> {
        let outline = self.outline;
        let operand = self.operand(at);
        let query = outline.query(at);
        if outline.group(at) == query {
            return Some((operand, false));
        }
        let group = &outline.groups[outline.group(at)];
        let open = group.open.filter(|_| group.parent == query)?;
        let function = open
            .checked_sub(1)
            .filter(|&function| KEEPING.iter().any(|name| outline.is_word_of(function, name)))?;
        let first = open + 1 + usize::from(outline.is(open + 1, "distinct"));
        let ends = operand.end == group.close || outline.is(operand.end, "order");
        (operand.start == first && ends && outline.symbol_before(function) != ".")
            .then_some((Operand { start: function, end: group.close + 1 }, true))
    }

    /// The name that an item of a select list gets; an error when something else than the item's
    /// end is behind it.
    fn alias(&self, item: Operand) -> Result<Option<usize>, ()> {
        let outline = self.outline;
        let begins = matches!(outline.symbol_before(item.start), "," | "(")
            || ["select", "distinct", "all"]
                .iter()
                .any(|word| item.start > 0 && outline.is(item.start - 1, word))
            || self.is_behind_distinct_on(item.start);
        let named = usize::from(outline.is(item.end, "as"));
        let ends = |at: usize| {
            let words =
                ["from", "union", "intersect", "except", "order", "limit", "where", "group", "for"];
            at >= outline.len()
                || matches!(outline.symbol(at), "," | ")" | ";")
                || words.iter().any(|word| outline.is(at, word))
        };
        match begins {
            true if named == 0 && ends(item.end) => Ok(None),
            true if outline.is_name(item.end + named) && ends(item.end + named + 1) => {
                Ok(Some(item.end + named))
            }
            _ => Err(()),
        }
    }

    fn is_behind_distinct_on(&self, at: usize) -> bool {
        let outline = self.outline;
        let open = at.checked_sub(1).and_then(|close| outline.opening(close)).unwrap_or_default();
        open >= 2 && outline.is(open - 1, "on") && outline.is(open - 2, "distinct")
    }

    /// Whether there were any more.
    fn find_names(&mut self) -> bool {
        let outline = self.outline;
        let known = self.aliases.len();
        for at in self.places() {
            let item = self.item(at).filter(|_| outline.clause(at) == Clause::Select);
            if let Some(Ok(Some(alias))) = item.map(|(item, _)| self.alias(item)) {
                self.aliases.insert(alias);
                self.names.insert(outline.word(alias).into_owned());
            }
        }
        self.aliases.len() > known
    }

    /// Notes the query that the column is compared with.
    fn find_compared(&mut self, at: usize) {
        if let Some(group) = self.compared_query(self.operand(at).end)
            && self.gives_only_these(group)
        {
            self.compared.insert(group);
        }
    }

    /// The query behind a comparison that begins here.
    fn compared_query(&self, start: usize) -> Option<usize> {
        let outline = self.outline;
        let open = if outline.is(start, "in") {
            start + 1
        } else if outline.is(start, "not") && outline.is(start + 1, "in") {
            start + 2
        } else {
            let behind = self.comparison(start)?;
            let quantified = ["any", "all", "some"].iter().any(|word| outline.is(behind, word));
            behind + usize::from(quantified)
        };
        let mut group = outline.opened(open)?;
        if outline.is(open + 1, "array") {
            let inner = outline
                .opened(open + 2)
                .filter(|&inner| outline.groups[inner].close + 1 == outline.groups[group].close)?;
            group = inner;
        }
        (outline.groups[group].query == group).then_some(group)
    }

    /// Where the other side of a comparison begins whose sign stands here.
    fn comparison(&self, start: usize) -> Option<usize> {
        let outline = self.outline;
        let is_sign = |at: &usize| matches!(outline.symbol(*at), "=" | "<" | ">" | "!");
        let behind = (start..).find(|at| !is_sign(at))?;
        (behind > start && behind <= start + 2).then_some(behind)
    }

    /// Whether each select list of a query begins with such a value, and the query with a select
    /// list.
    fn gives_only_these(&self, group: usize) -> bool {
        let outline = self.outline;
        let Some(open) = outline.groups[group].open.filter(|&open| outline.is(open + 1, "select"))
        else {
            return false;
        };
        let lists = (open + 1..outline.groups[group].close)
            .filter(|&at| outline.group(at) == group && outline.is(at, "select"));
        lists.into_iter().all(|select| {
            let first = select
                + 1
                + usize::from(outline.is(select + 1, "distinct") || outline.is(select + 1, "all"));
            let aggregate = KEEPING.iter().any(|name| outline.is_word_of(first, name))
                && outline.symbol(first + 1) == "(";
            let column = if aggregate {
                first + 2 + usize::from(outline.is(first + 2, "distinct"))
            } else {
                first
            };
            self.operand_from(column).is_some()
        })
    }

    /// Whether the value there is more than compared, or handed to the query around it.
    fn leaves(&self, at: usize) -> bool {
        let outline = self.outline;
        let query = outline.query(at);
        match outline.clause(at) {
            Clause::Select if query != 0 && self.is_window(outline.group(at)) => false,
            Clause::Select => {
                let Some((item, is_aggregate)) = self.item(at) else { return true };
                let Ok(alias) = self.alias(item) else { return true };
                // The column of an aggregate without a name goes by the aggregate's.
                query == 0
                    || !(self.compared.contains(&query)
                        || (self.is_source(query) && (alias.is_some() || !is_aggregate)))
            }
            Clause::Order => query == 0 || outline.group(at) != query,
            Clause::Condition => !self.is_compared(at),
            Clause::From | Clause::Other => true,
        }
    }

    fn is_window(&self, group: usize) -> bool {
        let open = self.outline.groups[group].open.unwrap_or_default();
        open > 0 && self.outline.is(open - 1, "over")
    }

    /// Whether it stands alone on one side of a comparison with its like.
    fn is_compared(&self, at: usize) -> bool {
        let outline = self.outline;
        let operand = self.operand(at);
        let is_alone_before = |start: usize| {
            let words = ["where", "on", "having", "and", "or", "not", "when"];
            let is_condition = start > 0 && words.iter().any(|word| outline.is(start - 1, word));
            let opens = start > 1
                && outline.symbol(start - 1) == "("
                && (!outline.is_name(start - 2)
                    || words.iter().any(|word| outline.is(start - 2, word)));
            is_condition || opens
        };
        let is_alone_behind = |end: usize| {
            let words = [
                "and",
                "or",
                "group",
                "order",
                "limit",
                "offset",
                "returning",
                "for",
                "union",
                "intersect",
                "except",
                "having",
                "window",
                "fetch",
                "when",
                "then",
                "on",
                "left",
                "right",
                "inner",
                "join",
                "full",
                "cross",
                "where",
                "set",
                "is",
                "as",
            ];
            end >= outline.len()
                || matches!(outline.symbol(end), ")" | ";")
                || words.iter().any(|word| outline.is(end, word))
        };
        // `… = ctid`
        let mut sign = operand.start;
        while sign > 0 && matches!(outline.symbol(sign - 1), "=" | "<" | ">" | "!") {
            sign -= 1;
        }
        if sign < operand.start {
            let left = sign
                .checked_sub(1)
                .filter(|&left| self.is_one(left))
                .map(|left| self.operand(left));
            return left.is_some_and(|left| is_alone_before(left.start))
                && is_alone_behind(operand.end);
        }
        if !is_alone_before(operand.start) {
            return false;
        }
        if outline.is(operand.end, "is") {
            let null = operand.end + 1 + usize::from(outline.is(operand.end + 1, "not"));
            return outline.is(null, "null");
        }
        if let Some(group) = self.compared_query(operand.end) {
            let mut end = outline.groups[group].close + 1;
            // Behind the parentheses of ANY around those of ARRAY.
            while outline.is_array(group)
                && outline.symbol(end) == ")"
                && end <= outline.groups[outline.groups[group].parent].close
            {
                end += 1;
            }
            return self.compared.contains(&group) && is_alone_behind(end);
        }
        let other = self.comparison(operand.end).and_then(|behind| self.operand_from(behind));
        other.is_some_and(|other| is_alone_behind(other.end))
    }

    /// Whether the query is a common table expression, or stands in FROM with an alias, and its
    /// columns keep their names.
    fn is_source(&self, query: usize) -> bool {
        self.source_name(query).is_some()
    }

    /// The place of its name.
    fn source_name(&self, query: usize) -> Option<usize> {
        let outline = self.outline;
        let group = &outline.groups[query];
        let open = group.open?;
        let mut as_at = open.checked_sub(1)?;
        if outline.is(as_at, "materialized") {
            as_at = as_at.checked_sub(1)?;
            as_at = if outline.is(as_at, "not") { as_at.checked_sub(1)? } else { as_at };
        }
        if outline.is(as_at, "as") {
            return as_at.checked_sub(1).filter(|&name| outline.is_name(name));
        }
        let name = group.close + 1 + usize::from(outline.is(group.close + 1, "as"));
        let stands_in_from =
            outline.clause(open) == Clause::From && outline.group(open) == outline.query(open);
        (stands_in_from && outline.is_name(name) && outline.symbol(name + 1) != "(").then_some(name)
    }

    /// Whether rows that have such values are taken whole.
    fn leaves_by_rows(&self) -> bool {
        let outline = self.outline;
        let selects = |at: &usize| outline.clause(*at) == Clause::Select;
        let queries: HashSet<usize> = self
            .places()
            .into_iter()
            .filter(selects)
            .map(|at| outline.query(at))
            .filter(|query| !self.compared.contains(query))
            .collect();
        if queries.is_empty() {
            return false;
        }
        let mut names: BTreeSet<String> = BTreeSet::new();
        let mut defined: HashSet<usize> = HashSet::new();
        for name in queries.iter().filter_map(|query| self.source_name(*query)) {
            names.insert(outline.word(name).into_owned());
            defined.insert(name);
        }
        // What stands in FROM under another name.
        for at in 0..outline.len() {
            let is_there = outline.is_name(at)
                && outline.clause(at) == Clause::From
                && names.contains(&*outline.word(at));
            let alias = at + 1 + usize::from(outline.is(at + 1, "as"));
            if is_there
                && !defined.contains(&at)
                && outline.is_name(alias)
                && !is_keyword_behind_source(outline, alias)
            {
                if outline.symbol(alias + 1) == "(" {
                    return true;
                }
                names.insert(outline.word(alias).into_owned());
                defined.insert(alias);
            }
        }
        (0..outline.len()).any(|at| {
            if outline.symbol(at) == "*" && outline.kind(at) == Some(TokenKind::Symbol) {
                let before = outline.symbol_before(at);
                let of_other = before == "." && at >= 2 && !names.contains(&*outline.word(at - 2));
                let is_all = matches!(before, "." | ",")
                    || ["select", "distinct", "all", "returning"]
                        .iter()
                        .any(|word| at > 0 && outline.is(at - 1, word))
                    || self.is_behind_distinct_on(at);
                return is_all && !of_other;
            }
            if outline.is(at, "table") {
                return true;
            }
            outline.is_name(at)
                && names.contains(&*outline.word(at))
                && !defined.contains(&at)
                && outline.clause(at) != Clause::From
                && outline.symbol(at + 1) != "."
        })
    }
}

fn is_keyword_behind_source(outline: &Outline<'_>, at: usize) -> bool {
    let words = [
        "where",
        "join",
        "on",
        "using",
        "left",
        "right",
        "inner",
        "full",
        "cross",
        "natural",
        "order",
        "group",
        "limit",
        "offset",
        "for",
        "union",
        "intersect",
        "except",
        "having",
        "window",
        "returning",
        "fetch",
        "set",
        "when",
    ];
    words.iter().any(|word| outline.is(at, word))
}

impl Outline<'_> {
    /// Whether the query is that of `ARRAY(…)`.
    fn is_array(&self, group: usize) -> bool {
        let open = self.groups[group].open.unwrap_or_default();
        open > 0 && self.is(open - 1, "array")
    }
}
