"""The bench's own tables: declared to Atom as any user would, and filled with rows."""

from pathlib import Path
from pprint import pformat

import asyncpg

from bench.load import BenchError

ITEMS_OF_AN_ORDER = 5
ROWS_OF_AN_ACCOUNT = 10
WIDE_ROWS = 10_000
ORDERS = 10_000
CUSTOMERS = 1_000

PLAIN = [
    "created_at-timestamptz-0-0",
    "created_by_id-bigint-0-btree",
    "account_id-bigint-1-btree",
    "title-text-1-0",
    "amount-numeric(12,2)-0-0",
    "is_paid-smallint-0-0",
    "note-text-0-0",
]
PLAIN_COLUMNS = tuple(line.partition("-")[0] for line in PLAIN)
TABLES = {
    "bench_many": PLAIN,
    "bench_into": PLAIN,
    "bench_wide": [
        "created_at-timestamptz-0-0",
        "updated_at-timestamptz-0-0",
        "created_by_id-bigint-0-0",
        "is_active-smallint-0-0",
        "type-smallint-0-0",
        "name-text-0-0",
        "email-text-0-0",
        "country-text-0-0",
        "description-text-0-0",
        "remark-text-0-0",
        "amount-numeric(12,2)-0-0",
        "score-double precision-0-0",
        "quantity-integer-0-0",
        "is_paid-boolean-0-0",
        "born_on-date-0-0",
        "opens_at-time-0-0",
        "tag-text[]-0-0",
        "metadata-jsonb-0-0",
        "reference-uuid-0-0",
    ],
    "bench_customer": ["name-text-1-0", "country-text-0-0"],
    "bench_order": [
        "created_at-timestamptz-0-0",
        "bench_customer_id-bigint-1-btree",
        "state-text-0-0",
        "amount-numeric(12,2)-0-0",
    ],
    "bench_share": ["user_id-bigint-1-btree", "account_id-bigint-1-0"],
    "bench_item": ["bench_order_id-bigint-1-btree", "title-text-1-0"],
}
READABLE = ("test", *(name for name in TABLES if name != "bench_share"))
SCOPE = {"bench_account": "select account_id from bench_share where user_id = :me"}
RULES = {"bench_many": {"my": {"read": "account_id in bench_account"}}}

# Every tenth note has a comma and quotes in it, as texts do: in CSV they cost.
MANY = """
    insert into bench_many
        (created_at, created_by_id, account_id, title, amount, is_paid, note)
    select '2026-01-01'::timestamptz + number * interval '1 second', 1,
        1 + number % ($1::int / $2::int), 'title ' || number, number % 9973 / 4.0,
        number % 2,
        case when number % 10 = 0 then 'called, and heard "later"'
            when number % 3 > 0 then 'paid by card' end
    from generate_series(1, $1::int) number
"""
WIDE = """
    insert into bench_wide (created_at, updated_at, created_by_id, is_active, type,
        name, email, country, description, amount, score, quantity, is_paid, born_on,
        opens_at, tag, metadata, reference)
    select '2026-01-01'::timestamptz + number * interval '1 second',
        '2026-02-01'::timestamptz + number * interval '1 minute', 1, 1, number % 10,
        'name ' || number, 'user' || number || '@example.com', 'country ' || number % 9,
        repeat('some words of text ', 5), number % 9973 / 4.0, number / 7.0, number,
        number % 2 = 0, '2000-01-01'::date + number % 9000,
        '08:00'::time + number % 600 * interval '1 minute',
        array['new', 'tag ' || number % 10],
        jsonb_build_object('from', 'bench', 'number', number, 'list', '[1, 2]'::jsonb),
        md5(number::text)::uuid
    from generate_series(1, $1::int) number
"""
CUSTOMER = """
    insert into bench_customer (name, country)
    select 'customer ' || number, 'country ' || number % 9
    from generate_series(1, $1::int) number
"""
ORDER = """
    insert into bench_order (created_at, bench_customer_id, state, amount)
    select '2026-01-01'::timestamptz + number * interval '1 second',
        1 + number * 7 % $2::int, 'paid', number % 9973 / 4.0
    from generate_series(1, $1::int) number
"""
ITEM = """
    insert into bench_item (bench_order_id, title)
    select 1 + number % $1::int, 'item ' || number
    from generate_series(1, $1::int * $2::int) number
"""


def drop_in() -> str:
    """Write the config file that declares the tables and opens them to readers."""
    readable = ",".join(READABLE)
    owned = {
        name: {"my": "owner"}
        for name, columns in TABLES.items()
        if any(column.startswith("created_by_id-") for column in columns)
    }
    return (
        '"""The tables of the bench, and the policy of its own route."""\n\n'
        'config_api = {"/bench/cached": {"cache_sec": ["inmemory", 3600]}}\n'
        f"config_postgres_schema = {pformat({'table': TABLES})}\n"
        f"config_scope = {SCOPE!r}\n"
        f'config_table_allowed_public_read_list = "{readable}"\n'
        f"config_table = {owned | RULES!r}\n"
    )


async def fill(postgres_url: str, rows: int) -> None:
    """Put the rows in, so many into bench_many, and have PostgreSQL look at them.

    Few rows are few everywhere: then the other tables are smaller as well.

    Raises:
        BenchError: when bench_many does not hold what it should.
    """
    connection = await asyncpg.connect(postgres_url)
    try:
        await connection.execute(MANY, rows, ROWS_OF_AN_ACCOUNT)
        orders = min(ORDERS, rows)
        await connection.execute(WIDE, min(WIDE_ROWS, rows))
        await connection.execute(CUSTOMER, CUSTOMERS)
        await connection.execute(ORDER, orders, CUSTOMERS)
        await connection.execute(ITEM, orders, ITEMS_OF_AN_ORDER)
        for table in TABLES:
            await connection.execute(f"vacuum (analyze) {table}")
        held = await connection.fetchval("select count(*) from bench_many")
    finally:
        await connection.close()
    if held != rows:
        raise BenchError(f"bench_many holds {held} rows, not {rows}")


async def written(postgres_url: str, file: Path) -> None:
    """Write bench_many into a CSV file, without the ids."""
    columns = ", ".join(PLAIN_COLUMNS)
    connection = await asyncpg.connect(postgres_url, command_timeout=600)
    try:
        await connection.copy_from_query(
            f"select {columns} from bench_many",
            output=str(file),
            format="csv",
            header=True,
        )
    finally:
        await connection.close()


async def empty(postgres_url: str) -> None:
    """Empty the table that rows are written into."""
    connection = await asyncpg.connect(postgres_url)
    try:
        await connection.execute("truncate bench_into restart identity")
    finally:
        await connection.close()


async def count(postgres_url: str, table: str) -> int:
    """Return how many rows a table holds."""
    connection = await asyncpg.connect(postgres_url)
    try:
        return int(await connection.fetchval(f"select count(*) from {table}"))
    finally:
        await connection.close()


async def digest(postgres_url: str, table: str) -> tuple[int, int]:
    """Return how many rows a table holds, and a sum over their values."""
    columns = ", ".join(PLAIN_COLUMNS)
    connection = await asyncpg.connect(postgres_url)
    try:
        row = await connection.fetchrow(
            f"select count(*), sum(hashtextextended(({columns})::text, 0)::numeric)"
            f" from {table}"
        )
    finally:
        await connection.close()
    return int(row[0]), int(row[1])
