"""Keeps what this process remembers true: caches follow writes, here and elsewhere."""

from atom import operation
from atom.adapter.memory import MemoryStore
from atom.adapter.redis import RedisStore
from atom.adapter.users import CachedUsers
from atom.port import Ports


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

    ports.database.on_written = written
    bus.on("user", user_changed)
    bus.on("table", forget, own=False)  # `written` forgets at once
    bus.on("schema", lambda _: operation.read_schema(ports))
    bus.on("reset", lambda _: operation.start_over(ports))
    bus.lost.append(lambda: coherent(False))
    bus.regained.append(lambda: coherent(True))
