"""The readers of bench.stream, in a process of their own, as cheap as Python allows.

`python -m bench.stream_readers <own|all> <host> <port> <readers> <each so many-th>`:
writes a line once all have begun, then waits for the end of its input, and writes what
was seen as JSON.
"""

import json
import os
import select
import socket
import sys
import time
from dataclasses import dataclass, field

AT_ONCE = 100  # readers who connect
MARK = b'"title":"'
BUFFER = memoryview(bytearray(1 << 20))


@dataclass(eq=False)
class Reader:
    """One reader; every so many-th measures how late a change comes."""

    stream: socket.socket
    looks: bool
    is_ready: bool = False
    rest: bytes = b""


@dataclass
class Seen:
    """What all of them saw."""

    late: list[float] = field(default_factory=list)
    size: int = 0
    reads: int = 0
    ready: int = 0
    over: int = 0


def main(which: str, host: str, port: int, readers: int, every: int) -> None:
    """Connect, read, and report."""
    poll, seen, by_number = select.epoll(), Seen(), dict[int, Reader]()
    for number in range(readers):
        path = "/public/rows/test/stream?column=id,title"
        path += f"&type=%3D,{number}" if which == "own" else ""
        stream = socket.create_connection((host, port))
        stream.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        stream.setblocking(False)
        by_number[stream.fileno()] = Reader(stream, number % every == 0)
        poll.register(stream, select.EPOLLIN)
        while number + 1 - seen.ready - seen.over >= AT_ONCE:
            _read(poll, by_number, seen)
    while seen.ready + seen.over < readers:
        _read(poll, by_number, seen)
    before = sum(os.times()[:2])
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    poll.register(sys.stdin, select.EPOLLIN)
    while not _read(poll, by_number, seen):
        pass
    cpu = sum(os.times()[:2]) - before
    json.dump({**vars(seen), "cpu": cpu}, sys.stdout)


def _read(poll: select.epoll, by_number: dict[int, Reader], seen: Seen) -> bool:
    """Read what has come. Return whether it is time to end."""
    for number, _ in poll.poll():
        if number == sys.stdin.fileno():
            return True
        reader = by_number[number]
        got = reader.stream.recv_into(BUFFER)
        seen.size += got
        seen.reads += 1
        if not got:
            seen.over += 1
            poll.unregister(number)
        elif not reader.is_ready:
            reader.is_ready = b"event: ready" in bytes(BUFFER[:got])
            seen.ready += reader.is_ready
        elif reader.looks:
            now = time.time()
            first, *parts = (reader.rest + bytes(BUFFER[:got])).split(MARK)
            reader.rest = first if not parts else b""
            for part in parts:
                text, end, _ = part.partition(b'"')
                if end:
                    seen.late.append(now - float(text))
                else:  # the last one goes on in the next read
                    reader.rest = MARK + part
            reader.rest = reader.rest[-64:]
    return False


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))
