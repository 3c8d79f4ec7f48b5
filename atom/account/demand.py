"""Who has to have a second factor, by `config_mfa`, and has none."""

from typing import Any

from atom.account.config import AccountConfig
from atom.errors import Unauthenticated

ADMINS, ALL = "required_for_admin", "required"
# A recovery code alone is not a factor. An admin is who holds an api id, and user 1.
LACKS = """
select not exists (select from atom.totp
                   where user_id = $1 and secret is not null)
  and not ($3 and exists (select from atom.passkey where user_id = $1))
  and ($2 or exists (
    select from users u where u.id = $1
      and (u.id = 1 or coalesce(to_jsonb(u) ->> 'api_access', '') <> '')))
"""


async def is_lacking(database: Any, config: AccountConfig, user_id: int) -> bool:
    """Whether a user has to set a second factor up before anything else."""
    if config.mfa not in (ADMINS, ALL):
        return False
    takes = config.mfa == ALL, bool(config.passkey_origin_list)
    return bool(await database.value(LACKS, user_id, *takes))


async def require_factor(database: Any, config: AccountConfig, user_id: int) -> None:
    """Check that a session of a user may go on.

    Raises:
        Unauthenticated: `mfa.required`.
    """
    if await is_lacking(database, config, user_id):
        raise required()


def required() -> Unauthenticated:
    """Return the error of a session that began without the factor it needs."""
    return Unauthenticated(
        "a second factor is required",
        code="mfa.required",
        hint="Log in again: the answer leads to setting one up.",
    )
