"""One's own row of users: read as JSON, with the time of the visit noted."""

# ruff: noqa: S608 - SQL is written here, of quoted names and parameters alone.

import time
from collections import OrderedDict
from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary

from atom.errors import NotFound
from atom.port import Ports
from atom.postgres.catalog import Table
from atom.row.scope import visible_columns
from atom.row.sql.statement import select_list

TOUCH_SECONDS = 60
TOUCHED_MAX = 10_000
TOUCH = """
update users set last_active_at = now()
where id = $1
  and (last_active_at is null or last_active_at < now() - make_interval(secs => $2))
"""


async def read_profile(
    ports: Ports, user_id: int, *, bigint_text: bool = False
) -> bytes:
    """Return one's own row as JSON, without secret columns, and note the visit.

    Raises:
        NotFound: `account.missing`.
    """
    view = visible_columns(ports, "users", bigint_text=bigint_text)
    row = await ports.database.value(read(view), user_id)
    if row is None:
        raise NotFound("user not found", code="account.missing")
    if (touches := _touches.get(ports.database)) is None:
        touches = _touches[ports.database] = Touches()
    if touches.due(user_id, time.monotonic()):
        ports.tasks.spawn(_touch(ports, user_id), name="touch")
    return bytes(row, "utf-8")


async def _touch(ports: Ports, user_id: int) -> None:
    """Note a visit."""
    if await ports.database.run(TOUCH, user_id, float(TOUCH_SECONDS)):
        ports.database.written("users")


@lru_cache(64)
def read(view: Table) -> str:
    """Build the statement that reads user $1 as one JSON object of a view's columns."""
    columns = select_list(view, tuple(view.columns))
    return (
        f"select row_to_json(r.*)::text"
        f" from (select {columns} from public.users t where t.id = $1) r"
    )


class Touches:
    """The latest noted visits; when full, the oldest gives way."""

    def __init__(self, size: int = TOUCHED_MAX) -> None:
        self._size = size
        self._noted: OrderedDict[int, float] = OrderedDict()

    def due(self, user_id: int, now: float) -> bool:
        """Whether a visit is to be noted now: at most once a minute."""
        noted = self._noted.get(user_id)
        if noted is not None and now - noted < TOUCH_SECONDS:
            return False
        self._noted[user_id] = now
        self._noted.move_to_end(user_id)
        if len(self._noted) > self._size:
            self._noted.popitem(last=False)
        return True


_touches: WeakKeyDictionary[Any, Touches] = WeakKeyDictionary()
