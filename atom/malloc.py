"""What the process gives back of its memory, where the C library lets it (glibc).

A password hash takes 19 MiB for a moment. glibc would keep that for every thread that
ever hashed one.
"""

import ctypes
from typing import Any

M_ARENA_MAX = -8  # malloc.h; Source: mallopt(3)


def _call(name: str, *arguments: int) -> None:
    function: Any = getattr(ctypes.CDLL(None), name, None)
    if function is not None:
        function(*arguments)


def use_one_arena() -> None:
    """Have all threads share one pool of memory, the only one that shrinks again."""
    _call("mallopt", M_ARENA_MAX, 1)


def give_back() -> None:
    """Return what is free to the system."""
    _call("malloc_trim", 0)
