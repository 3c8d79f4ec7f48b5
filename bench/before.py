"""The everyday routes against an earlier checkout of Atom, on a database of its own."""

import asyncio
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from bench import row, table
from bench.measure import Row, asking
from bench.scene import DROP_IN_ROUTER, Scene, ask, copy, database, fill, pin, signup
from tests.served import serve

LEAST = 0.97


@contextmanager
def against(checkout: Path, scene: Scene) -> Iterator[list[Row]]:
    """Serve the earlier checkout for the block. Yield the rows against it."""
    code = copy(
        scene.folder / "before",
        router=DROP_IN_ROUTER,
        config=table.drop_in(),
        checkout=checkout,
    )
    values = {
        "config_key_jwt": secrets.token_hex(32),
        "config_is_postgres_init": "1",
        "config_log_level": "warning",
    }
    folder = scene.folder / "before-atom"
    with (
        database(scene.folder / "before-database") as url,
        serve(
            {**values, "config_postgres_url": url}, folder=folder, code=code
        ) as served,
    ):
        pin(served.process.pid, scene.cores)
        earlier = replace(scene, atom=served, token=signup(served.url))
        asyncio.run(fill(url))
        others = row.asked(earlier)
        yield [
            Row(
                name,
                label,
                "the earlier checkout",
                asking(scene.atom.url, mine),
                asking(served.url, others[name][1]),
                LEAST,
                partial(ask, served.url, others[name][1]),
            )
            for name, (label, mine) in row.asked(scene).items()
        ]
