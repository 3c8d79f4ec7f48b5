"""Data migrations: which run, which were not needed, and what they fill."""

import re

from atom.schema.declaration import DESTRUCTIVE, digest
from atom.schema.draft import Draft
from atom.schema.form import Migration, bare
from atom.schema.literal import quoted

WORD = re.compile(r"\w+")
RECORD = "insert into atom.applied_migration (name, mark, is_run) values ({})"


def choose(draft: Draft) -> None:
    """Find the columns that migrations of this plan fill; remark on changed texts."""
    for migration in draft.declared.migrations:
        mark = draft.live.migrated.get(migration.name)
        if mark not in {None, digest(migration.sql)}:
            draft.note(
                f"Migration {migration.name} has run with another text, and does not"
                " run again."
            )
        if not _runs(draft, migration) or migration.before not in {"drop", "null"}:
            continue
        words = set(WORD.findall(bare(migration.sql)))
        for table in words.intersection(draft.declared.tables):
            names = words.intersection(draft.declared.tables[table])
            draft.filled |= {(table, name) for name in names}


def before_column(draft: Draft) -> None:
    """Run what comes before tables and columns change."""
    _steps(draft, "column")


def before_drop(draft: Draft) -> None:
    """Run what comes before anything goes, with new columns there."""
    _steps(draft, "drop")


def before_null(draft: Draft) -> None:
    """Run what comes before columns become mandatory."""
    _steps(draft, "null")


def before_constraint(draft: Draft) -> None:
    """Run what comes before constraints hold."""
    _steps(draft, "constraint")


def last(draft: Draft) -> None:
    """Run what comes after all else."""
    _steps(draft, "")


def _runs(draft: Draft, migration: Migration) -> bool:
    """Whether a migration has not been applied and its condition holds."""
    return migration.name not in draft.live.migrated and all(
        _exists(draft, table, column) is wanted
        for table, column, wanted in migration.when
    )


def _exists(draft: Draft, table: str, column: str) -> bool:
    state = draft.before.tables.get(table)
    return state is not None and (not column or column in state.columns)


def _steps(draft: Draft, phase: str) -> None:
    for migration in draft.declared.migrations:
        if migration.before != phase or migration.name in draft.live.migrated:
            continue
        runs = _runs(draft, migration)
        values = [quoted(migration.name), quoted(digest(migration.sql)), str(runs)]
        record = RECORD.format(", ".join(values))
        sql = f"{migration.sql}\n;\n{record}" if runs else record
        draft.add(
            sql,
            "migration",
            name=migration.name,
            destructive=runs and DESTRUCTIVE.search(bare(migration.sql)) is not None,
            reversible=not runs,
        )
