"""What a driver's error means to a caller: never SQL, never DETAIL, never a trace."""

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any

from atom.errors import (
    ApiError,
    Conflict,
    Forbidden,
    TimedOut,
    TooLarge,
    Unavailable,
    Unexpected,
    Unprocessable,
    nearest,
)

log = logging.getLogger(__name__)

# DETAIL of a unique violation reads `Key (a, b)=(1, 2) already exists.` in any
# language; only the names before the equals sign are taken.
KEY_COLUMNS = re.compile(r'\(([\w", ]+)\)=\(')
# The C function of PL/pgSQL that carries out RAISE: the text is a trigger's own.
RAISED = "exec_stmt_raise"

LOST = ("08", "57P")
UNREADABLE = "22P02"  # a text that is not a value of its datatype
REFUSED_BY_RULE = "a rule refuses row "  # such a text: `atom.row.sql.statement.checked`
# Another: what `atom.keep_protected` raises, for a row that would be marked as deleted.
PROTECTED = re.compile(r"Row .* is protected and cannot be deleted\.", re.DOTALL)
FAILED_BEFORE = "25P02"  # a statement in a transaction after one that failed
TEXT = ("42601", "42602", "42703", "42704", "42P", "42883", "26000", "3F000")
STALE = {"42P01", "42703", "42P05", "26000", "42P10"}
# What else reads a value and cannot: a jsonpath, the name of a type or a table.
# Statements of Atom are sound; where a table is gone, the error is the parser's.
READING = {"42601", "42602", "42704", "42P01", "3F000"}
PARSER = "parserOpenTable"
STALE_PLAN = "InvalidCachedStatementError"
UNCOMPARED = "PostgreSQL does not compare values of this datatype that way."
UNFIT = "A value does not fit the datatype of its column."
SILENT = (
    "ConnectionDoesNotExistError",
    "InterfaceError",
    "InternalClientError",
    "ProtocolError",
)


@dataclass(frozen=True, slots=True)
class Wording:
    """How an operator words a broken constraint: one entry of config_error."""

    message: str
    code: str = "row.refused"
    status: int = 409
    hint: str = ""


