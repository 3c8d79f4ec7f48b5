"""What is dropped into Atom next to the tables of the bench: events and routes."""

CONFIG = '''"""Two tables alike; a row of the second is an event."""

COLUMNS = [
    "created_at-timestamptz-0-0",
    "created_by_id-bigint-0-btree",
    "title-text-0-0",
    "description-text-0-0",
]
config_postgres_schema = {"table": {"bench_plain": COLUMNS, "bench_event": COLUMNS}}
config_table = {"bench_plain": {"my": "owner"}, "bench_event": {"my": "owner"}}
config_event = {"row.bench_event.created": {}, "bench.made": {}}
'''
HANDLER = '''"""What the events are for."""


async def on_row_bench_event_created(event, connection):
    """Do nothing."""


async def on_bench_made(event, connection):
    """Do nothing."""
'''
ROUTER = '''"""A row in a transaction, and one with an event."""

from extend import *

router = APIRouter()


@router.post("/bench/plain")
async def route_bench_plain(request: Request):
    async with function_transaction(request):
        return {"status": 1, "message": await made(request)}


@router.post("/bench/event")
async def route_bench_event(request: Request):
    async with function_transaction(request):
        made_id = await made(request)
        payload = {"id": made_id}
        await function_event(
            request, "bench.made", aggregate_id=made_id, payload=payload
        )
        return {"status": 1, "message": made_id}


async def made(request):
    """Insert a row. Return its id."""
    query = "insert into bench_plain (title) values (:title) returning id"
    values = {"title": "made by the bench"}
    return await request.app.state.client_postgres.fetch_val(query, values)
'''
FILES = {
    "config_bench_event.py": CONFIG,
    "handler_bench_event.py": HANDLER,
    "router_bench_event.py": ROUTER,
}
