"""What PostgreSQL's own parser (libpg_query, by pglast) finds in statements.

Reads files of SQL, or with "-" statements as JSON, one in a line; prints for each statement that PostgreSQL reads a line of JSON: its text, its range
variables [role, schema, name, byte], and what its WHERE says when it is one SELECT.
"""

import json
import pathlib
import re
import sys

from pglast import parser


def statements(path):
    """The statements of a psql script, without psql's own commands and COPY's data."""
    lines, data = [], False
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if data:
            data = line.rstrip() != "\\."
            continue
        data = bool(re.match(r"\s*copy\b.*\bfrom\s+stdin\b.*;", line, re.I))
        line = re.sub(r"\\(g|gx|gset|gdesc|gexec|crosstabview|bind|watch|parse|sendpipeline)\b.*$", ";", line)
        if not line.lstrip().startswith("\\"):
            lines.append(line)
    text = "\n".join(lines)
    try:
        return parser.split(text, with_parser=False)
    except Exception:
        pass
    # Something in it isn't even cut by PostgreSQL: then by the ends of lines.
    return [each for each in re.split(r";\s*\n", text) if each.strip()]


TARGETS = ("InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt")
READS = ("fromClause", "usingClause", "larg", "rarg", "sourceRelation")


class Finder:
    def __init__(self):
        self.found = []

    def variable(self, kind, key, node, names):
        if kind in TARGETS and key == "relation":
            role = "target"
        elif key in READS and kind != "RangeTableSample":
            role = "read"
        else:
            role = "object"
        schema = node.get("schemaname")
        if role == "read" and schema is None and node["relname"] in names:
            return
        self.found.append([role, schema, node["relname"], node.get("location", 0)])

    def walk(self, kind, key, node, names):
        if isinstance(node, list):
            for each in node:
                self.walk(kind, key, each, names)
        elif isinstance(node, dict):
            if "relpersistence" in node and "relname" in node:
                self.variable(kind, key, node, names)
                return
            if kind == "SelectStmt" and key == "lockingClause":
                return
            names = self.with_clause(node, names)
            for inner, value in node.items():
                if inner == "withClause":
                    continue
                if inner[0].isupper():
                    # A node's kind, around it.
                    self.wrapped(inner, kind, key, value, names)
                else:
                    self.walk(self.unwrapped(value, kind), inner, value, names)

    def wrapped(self, inner, kind, key, value, names):
        if inner == "RangeVar":
            self.variable(kind, key, value, names)
        else:
            self.walk(inner, key if inner == "JoinExpr" else None, value, names)

    def unwrapped(self, value, kind):
        if isinstance(value, dict) and "limitOption" in value and "op" in value:
            return "SelectStmt"
        return kind

    def with_clause(self, node, names):
        clause = node.get("withClause")
        if not clause:
            return names
        tables = [each["CommonTableExpr"] for each in clause["ctes"]]
        every = [each["ctename"] for each in tables]
        for position, table in enumerate(tables):
            visible = every if clause.get("recursive") else every[:position]
            self.walk("CommonTableExpr", None, table["ctequery"], names | set(visible))
        return names | set(every)


def column(node):
    fields = node.get("ColumnRef", {}).get("fields", [])
    parts = [field["String"]["sval"] for field in fields if "String" in field]
    return ".".join(parts[-2:]) if parts and len(parts) == len(fields) else None


def constant(node):
    if "ParamRef" in node:
        return "$%d" % node["ParamRef"]["number"]
    if "TypeCast" in node:
        inner = constant(node["TypeCast"]["arg"])
        return inner and "cast " + inner
    value = node.get("A_Const")
    if value is None:
        return None
    if value.get("isnull"):
        return "null"
    if "ival" in value:
        return str(value["ival"].get("ival", 0))
    if "fval" in value:
        return value["fval"]["fval"]
    if "boolval" in value:
        return str(value["boolval"].get("boolval", False)).lower()
    if "sval" in value:
        return "'%s'" % value["sval"].get("sval", "")
    return None


FLIPPED = {"=": "=", "<": ">", ">": "<", "<=": ">=", ">=": "<="}


def fact(node):
    expr = node.get("A_Expr")
    if not expr or "lexpr" not in expr or "rexpr" not in expr:
        return ["other"]
    left, right, names = expr["lexpr"], expr["rexpr"], expr["name"]
    operator = names[0]["String"]["sval"] if len(names) == 1 else None
    if expr["kind"] == "AEXPR_OP" and operator in FLIPPED:
        if column(left) and constant(right):
            return ["%s %s %s" % (column(left), operator, constant(right))]
        if constant(left) and column(right):
            return ["%s %s %s" % (column(right), FLIPPED[operator], constant(left))]
        if operator == "=" and column(left) and column(right):
            return ["%s same %s" % (column(left), column(right))]
    if expr["kind"] == "AEXPR_BETWEEN" and column(left):
        low, high = (constant(side) for side in right["List"]["items"])
        if low and high:
            return ["%s >= %s" % (column(left), low), "%s <= %s" % (column(left), high)]
    if expr["kind"] == "AEXPR_IN" and operator == "=" and column(left):
        values = [constant(each) for each in right["List"]["items"]]
        if all(values):
            return ["%s in %s" % (column(left), ", ".join(values))]
    if expr["kind"] == "AEXPR_OP_ANY" and operator == "=" and column(left) and "A_ArrayExpr" in right:
        values = [constant(each) for each in right["A_ArrayExpr"].get("elements", [])]
        if values and all(values):
            return ["%s in %s" % (column(left), ", ".join(values))]
    if expr["kind"] == "AEXPR_OP_ANY" and operator == "=" and column(left) and constant(right):
        return ["%s any %s" % (column(left), constant(right))]
    return ["other"]


def facts(node):
    conjunction = node.get("BoolExpr", {})
    if conjunction.get("boolop") == "AND_EXPR":
        return [each for side in conjunction["args"] for each in facts(side)]
    return fact(node)


def read(text):
    try:
        tree = json.loads(parser.parse_sql_json(text))
    except Exception:
        return None
    found = tree.get("stmts", [])
    if len(found) != 1:
        return None
    statement = found[0]["stmt"]
    finder = Finder()
    finder.walk(None, None, statement, frozenset())
    select = statement.get("SelectStmt", {})
    where = select.get("whereClause")
    # Only of one table, which isn't a common table expression.
    is_table = len(finder.found) == 1 and ["RangeVar"] == [kind for each in select.get("fromClause", []) for kind in each] and "withClause" not in select
    return {"text": text, "kind": next(iter(statement)), "relations": finder.found, "facts": facts(where) if where and is_table else None}


def main():
    if sys.argv[1:] == ["-"]:
        texts = (json.loads(line) for line in sys.stdin)
    else:
        texts = (text for path in sys.argv[1:] for text in statements(pathlib.Path(path)))
    for text in texts:
        found = read(text)
        if found or sys.argv[1:] == ["-"]:
            print(json.dumps(found))


main()
