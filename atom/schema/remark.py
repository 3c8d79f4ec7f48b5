"""Remarks of a plan on what is declared and will be awkward to use."""

from atom.postgres.catalog import KEYED
from atom.schema.draft import Draft

# What the row routes read of a query string before they look for columns.
PARAMETERS = frozenset(
    {
        *("table", "column", "order", "limit", "page", "cursor", "is_count"),
        *("creator_key", "location_filter", "group_by", "aggregate", "relation"),
        *("or", "timezone", "deleted", "is_background", "is_serialize"),
    }
)


def steps(draft: Draft) -> None:
    """Remark on columns called like a parameter, and on views without a usable key."""
    declared = draft.declared
    if not draft.live.shown.is_able:
        draft.note(
            "What is declared as SQL is not compared with what exists: the role may not"
            " make temporary tables. Let its owner grant TEMPORARY on the database."
        )
    for table, columns in declared.tables.items():
        for name in PARAMETERS.intersection(columns):
            draft.note(
                f"{table}.{name} is called like a parameter of the row routes:"
                f" or=({name}==,…) filters by it."
            )
    for name, view in declared.views.items():
        shown = draft.live.shown.views.get(name)
        datatype = shown[1].get(view.key) if shown is not None else None
        if datatype is not None and not KEYED.fullmatch(datatype):
            draft.note(
                f"View {name} cannot be read by the row routes: its key {view.key} is"
                f" {datatype}, and a key holds whole numbers, text or uuid."
            )
