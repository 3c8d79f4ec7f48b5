"""The operators a filter may use: a closed set, each with the datatypes it suits."""

from dataclasses import dataclass

from atom.datatype.families import having

ORDERED = having("ordered")
COMPARED = having("compared")
TEXT = having("text")
ARRAY = having("array")
JSON = having("json")
ANY = having("is")


@dataclass(frozen=True, slots=True)
class Operator:
    """One word of the grammar: its families, its operand, and its SQL."""

    name: str
    families: frozenset[str]
    takes: str  # one, two, many, items, item, key, words, pattern or nothing
    sql: str  # {c} the column, {v} and {w} the values


def _compare(name: str, sql: str = "") -> Operator:
    return Operator(name, ORDERED, "one", "{c} " + (sql or name) + " {v}")


def _match(name: str, takes: str = "one") -> Operator:
    return Operator(name, TEXT, takes, "{c} " + name + " {v}")


OPERATORS: dict[str, tuple[Operator, ...]] = {
    "=": (Operator("=", COMPARED, "one", "{c} = {v}"),),
    "!=": (Operator("!=", COMPARED, "one", "{c} <> {v}"),),
    "<>": (Operator("<>", COMPARED, "one", "{c} <> {v}"),),
    ">": (_compare(">"),),
    "<": (_compare("<"),),
    ">=": (_compare(">="),),
    "<=": (_compare("<="),),
    "like": (_match("like", "pattern"),),
    "ilike": (_match("ilike", "pattern"),),
    "~": (_match("~"),),
    "~*": (_match("~*"),),
    "in": (Operator("in", ORDERED, "many", "{c} = any({v})"),),
    "not in": (Operator("not in", ORDERED, "many", "{c} <> all({v})"),),
    "between": (Operator("between", ORDERED, "two", "{c} between {v} and {w}"),),
    "is": (Operator("is", ANY, "nothing", ""),),
    "is distinct from": (
        Operator("is distinct from", COMPARED, "one", "{c} is distinct from {v}"),
    ),
    "contains": (
        Operator("contains", ARRAY, "items", "{c} @> {v}"),
        Operator("contains", JSON, "one", "{c} @> {v}"),
    ),
    "overlap": (Operator("overlap", ARRAY, "items", "{c} && {v}"),),
    "any": (Operator("any", ARRAY, "item", "{v} = any({c})"),),
    "exists": (Operator("exists", JSON, "key", "{c} ? {v}"),),
    "fts": (
        Operator(
            "fts",
            TEXT,
            "words",
            "to_tsvector('simple', {c}) @@ websearch_to_tsquery('simple', {v})",
        ),
    ),
}
IS = {
    "null": Operator("is", ANY, "nothing", "{c} is null"),
    "not null": Operator("is", ANY, "nothing", "{c} is not null"),
    "true": Operator("is", having("boolean"), "nothing", "{c} is true"),
    "false": Operator("is", having("boolean"), "nothing", "{c} is false"),
}
