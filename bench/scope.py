"""A read under a scope: against the same SQL by hand, and PostgreSQL's policies."""

from collections.abc import Iterator
from functools import partial

import asyncpg

from bench import table
from bench.load import Request
from bench.measure import Row, agree, asking
from bench.scene import Scene, ask, signup

SIZES = (1, 100, 10_000)
LIMIT = 20
POLICY = "row level security by a function"
# A policy that calls a function for each row: how policies are usually written.
FILL = """
    create function bench_may(account bigint) returns boolean stable language plpgsql
    as $$ begin
        return exists (select 1 from bench_share s where s.account_id = account
            and s.user_id = current_setting('app.user_id', true)::bigint);
    end $$;
    create table bench_policy (like bench_many including all);
    insert into bench_policy overriding system value select * from bench_many;
    alter table bench_policy enable row level security;
    alter table bench_policy force row level security;
    create policy bench_policy on bench_policy using (bench_may(account_id));
    create index on bench_share (account_id, user_id);
    analyze bench_policy;
    analyze bench_share
"""
SHARE = """
    insert into bench_share (user_id, account_id)
    select $1, number * ($3::int / $2::int) from generate_series(1, $2::int) number
"""


def tokens(scene: Scene) -> dict[int, str]:
    """Make a user for each size. Return the tokens by size."""
    return {size: signup(scene.atom.url) for size in SIZES}


async def fill(scene: Scene, rows: int, users: dict[int, str]) -> None:
    """Share so many accounts with each user, and copy the rows under a policy."""
    accounts = rows // table.ROWS_OF_AN_ACCOUNT
    connection = await asyncpg.connect(scene.postgres_url)
    try:
        for size, token in users.items():
            me = Request("/my/profile", headers={"Authorization": f"Bearer {token}"})
            user = ask(scene.atom.url, me)["message"]["id"]
            await connection.execute(SHARE, user, min(size, accounts), accounts)
        await connection.execute(FILL)
    finally:
        await connection.close()


def rows(scene: Scene, held: int, users: dict[int, str]) -> Iterator[Row]:
    """Yield three rows for each size of a scope."""
    page = f"/my/object-read?table=bench_many&limit={LIMIT}"
    whole = "/my/object-read?table=bench_many&aggregate=count"
    for size, token in users.items():
        headers = {"Authorization": f"Bearer {token}"}
        for name, label, against, path, other, least, connections in (
            (
                *("scope", f"read {LIMIT} of", "the same SQL by hand"),
                *(page, f"/bench/shared?limit={LIMIT}", 1.0, 32),
            ),
            (  # of fewer the policy looks at every row, as it does to count them
                *("scope-policy", f"read {LIMIT} of", POLICY),
                *(page, f"/bench/policy-page?limit={LIMIT}", 2.0, 1),
            ),
            (  # one at a time: with the policy each takes most of a second
                *("scope-policy", "count", POLICY),
                *(whole, "/bench/policy", 2.0, 1),
            ),
        ):
            if other.startswith("/bench/policy-page") and size < max(SIZES):
                continue
            first = scene.atom.url, Request(path, headers=headers)
            second = scene.byhand.url, Request(other, headers=headers)
            yield Row(
                name,
                f"{label} {held:,} rows under a scope of {size:,}",
                against,
                asking(*first, connections),
                asking(*second, connections),
                least,
                partial(agree, first, second),
                warms=connections > 1,
            )
