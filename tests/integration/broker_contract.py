"""What every broker of atom/queue/ keeps, on the real server.

A broker's own test file has a subclass of `BrokerContract` with a fixture `place`: a
running `Place`. Each test has a channel of its own.
"""

import asyncio
import json
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest

from atom.client import opened
from atom.config.keys import KEYS
from atom.errors import Unavailable
from atom.queue.broker import Broker
from tests.soak import IS_SOAK

DEFAULTS = {key.name: key.default for key in KEYS}
ARRIVAL_SECONDS = 30.0
QUIET_SECONDS = 1.5 if IS_SOAK else 0.6
AWAY_SECONDS = 15.0


@dataclass
class Place:
    """A running server, and what opens a broker on it: `factory` as in atom/queue/.

    `kill` ends the server with SIGKILL, `start` starts it again on its data.
    `settle_seconds` is what a channel takes to be safe from a kill once it is set up.
    """

    config: dict[str, Any]
    clients: tuple[Any, ...]
    factory: Callable[[Any, Any], Broker]
    kill: Callable[[], None]
    start: Callable[[], None]
    settle_seconds: float = 0.0

    async def killed(self):
        """Kill the server."""
        await asyncio.sleep(self.settle_seconds)
        await asyncio.to_thread(self.kill)

    async def started(self):
        """Start it again."""
        await asyncio.to_thread(self.start)

    @asynccontextmanager
    async def broker(self):
        """Open the clients and the broker, as a process of Atom does."""
        config = {**DEFAULTS, **self.config}
        async with opened(self.clients, config) as live:
            yield self.factory(live, config)


async def take(deliveries, number):
    """Return the next deliveries."""
    async with asyncio.timeout(ARRIVAL_SECONDS):
        return [await anext(deliveries) for _ in range(number)]


async def nothing(deliveries, seconds=QUIET_SECONDS):
    """Check that no delivery comes for a while."""
    waiting = asyncio.ensure_future(anext(deliveries))
    done, _ = await asyncio.wait({waiting}, timeout=seconds)
    assert not done, waiting.result()
    waiting.cancel()
    await asyncio.wait({waiting})


async def sent(broker, channel, number, *, key=None):
    """Send messages; return their ids, in order."""
    ids = [str(uuid4()) for _ in range(number)]
    for place, message_id in enumerate(ids):
        body = json.dumps({"place": place}).encode()
        await broker.send(channel, body, message_id=message_id, key=key)
    return ids


async def all_taken(broker, channel, ids, *, prefetch=50):
    """Receive and accept until every id has come; return the ids as they came."""
    came = []
    async with asyncio.timeout(60), broker.subscribe(channel, prefetch=prefetch) as one:
        async for delivery in one:
            came.append(delivery.message_id)
            await one.accept([delivery])
            if set(ids) <= set(came):
                break
    return came


