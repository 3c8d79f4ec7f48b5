"""How much the tests do that find more the longer they run."""

import os

IS_SOAK = "ATOM_SOAK" in os.environ  # set by `python -m tests soak`


def size(usual: int, soak: int) -> int:
    """Return how often to try: in the usual run, or in a soak run."""
    return soak if IS_SOAK else usual
