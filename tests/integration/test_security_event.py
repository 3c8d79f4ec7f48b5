"""Counted security events, on a real database and a clock of the test."""

from atom.account.security_event import OF_MINUTE, SecurityLog
from tests.account_setup import cluster as cluster
from tests.account_setup import database_url as database_url
from tests.account_setup import ports as ports
from tests.account_setup import template as template

ROWS = "select * from atom.security_event order by id"
MINUTE = 28_000_000


def made(ports, at=0.0):
    """Return a log that writes, and what sets its clock."""
    now = [MINUTE * 60 + at]
    events = SecurityLog(ports.database, lambda: now[0])
    events.start()
    return events, now


async def test_a_flood_from_everywhere_is_a_bounded_number_of_rows(ports):
    """Whoever it is about, and wherever it comes from; none is uncounted."""
    events, _ = made(ports)
    for number in range(5_000):
        address = f"10.{number >> 12}.{number >> 6 & 63}.{number & 63}"
        events.note("login.refused", "x", user_id=number, address=address)
    await events.close(10)

    rows = await ports.database.rows(ROWS)
    assert len(rows) <= OF_MINUTE + 1
    assert 5_000 == sum(row["count"] for row in rows)
    assert any(row["address"] is None for row in rows)


async def test_an_ipv6_caller_is_their_network(ports):
    events, _ = made(ports)
    for number in range(100):
        events.note("x", user_id=None, address=f"2001:db8::{number:x}")
    await events.close(10)

    (row,) = await ports.database.rows(ROWS)
    assert (100, "2001:db8::") == (row["count"], row["address"])


async def test_workers_count_in_one_row(ports):
    for at in (1.0, 30.0):
        events, _ = made(ports, at)
        events.note("x", "y", user_id=7, address="10.0.0.1")
        events.note("x", "y", user_id=7, address="10.0.0.1")
        await events.close(10)

    (row,) = await ports.database.rows(ROWS)
    assert 4 == row["count"]
    assert 29 == (row["last_at"] - row["created_at"]).total_seconds()


async def test_each_minute_has_its_row(ports):
    events, now = made(ports)
    for _ in range(3):
        events.note("x", user_id=None, address="10.0.0.1")
        now[0] += 60
    await events.close(10)

    rows = await ports.database.rows(ROWS)
    assert [MINUTE, MINUTE + 1, MINUTE + 2] == [row["minute"] for row in rows]
