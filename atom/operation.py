"""Operations on a running system: apply the schema, reset caches, look up a user."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from atom.account.claim import triggers as claim_triggers
from atom.account.root import RootLogin, ensure_root
from atom.account.upgrade import upgrade_users
from atom.client import Client
from atom.client.doctor import Finding, examine
from atom.event.row_event import triggers
from atom.file import triggers as file_triggers
from atom.own.declaration import API
from atom.port import Ports, UserState
from atom.postgres import catalog
from atom.postgres.catalog import Catalog, LiveColumn
from atom.realtime.config import triggers as stream_triggers
from atom.row.audit import triggers as audit_triggers
from atom.row.rule_check import close_broken
from atom.row.scope import visible
from atom.schema import apply as schema
from atom.schema.declaration import Declaration
from atom.schema.plan import Plan

log = logging.getLogger(__name__)


def admin_api_ids(config: Mapping[str, Any]) -> dict[str, int]:
    """Return the api ids of the shipped /admin routes, as config has them."""
    entries = config["config_api"]
    ids = {path: entries.get(path, {}).get("id") for path in API}
    return {
        path: each for path, each in ids.items() if each and path.startswith("/admin")
    }


def declaration(ports: Ports) -> Declaration:
    """Return what config declares."""
    found = Declaration.parse(ports.config["config_postgres_schema"])
    return replace(
        found,
        row_triggers=(
            *triggers(ports.events),
            *stream_triggers(ports.config),
            *claim_triggers(ports.config),
            *audit_triggers(ports.config),
            *file_triggers(ports.config),
        ),
    )


def _direct(ports: Ports) -> Any:
    """Return where a session lasts: a connection that bypasses the pooler."""
    return ports.config.get("config_postgres_url_direct") or ports.database


async def doctor(ports: Ports, clients: Iterable[Client]) -> list[Finding]:
    """Return what is known of each client of this process."""
    return await examine(clients, ports.config, ports.clients)


async def schema_plan(ports: Ports, destructive: bool) -> Plan:
    """Return what applying the declaration would do, and how the database differs."""
    source = _direct(ports)
    return await schema.plan(source, declaration(ports), destructive=destructive)


async def schema_apply(ports: Ports, destructive: bool) -> RootLogin | None:
    """Apply the declaration, create the root user once, and notify every worker."""
    source = _direct(ports)
    await schema.apply(source, declaration(ports), destructive=destructive)
    await read_schema(ports)
    login = None
    if "users" in ports.database.catalog.tables:
        api_ids = admin_api_ids(ports.config)
        login = await ensure_root(ports.database, ports.account, api_ids.values())
        await upgrade_users(ports.database, api_ids)
    await ports.bus.publish("schema")
    return login


async def read_schema(ports: Ports) -> None:
    """Read the catalog again, and drop what was derived from the old one."""
    await _adopt(ports, await catalog.read(ports.database))
    await ports.rpc.again()


async def heal(ports: Ports, at_once: bool) -> None:
    """Read the catalog again; what was derived from it stays where nothing changed.

    Rules may be about what the catalog does not have, such as functions: they are
    prepared again where a statement failed (`at_once`), or one of them has before.
    """
    live, known = await catalog.read(ports.database), ports.database.catalog
    is_new = _columns(live) != _columns(known) or live.touched != known.touched
    if not is_new and (at_once or ports.rules.broken):
        is_new = await close_broken(ports.database, ports.rules, known)
    if is_new:
        await _adopt(ports, live)


def _columns(known: Catalog) -> dict[str, dict[str, LiveColumn]]:
    return {name: dict(table.columns) for name, table in known.tables.items()}


async def _adopt(ports: Ports, live: Catalog) -> None:
    # First: a request that meets these tables meets the rules that fit them.
    await close_broken(ports.database, ports.rules, live)
    ports.database.catalog = live
    ports.database_read.catalog = live
    if "log_api" in live.tables:
        ports.journal.enable()
    else:
        ports.journal.disable()
    ports.users.forget()
    ports.sockets.check()
    ports.schema_read(live)


async def reset(ports: Ports) -> None:
    """Reset every worker; this one is done when it returns."""
    await start_over(ports)
    await ports.bus.publish("reset")


async def start_over(ports: Ports) -> None:
    """Read the schema again and drop everything cached."""
    await read_schema(ports)
    for store in ports.stores.values():
        await store.clear()


async def known_user(ports: Ports, user_id: int | None) -> UserState | None:
    """Return the state of a user, for `explain`."""
    if user_id is None:
        return None
    return await ports.users.fresh(user_id)


async def known_roles(ports: Ports, user_id: int | None) -> frozenset[str]:
    """Return the roles of a user, for `explain`."""
    if user_id is None:
        return frozenset()
    return await ports.roles.held(user_id)


def shown(live: Catalog) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the catalog in the form users know as cache_postgres_schema."""
    return {
        table.name: {
            column.name: {
                "datatype": column.datatype,
                "default": column.default,
                "is_null": int(not column.not_null),
                "is_index": int(column.indexed),
            }
            for column in table.columns.values()
        }
        for table in live.tables.values()
    }


def public_tables(ports: Ports) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the tables anyone may read or add to: columns that are shown or sent."""
    catalog, scope = ports.database.catalog, ports.rules.public()
    found = {}
    for name, columns in shown(visible(catalog, ports.rules.secret)).items():
        seen: set[str] = set()
        if ports.rules.policy.verb(name, "public", "read"):
            seen |= scope.visible_columns(catalog, name).columns.keys()
        if ports.rules.policy.verb(name, "public", "create"):
            seen |= {each for each in columns if scope.sends(name, each, create=True)}
        if seen:
            found[name] = {each: columns[each] for each in columns if each in seen}
    return found
