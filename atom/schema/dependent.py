"""What depends on a column: out of its way while it changes, and made again after."""

import re

from atom.postgres.identifier import public, quote
from atom.schema import view
from atom.schema.constraint import flag_rule_name, is_flag
from atom.schema.draft import MARK, Draft
from atom.schema.index import is_expression, is_own, own_names
from atom.schema.live import IndexState
from atom.schema.plan import EXCLUSIVE


def release(draft: Draft, table: str, column: str, datatype: str = "") -> None:
    """Drop what depends on a column; later phases make it again.

    `datatype` is what the column becomes, "" when it goes.
    """
    view.release(draft, table, column, goes=not datatype)
    _triggers(draft, table, column, datatype)
    _indexes(draft, table, column, datatype)
    for (on, name), rule in draft.live.constraints.items():
        flag = name == flag_rule_name(table, column) and not is_flag(column, datatype)
        marked = rule.comment.startswith(MARK) and column in rule.columns
        if on == table and (flag or marked) and (on, name) not in draft.unruled:
            draft.drop_constraint(table, name)


def mentions(text: str, column: str) -> bool:
    """Whether an expression that PostgreSQL shows may use a column."""
    return re.search(rf"\b{re.escape(column)}\b", text) is not None


def _triggers(draft: Draft, table: str, column: str, datatype: str) -> None:
    """Drop the triggers of Atom and the declared ones, once; others that depend."""
    first = table not in draft.untriggered
    draft.untriggered.add(table)
    for (schema, on, name), state in draft.live.triggers.items():
        if (schema, on) != ("public", table) or (on, name) in draft.retriggered:
            continue
        if name.startswith("atom_") or name in draft.declared.triggers:
            if not first:
                continue
        elif not mentions(state.definition, column):
            continue
        elif datatype:
            place = f" ON {public(table)} "
            draft.retriggered[on, name] = state.definition.replace(" ON ~ ", place)
        else:
            draft.refusals.append(
                f"{table}.{column} cannot go: the trigger {name} depends on it."
            )
            continue
        sql = f"drop trigger {quote(name)} on {public(table)}"
        draft.add(sql, "trigger", table, lock=EXCLUSIVE)


def _indexes(draft: Draft, table: str, column: str, datatype: str) -> None:
    own = own_names(table, [column])
    for name, state in sorted(draft.live.indexes.items()):
        if state.table != table or state.constraint or name in draft.unindexed:
            continue
        named = name in own or (column in state.columns and is_own(state, own))
        if not named and not _is_computed_with(state, column, own):
            continue
        if state.unique and datatype:
            continue  # PostgreSQL takes what is unique along into the new datatype
        draft.unindexed.add(name)
        sql = f"drop index {public(name)}"
        draft.add(sql, "index", table, lock=EXCLUSIVE)


def _is_computed_with(state: IndexState, column: str, own: set[str]) -> bool:
    """Whether an index of Atom has an expression or a condition on a column."""
    ours = is_expression(state) or is_own(state, own) or "_where" in state.name
    texts = (
        (*state.keys, state.predicate) if is_expression(state) else (state.predicate,)
    )
    return ours and any(mentions(text, column) for text in texts)
