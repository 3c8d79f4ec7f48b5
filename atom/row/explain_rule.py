"""What a rule of `config_table` decides about a row, for `GET /root/explain`."""

from typing import Any

# ruff: noqa: S608 - SQL is written here, of quoted names and parameters alone.
from atom.config.table import TIERS, VERBS, Declared
from atom.errors import ApiError, NotFound, nearest
from atom.port import Ports
from atom.postgres.catalog import Table
from atom.postgres.condition import CLAIM, ME, Condition, numbered
from atom.postgres.database import Database
from atom.postgres.identifier import quote
from atom.row.payload import from_path
from atom.row.sql.statement import require_key

USERS_MAX = 20  # that are named as let in
SECONDS = 5.0


async def explain_rule(
    ports: Ports,
    asked: tuple[str, str, str],
    user_id: int | None,
    row_id: str | None,
) -> dict[str, Any]:
    """Return the conditions of a table, tier and verb, and what each is for a row.

    Raises:
        ApiError: for an unknown table, tier or verb, or a row that is missing.
    """
    database, policy = ports.database, ports.rules.policy
    name, tier, verb = asked
    for word, known in ((tier, TIERS), (verb, VERBS)):
        if word not in known:
            hint = nearest(word[:60], known) or f"There is {', '.join(known)}."
            raise ApiError(f"'{word[:60]}' is neither a tier nor a verb.", hint=hint)
    table = database.catalog.table(name)
    declared = policy.verb(name, tier, verb)
    answer: dict[str, Any] = {
        **{"table": name, "tier": tier, "verb": verb},
        **{"user_id": user_id, "id": row_id, "open": declared is not None},
    }
    if declared is None:
        return {**answer, "allowed": False, "reason": "closed by config_table"}
    parts = policy.parts(table, verb, declared)
    conditions: list[dict[str, Any]] = [
        {"condition": part, "declared": text, "sql": _shown(condition, table)}
        for part, (text, condition) in parts.items()
    ]
    answer |= {"conditions": conditions, **_limits(declared)}
    if row_id is None or verb == "create":
        return answer
    key = from_path(table, row_id)
    values = await _claims(database, user_id)
    for line, (_, condition) in zip(conditions, parts.values(), strict=True):
        line["row"] = await _holds(database, table, condition, key, values)
    # `check` is asked of the row as it becomes; here it is asked of it as it is.
    first = next(
        (
            line["condition"]
            for line in conditions
            if line["row"] is not True and line["condition"] != "check"
        ),
        None,
    )
    answer |= {"allowed": first is None, "refused_by": first}
    if tier == "my":
        asked_of = [each for part, (_, each) in parts.items() if part != "check"]
        answer["users"] = await _let_in(database, table, asked_of, key)
    return answer


def _limits(declared: Declared) -> dict[str, Any]:
    return {
        "column": declared.columns and list(declared.columns),
        "preset": dict(declared.preset),
        "role": list(declared.roles),
        "most": declared.most,
    }


def _shown(condition: Condition, table: Table) -> str:
    """Return a condition as it is written into statements, with `:me` for people."""
    marks = {name: f":{name}" for name in condition.binds}
    return condition.render(quote(table.name), marks)


async def _claims(database: Database, user_id: int | None) -> dict[str, Any]:
    """Return what conditions take of a user: the id, and claims as they are now."""
    if user_id is None:
        return {ME: None}
    found = await database.row("select * from users where id = $1", user_id)
    if found is None:
        raise NotFound(f"There is no user {user_id}.", code="row.missing")
    claims = {f"{CLAIM}{name}": value for name, value in found.items()}
    return {**claims, ME: user_id}


async def _holds(
    database: Database,
    table: Table,
    condition: Condition,
    key: Any,
    values: dict[str, Any],
) -> bool | None:
    """Return what a condition is for a row and a user: true, false or null.

    Raises:
        NotFound: `row.missing` when there is no such row.
    """
    binds = condition.binds
    text = (
        f"select {condition.render('t', numbered(binds))} as holds"
        f" from {quote(table.name)} t"
        f" where t.{quote(require_key(table))} = ${len(binds) + 1}"
    )
    given = [values.get(name) for name in binds]
    texts = [
        each if name == ME else _text(each)
        for name, each in zip(binds, given, strict=True)
    ]
    found = await database.row(text, *texts, key)
    if found is None:
        raise NotFound("There is no such row.", code="row.missing")
    holds: bool | None = found["holds"]
    return holds


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


async def _let_in(
    database: Database, table: Table, conditions: list[Condition], key: Any
) -> list[int]:
    """Return the first users that a rule lets in to a row."""
    tests = [
        condition.render(
            "t",
            {name: f"u.{quote(name.removeprefix(CLAIM))}" for name in condition.binds}
            | {ME: "u.id"},
        )
        for condition in conditions
    ]
    text = (
        f"select array(select u.id from users u where exists (select from"
        f" {quote(table.name)} t where t.{quote(require_key(table))} = $1"
        f" and {' and '.join(tests) or 'true'}) order by u.id limit {USERS_MAX})"
    )
    found: list[int] = await database.value(text, key, seconds=SECONDS)
    return found
