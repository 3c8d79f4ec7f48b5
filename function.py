"""The functions a router or a consumer may call, under the names users know.

This file only renames. function_token_decode is `decode` in atom/account/token.py, and
so on: take off function_, and the first word left is the file.
"""

import os
from functools import cache
from pathlib import Path
from urllib.parse import urlencode

import embedded
from atom import errors, reply, row
from atom import operation as operator
from atom.account.password import hash_password as function_password_hash
from atom.account.password import verify_password as function_password_verify
from atom.account.token import decode as function_token_decode
from atom.account.token import encode as function_token_encode
from atom.config import door as discover
from atom.config import keys
from atom.config import resolve as settings
from atom.postgres import catalog

ROOT = Path(__file__).parent


@cache
def function_config_read() -> settings.Config:
    """Return every config value: defaults, then config files, .env and environment."""
    problems: list[str] = []
    layers = discover.variables(ROOT, problems)
    written = discover.environment(ROOT / ".env", problems)
    layers.append((".env", settings.named(written)))
    layers.append(("the environment", settings.named(os.environ)))
    config = settings.resolve(keys.KEYS, layers)
    config.problems = problems + config.problems
    if config["config_env"] != "production":
        made = embedded.keys(ROOT, config["config_atom_folder"])
        config.update({name: config[name] or key for name, key in made.items()})
    return config


# Names users know. Each works on `request.app.state.ports`, as trusted code: no owner
# is checked and every table is open, so say yourself whose rows they are.


async def function_object_create_postgres(ports, table, object, user_id=None):
    """Add a row, or a list of rows in one statement. Return the id or ids."""
    reach = ports.rules.trusted(user_id)
    return await row.create(ports.database, reach, table, object)


async def function_object_update_postgres(ports, table, object, user_id=None):
    """Change the row whose `id` stands in the object. Return that id."""
    reach = ports.rules.trusted(user_id)
    return await row.update(ports.database, reach, table, object)


async def function_object_delete_postgres(ports, table, ids):
    """Delete rows by id. Return how many there were."""
    reach = ports.rules.trusted(None)
    return await row.delete_ids(ports.database, reach, table, ids)


async def function_object_read_postgres(ports, table, parameters=()):
    """Read rows as JSON bytes; parameters are pairs, as in /public/object-read."""
    query = urlencode([("table", table), *parameters]).encode()
    answer = await row.read(ports.database_read, ports.rules.trusted(None), query)
    return answer.body


async def function_postgres_schema_read(ports):
    """Return the live schema in the form of cache_postgres_schema."""
    return operator.shown(await catalog.read(ports.database))


async def function_postgres_schema_init(ports):
    """Apply config_postgres_schema, as /root/postgres-init does."""
    await operator.schema_apply(ports, destructive=False)


def function_return_error(status, message):
    """Answer an error in the one shape, from anywhere."""
    return reply.failure(errors.ApiError(message, code=f"http.{status}", status=status))


__all__ = [name for name in globals() if name.startswith("function_")]
