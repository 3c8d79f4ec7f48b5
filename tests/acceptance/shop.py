"""A drop-in of the tests: what a user's router does, and FastAPI's own habits."""

DROP_IN = """
import asyncio
from typing import Annotated

from fastapi import BackgroundTasks, Depends, Header, HTTPException
from fastapi.responses import PlainTextResponse, StreamingResponse
from pydantic import BaseModel

from extend import *

router = APIRouter(prefix="/shop", tags=["Shop"])
calls = {"n": 0, "cleaned": 0, "background": 0}


class Item(BaseModel):
    name: str
    price: float


async def session():
    yield "open"
    calls["cleaned"] += 1


@router.get("/item/{id}")
async def item(id: int) -> Item:
    return Item(name=f"item {id}", price=1.5)


@router.post("/item", status_code=201)
async def create(item: Item, tasks: BackgroundTasks):
    def later():
        calls["background"] += 1
    tasks.add_task(later)
    return item


@router.get("/depends")
async def depends(held: Annotated[str, Depends(session)]):
    return {"held": held}


@router.get("/calls")
async def told():
    return calls


@router.get("/teapot")
async def teapot():
    raise HTTPException(418, {"short": "stout"}, headers={"x-tea": "green"})


@router.get("/boom")
async def boom():
    raise RuntimeError("secret detail")


@router.get("/stream")
async def stream():
    async def parts():
        for n in range(3):
            yield f"part {n}\\n"
            await asyncio.sleep(0)
    return StreamingResponse(parts(), media_type="text/plain")


@router.get("/plain")
def plain():
    return PlainTextResponse("plain")


@router.get("/limited")
async def limited():
    return {"ok": True}


@router.get("/cached")
async def cached(request: Request, status: int = 200):
    calls["n"] += 1
    await asyncio.sleep(0.05)
    if status != 200:
        raise HTTPException(status, "not this time")
    return {"n": calls["n"], "user": request.state.user.get("id")}


@router.get("/cached-text")
async def cached_text():
    calls["n"] += 1
    return PlainTextResponse(f"text {calls['n']}")


@router.get("/cached-rows")
async def cached_rows(request: Request) -> responses.Response:
    rows = await function_object_read_postgres(
        request.app.state.ports, "test", [("title", "=,cached row")]
    )
    return responses.Response(rows, media_type="application/json")


@router.get("/slow")
async def slow():
    await asyncio.sleep(5)


@router.post("/slow-write")
async def slow_write(request: Request):
    body = await request.json()
    for _ in range(600):  # until it is let go on: nobody has to be quick
        if calls.get("go"):
            break
        await asyncio.sleep(0.05)
    calls["written"] = body
    return {"did": body}


@router.post("/go")
def go(on: int):
    calls["go"] = on


@router.post("/fails")
async def fails():
    raise RuntimeError("secret detail")


@router.get("/who")
async def who(request: Request):
    return request.state.user


@router.websocket("/ws")
async def ws(websocket: WebSocket):
    await websocket.accept()
    await websocket.send_text(str(websocket.state.user.get("id")))
    await websocket.close()
"""

CONFIG = """
config_api = {
    "/shop/limited": {"ratelimiter_times_sec": [5, 60]},
    "/shop/cached": {"cache_sec": ["inmemory", 60]},
    "/shop/cached-text": {"cache_sec": ["inmemory", 60]},
    "/shop/cached-rows": {"cache_sec": ["inmemory", 60]},
    "/shop/slow": {"timeout_sec": 0.2},
    "/shop/slow-write": {"is_background": 1},
    "/shop/fails": {"is_background": 1},
    "/shop/who": {"is_token": 1},
    "/shop/item/{id}": {"is_token": 1},
    "/shop/ws": {"is_token": 1},
}
"""
