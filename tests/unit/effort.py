"""How much work a piece of code does, in steps: the same on every machine."""

import sys
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class Effort:
    """Lines of Python that were run, and functions of C that were called."""

    steps: int = 0


@contextmanager
def counted():
    """Count what this thread does until the block ends."""
    effort = Effort()

    def line(frame, event, _):
        effort.steps += event == "line"
        return line

    def call(frame, event, _):
        effort.steps += event == "c_call"

    traced, profiled = sys.gettrace(), sys.getprofile()
    sys.settrace(line)
    sys.setprofile(call)
    try:
        yield effort
    finally:
        sys.settrace(traced)
        sys.setprofile(profiled)
