"""Messages between workers: PostgreSQL's LISTEN and NOTIFY on channel `atom`.

It has a connection of its own, never one of the pool, and needs a direct address: a
pooler in transaction mode delivers nothing. The bus is trusted only after it has
received a test notification sent through the pool, by `speak`.
"""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any

import orjson

from atom.backoff import Backoff
from atom.postgres.driver import Raw

log = logging.getLogger(__name__)

CHANNEL = "atom"
PAYLOAD_MAX = 7_900  # bytes; PostgreSQL takes fewer than 8,000
SURELY_SHORT = 1_000  # characters that fit, however they are escaped
NOTED_MAX = 10_000  # distinct items waiting; beyond that a topic is sent as a whole
GATHER = 0.005  # seconds in which notes are gathered
ALIVE = 5.0  # seconds between two proofs that the connection lives
ANSWER = 2.0  # seconds it has to answer
ECHOES = 3  # tries to receive a test message
ECHO = "echo"  # a topic without listeners
PAUSES = (0.1, 2.0)  # seconds until the next try to connect: the first, the longest

NOTIFY = "select pg_notify('atom', payload) from unnest($1::text[]) as payload"

Listener = Callable[[str], Any]
Item = tuple[str, str]


class Bus:
    """Delivers (topic, value) to the listeners of every worker, this one included.

    `lost` and `regained` are lists of callbacks. While the bus is lost, messages
    of others are missed: caches must drop everything at both moments and rely on
    nothing between them. `regained` is also called at the first connection.
    """

    def __init__(
        self,
        url: str,
        *,
        connect_seconds: float = 5.0,
        speak: Callable[[str, list[str]], Awaitable[Any]] | None = None,
    ) -> None:
        self._url = url
        self._connect_seconds = connect_seconds
        self._speak = speak
        self.is_receiving = True  # False: connected, but the test message was lost
        self._echo: tuple[str, asyncio.Future[None] | None] = ("", None)
        self._listeners: dict[str, list[Listener]] = {}
        self._others: dict[str, list[Listener]] = {}  # of what other workers send
        self.lost: list[Callable[[], Any]] = []
        self.regained: list[Callable[[], Any]] = []
        self._connection: Raw | None = None
        self._gone = asyncio.Event()
        self._sending = asyncio.Lock()
        self._noted: dict[Item, None] = {}  # in the order they were noted
        self._unsent: dict[Item, None] = {}  # to be sent once the bus is back
        self._flushing = False
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def connected(self) -> bool:
        """Whether this worker hears the others."""
        return self._connection is not None

    def on(self, topic: str, listener: Listener, *, own: bool = True) -> None:
        """Call a plain function with the value of each item of a topic.

        Without `own` not for items that this worker sent, which has acted on them.
        """
        listeners = self._listeners if own else self._others
        listeners.setdefault(topic, []).append(listener)

    async def start(self) -> None:
        """Connect, and keep connecting until `close`; a failure now is not raised."""
        self._loop = asyncio.get_running_loop()
        await self._connect()
        self._spawn(self._run())

    async def close(self) -> None:
        """Send what is waiting and disconnect."""
        if self._noted and self.connected:
            await self._flush()
        self._closed = True  # a message that still arrives is not acted on
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1)
        connection, self._connection = self._connection, None
        if connection is not None:
            await _hang_up(connection)

    async def publish(self, topic: str, value: str = "") -> bool:
        """Send to every worker. False: the bus is lost; it is sent when it is back.

        Raises:
            ValueError: when the item is larger than a notification may be.
        """
        self.publish_soon(topic, value)
        await self._flush()
        return (topic, value) not in self._unsent

    def publish_soon(self, topic: str, value: str = "") -> None:
        """Send to every worker within a few milliseconds; the same item only once.

        Raises:
            ValueError: when the item is larger than a notification may be.
        """
        if len(value) > SURELY_SHORT:
            payload((topic, value))
        self._noted[topic, value] = None
        if not self._flushing and self._loop is not None:
            self._flushing = True
            self._loop.call_later(GATHER, self._begin_flush)

    def _begin_flush(self) -> None:
        self._flushing = False
        self._spawn(self._flush())

    async def _flush(self) -> None:
        async with self._sending:
            items, self._noted = self._noted, {}
            if not items or await self._send(items):
                return
        # No other worker gets it now, but this one must not miss its own writes.
        for topic, value in items:
            self._deliver(topic, value, own=True)
        self._unsent.update(items)
        if len(self._unsent) > NOTED_MAX:
            self._unsent = dict.fromkeys((topic, "") for topic, _ in self._unsent)

    async def _send(self, items: dict[Item, None]) -> bool:
        if self._connection is None:
            return False
        texts = [payload(item) for item in items]
        try:
            await self._connection.execute(NOTIFY, texts, timeout=ANSWER)
        except Exception as error:
            log.warning("bus: could not speak (%s)", type(error).__name__)
            self._gone.set()
            return False
        return True

    async def _connect(self) -> bool:
        from asyncpg import connect

        self._gone = asyncio.Event()
        try:
            connection = await connect(
                self._url,
                timeout=self._connect_seconds,
                command_timeout=ANSWER,
                server_settings={"application_name": "atom bus"},
            )
        except Exception as error:
            log.debug("bus: cannot connect (%s)", type(error).__name__)
            return False
        gone = self._gone
        connection.add_termination_listener(lambda _: gone.set())
        try:
            await connection.add_listener(CHANNEL, self._heard)
            self.is_receiving = await self._hears()
        except Exception as error:
            log.debug("bus: cannot listen (%s)", type(error).__name__)
            await _hang_up(connection)
            return False
        if not self.is_receiving:
            log.error("bus: LISTEN receives nothing; nothing is cached")
            await _hang_up(connection, "unlisten *")  # a pooler's is soon another's
            return False
        self._connection = connection
        self._call("callback", self.regained)
        if self._unsent:
            self._noted, self._unsent = {**self._unsent, **self._noted}, {}
            self._spawn(self._flush())
        return True

    async def _hears(self) -> bool:
        """Send a message the way others do, and wait until it arrives here."""
        if self._speak is None:
            return True
        heard = asyncio.get_running_loop().create_future()
        token = secrets.token_hex(8)
        self._echo = (token, heard)
        for _ in range(ECHOES):
            await self._speak(NOTIFY, [payload((ECHO, token))])
            await asyncio.wait([heard], timeout=ANSWER)
            if heard.done():
                return True
        return False

    async def _run(self) -> None:
        backoff = Backoff(*PAUSES)
        if not self.connected:
            log.warning("bus: the database does not answer; nothing is cached")
        while True:
            if (connection := self._connection) is None:
                await backoff.rest()
                if await self._connect():
                    log.info("bus: connected")
                continue
            backoff.succeeded()
            while await self._is_alive(connection):
                pass
            self._connection = None
            log.warning("bus: connection lost; nothing is cached until it is back")
            self._call("callback", self.lost)
            connection.terminate()

    async def _is_alive(self, connection: Raw) -> bool:
        """Wait a while for the end of the connection; then ask for a sign of life."""
        try:
            async with asyncio.timeout(ALIVE):
                await self._gone.wait()
            return False
        except TimeoutError:
            pass  # no news: ask
        async with self._sending:
            try:
                await connection.execute("select 1", timeout=ANSWER)
            except Exception as error:
                log.warning("bus: no sign of life (%s)", type(error).__name__)
                return False
        return True

    def _heard(self, connection: Raw | None, pid: int, channel: str, text: str) -> None:
        try:
            item = orjson.loads(text)
            topic, value = item["topic"], item["value"]
        except (ValueError, TypeError, KeyError):
            log.warning("bus: unreadable notification on channel %s", channel)
            return
        token, waiting = self._echo
        if topic == ECHO and value == token and waiting and not waiting.done():
            waiting.set_result(None)
        own = connection is not None and pid == connection.get_server_pid()
        self._deliver(str(topic), str(value), own=own)

    def _deliver(self, topic: str, value: str, *, own: bool) -> None:
        name = f"listener of {topic}"
        self._call(name, self._listeners.get(topic, ()), value)
        if not own:
            self._call(name, self._others.get(topic, ()), value)

    def _call(
        self, what: str, calls: Iterable[Callable[..., Any]], *values: str
    ) -> None:
        for call in calls:
            try:
                result = call(*values)
            except Exception:
                log.exception("bus: %s failed", what)
                continue
            if asyncio.iscoroutine(result):
                self._spawn(result)

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        if self._closed:
            work.close()
            return
        task = asyncio.create_task(work, name="bus")
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("bus: failed", exc_info=error)


def payload(item: Item) -> str:
    """Write an item as a notification carries it.

    Raises:
        ValueError: when that is larger than 7,900 bytes.
    """
    text = orjson.dumps({"topic": item[0], "value": item[1]})
    if len(text) > PAYLOAD_MAX:
        raise ValueError(f"{len(text)} bytes do not fit into one notification")
    return text.decode()


async def _hang_up(connection: Raw, last: str = "") -> None:
    try:
        if last:
            await connection.execute(last, timeout=1)
        await connection.close(timeout=1)
    except Exception as error:
        log.debug("bus: hung up (%s)", type(error).__name__)
        connection.terminate()
