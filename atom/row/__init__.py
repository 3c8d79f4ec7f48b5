"""Rows of any table: the verbs of the generic row routes.

Begin with the function `read`: one row read, whole. Then in this order; each module
needs only those above it:

    managed      columns and tables that no rule opens
    rule         `config_table` fitted to tables
    scope        which tables, rows and columns a caller reaches
    rule_check   every rule prepared against the live tables
    payload      the values of a body, parsed by the columns they are for
    wait         several rows written, without a deadlock
    explain_error  which column, filter or row it is that PostgreSQL refuses
    form         which form of a scope is fastest for a caller
    read         rows read
    prefer       whole numbers as text, for callers that prefer it
    allowed      rows that meet others like them, by the rule
    write        rows created, updated and deleted
    explain_rule  what the conditions of a rule are for a row
    natural      values as hooks have them
    hooked       the same for tables with hooks, in one transaction with these
    hooked_upsert  the same for rows that may be there already
    queued       rows that a consumer adds, by a message of a broker
    one          one row by its key; written rows as they are stored
    many         rows of several tables, later ones referring to earlier ones
    upsert       rows that may be there already
    batch        who writes the rows of a request, and when; those of many together
    audit        who changed which row, written by triggers
    heal         once more, after another tool has changed the tables
"""

from atom.row import audit as auditing
from atom.row import batch, many, one, write
from atom.row import read as reading
from atom.row.batch import PARAMETERS as CREATE_PARAMETERS
from atom.row.explain_rule import explain_rule
from atom.row.heal import healed
from atom.row.one import RETURN, answered, require_method, wants_row
from atom.row.payload import parse_body
from atom.row.prefer import answer, answer_rows, preferred, preferring, prefers_text
from atom.row.read import Answer, Rows
from atom.row.sql.query_string import FIXED as ADMIN_READ_PARAMETERS
from atom.row.sql.query_string import PARENTS as PARENT_PARAMETERS
from atom.row.sql.query_string import parameters as parse_parameters
from atom.row.upsert import PARAMETERS as UPSERT_PARAMETERS

READ_PARAMETERS = tuple(name for name in ADMIN_READ_PARAMETERS if name != "deleted")

read, parents = healed(reading.read), healed(reading.parents)
read_one, change = healed(one.read_one), healed(one.change)
delete = healed(one.delete)
create, update = healed(write.create), healed(write.update)
update_ids, delete_ids = healed(write.update_ids), healed(write.delete_ids)
delete_any, create_many = healed(write.delete_any), healed(many.create_many)
submit, audit = healed(batch.submit), healed(auditing.read)

__all__ = [
    "ADMIN_READ_PARAMETERS",
    "CREATE_PARAMETERS",
    "PARENT_PARAMETERS",
    "READ_PARAMETERS",
    "RETURN",
    "UPSERT_PARAMETERS",
    "Answer",
    "Rows",
    "answer",
    "answer_rows",
    "answered",
    "audit",
    "change",
    "create",
    "create_many",
    "delete",
    "delete_any",
    "delete_ids",
    "explain_rule",
    "parents",
    "parse_body",
    "parse_parameters",
    "preferred",
    "preferring",
    "prefers_text",
    "read",
    "read_one",
    "require_method",
    "submit",
    "update",
    "update_ids",
    "wants_row",
]
