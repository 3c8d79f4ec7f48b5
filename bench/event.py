"""What an event costs the create that writes it, in its transaction.

Nothing is delivered meanwhile: in production `consumer_outbox.py` does that elsewhere.
"""

import json
from collections.abc import Iterator
from functools import partial

from bench.load import Request
from bench.measure import Row, agree, asking
from bench.scene import Scene

MOST = 1.15
NEW = json.dumps({"title": "made by the bench", "description": "one of many"})


def rows(scene: Scene) -> Iterator[Row]:
    """Yield both rows: an event by config, and one of a route's own."""
    create = "/my/object-create?table=bench_"
    for name, label, mine, other in (
        ("event", "cost of a row event, create", f"{create}event", f"{create}plain"),
        ("event-own", "cost of `function_event`", "/bench/event", "/bench/plain"),
    ):
        headers = {**scene.bearer, "Content-Type": "application/json"}
        first, second = (
            (scene.atom.url, Request(path, "POST", headers, NEW))
            for path in (mine, other)
        )
        yield Row(
            name,
            label,
            "the same without",
            asking(*first),
            asking(*second),
            MOST,
            partial(agree, first, second, is_made=True),
            is_cost=True,
            counted=2,
        )
