"""The rights of a login: made, compared with the live database, and corrected.

Rights are held column by column, so a new column is closed until it is found not to be
secret. A view is open when the login could have run the statement behind it: PostgreSQL
is asked that, by EXPLAIN as the login.
"""

import logging
from collections.abc import Sequence
from typing import Any

from atom.errors import Unavailable
from atom.postgres.database import Connection
from atom.postgres.errors import translate
from atom.postgres.identifier import quote, quote_all
from atom.row.managed import RIGHTS
from atom.sandbox.role import Role, verifier
from atom.schema.apply import LOCK as SCHEMA_LOCK

log = logging.getLogger(__name__)

DENIED = "42501"
# Another transaction has changed the rights on the same object; no code of its own.
INTERNAL, CONCURRENT = "XX000", "tuple concurrently updated"
LOCK = 0x61746F6D_0001  # held while the rights of a login change
TRY_LOCK = "select pg_try_advisory_xact_lock($1)"
# Extensions that open connections to other machines.
REACHING = ("dblink", "http", "pg_net")

LOGIN = """
select oid, rolcanlogin,
       rolsuper or rolcreaterole or rolcreatedb or rolreplication or rolbypassrls
         or exists (select from pg_auth_members where member = r.oid) as is_powerful,
       pg_has_role(r.oid, 'usage') as is_ours,
       has_database_privilege(r.oid, current_database(), 'connect') as connects
from pg_roles r where rolname = $1
"""
IN_SCOPE = """
(n.nspname = 'public' or ({every} and n.nspname !~ '^pg_'
 and n.nspname not in ('information_schema', 'atom')))
"""
SCHEMAS = """
select n.nspname as name from pg_namespace n
where {scope} and not has_schema_privilege($1::oid, n.oid, 'usage')
  and pg_has_role(n.nspowner, 'usage')
"""
# What has a route of its own, or none: traces, and the rights of users.
KEPT = """(
  c.relname in ('log_api', 'log_password', 'otp')
  or c.relname = 'users'
     and (lower(a.attname) in ({rights}) or lower(a.attname) like 'google\\_%')
     and (verb = 'UPDATE' or lower(a.attname) <> 'type')
)""".replace("{rights}", ", ".join(f"'{name}'" for name in RIGHTS))
# Columns to grant and to revoke. $2 verbs, $3 secret names, $4 views that are open.
COLUMNS = """
with wanted as (
  select c.oid, a.attnum, verb from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
  join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
  cross join unnest($2::text[]) as verb
  where {scope} and pg_has_role(c.relowner, 'usage')
    and lower(a.attname) <> all ($3::text[]) and lower(a.attname) not like '%password%'
    and (c.relkind in ('r', 'p')
      or (c.relkind in ('v', 'm') and c.oid = any ($4::oid[]) and verb = 'SELECT'))
    and (verb = 'SELECT' or n.nspname <> 'public' or not {kept})
), live as (
  select a.attrelid as oid, a.attnum, x.privilege_type as verb
  from pg_attribute a cross join lateral aclexplode(a.attacl) as x
  where a.attacl is not null and not a.attisdropped and x.grantee = $1::oid
)
select w.oid is not null as grants, verb, n.nspname as schema, c.relname as name,
       array_agg(a.attname::text order by a.attnum) as columns
from wanted w full join live l using (oid, attnum, verb)
join pg_class c using (oid) join pg_namespace n on n.oid = c.relnamespace
join pg_attribute a on a.attrelid = c.oid and a.attnum = attnum_of(w.attnum, l.attnum)
where w.oid is null or l.oid is null
group by 1, 2, 3, 4 order by 1, 3, 4
""".replace("attnum_of", "coalesce").replace("{kept}", KEPT)
# What inserts and deletes need next to columns: the tables, and counters of `serial`.
TABLES = """
select 'delete on table' as word, n.nspname as schema, c.relname as name
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where {scope} and c.relkind in ('r', 'p') and pg_has_role(c.relowner, 'usage')
  and not has_table_privilege($1::oid, c.oid, 'delete')
  and (n.nspname <> 'public' or c.relname not in ('log_api', 'log_password', 'otp'))
union all
select 'usage on sequence', n.nspname, c.relname
from pg_class c join pg_namespace n on n.oid = c.relnamespace
join pg_depend d on d.objid = c.oid and d.classid = 'pg_class'::regclass
  and d.refclassid = 'pg_class'::regclass and d.deptype = 'a'
where {scope} and pg_has_role(c.relowner, 'usage')
  and case when c.relkind = 'S' then not has_sequence_privilege($1::oid, c.oid, 'usage')
      else false end
"""
DELETES_TRACES = """
select c.relname as name from pg_class c
join pg_namespace n on n.oid = c.relnamespace
cross join lateral aclexplode(c.relacl) as x
where n.nspname = 'public' and c.relname in ('log_api', 'log_password', 'otp')
  and x.grantee = $1::oid and x.privilege_type = 'DELETE'
"""
VIEWS = """
select c.oid, r.oid::text || ':' || r.xmin::text as version
from pg_rewrite r join pg_class c on c.oid = r.ev_class
join pg_namespace n on n.oid = c.relnamespace
where {scope} and c.relkind in ('v', 'm') and r.rulename = '_RETURN'
  and pg_has_role(c.relowner, 'usage') order by 1
"""
# What is open to every role of the server and would open to this one more than is
# declared. The rights of extensions on their own objects are theirs.
OPEN = """
select format('revoke select on %I.%I from public', n.nspname, c.relname) as cure
from pg_class c join pg_namespace n on n.oid = c.relnamespace
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
  and c.relkind in ('r', 'p', 'v', 'm', 'f')
  and has_schema_privilege($1::oid, n.oid, 'usage')
  and has_column_privilege($1::oid, c.oid, a.attnum, 'select')
  and not exists (select from aclexplode(a.attacl) as x
                  where x.grantee = $1::oid and x.privilege_type = 'SELECT')
  and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass
                  and d.objid = c.oid and d.deptype = 'e')
union
select format('revoke execute on function %s from public', p.oid::regprocedure)
from pg_proc p join pg_namespace n on n.oid = p.pronamespace
left join pg_depend d
  on d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e'
left join pg_extension e on e.oid = d.refobjid
where p.oid >= 16384 and (p.prosecdef and e.oid is null or e.extname = any ($2::text[]))
  and p.prorettype not in ('trigger'::regtype, 'event_trigger'::regtype)
  and has_schema_privilege($1::oid, n.oid, 'usage')
  and has_function_privilege($1::oid, p.oid, 'execute')
order by 1
"""


