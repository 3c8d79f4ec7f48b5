"""Counter and Store in memory, against models that are too simple to be wrong."""

import asyncio
from math import ceil

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from atom.adapter.memory import ENTRY_BYTES, MemoryCounter, MemoryStore
from tests.unit.effort import counted

KEYS = st.sampled_from("abc")
TAGS = st.lists(st.sampled_from("xyz"), max_size=3)


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self):
        self.now = 1_000.0

    def __call__(self):
        return self.now


class CounterMachine(RuleBasedStateMachine):
    """MemoryCounter does what a dict of (hits, end) would do."""

    def __init__(self):
        super().__init__()
        self.clock = Clock()
        self.counter = MemoryCounter(clock=self.clock)
        self.model = {}

    def known(self, key):
        hits, end = self.model.get(key, (0, 0))
        return (hits, end) if end > self.clock.now else (0, 0)

    @rule(key=KEYS, seconds=st.integers(1, 5), times=st.integers(0, 3))
    def hit(self, key, seconds, times):
        hits, end = self.known(key)
        end = end or self.clock.now + seconds
        if not times or hits < times:
            self.model[key] = (hits + 1, end)

        answer = asyncio.run(self.counter.hit(key, seconds, times=times))
        assert (hits + 1, ceil(end - self.clock.now)) == answer

    @rule(key=KEYS)
    def peek(self, key):
        hits, end = self.known(key)
        left = ceil(end - self.clock.now) if hits else 0
        assert (hits, left) == asyncio.run(self.counter.peek(key))

    @rule(key=KEYS)
    def clear(self, key):
        self.model.pop(key, None)
        asyncio.run(self.counter.clear(key))

    @rule(seconds=st.sampled_from([0.25, 1.0, 3.0]))
    def wait(self, seconds):
        self.clock.now += seconds


class StoreMachine(RuleBasedStateMachine):
    """MemoryStore does what a dict of (value, end, tags) would do."""

    def __init__(self):
        super().__init__()
        self.clock = Clock()
        self.store = MemoryStore(tags_max=2, clock=self.clock)
        self.model = {}
        self.history = []  # every drop, in order; None is a clear
        self.marks = []  # mark of the store, drops so far

    @rule()
    def begin(self):
        self.marks.append((asyncio.run(self.store.begin()), len(self.history)))

    @rule(key=KEYS, tags=TAGS, seconds=st.integers(0, 4), which=st.integers(0, 3))
    def set(self, key, tags, seconds, which):
        if not self.marks:
            return
        mark, before = self.marks[-1 - which % len(self.marks)]
        since = self.history[before:]
        stale = None in since or bool(set(tags) & set(since))
        value = f"{key}{len(self.history)}".encode()

        kept = asyncio.run(self.store.set(key, value, seconds, tags=tags, mark=mark))
        if stale or not seconds:
            assert not kept
        # With few tags remembered it may refuse more than it must, never less.
        if not since and seconds:
            assert kept
        if kept:
            self.model[key] = (value, self.clock.now + seconds, set(tags))

    @rule(tag=st.sampled_from("xyzw"))
    def drop(self, tag):
        self.history.append(tag)
        self.model = {k: v for k, v in self.model.items() if tag not in v[2]}
        asyncio.run(self.store.drop(tag))

    @rule()
    def clear(self):
        self.history.append(None)
        self.model.clear()
        asyncio.run(self.store.clear())

    @rule(seconds=st.sampled_from([0.5, 1.0, 3.0]))
    def wait(self, seconds):
        self.clock.now += seconds

    @invariant()
    def same_answers(self):
        for key in "abc":
            value, end, _ = self.model.get(key, (None, 0, None))
            fresh = value if end > self.clock.now else None
            assert fresh == asyncio.run(self.store.get(key))


QUICK = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestCounterModel = CounterMachine.TestCase
TestCounterModel.settings = QUICK
TestStoreModel = StoreMachine.TestCase
TestStoreModel.settings = QUICK


async def test_counter_holds_no_more_keys_than_it_may():
    """A caller with endless addresses fills no memory; the newest are counted."""
    counter = MemoryCounter(limit=100)
    for number in range(1_000):
        await counter.hit(str(number), 60)

    assert 100 == len(counter)
    assert 2 == (await counter.hit("999", 60))[0]


async def test_counter_forgets_windows_that_ended():
    """Traffic of an hour ago takes no memory now."""
    clock = Clock()
    counter = MemoryCounter(clock=clock)
    for number in range(500):
        await counter.hit(str(number), 10)
    clock.now += 11
    for _ in range(10):
        await counter.hit("now", 10)

    assert 1 == len(counter)


async def test_counter_that_is_cleared_for_ever_stays_small():
    """Counting and clearing the same key leaves nothing behind."""
    counter = MemoryCounter(limit=50)
    for _ in range(1_000):
        await counter.hit("a", 3600)
        await counter.clear("a")

    assert len(counter._ends) <= 101


async def test_no_hit_pays_for_all_windows_that_ended():
    """When 100,000 windows end together, the next caller does not wait for them."""
    clock = Clock()
    counter = MemoryCounter(clock=clock)
    for number in range(100_000):
        await counter.hit(str(number), 10)
    clock.now += 11
    with counted() as effort:
        await counter.hit("now", 10)

    assert effort.steps < 2_000


async def keep(store, key, value=b"v", **options):
    """Keep an answer made just now."""
    options = {"seconds": 60, "tags": (), "mark": await store.begin(), **options}
    return await store.set(key, value, options.pop("seconds"), **options)


async def test_store_is_bounded_by_bytes_and_forgets_the_unused():
    """The answer nobody asked for lately gives way first."""
    entry = 1_000 + ENTRY_BYTES + 1
    store = MemoryStore(bytes_max=3 * entry)
    for key in "abc":
        assert await keep(store, key, b"x" * 1_000)
    await store.get("a")
    await keep(store, "d", b"x" * 1_000)

    kept = [key for key in "abcd" if await store.get(key)]
    assert ["a", "c", "d"] == kept
    assert 3 * entry == store.size


async def test_store_is_bounded_by_number():
    """Many small answers are many all the same."""
    store = MemoryStore(entries_max=10)
    for number in range(100):
        await keep(store, str(number), b"", tags=("t",))

    assert 10 == len(store)
    assert await store.get("99") == b""


async def test_answer_larger_than_the_store_empties_nothing():
    """It is not kept, and what is kept stays."""
    store = MemoryStore(bytes_max=5_000)
    await keep(store, "a")

    assert not await keep(store, "b", b"x" * 5_000)
    assert b"v" == await store.get("a")


async def test_size_returns_to_nothing():
    """What is counted in is counted out, whichever way it goes."""
    clock = Clock()
    store = MemoryStore(clock=clock)
    await keep(store, "a", seconds=1)
    await keep(store, "b", tags=("t", "t", "u"))
    await keep(store, "b", b"longer", tags=("t",))
    await keep(store, "c")
    clock.now += 2
    await store.get("a")
    await store.drop("t")
    assert 1 == len(store)
    await store.clear()

    assert (0, 0) == (store.size, len(store))
    assert {} == store._tagged
