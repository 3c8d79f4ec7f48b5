"""The user's own queries: which of them are to run."""

import re

from atom.schema.declaration import Query
from atom.schema.draft import Draft
from atom.schema.plan import EXCLUSIVE, UPDATE_EXCLUSIVE


def steps(draft: Draft) -> None:
    """Run the user's queries that have not run as they are now."""
    for query in draft.declared.queries:
        before = draft.live.applied.get(query.label)
        added = query.constraints
        if added and all(place in draft.live.constraints for place in added):
            if before not in {None, query.mark}:
                draft.drift.append(
                    f"Query {query.label} has changed, but its constraint exists:"
                    " drop that to have it made again."
                )
            continue
        if before == query.mark and not _undone(draft, query):
            continue
        if query.destructive and not draft.destructive:
            draft.drift.append(
                f"Query {query.label} takes something away: is_destructive=1 runs it."
            )
            continue
        draft.add(
            query.text,
            "query",
            query.table if query.table in draft.declared.tables else "",
            name=query.label,
            lock=_lock(query),
            destructive=query.destructive,
            reversible=False,
            transactional=query.transactional,
            mark=query.mark,
        )


def _undone(draft: Draft, query: Query) -> bool:
    """Whether what a query did once is gone: its constraint, or its table."""
    others = [other.bare for other in draft.declared.queries]
    for place in query.constraints:
        drops = re.compile(rf"\bdrop\s+constraint\b[^;]*\b{place[1]}\b", re.IGNORECASE)
        if place not in draft.live.constraints and not any(map(drops.search, others)):
            return True
    return any(re.search(rf"\b{table}\b", query.bare) for table in draft.new_tables())


def _lock(query: Query) -> str:
    """Guess the lock of a query of the user's, the strongest it may take."""
    if not query.transactional:
        return UPDATE_EXCLUSIVE
    return EXCLUSIVE if query.table else "unknown"