class Rights:
    """What one login may do in one database; `settle` makes it so."""

    def __init__(
        self, role: Role, name: str, word: str, secret: frozenset[str]
    ) -> None:
        self.role, self.name = role, name
        self.password = word
        self._secret = sorted(secret)
        self._versions: list[str] = []  # of the views that were checked
        self._views: list[int] = []  # those that are open

    async def settle(self, connection: Connection) -> None:
        """Make the login and its rights what they should be.

        Call it in a transaction of Atom's own role. Mostly there is nothing to change.

        Raises:
            Unavailable: `query.closed` when the rights cannot be had, with the cure.
        """
        found = await self._login(connection)
        views = await connection.rows(self._scoped(VIEWS))
        versions = [view["version"] for view in views]
        if versions == self._versions and not await self._changes(
            connection, found, self._views
        ):
            await self._check_open(connection, found)
            return
        await connection.value("select pg_advisory_xact_lock($1)", LOCK)
        # A grant and a change of the same table would break each other off.
        if not await connection.value(TRY_LOCK, SCHEMA_LOCK):
            raise Unavailable("The tables are being changed.", code="schema.busy")
        await self._correct(connection, found, [])
        self._views = await self._open_views(connection, found, views)
        await self._correct(connection, found, self._views)
        await self._check_open(connection, found)
        self._versions = versions

    async def reset_password(self, connection: Connection) -> None:
        """Set the password that is derived now: the key it came from has changed."""
        await self._run(
            connection,
            f"alter role {quote(self.name)} password '{verifier(self.password)}'",
        )

    def _scoped(self, text: str) -> str:
        every = "true" if self.role.every_schema else "false"
        return text.format(scope=IN_SCOPE.format(every=every))

    async def _login(self, connection: Connection) -> Any:
        """Return the oid of the login, which is made when there is none."""
        row = await connection.row(LOGIN, self.name)
        if row is None or not (row["is_ours"] and row["connects"]):
            await connection.value("select pg_advisory_xact_lock($1)", LOCK)
            row = await connection.row(LOGIN, self.name)
        if row is None:
            word = verifier(self.password)
            create = f"create role {quote(self.name)} login password '{word}'"
            await self._run(connection, f"{create}; {self._grant_to_atom()}")
            row = await connection.row(LOGIN, self.name)
        assert row is not None
        if row["is_powerful"] or not row["rolcanlogin"]:
            raise self._closed(f"Role {self.name} is not a login without other rights.")
        if not row["is_ours"]:
            await self._run(connection, self._grant_to_atom())
        if not row["connects"]:
            database = await connection.value("select current_database()")
            on = f"connect on database {quote(database)}"
            await self._run(connection, f"grant {on} to {quote(self.name)}")
        return row["oid"]

    def _grant_to_atom(self) -> str:
        return f"grant {quote(self.name)} to current_user"

    async def _changes(
        self, connection: Connection, oid: Any, views: Sequence[int]
    ) -> list[str]:
        """Return the statements that bring the rights to what they should be."""
        to, made = quote(self.name), []
        for row in await connection.rows(self._scoped(SCHEMAS), oid):
            made.append(f"grant usage on schema {quote(row['name'])} to {to}")
        rows = await connection.rows(
            self._scoped(COLUMNS), oid, list(self.role.verbs), self._secret, list(views)
        )
        for row in rows:
            verb = f"{row['verb']} ({quote_all(row['columns'])})"
            on = f"{quote(row['schema'])}.{quote(row['name'])}"
            way = ("grant", "to") if row["grants"] else ("revoke", "from")
            made.append(f"{way[0]} {verb} on {on} {way[1]} {to}")
        if self.role.writes:
            for row in await connection.rows(self._scoped(TABLES), oid):
                on = f"{quote(row['schema'])}.{quote(row['name'])}"
                made.append(f"grant {row['word']} {on} to {to}")
            for row in await connection.rows(DELETES_TRACES, oid):
                made.append(f"revoke delete on public.{quote(row['name'])} from {to}")
        return made

    async def _correct(
        self, connection: Connection, oid: Any, views: Sequence[int]
    ) -> None:
        for statement in await self._changes(connection, oid, views):
            await self._run(connection, statement)

    async def _open_views(
        self, connection: Connection, oid: Any, views: Sequence[Any]
    ) -> list[int]:
        """Return the views behind which there is nothing this login may not read.

        A view may read another one: rounds go on until no more are found.
        """
        left, found = [view["oid"] for view in views], list[int]()
        while True:
            more = [view for view in left if await self._may_run(connection, view)]
            if not more:
                return found
            found += more
            left = [view for view in left if view not in more]
            await self._correct(connection, oid, found)

    async def _may_run(self, connection: Connection, view: int) -> bool:
        text = await connection.value("select pg_get_viewdef($1::oid)", view)
        savepoint = connection.raw.transaction()
        await savepoint.start()
        try:
            await connection.raw.execute(f"set local role {quote(self.name)}")
            await connection.raw.execute(f"explain {text}")
        except Exception as error:
            if getattr(error, "sqlstate", None) != DENIED:
                log.warning("view %s stays closed to callers' SQL: %s", view, error)
            return False
        finally:
            await savepoint.rollback()
        return True

    async def _check_open(self, connection: Connection, oid: Any) -> None:
        rows = await connection.rows(OPEN, oid, list(REACHING))
        if rows:
            cures = "; ".join(row["cure"] for row in rows[:3])
            raise self._closed(
                "Every role of the database may read what is secret, or run functions "
                "with the rights of their owner.",
                f"Run: {cures}" + ("; …" if len(rows) > 3 else ""),
            )

    async def _run(self, connection: Connection, statement: str) -> None:
        try:
            async with connection.raw.transaction():
                await connection.raw.execute(statement)
        except Exception as error:
            state = getattr(error, "sqlstate", None)
            if state == INTERNAL and CONCURRENT in str(error):
                raise Unavailable(
                    "The tables are being changed.", code="schema.busy"
                ) from error
            if state != DENIED:
                raise translate(error) from error
            log.warning(
                "SQL of callers is off until an administrator of PostgreSQL runs: %s",
                statement.replace(
                    "current_user", quote(await connection.value("select current_user"))
                ),
            )
            raise self._closed("The database does not let Atom make it.") from error

    def _closed(self, why: str, cure: str = "") -> Unavailable:
        return Unavailable(
            f"SQL of callers needs the database login {self.name}. {why}",
            code="query.closed",
            hint=cure
            or "The SQL that makes it is in the log. See docs/data.md, "
            '"A caller\'s own SQL".',
        )
