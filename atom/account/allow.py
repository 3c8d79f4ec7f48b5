"""Which columns of `users` their user writes: an allow list, at sign-up and later.

A column that a project adds to `users` is private and unwritable until it is listed.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from atom.account.config import AccountConfig
from atom.errors import nearest
from atom.postgres.catalog import Table
from atom.row.managed import MANAGED_PREFIX, RIGHTS

OWN_COLUMNS = frozenset({"name", "country", "metadata", "location"})
NAMES = ("username", "username_bigint")
ADDRESSES = ("email", "mobile")
PASSWORDS = ("password", "password_bigint")
RULED = frozenset({*NAMES, *ADDRESSES, *PASSWORDS})  # written by rules of their own
OWN_UPDATE = "config_table['users']['my']['update']"
OWN = f"{OWN_UPDATE}['column']"
# What no list opens: the record that the server keeps, and rights.
MANAGED = frozenset(
    {
        *("id", "created_at", "updated_at", "created_by_id", "updated_by_id"),
        *("last_active_at", *RIGHTS),
    }
)


def listed_columns(config: AccountConfig) -> frozenset[str]:
    """Return the columns that config_table lists for users to write, or the usual ones.

    Its shape was checked before; a 0 lists none.
    """
    tiers = config.table.get("users", {})
    given = tiers.get("my", {})
    update = given.get("update", {}) if isinstance(given, Mapping) else given
    if update == 0:
        return frozenset()
    columns = update.get("column") if isinstance(update, Mapping) else None
    if columns is None:
        return OWN_COLUMNS
    words = columns.split(",") if isinstance(columns, str) else columns
    return frozenset(str(word).strip() for word in words)


def _update_words(config: AccountConfig) -> set[str]:
    given = config.table.get("users", {}).get("my", {})
    update = given.get("update", {}) if isinstance(given, Mapping) else {}
    return set(update) if isinstance(update, Mapping) else set()


def is_own(config: AccountConfig, name: str) -> bool:
    """Whether users write a column of their own row."""
    return name in RULED or name in listed_columns(config)


def taken_at_signup(signup: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the columns that sign-up takes in addition to name and password.

    >>> taken_at_signup({"column": ["name"], "mandatory": ["country", "name"]})
    ('name', 'country')
    """
    return tuple(dict.fromkeys([*signup["column"], *signup["mandatory"]]))


def faults(table: Table | None, config: AccountConfig) -> list[str]:
    """Return what is wrong with the lists of config about columns of `users`."""
    problems = [
        f"config_token_key_list: {name!r} is written by its user ({OWN}),"
        " so it cannot be a claim"
        for name in config.token_key_list
        if is_own(config, name)
    ]
    if table is None:
        return problems
    if more := sorted(_update_words(config) - {"column"}):
        problems.append(
            f"{OWN_UPDATE}: {more[0]!r} has no effect on one's own row; it takes column"
        )
    for name in sorted(listed_columns(config) - OWN_COLUMNS - RULED):
        if fault := _fault(table, config, name, ()):
            problems.append(f"{OWN}: {fault}")
    for name in taken_at_signup(config.signup):
        if fault := _fault(table, config, name, RULED - {*ADDRESSES}):
            problems.append(f"config_signup: {fault}")
    if config.is_otp_verify and {*ADDRESSES} <= {*config.signup["mandatory"]}:
        problems.append(
            "config_signup: email and mobile cannot both be mandatory: a request"
            " carries one code (config_is_otp_verify)"
        )
    return problems


def _fault(
    table: Table, config: AccountConfig, name: str, closed: Iterable[str]
) -> str:
    """Return why a column cannot be opened to users, "" when it can."""
    if name in closed or name in config.column_secret_list or "password" in name:
        return f"{name!r} is written by a rule of its own"
    if (
        name in MANAGED
        or name in config.column_disabled_list
        or name.startswith(MANAGED_PREFIX)
    ):
        return f"{name!r} is a right, or managed by the server"
    if name not in table.columns:
        return f"users has no column {name!r}. {nearest(name, table.columns)}".strip()
    if table.columns[name].generated:
        return f"{name!r} is computed"
    return ""
