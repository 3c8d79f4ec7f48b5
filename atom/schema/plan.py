"""A plan: its steps and notes, as data, as a table, as SQL; and why a step failed."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

# Source: PostgreSQL manual, section 13.3.1, Table-Level Locks.
EXCLUSIVE = "ACCESS EXCLUSIVE"
ROW_EXCLUSIVE = "SHARE ROW EXCLUSIVE"
UPDATE_EXCLUSIVE = "SHARE UPDATE EXCLUSIVE"
INNER = ("undo", "mark")
HEAD = ("", "lock", "reads", "rows", "loses", "undo", "SQL")
LONG = 400  # the body of a function is in --sql
# Source: PostgreSQL manual, appendix A, Error Codes.
REASONS = {
    "23502": "rows that exist have no value there",
    "23503": "rows that exist refer to rows that do not",
    "23505": "rows that exist are not unique there",
    "23514": "rows that exist break the rule",
    "42501": "the database role may not do it; let the owner of the tables do it",
    "42601": "it is not SQL that PostgreSQL can read",
    "42P10": "what it refers to is not unique there",
    "42830": "what it refers to is not unique there",
    "42883": "PostgreSQL has no such function or comparison",
    "42701": "a column it adds exists already",
    "42703": "it names a column that does not exist",
    "42704": "it names something that does not exist",
    "42710": "what it makes exists already",
    "42804": "the values that exist cannot become the new datatype",
    "42846": "the values that exist cannot become the new datatype",
    "42P01": "it names a table that does not exist",
    "42P07": "what it makes exists already",
    "2BP01": "other objects depend on what it changes",
    "54000": "a value that exists is too long for it",
    "55P03": "the table is in use; try again",
    "40P01": "the table is in use; try again",
}


@dataclass(frozen=True)
class Step:
    """One change: what runs, what it costs, and whether it can be taken back."""

    sql: str
    kind: str
    table: str = ""
    name: str = ""
    lock: str = ""
    rewrite: bool = False
    scan: bool = False
    rows: int = 0
    destructive: bool = False
    reversible: bool = True
    transactional: bool = True
    undo: str = ""  # what clears up when the step fails halfway
    mark: str = ""  # which text of a query of the user's this is


@dataclass(frozen=True)
class Plan:
    """Steps in their order, and everything else a person should know.

    `drift` is where declaration and database differ and nothing will be done about it;
    `notes` is what this server or role cannot do and what is done instead; `refusals`
    is why the plan may not run at all.
    """

    steps: tuple[Step, ...] = ()
    drift: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    refusals: tuple[str, ...] = ()

    @property
    def destructive(self) -> bool:
        """Whether any step loses what is stored."""
        return any(step.destructive for step in self.steps)


def described(plan: Plan) -> list[dict[str, Any]]:
    """Return the steps as plain dicts, for `mode=plan`."""
    return [
        {key: value for key, value in asdict(step).items() if key not in INNER}
        for step in plan.steps
    ]


def shown(plan: Plan) -> str:
    """Return the steps as a table, and below it what else a person should know."""
    parts = []
    if plan.steps:
        rows = [_row(number, step) for number, step in enumerate(plan.steps, 1)]
        parts.append(_table([HEAD, *rows]))
    else:
        parts.append("Nothing to do.\n")
    for title, lines in (
        ("Differs, and stays", plan.drift),
        ("Note", plan.notes),
        ("Refused", plan.refusals),
    ):
        parts.extend(f"{title}: {line}\n" for line in lines)
    return "".join(parts)


def script(plan: Plan) -> str:
    """Return the SQL of all steps, in their order."""
    return "".join(f"{step.sql};\n" for step in plan.steps)


def _row(number: int, step: Step) -> tuple[str, ...]:
    sql = " ".join(step.sql.split())
    return (
        str(number),
        step.lock or "-",
        "rewrites" if step.rewrite else "scans" if step.scan else "-",
        str(step.rows),
        "yes" if step.destructive else "-",
        "yes" if step.reversible else "no",
        sql if len(sql) <= LONG else f"{sql[:LONG]} …",
    )


def _table(rows: Sequence[Sequence[str]]) -> str:
    """Lay cells out under each other; the last column is as wide as it is."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "".join(_line(row, widths) for row in rows)


def _line(cells: Sequence[str], widths: Iterable[int]) -> str:
    padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return "  ".join(padded).rstrip() + "\n"


def reason(step: Step, state: str) -> str:
    """Return what failed and why, given PostgreSQL's five-character error code."""
    why = REASONS.get(state, "")
    if state == "42804" and step.kind == "constraint":
        why = "what it compares is of different datatypes"
    if not why and state.startswith("22"):
        why = "a value that exists does not fit"
    why = why or f"PostgreSQL refuses it ({state}); the reason is in the log"
    # A column has no name of its own here: its table is what is named.
    kind = step.kind if step.name else "table"
    return f"{kind.capitalize()} {step.name or step.table}: {why}."