class BrokerContract:
    """The promises of `Broker`."""

    counts = True  # deliveries of a message are counted
    others = (
        ("n", b"same"),
        ("m", b"another"),
    )  # messages that are not `("m", b"same")`

    @pytest.fixture
    async def broker(self, place):
        """An open broker."""
        async with place.broker() as broker:
            yield broker

    @pytest.fixture
    async def channel(self, broker):
        """A channel of this test's own."""
        name = f"c_{uuid4().hex[:12]}"
        await broker.setup(name)
        return name

    async def test_what_is_sent_arrives_whole(self, broker, channel):
        """Body, message id, key and headers."""
        body, headers = b'{"a": "\xc3\xa9"}', {"event_type": "a.b", "traceparent": "00"}
        await broker.send(
            channel, body, message_id="one", key="\u00e9 1", headers=headers
        )
        await broker.send(channel, b"\x00\xff", message_id="two")

        async with broker.subscribe(channel, prefetch=5) as one:
            first, second = await take(aiter(one), 2)

        if first.message_id != "one":
            first, second = second, first
        assert (body, "one", "\u00e9 1") == (first.body, first.message_id, first.key)
        assert headers == dict(first.headers)
        assert (b"\x00\xff", "two", None) == (
            second.body,
            second.message_id,
            second.key,
        )
        assert {} == dict(second.headers)
        assert (1 if self.counts else None) == first.count

    async def test_messages_of_one_key_come_in_order(self, broker, channel):
        """As they were sent."""
        ids = await sent(broker, channel, 30, key="a")

        assert ids == await all_taken(broker, channel, ids, prefetch=7)

    async def test_setup_creates_once(self, broker):
        """The second time there is nothing to do."""
        channel = f"c_{uuid4().hex[:12]}"

        assert await broker.setup(channel)
        assert [] == await broker.setup(channel)

    async def test_accepted_is_gone_and_unsettled_comes_again(self, broker, channel):
        """Whatever was not settled when the consumer left is delivered again."""
        ids = await sent(broker, channel, 3, key="a")
        async with broker.subscribe(channel, prefetch=3) as one:
            held = await take(aiter(one), 3)
            await one.accept(held[:1])
            await one.release(held[1:])

        async with broker.subscribe(channel, prefetch=3) as other:
            deliveries = aiter(other)
            again = await take(deliveries, 2)
            assert ids[1:] == [delivery.message_id for delivery in again]
            assert not self.counts or all(each.count > 1 for each in again)
            await other.accept(again)
            await nothing(deliveries)

    async def test_prefetch_bounds_what_is_in_hand(self, broker, channel):
        """More come only when some are settled."""
        await sent(broker, channel, 6, key="a")

        async with broker.subscribe(channel, prefetch=2) as one:
            deliveries = aiter(one)
            held = await take(deliveries, 2)
            await nothing(deliveries)
            await one.accept(held)
            await take(aiter(one), 2)

    async def test_what_is_in_hand_is_kept_from_others(self, broker, channel):
        """For as long as its lease is extended."""
        ids = await sent(broker, channel, 1)
        async with broker.subscribe(channel, prefetch=1) as one:
            held = await take(aiter(one), 1)
            async with broker.subscribe(channel, prefetch=1) as other:
                for _ in range(6):
                    await one.extend(held)
                    await nothing(aiter(other), min(broker.lease / 3, 0.5))
            await one.accept(held)
        assert ids == [held[0].message_id]

    async def test_rejected_is_a_dead_letter(self, broker, channel):
        """With the reason, the attempts and the time; it is not delivered again."""
        ids = await sent(broker, channel, 2, key="a")
        async with broker.subscribe(channel, prefetch=2) as one:
            deliveries = aiter(one)
            held = await take(deliveries, 2)
            await one.reject(held[0], "it is \u00e9ncoded\nwrongly", 3)
            await one.accept(held[1:])
            await nothing(deliveries)

        (letter,) = await broker.dead(channel, 10)
        assert "it is \u00e9ncoded\nwrongly" == letter.reason
        assert (3, b'{"place": 0}') == (letter.attempts, letter.body)
        assert letter.died_at.tzinfo is not None
        assert [letter] == await broker.dead(channel, 10)
        assert ids[0] == held[0].message_id

    async def test_dead_letters_are_replayed_as_they_were(self, broker, channel):
        """By id, or all; with message id, key and headers."""
        for number in range(4):
            await broker.send(
                channel,
                str(number).encode(),
                message_id=f"m{number}",
                key="k",
                headers={"event_type": "a.b"},
            )
        async with broker.subscribe(channel, prefetch=4) as one:
            for delivery in await take(aiter(one), 4):
                await one.reject(delivery, "broken", 1)

        letters = await broker.dead(channel, 3)
        assert [b"0", b"1", b"2"] == [letter.body for letter in letters]
        assert 1 == await broker.replay(channel, [letters[1].id])
        assert 0 == await broker.replay(channel, ["no such id"])
        async with broker.subscribe(channel, prefetch=4) as one:
            (back,) = await take(aiter(one), 1)
            await one.accept([back])
        assert (b"1", "m1", "k") == (back.body, back.message_id, back.key)
        assert {"event_type": "a.b"} == dict(back.headers)

        left = [letter.body for letter in await broker.dead(channel, 10)]
        assert [b"0", b"2", b"3"] == left
        assert 3 == await broker.replay(channel, None)
        assert [] == await broker.dead(channel, 10)
        assert 0 == await broker.replay(channel, None)

    async def twice_dead(self, broker, channel):
        """Make two dead letters of one message, as a kill in between does."""
        for _ in range(2):
            await broker.send(channel, b"same", message_id="m", key="k")
        async with broker.subscribe(channel, prefetch=2) as one:
            for delivery in await take(aiter(one), 2):
                await one.reject(delivery, "broken", 1)

    async def test_copies_of_a_dead_letter_are_one(self, broker, channel):
        """One is listed, one is sent again, and both are gone then."""
        await self.twice_dead(broker, channel)
        async with broker.subscribe(channel, prefetch=2) as one:
            for message_id, body in self.others:
                await broker.send(channel, body, message_id=message_id, key="k")
                (held,) = await take(aiter(one), 1)
                await one.reject(held, "broken", 1)

        letters = await broker.dead(channel, 10)
        bodies = [b"same", *(body for _, body in self.others)]
        assert bodies == [letter.body for letter in letters]
        assert 1 == await broker.replay(channel, [letters[1].id])
        del bodies[1]
        assert bodies == [letter.body for letter in await broker.dead(channel, 10)]
        assert len(bodies) == await broker.replay(channel, None)
        assert [] == await broker.dead(channel, 10)
        ids = ["n", *("m" for _ in bodies)]
        async with broker.subscribe(channel, prefetch=9) as one:
            deliveries = aiter(one)
            again = await take(deliveries, len(ids))
            assert ids == [delivery.message_id for delivery in again]
            await one.accept(again)
            await nothing(deliveries)

    async def test_purge_deletes_what_waits_or_the_dead(self, broker, channel):
        """One of the two, never both."""
        await sent(broker, channel, 1)
        async with broker.subscribe(channel, prefetch=1) as one:
            (held,) = await take(aiter(one), 1)
            await one.reject(held, "broken", 1)
        await sent(broker, channel, 3)

        assert 3 == await broker.purge(channel, dead=False)
        assert 0 == await broker.purge(channel, dead=False)
        assert 1 == len(await broker.dead(channel, 10))
        assert 1 == await broker.purge(channel, dead=True)
        assert [] == await broker.dead(channel, 10)

    async def test_state_counts(self, broker, channel):
        """What waits and what is dead, where the broker knows."""
        await sent(broker, channel, 3, key="a")
        async with broker.subscribe(channel, prefetch=1) as one:
            (held,) = await take(aiter(one), 1)
            await one.reject(held, "broken", 1)
        async with asyncio.timeout(ARRIVAL_SECONDS):  # what was in hand comes back
            while (state := await broker.state(channel)).waiting not in {2, None}:
                await asyncio.sleep(0.1)

        assert channel == state.channel
        assert state.dead in {1, None}

    async def test_cancelled_send_leaves_the_broker_usable(self, broker, channel):
        """A request may end while it sends."""
        sending = asyncio.ensure_future(broker.send(channel, b"{}", message_id="a"))
        await asyncio.sleep(0)
        sending.cancel()
        await asyncio.wait({sending})

        (message_id,) = await sent(broker, channel, 1)
        assert message_id in await all_taken(broker, channel, [message_id])

    async def test_confirmed_is_kept_over_a_kill(self, place, broker, channel):
        """SIGKILL right after the confirmation loses nothing."""
        ids = await sent(broker, channel, 20)
        await place.killed()
        await place.started()

        async with place.broker() as fresh:
            assert set(ids) <= set(await all_taken(fresh, channel, ids))

    async def test_each_message_is_confirmed_and_kept_or_an_error(
        self, place, broker, channel
    ):
        """Over a kill, in the outage, and by the same broker afterwards."""
        confirmed = []

        async def send():
            while True:
                confirmed.extend(await sent(broker, channel, 1))

        sending = [asyncio.ensure_future(send()) for _ in range(5)]
        async with asyncio.timeout(ARRIVAL_SECONDS):
            while len(confirmed) < 50:
                await asyncio.sleep(0.01)
        await place.killed()
        sending.append(asyncio.ensure_future(send()))
        try:
            async with asyncio.timeout(AWAY_SECONDS):
                ends = await asyncio.gather(*sending, return_exceptions=True)
        finally:
            await place.started()
        assert [Unavailable] * 6 == [type(end) for end in ends]

        async with asyncio.timeout(60):
            while True:
                try:
                    confirmed += await sent(broker, channel, 1)
                    break
                except Unavailable:
                    await asyncio.sleep(0.1)
        async with place.broker() as fresh:
            assert set(confirmed) <= set(await all_taken(fresh, channel, confirmed))

    async def test_subscription_survives_a_kill(self, place, broker, channel):
        """It waits, goes on by itself, and gets again what it had in hand."""
        (first,) = await sent(broker, channel, 1)
        async with broker.subscribe(channel, prefetch=10) as one:
            deliveries = aiter(one)
            old = await take(deliveries, 1)
            await place.killed()
            waiting = asyncio.ensure_future(anext(deliveries))
            await asyncio.sleep(0.5)
            await place.started()
            async with asyncio.timeout(60):
                again = await waiting
            assert first == again.message_id
            await one.accept(old)  # of the lost connection: settles nothing else

            async with place.broker() as fresh:
                (second,) = await sent(fresh, channel, 1)
            (new,) = await take(deliveries, 1)
            assert second == new.message_id
            await one.accept([again, new])

        state = await broker.state(channel)
        assert state.waiting in {0, None}
