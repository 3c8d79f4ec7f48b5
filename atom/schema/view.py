"""Views: made, replaced, and taken out of the way of a change of their columns."""

import re
from collections.abc import Iterator

from atom.errors import nearest
from atom.postgres.identifier import public, quote
from atom.schema.draft import Draft
from atom.schema.form import View, bare
from atom.schema.index import UNIQUE, index_name
from atom.schema.live_view import ViewState
from atom.schema.plan import EXCLUSIVE

WORD = re.compile(r"\w+")
KIND = re.compile(r"^(comment on|alter) (?:materialized )?view")


def release(draft: Draft, table: str, column: str, *, goes: bool = False) -> None:
    """Drop the views that show a column, before it changes; `again` makes them again.

    A view that would show a column that is gone is a refusal.
    """
    for name, state in draft.live.views.items():
        if (table, column) not in state.uses:
            continue
        declared = draft.declared.views.get(name)
        follows = declared is not None and "*" in bare(declared.sql)
        stays = name not in draft.declared.drop and not _is_changed(draft, state)
        if goes and stays and not follows:
            draft.refusals.append(
                f"{table}.{column} cannot go: the view {name} shows it. Change or drop"
                " the view first."
            )
        _drop(draft, state)


def drop(draft: Draft, name: str) -> None:
    """Drop a view that is named to go; refuse it for a view that shows it and stays."""
    for other in draft.live.views.values():
        stays = other.name not in draft.declared.drop and not _is_changed(draft, other)
        if name in other.tables and other.name != name and stays:
            draft.refusals.append(
                f"{name} cannot go: the view {other.name} shows it. Change or drop the"
                " view first."
            )
    if name in draft.live.views:
        _drop(draft, draft.live.views[name])


def _drop(draft: Draft, state: ViewState) -> None:
    if state.name in draft.unviewed:
        return
    for other in draft.live.views.values():
        if state.name in other.tables and other.name != state.name:
            _drop(draft, other)
    if state.name not in draft.declared.views and (late := draft.renamed & state.uses):
        for table, column in sorted(late):
            draft.refusals.append(
                f"{table}.{column} has a new name, and the view {state.name}, which is"
                " not declared, has to be made again: apply the new name first."
            )
    draft.unviewed[state.name] = state
    sql = f"drop {state.kind} {state.place}"
    draft.add(sql, "view", name=state.name, lock=EXCLUSIVE)


def _is_changed(draft: Draft, state: ViewState) -> bool:
    """Whether a view is declared otherwise than it is."""
    declared = draft.declared.views.get(state.name)
    if declared is None:
        return False
    if not draft.live.shown.is_able:
        return declared.materialized != state.materialized
    shown = draft.live.shown.views.get(state.name)
    is_same = shown is not None and shown[0] == state.definition
    if "*" in bare(declared.sql) and any(_grows(draft, t) for t in state.tables):
        return True  # it shows the new column as well
    return not is_same or declared.materialized != state.materialized


def _grows(draft: Draft, table: str) -> bool:
    """Whether this plan adds a column to a table."""
    state, declared = draft.state(table), draft.declared.tables.get(table, {})
    return state is not None and not state.columns.keys() >= declared.keys()


def changed(draft: Draft) -> None:
    """Drop the views that are declared otherwise, with those that show them."""
    for name, view in draft.declared.views.items():
        shown = draft.live.shown.views.get(name)
        if shown is not None and view.key not in shown[1]:
            hint = nearest(view.key, shown[1])
            draft.refusals.append(
                f"View {name} has no column {view.key!r}, its key. {hint}".rstrip()
            )
        state = draft.live.views.get(name)
        if state is not None and _is_changed(draft, state):
            if shown is not None:
                _refuse_loss(draft, state, set(shown[1]))
            _drop(draft, state)
        elif state is None and name in {*draft.live.tables, *draft.live.others}:
            draft.refusals.append(
                f"View {name} cannot be made: a table, a sequence, an index or a type"
                " has its name."
            )


def _refuse_loss(draft: Draft, state: ViewState, columns: set[str]) -> None:
    """Refuse columns that a view loses while another, not declared, shows them."""
    gone = set(state.columns) - columns
    for other in draft.live.views.values():
        if other.name in {*draft.declared.views, *draft.declared.drop}:
            continue
        lost = sorted(column for view, column in other.uses if view == state.name)
        if lost := [column for column in lost if column in gone]:
            draft.refusals.append(
                f"View {state.name} cannot lose {', '.join(lost)}: the view"
                f" {other.name}, which is not declared, shows it. Drop that view or"
                " make it without first."
            )


def again(draft: Draft) -> None:
    """Make the views that were dropped again, each after those it shows."""
    for name in reversed(list(draft.unviewed)):
        if name not in draft.declared.drop:
            _make(draft, name)


def new(draft: Draft) -> None:
    """Make the views that are missing; one that fails does not stop the rest."""
    for name in draft.declared.views:
        _make(draft, name)
    _keys(draft)


def _make(draft: Draft, name: str) -> None:
    live, view = draft.live.views.get(name), draft.declared.views.get(name)
    state = draft.unviewed.get(name)
    if name in draft.viewed or (live is not None and state is None):
        return
    draft.viewed.add(name)
    for other in WORD.findall(bare(view.sql)) if view is not None else ():
        if other in draft.declared.views:
            _make(draft, other)
    statements = list(_statements(draft, name, state, view))
    draft.add(
        ";\n".join(statements),
        "view",
        name=name,
        transactional=state is not None,
    )


def _statements(
    draft: Draft, name: str, state: ViewState | None, view: View | None
) -> Iterator[str]:
    """Return what makes a view, with the grants and comments that it had."""
    place = state.place if state is not None else public(name)
    made = view or state
    material = made is not None and made.materialized
    options = f" with ({state.options})" if state is not None and state.options else ""
    sql = view.sql if view is not None else state.definition if state else ""
    kind = "materialized view" if material else "view"
    yield f"create {kind} {place}{options} as {sql}"
    shown = draft.live.shown.views.get(name)
    there = set(shown[1]) if view is not None and shown is not None else None
    for column, lost in state.lost if state is not None else ():
        is_index = lost.startswith(("CREATE INDEX", "CREATE UNIQUE INDEX"))
        if (material or not is_index) and (
            not column or there is None or column in there
        ):
            yield KIND.sub(rf"\1 {kind}", lost)
    if material and view is not None:
        yield _key(view)


def _key(view: View) -> str:
    """Return the index that a materialized view is refreshed by concurrently."""
    name = quote(index_name(view.name, view.key, UNIQUE))
    return (
        f"create unique index if not exists {name} on {public(view.name)}"
        f" ({quote(view.key)})"
    )


def _keys(draft: Draft) -> None:
    """Make the index of a materialized view that is there without it."""
    for name, view in draft.declared.views.items():
        index = index_name(name, view.key, UNIQUE)
        is_there = name in draft.live.views and name not in draft.viewed
        if view.materialized and is_there and index not in draft.live.indexes:
            draft.add(_key(view), "index", name=index, lock="SHARE")
