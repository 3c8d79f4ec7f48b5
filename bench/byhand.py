"""The reference: the same routes written by hand on FastAPI, asyncpg and orjson.

What a good engineer writes in an afternoon, with nothing that costs time and nothing
that Atom adds to the answer: no log, no rate limit, no cache, no revocation.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal

import asyncpg
import jwt
import orjson
import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from pydantic import BaseModel

KEY = os.environ.get("config_key_jwt", "")
READ = {
    "test": "select * from test order by id desc limit $1",
    "bench_wide": "select * from bench_wide order by id desc limit $1",
}
MANY = "select * from bench_many where account_id = $1 order by id desc limit $2"
SHARED = """
    select * from bench_many where account_id = any(
        array(select account_id from bench_share where user_id = $1)
    ) order by id desc limit $2
"""
POLICY = "select count(*) from bench_policy"
POLICY_PAGE = "select * from bench_policy order by id desc limit $1"
ORDERS = """
    select o.*, (
            select count(*) from bench_item i where i.bench_order_id = o.id
        ) as bench_item_count,
        json_build_object('id', c.id, 'name', c.name, 'country', c.country)
            as bench_customer
    from bench_order o join bench_customer c on c.id = o.bench_customer_id
    order by o.id desc limit $1
"""
CREATE = {
    "test": "insert into test (created_by_id, title, description) values ($1, $2, $3)"
    " returning id"
}
PROFILE = """
    select id, created_at, updated_at, created_by_id, updated_by_id, is_active,
        is_verified, is_deleted, is_protected, type, username, username_bigint, email,
        mobile, api_access, google_id, last_active_at, name, country, metadata, location
    from users where id = $1
"""
# Measured: each of them is faster than what asyncpg and orjson do by themselves.
DECODERS = {
    "json": orjson.Fragment,
    "jsonb": orjson.Fragment,
    "numeric": float,
    "uuid": str,
}


class NewTest(BaseModel):
    """A row of the table `test`, as a client sends it."""

    title: str
    description: str | None = None


async def prepare(connection: asyncpg.Connection) -> None:
    """Have JSON pass through as it is, and the rest arrive as orjson writes it."""
    for name, decoder in DECODERS.items():
        await connection.set_type_codec(
            name, schema="pg_catalog", encoder=str, decoder=decoder
        )


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Open the pool, serve, close it."""
    async with asyncpg.create_pool(
        os.environ["config_postgres_url"], min_size=1, max_size=20, init=prepare
    ) as pool:
        app.state.pool = pool
        yield


app = FastAPI(lifespan=lifespan)


def plain(value: Any) -> Any:
    """Write what orjson does not know."""
    if isinstance(value, asyncpg.Point):
        return {"type": "Point", "coordinates": [value.x, value.y]}
    return str(value)


def answer(message: Any) -> Response:
    """Answer in the shape that Atom has."""
    body = orjson.dumps({"status": 1, "message": message}, default=plain)
    return Response(body, media_type="application/json")


async def caller(request: Request) -> int:
    """Return the id of the user in the token."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise HTTPException(401, "token missing")
    try:
        claims = jwt.decode(token, KEY, algorithms=["HS256"])
    except jwt.InvalidTokenError:
        raise HTTPException(401, "token invalid") from None
    return int(claims["sub"])


Caller = Annotated[int, Depends(caller)]
Limit = Annotated[int, Query(ge=1, le=1000)]


@app.get("/")
async def index():
    """Answer as an empty route does: with a dict."""
    return {"status": "ok", "name": "atom", "version": "0.1.0", "env": "development"}


@app.get("/public/object-read")
async def read(
    request: Request, table: Literal["test", "bench_wide"], limit: Limit = 100
):
    """Read the newest rows."""
    rows = await request.app.state.pool.fetch(READ[table], limit)
    return answer(list(map(dict, rows)))


@app.get("/bench/many")
async def many(request: Request, account_id: int, limit: Limit = 100):
    """Read the rows of one account."""
    rows = await request.app.state.pool.fetch(MANY, account_id, limit)
    return answer(list(map(dict, rows)))


@app.get("/bench/shared")
async def shared(request: Request, user_id: Caller, limit: Limit = 100):
    """Read the rows of the accounts that are shared with the caller."""
    rows = await request.app.state.pool.fetch(SHARED, user_id, limit)
    return answer(list(map(dict, rows)))


@app.get("/bench/policy")
async def policy(request: Request, user_id: Caller):
    """Count the same rows under a policy of PostgreSQL."""
    return answer(await under_policy(request, user_id, POLICY))


@app.get("/bench/policy-page")
async def policy_page(request: Request, user_id: Caller, limit: Limit = 100):
    """Read the same rows under a policy of PostgreSQL."""
    return answer(await under_policy(request, user_id, POLICY_PAGE, limit))


async def under_policy(request: Request, user_id: int, text: str, *values: Any):
    """Run a query as the user that the policy asks for."""
    pool = request.app.state.pool
    async with pool.acquire() as connection, connection.transaction():
        setting = "select set_config('app.user_id', $1, true)"
        await connection.execute(setting, str(user_id))
        return list(map(dict, await connection.fetch(text, *values)))


@app.get("/bench/order")
async def orders(request: Request, limit: Limit = 100):
    """Read the newest orders, each with its customer and how many items it has."""
    rows = await request.app.state.pool.fetch(ORDERS, limit)
    return answer(list(map(dict, rows)))


@app.get("/my/profile")
async def profile(request: Request, user_id: Caller):
    """Read the caller's own row."""
    row = await request.app.state.pool.fetchrow(PROFILE, user_id)
    if row is None:
        raise HTTPException(404, "user not found")
    return answer(dict(row))


@app.post("/my/object-create")
async def create(
    request: Request, table: Literal["test"], row: NewTest, user_id: Caller
):
    """Add a row; its id is the answer."""
    return answer(
        await request.app.state.pool.fetchval(
            CREATE[table], user_id, row.title, row.description
        )
    )


if __name__ == "__main__":
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(os.environ["config_port"]),
        loop="uvloop",
        http="httptools",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
    )
