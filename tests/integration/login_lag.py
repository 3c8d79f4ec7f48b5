"""The lag of a server's event loop while fifty people log in at once.

`python -m tests.integration.login_lag` prints the longest of each round in
milliseconds: the passwords are hashed as expensively as in production.
"""

import asyncio
import secrets
import sys
import tempfile
from pathlib import Path

import httpx2

from tests.acceptance.checkout import copied
from tests.served import serve

PEOPLE, ROUNDS = 50, 5
PASSWORD = "correct horse battery"
DROP_IN = """
import asyncio
import time
from extend import *

router = APIRouter()
longest = 0.0
ticking = []


async def tick():
    global longest
    while True:
        began = time.perf_counter()
        await asyncio.sleep(0.005)
        longest = max(longest, time.perf_counter() - began - 0.005)


@router.get("/lag")
async def lag():
    global longest
    if not ticking:
        ticking.append(asyncio.create_task(tick()))
    found, longest = longest, 0.0
    return {"status": 1, "message": found}
"""


async def measure(url):
    """Yield the longest lag of each round."""
    async with httpx2.AsyncClient(base_url=url, timeout=60) as client:
        people = [
            {"type": 1, "username": f"u{secrets.token_hex(6)}", "password": PASSWORD}
            for _ in range(PEOPLE)
        ]
        for person in people:
            (await client.post("/auth/signup", json=person)).raise_for_status()
        for _ in range(ROUNDS):
            await asyncio.sleep(1)
            await client.get("/lag")
            logins = (client.post("/auth/login-password", json=p) for p in people)
            for answer in await asyncio.gather(*logins):
                answer.raise_for_status()
            yield (await client.get("/lag")).json()["message"]


async def main(url):
    """Print each round."""
    async for lag in measure(url):
        sys.stdout.write(f"{lag * 1000:.1f} ms\n")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        code = copied(Path(name), router_lag=DROP_IN)
        with serve(code=code, first=True) as served:
            asyncio.run(main(served.url))
