"""Keeps what this process remembers true: caches follow writes, here and elsewhere."""

from functools import partial

from atom import operation
from atom.adapter.memory import MemoryStore
from atom.adapter.redis import RedisStore
from atom.adapter.users import CachedUsers
from atom.port import Ports
from atom.postgres.replica import Replicas
from atom.postgres.share import CALLER


def keep(
    ports: Ports, memory: MemoryStore, users: CachedUsers, shared: RedisStore | None
) -> None:
    """Connect the caches to writes, and to what other workers publish on the bus."""
    bus = ports.bus

    def user_changed(value: str) -> None:
        user_id = int(value) if value else None
        users.forget(user_id)
        ports.sockets.check(user_id)

    async def coherent(known: bool) -> None:
        users.coherent = memory.coherent = ports.sockets.coherent = known
        ports.sockets.check()
        await memory.clear()
        if known and ports.database.catalog.tables:
            await operation.read_schema(ports)

    def forget(table: str) -> None:
        for each in ports.database.catalog.changed_with(table):
            memory.forget_tag(each)

    def written(table: str) -> None:
        forget(table)
        if shared is not None:
            for each in ports.database.catalog.changed_with(table):
                ports.tasks.spawn(shared.drop(each), name=f"stale {each}")
        bus.publish_soon("table", table)
        if (caller := CALLER.get()) is not None:
            ports.wrote(caller.name)

    ports.database.on_written = written
    bus.on("user", user_changed)
    bus.on("table", forget, own=False)  # `written` forgets at once
    bus.on("schema", lambda _: operation.read_schema(ports))
    bus.on("reset", lambda _: operation.start_over(ports))
    bus.lost.append(lambda: coherent(False))
    bus.regained.append(lambda: coherent(True))


def ignore(caller: str) -> None:
    """Do nothing: there is no replica that could lack what was written."""


def read_from(ports: Ports, replicas: Replicas) -> None:
    """Read on replicas from now on, but what a caller has just written."""

    def wrote(caller: str) -> None:
        if replicas.writers.note(caller):
            ports.bus.publish_soon("wrote", caller)

    replicas.catalog = ports.database.catalog
    replicas.reread = partial(operation.heal, ports)
    ports.database_read = replicas
    ports.rpc.read_from(replicas)
    ports.wrote = wrote
    ports.bus.on("wrote", replicas.writers.note, own=False)
