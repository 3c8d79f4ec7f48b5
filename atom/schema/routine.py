"""Functions and triggers of the project."""

import re
from collections.abc import Mapping
from itertools import chain

from atom.postgres.identifier import public, quote
from atom.schema.draft import Draft
from atom.schema.form import Function, bare
from atom.schema.plan import EXCLUSIVE, ROW_EXCLUSIVE

WORD = re.compile(r"\w+")
# What `create or replace` does not replace: the names and types of a function.
HEAD = re.compile(r"^CREATE OR REPLACE FUNCTION .*?\n RETURNS [^\n]*", re.DOTALL)


def early(draft: Draft) -> None:
    """Make functions before the tables, which may be computed with them."""
    for function in draft.declared.functions.values():
        if not _names(function, draft.declared.tables, draft.declared.views):
            _make(draft, function)


def late(draft: Draft) -> None:
    """Make the functions that name a table, after the tables."""
    tables, views = draft.declared.tables, draft.declared.views
    for function in draft.declared.functions.values():
        if _names(function, tables) and not _names(function, views):
            _make(draft, function)


def last(draft: Draft) -> None:
    """Make the functions that name a view, after the views."""
    for function in draft.declared.functions.values():
        if _names(function, draft.declared.views):
            _make(draft, function)


def _names(function: Function, *relations: Mapping[str, object]) -> bool:
    text = f"{function.arguments} {function.returns} {function.sql}"
    return not {*WORD.findall(bare(text))}.isdisjoint(chain(*relations))


def _make(draft: Draft, function: Function) -> None:
    name, live = function.name, draft.live
    shown = live.shown.functions.get(name)
    found = live.routines.get(name, ())
    is_same = [each.definition for each in found] == [shown]
    if is_same or (found and not live.shown.is_able):
        return
    heads = {HEAD.match(each.definition) for each in found}
    mine = HEAD.match(shown or "")
    replaces = all(head and mine and head[0] == mine[0] for head in heads)
    statements = []
    if not replaces:
        statements = [f"drop function {public(name)}({each.types})" for each in found]
    sql = ";\n".join([*statements, function.create()])
    lock = EXCLUSIVE if statements else ""
    draft.add(sql, "function", name=name, lock=lock, transactional=False)


def triggers(draft: Draft) -> None:
    """Make triggers that are missing or declared otherwise, or were in the way."""
    for (table, name), sql in draft.retriggered.items():
        draft.add(sql, "trigger", table, name=name, lock=ROW_EXCLUSIVE)
    for name, trigger in draft.declared.triggers.items():
        found = draft.live.triggers.get(("public", trigger.table, name))
        if trigger.table in draft.untriggered:
            found = None
        place = public(trigger.table)
        if found is not None:
            if not found.enabled:
                draft.drift.append(f"Trigger {name} on {trigger.table} is off.")
            shown = draft.live.shown
            is_same = found.definition == shown.triggers.get(name)
            if is_same or not shown.is_able:
                continue
        first = "" if found is None else f"drop trigger {quote(name)} on {place};\n"
        table = trigger.table if trigger.table in draft.declared.tables else ""
        sql = first + trigger.create(place)
        draft.add(sql, "trigger", table, name=name, lock=ROW_EXCLUSIVE)
