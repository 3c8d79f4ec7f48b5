"""What is measured with wrk: the everyday routes, and the rows of large tables."""

import http.client
import json
from collections.abc import Iterator
from functools import partial
from urllib.parse import quote, urlsplit

from bench import table
from bench.load import BenchError, Request
from bench.measure import Row, agree, asking
from bench.scene import ROWS, Scene

PAGES = 1000
PAGE_ROWS = 20
BATCH_CONNECTIONS = 64
JSON = {"Content-Type": "application/json"}
NEW = '{"title": "made by the bench", "description": "one of many"}'

# name, label, against, what Atom is asked, what the other is asked, the aim
Pair = tuple[str, str, str, Request, Request, float]


def asked(scene: Scene) -> dict[str, tuple[str, Request]]:
    """Return what Atom is asked every day: a label and a request for each name."""
    read = "/public/object-read?table=test&limit=10"
    headers = {**scene.bearer, **JSON}
    create = Request("/my/object-create?table=test", "POST", headers, NEW)
    return {
        "index": ("`GET /`", Request("/")),
        "cached": ("cached GET, memory", Request("/bench/cached")),
        "read": (f"`{read}`, {ROWS:,} rows", Request(read)),
        "profile": (
            "`/my/profile` with token",
            Request("/my/profile", headers=scene.bearer),
        ),
        "create": ("`/my/object-create`", create),
    }


def everyday(scene: Scene) -> Iterator[Row]:
    """Yield the rows of the first table."""
    found = asked(scene)
    empty, cached, read = (found[name][1] for name in ("index", "cached", "read"))
    for name, against, other, least in (
        ("index", "empty FastAPI route", empty, 0.85),
        ("cached", "empty FastAPI route", empty, 1.5),
        ("read", "by hand", read, 1.0),
        ("profile", "by hand", found["profile"][1], 0.9),
        ("create", "by hand", found["create"][1], 0.8),
    ):
        label, mine = found[name]
        yield _row(scene, (name, label, against, mine, other, least))
    if scene.fastify is not None:
        first, second = (scene.atom.url, read), (scene.fastify.url, read)
        yield Row(
            "fastify",
            f"`{read.path}`, {ROWS:,} rows",
            "Fastify, postgres.js",
            asking(*first),
            asking(*second),
            1.0,
            partial(agree, first, second),
        )
    for name, label, mine in (
        ("bare-index", "`GET /`", empty),
        ("bare-cached", "cached GET, memory", cached),
    ):
        yield Row(
            name,
            label,
            "bare ASGI callable",
            asking(scene.atom.url, mine),
            asking(scene.bare.url, empty),
            0.7,
            partial(agree, (scene.atom.url, mine), (scene.bare.url, empty)),
        )


def deep(scene: Scene, rows: int) -> Iterator[Row]:
    """Yield the rows of the second table that wrk can measure."""
    read = "/public/object-read?table="
    many, accounts = f"{read}bench_many", rows // table.ROWS_OF_AN_ACCOUNT
    one = Request(f"{many}&account_id==,", most=accounts)
    one_by_hand = Request("/bench/many?account_id=", most=accounts)
    wide = Request(f"{read}bench_wide&limit=100")
    relation = "bench_item:count,bench_customer_id(id,name,country)"
    related = Request(f"{read}bench_order&limit=20&relation={relation}")
    pairs: list[Pair] = [
        (
            "filter",
            f"read {table.ROWS_OF_AN_ACCOUNT} of {rows:,} rows by an indexed filter",
            "by hand, asyncpg + orjson",
            one,
            one_by_hand,
            1.0,
        ),
        ("wide", "read 100 rows, 20 columns", "by hand", wide, wide, 1.5),
        (
            "relation",
            "relation: 20 rows with children counts and parents",
            "by hand, one SQL",
            related,
            Request("/bench/order?limit=20"),
            0.8,
        ),
    ]
    yield _row(scene, pairs[0])
    yield _row(scene, pairs[1])
    for name, order in (("cursor", "id desc"), ("cursor-order", "account_id,id")):
        yield _paged(scene, name, order, rows)
    yield _row(scene, pairs[2])
    yield _batch(scene)


def _row(scene: Scene, pair: Pair) -> Row:
    name, label, against, mine, other, least = pair
    first, second = (scene.atom.url, mine), (scene.byhand.url, other)
    return Row(
        name,
        label,
        against,
        asking(*first),
        asking(*second),
        least,
        partial(agree, first, second, is_made=mine.method == "POST"),
    )


def _paged(scene: Scene, name: str, order: str, rows: int) -> Row:
    """Make the row of a far page against the first, both of Atom."""
    pages = max(2, min(PAGES, rows // PAGE_ROWS))
    path = (
        f"/public/object-read?table=bench_many&limit={PAGE_ROWS}"
        f"&order={quote(order)}&cursor="
    )
    far = Request(path + walked(scene.atom.url, path, pages - 1))
    return Row(
        name,
        f"page {pages:,} by cursor, order {order}",
        "page 1",
        asking(scene.atom.url, far),
        asking(scene.atom.url, Request(path)),
        0.9,
        lambda: None,  # `walked` has seen that the pages are full
        counted=2,
    )


def walked(url: str, path: str, pages: int) -> str:
    """Follow the cursor over so many pages. Return the one that comes next.

    Raises:
        BenchError: when a page is not full, or holds a row that came before.
    """
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    cursor, seen = "", set[int]()
    try:
        for _ in range(pages):
            connection.request("GET", path + cursor)
            answer = json.loads(connection.getresponse().read())
            seen |= {row["id"] for row in answer["message"]}
            cursor = answer["next_cursor"]
    finally:
        connection.close()
    if len(seen) != pages * PAGE_ROWS:
        raise BenchError(f"{pages} pages by cursor hold {len(seen)} different rows")
    return cursor


def _batch(scene: Scene) -> Row:
    path = "/my/object-create?table=test"
    headers = {**scene.bearer, **JSON}
    first = scene.atom.url, Request(f"{path}&queue=batch", "POST", headers, NEW)
    second = scene.byhand.url, Request(path, "POST", headers, NEW)
    return Row(
        "batch",
        f"`queue=batch`, {BATCH_CONNECTIONS} connections",
        "single inserts by hand",
        asking(*first, BATCH_CONNECTIONS),
        asking(*second, BATCH_CONNECTIONS),
        2,
        partial(agree, first, second, is_made=True),
    )
