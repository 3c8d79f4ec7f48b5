"""Which statements stay prepared: many of one caller push out none of the others.

A connection keeps `config_postgres_statement_cache_size` plans and drops the one that
was not used for longest. A caller of a request adds an eighth of them in ten minutes, a
tier half; what they ask beyond is planned each time, and changes nothing for others.
"""

import time
from collections import Counter, OrderedDict
from typing import Any

from atom.postgres.driver import Raw
from atom.postgres.share import CALLER

WINDOW_SECONDS = 600.0


class Plans:
    """The statements that the connections of a pool keep prepared."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._of_caller = max(1, size // 8)
        self._of_tier = max(1, size // 2)
        self._kept: OrderedDict[str, None] = OrderedDict()
        self._added: Counter[tuple[str, ...]] = Counter()
        self._until = 0.0

    def keeps(self, text: str) -> bool:
        """Whether a statement that is about to run is to stay prepared."""
        if text in self._kept:
            self._kept.move_to_end(text)
            return True
        if not self._admits():
            return False
        self._kept[text] = None
        if len(self._kept) > self._size:
            self._kept.popitem(last=False)
        return True

    def _admits(self) -> bool:
        """Count a statement that is new, unless its caller or tier has added enough."""
        if not self._size:
            return True  # the driver keeps nothing
        if (caller := CALLER.get()) is None:
            return True
        if (now := time.monotonic()) > self._until:
            self._added.clear()
            self._until = now + WINDOW_SECONDS
        one, tier = (caller.tier, caller.name), (caller.tier,)
        if self._added[one] >= self._of_caller or self._added[tier] >= self._of_tier:
            return False
        self._added[one] += 1
        self._added[tier] += 1
        return True

    async def run(
        self,
        raw: Raw,
        verb: str,
        text: str,
        values: tuple[Any, ...],
        seconds: float | None,
    ) -> Any:
        """Run a statement by one of asyncpg's four verbs."""
        if self.keeps(text):
            return await getattr(raw, verb)(text, *values, timeout=seconds)
        statement = await raw.prepare(text, name="", timeout=seconds)
        if verb != "execute":
            return await getattr(statement, verb)(*values, timeout=seconds)
        await statement.fetch(*values, timeout=seconds)
        return statement.get_statusmsg()
