"""The functions a router or a consumer may call, under the names users know.

This file only renames. function_token_decode is `decode` in atom/account/token.py, and
so on: take off function_, and the first word left is the file.
"""

from functools import cache
from pathlib import Path
from urllib.parse import urlencode

from atom import errors, reply, row
from atom import operation as operator
from atom.account.password import hash_password as function_password_hash
from atom.account.password import verify_password as function_password_verify
from atom.account.token import decode as function_token_decode
from atom.account.token import encode as function_token_encode
from atom.command.welcome import print_login
from atom.config import door
from atom.config.check import require_valid
from atom.config.read import read
from atom.event.declaration import declared as events_of
from atom.event.publish import publish
from atom.postgres import catalog
from atom.runtime import Runtime

ROOT = Path(__file__).parent


@cache
def function_config_read():
    """Return every config value: defaults, then config files, .env and environment."""
    return read(ROOT)


def function_runtime():
    """Open everything a server has, for a script: app.state.ports, app.state.client_…

    `async with function_runtime() as app:`, or without async `with function_runtime()
    as app: app.run(coroutine)`. Nothing is served.

    Raises:
        ConfigError: with every problem of config.
    """
    config = function_config_read()
    clients, hooks = door.clients(ROOT), door.hooks(ROOT, config)
    handlers = door.handlers(ROOT, config)
    return Runtime(
        require_valid(config),
        ROOT,
        clients=clients,
        hooks=hooks,
        handlers=handlers,
        on_login=print_login,
    )


# Names users know. Each works on `request.app.state.ports`, as trusted code: no owner
# is checked and every table is open, so restrict the rows yourself.


def _ports(source):
    """Return the ports of an app, of a request, or the ports themselves."""
    app = getattr(source, "app", source)
    return app.state.ports if hasattr(app, "state") else app


def function_transaction(app, **options):
    """Return a transaction: `async with function_transaction(app):`.

    Inside, `client_postgres`, `client_postgres_asyncpg` and every `function_object_…`
    use one connection, and commit or roll back together; one inside another is a
    savepoint. `options` are asyncpg's: isolation, readonly, deferrable. A task started
    inside takes another connection.
    """
    return _ports(app).database.begin(**options)


async def function_object_create_postgres(ports, table, object, user_id=None):
    """Add a row, or a list of rows in one statement. Return the id or ids."""
    ports = _ports(ports)
    scope = ports.rules.trusted(user_id)
    return await row.create(ports.database, scope, table, object)


async def function_object_update_postgres(ports, table, object, user_id=None):
    """Change the row with the `id` in the object. Return that id."""
    ports = _ports(ports)
    scope = ports.rules.trusted(user_id)
    return await row.update(ports.database, scope, table, object)


async def function_object_delete_postgres(ports, table, ids):
    """Delete rows by id. Return how many there were."""
    ports = _ports(ports)
    scope = ports.rules.trusted(None)
    return await row.delete_ids(ports.database, scope, table, ids)


async def function_object_read_postgres(ports, table, parameters=()):
    """Read rows as JSON bytes; parameters are pairs, as in /public/object-read.

    With `is_count` the bytes have `.count`, with `cursor` or `limit` `.next_cursor`. In
    a transaction it reads on its connection, else on the replica if there is one.
    """
    query = urlencode([("table", table), *parameters]).encode()
    ports = _ports(ports)
    inside = ports.database.current() is not None
    database = ports.database if inside else ports.database_read
    return row.Rows(await row.read(database, ports.rules.trusted(None), query))


async def function_postgres_schema_read(ports):
    """Return the live schema in the form of cache_postgres_schema."""
    return operator.shown(await catalog.read(_ports(ports).database))


async def function_postgres_schema_init(ports, destructive=False):
    """Apply config_postgres_schema, as /root/postgres-init does.

    The login of a root user made by it is printed: its password is known only then.
    """
    ports = _ports(ports)
    login = await operator.schema_apply(ports, destructive=destructive)
    if login is not None:
        print_login(ports.config, login)


async def function_event(source, event_type, **about):
    """Publish an event on the caller's transaction. Return its id.

    `source` is an app, a request, a hook or a connection; `about` is aggregate_id,
    payload, aggregate_type and version. It is delivered to the targets that
    config_event names, once the transaction is committed, and never if it is not.
    """
    return await publish(source, _events(source), event_type, **about)


def _events(source):
    """Return the events that an app knows; for a bare connection, those of config."""
    ports = _ports(source)
    return ports.events if hasattr(ports, "events") else _declared_events()


@cache
def _declared_events():
    return events_of(function_config_read(), [])


def function_return_error(status, message):
    """Answer an error in the one shape, from anywhere."""
    return reply.failure(errors.ApiError(message, code=f"http.{status}", status=status))


__all__ = [name for name in globals() if name.startswith("function_")]