Wordings = Mapping[str, Wording]
CODE = re.compile(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*")


def wordings(value: Mapping[str, Any], problems: list[str]) -> Wordings:
    """Parse config_error, `{constraint: {message, code, …}}`; note every fault."""
    known = [each.name for each in fields(Wording)]
    found = {}
    for name, entry in value.items():
        place = f"config_error[{name!r}]"
        if not isinstance(entry, Mapping) or not entry.get("message"):
            problems.append(f"{place}: expected a dict with a message")
            continue
        faults = [
            f"{place}: no key {key!r}. {nearest(str(key), known)}".rstrip()
            for key in entry
            if key not in known
        ]
        status = entry.get("status", 409)
        if type(status) is not int or not 400 <= status < 500:
            faults.append(f"{place}: status: expected a whole number from 400 to 499")
        if not CODE.fullmatch(str(entry.get("code", "row.refused"))):
            faults.append(f"{place}: code: expected two words like booking.taken")
        problems += faults
        if not faults:
            found[name] = Wording(**{key: entry[key] for key in entry})
    return found


class DatabaseAway(Unavailable):
    """The database does not answer, or has no connection free."""


def exhausted(connections: int, seconds: float) -> DatabaseAway:
    """Return the error for a pool that had no free connection in time."""
    return DatabaseAway(
        f"All {connections} database connections were busy for {seconds:g} s.",
        code="pool.exhausted",
        hint="Try again; or raise config_postgres_max_connection.",
    )


def unavailable() -> DatabaseAway:
    """Return the error for a database that does not answer."""
    return DatabaseAway(
        "The database does not answer at the moment.",
        code="client.silent",
        hint="Try again in a moment.",
    )


class UnlocatedValue(ApiError):
    """About a value of a column that PostgreSQL does not name; it can be found.

    `about` is the table and the row that is written, where a single row was tried.
    """

    code = "value.unreadable"
    about: Any = None

    def __init__(self, message: str, *, code: str = "", named: str = "") -> None:
        super().__init__(message, code=code)
        self.text = message
        # The message once the column {name} and its datatype {kind} are found; without
        # one, the value does not have the datatype.
        self.named = named

    def name(self, message: str, hint: str = "") -> None:
        """Replace the message; what was put before it stays."""
        self.message = self.message.removesuffix(self.text) + message
        self.args, self.text, self.hint = (self.message,), message, hint


class RejectedValue(UnlocatedValue, Unprocessable):
    """Of the right datatype, and against a rule of it."""

    status = Unprocessable.status
    code = Unprocessable.code


def translate(
    error: Exception, wordings: Wordings = MappingProxyType({}), *, own: bool = False
) -> ApiError:
    """Return the error a caller may see for one that a driver raised.

    `wordings` are by the name of the constraint. `own` is a user's own SQL: what is
    wrong with its text is a fault of the server, and logged.
    """
    if isinstance(error, ApiError):
        return error
    state = getattr(error, "sqlstate", None)
    if state is not None:
        if wording := wordings.get(getattr(error, "constraint_name", None) or ""):
            return ApiError(
                wording.message,
                code=wording.code,
                hint=wording.hint,
                status=wording.status,
            )
        if str(state) == UNREADABLE and REFUSED_BY_RULE in str(error):
            return refused_by_rule()
        if str(state) == UNREADABLE and (found := PROTECTED.search(str(error))):
            return Conflict(found[0], code="row.refused")
        if str(state) == FAILED_BEFORE or (own and str(state).startswith(TEXT)):
            return _unexpected(error)
        return _by_state(error, str(state))
    if isinstance(error, TimeoutError):
        return TimedOut("The database took too long to answer.")
    if isinstance(error, OSError):
        log.warning("database lost: %s", error)
        return unavailable()
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if "DataError" in kinds:
        return UnlocatedValue(UNFIT)
    if own and "InterfaceError" in kinds and "clos" not in str(error):
        return _unexpected(error)  # the call is wrong; the connection is well
    if kinds & set(SILENT):
        log.warning("database lost: %s", error)
        return unavailable()
    return _unexpected(error)


def is_of_driver(error: Exception) -> bool:
    """Whether a driver of PostgreSQL raised this, about the server or a statement."""
    return any(kind.__module__.startswith("asyncpg") for kind in type(error).__mro__)


def _unexpected(error: Exception) -> Unexpected:
    log.error("unexpected database error", exc_info=error)
    return Unexpected("Something went wrong on our side.")


def refused_by_rule() -> Forbidden:
    """Return the error for a row that may not be written as it would become."""
    return Forbidden(
        "The rule of this table does not let you write such a row.",
        code="row.rule_refused",
    )


def _by_state(error: Any, state: str) -> ApiError:
    if state == "25006":
        return Forbidden("This statement may only read.", code="row.readonly")
    if getattr(error, "server_source_function", "") == RAISED:
        return _raised(error, state)
    known = RULES.get(state)
    if known is not None:
        return known(error)
    inside = bool(getattr(error, "context", None))  # of a function or a trigger
    source = getattr(error, "server_source_function", "")
    if state.startswith("22") or (state in READING and source != PARSER and not inside):
        return UnlocatedValue(UNFIT)
    if state == "42883" and not inside:
        return UnlocatedValue(
            UNCOMPARED,
            code="filter.unreadable",
            named="PostgreSQL does not compare column '{name}' ({kind}) that way.",
        )
    if state == "57014":
        return TimedOut("The database took too long to answer.")
    if state.startswith(LOST) or state in {"53300", "53400"}:
        log.warning("database lost: %s", error)
        return unavailable()
    if state == "0A000" and type(error).__name__ != STALE_PLAN:
        return UnlocatedValue(
            "The database server does not support this.",
            named="The database server does not support column '{name}' ({kind}).",
        )
    if state in STALE or state == "0A000":
        log.warning("statement does not fit the schema", exc_info=error)
        return Unavailable(
            "The tables have just been changed.",
            code="sql.changed",
            hint="Try again in a moment; or was the schema never applied? Then "
            "/root/postgres-init does.",
        )
    return _unexpected(error)


def _raised(error: Any, state: str) -> ApiError:
    text = str(error.message).split("\n", 1)[0][:200]
    if state in FILE:
        return FILE[state](text)
    if state == "42501":
        return Forbidden(text, code="row.refused")
    return Conflict(text, code="row.refused")


# What `atom.hold_file` raises.
FILE: dict[str, Callable[[str], ApiError]] = {
    "ATF01": lambda text: Unprocessable(text, code="file.not_yours"),
    "ATF02": lambda text: TooLarge(text, code="file.too_large"),
    "ATF03": lambda text: Unprocessable(text, code="file.type_not_allowed"),
}


class BrokenRule(Unprocessable):
    """A check of a table; PostgreSQL names the rule, its columns can be looked up."""

    table = ""
    rule = ""


def _columns(error: Any) -> str:
    found = KEY_COLUMNS.search(getattr(error, "detail", None) or "")
    return found[1].replace('"', "") if found else ""


def _rule(error: Any) -> str:
    return f"rule '{error.constraint_name}' of table '{error.table_name}'"


def _exists(error: Any) -> ApiError:
    columns = _columns(error)
    if not columns:
        return Conflict(f"Such a row already exists: {_rule(error)}.")
    return Conflict(
        f"A row with the same {columns} already exists.", hint=f"By {_rule(error)}."
    )


def _missing(error: Any) -> ApiError:
    if not error.column_name:  # of a domain
        return RejectedValue(
            "A value is null where its datatype takes none.",
            named="Column '{name}' is mandatory.",
        )
    return Unprocessable(
        f"Column '{error.column_name}' of table '{error.table_name}' is mandatory."
    )


def _checked(error: Any) -> ApiError:
    if not error.table_name:  # of a domain
        rule = f"the rule '{error.constraint_name}' of its datatype."
        return RejectedValue(
            f"A value breaks {rule}", named=f"Column '{{name}}' breaks {rule}"
        )
    if not error.constraint_name:
        return Unprocessable(
            f"Table '{error.table_name}' has no partition that takes this row."
        )
    broken = BrokenRule(f"A value breaks the {_rule(error)}.")
    broken.table, broken.rule = error.table_name, error.constraint_name
    return broken


def _referenced(error: Any) -> ApiError:
    columns = _columns(error)
    by = f"By column '{columns}', the" if columns else "The"
    return Conflict(
        f"{by} {_rule(error)} ties rows of two tables together:"
        " the other row is missing, or still refers to this one.",
        code="row.referenced",
    )


def _overlapping(error: Any) -> ApiError:
    return Conflict(
        f"The rule '{error.constraint_name}' of table '{error.table_name}'"
        " forbids this next to the rows that exist."
    )


def _busy(error: Any) -> ApiError:
    return Conflict(
        "Another request is changing the same rows.",
        code="row.busy",
        hint="Try again.",
    )


RULES: dict[str, Callable[[Any], ApiError]] = {
    "23505": _exists,
    "23502": _missing,
    "23514": _checked,
    "23503": _referenced,
    "23001": _referenced,
    "23P01": _overlapping,
    "21000": lambda error: Conflict("Two rows of the list are the same row."),
    "40001": _busy,
    "40P01": _busy,
    "55P03": _busy,
    "22001": lambda error: RejectedValue(
        "A text is longer than its column takes.",
        named="The text is too long for column '{name}' ({kind}).",
    ),
    "22003": lambda error: RejectedValue(
        "A number is larger than its column takes.",
        named="The number is too large for column '{name}' ({kind}).",
    ),
    "22012": lambda error: Unprocessable(
        "A rule of the table divides by zero, or a trigger leaves a row out."
    ),
    "2201G": lambda error: Unprocessable(  # of `row.sql.statement.json_array`
        "The rows are larger than an answer may be.",
        code="answer.too_large",
        hint="Ask for fewer of them (limit=), or for fewer columns (column=).",
    ),
    "2201B": lambda error: ApiError(
        "The regular expression cannot be read.", code="filter.unreadable"
    ),
    "22025": lambda error: ApiError(
        "The pattern may not end with a backslash.", code="filter.unreadable"
    ),
    "42501": lambda error: Forbidden("The database does not permit this."),
    "54000": lambda error: Unprocessable(
        "A text is too long for an index or a search of its table.",
        hint="An index on a column takes texts of about 2,600 bytes.",
    ),
}
