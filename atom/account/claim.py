"""Claims that follow the row: columns of `users` that rules take, as they are now.

A token carries them as they were when it was signed. What a rule takes is read with the
state of the user, which is cached until the trigger of these columns notifies workers.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from atom.config.view import view
from atom.own.part import Trigger

# `id` never changes; rights have modes of their own: config_mode_check_….
APART = frozenset({"id", "is_active", "api_access"})
TRIGGER = "atom_claim_changed"


@dataclass(frozen=True, slots=True)
class ClaimConfig:
    """The key of claims."""

    token_key_list: tuple[str, ...]


def followed(names: Iterable[str]) -> tuple[str, ...]:
    """Return the claims that follow the row.

    >>> followed(["id", "role", "api_access"])
    ('role',)
    """
    return tuple(name for name in dict.fromkeys(names) if name not in APART)


def triggers(config: Mapping[str, Any]) -> tuple[Trigger, ...]:
    """Return the trigger that notifies workers of a change of a claim, if there is one.

    It compares the rows, not the columns that were written: another trigger may write.
    """
    names = followed(view(ClaimConfig, config).token_key_list)
    if not names:
        return ()
    listed = ", ".join("'" + name.replace("'", "''") + "'" for name in names)
    rule = "after update on {table} for each row execute function"
    rule = f"{rule} atom.claim_changed({listed})"
    return (Trigger("public", "users", TRIGGER, rule),)
