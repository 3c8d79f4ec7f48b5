"""Load from another process: one run of wrk, and what it counted."""

import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

CONNECTIONS = 32

# wrk hands its counts to `done`; times are in microseconds.
DONE = """
done = function(summary, latency)
  local wrong = summary.errors
  io.write(string.format("COUNTED %d %d %d %d %d\\n",
    summary.requests, summary.duration,
    wrong.status + wrong.connect + wrong.read + wrong.write + wrong.timeout,
    latency:percentile(50), latency:percentile(99)))
end
"""


class BenchError(Exception):
    """The bench cannot be run, or what it measured is not what it claims."""


@dataclass(frozen=True)
class Request:
    """What is sent again and again."""

    path: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    most: int = 0  # the path ends with a number from 1 to so many, each time another

    def url(self, server: str, number: int = 1) -> str:
        """Return where it goes, with one of the numbers."""
        return f"{server}{self.path}{number if self.most else ''}"


@dataclass(frozen=True)
class Counted:
    """What one run came to; a run that is one long call has no percentiles."""

    requests: int
    seconds: float
    median_ms: float = 0.0
    p99_ms: float = 0.0

    @property
    def per_second(self) -> float:
        """Answers in a second."""
        return self.requests / self.seconds


def wrk() -> str:
    """Return where wrk is.

    Raises:
        BenchError: naming the package.
    """
    if found := shutil.which("wrk"):
        return found
    raise BenchError(
        "The bench needs wrk, which is not installed.\n"
        "  Debian, Ubuntu  apt-get install wrk\n"
        "  Fedora          dnf install wrk\n"
        "  macOS           brew install wrk"
    )


def quoted(text: str) -> str:
    """Write text as Lua does, whatever it holds.

    >>> quoted('{"a": 1}')
    '[=[{"a": 1}]=]'
    >>> quoted("]=]")
    '[==[]=]]==]'
    """
    level = "="
    while f"]{level}]" in text:
        level += "="
    return f"[{level}[{text}]{level}]"


def script(request: Request) -> str:
    """Write the program that makes wrk send this request."""
    # The spaces matter to Lua: `[[` would begin a text.
    lines = [f"wrk.method = {quoted(request.method)}"]
    lines += [
        f"wrk.headers[ {quoted(name)} ] = {quoted(value)}"
        for name, value in request.headers.items()
    ]
    if request.body:
        lines.append(f"wrk.body = {quoted(request.body)}")
    if request.most:
        numbered = f"{quoted(request.path)} .. math.random(1, {request.most})"
        lines.append(f"request = function() return wrk.format(nil, {numbered}) end")
    return "\n".join(lines) + DONE


def read_counts(output: str) -> Counted:
    """Read what `done` wrote.

    Raises:
        BenchError: when a single answer was missing or was not 2xx or 3xx.

    >>> read_counts("COUNTED 1000 5000000 0 1500 9000").per_second
    200.0
    """
    line = next((x for x in output.splitlines() if x.startswith("COUNTED ")), "")
    if not line:
        raise BenchError(f"nothing was counted:\n{output}")
    requests, duration, wrong, median, p99 = map(int, line.split()[1:])
    if wrong or not requests:
        raise BenchError(f"{wrong} of {requests} requests failed:\n{output}")
    return Counted(requests, duration / 1e6, median / 1e3, p99 / 1e3)


def press(
    url: str, request: Request, seconds: int, connections: int = CONNECTIONS
) -> Counted:
    """Send the request as fast as it is answered, over so many connections."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write(script(request))
        file.flush()
        done = subprocess.run(
            [
                wrk(),
                "-t1",
                f"-c{connections}",
                f"-d{seconds}s",
                "--timeout=10s",
                f"-s{Path(file.name)}",
                request.url(url),
            ],
            capture_output=True,
            text=True,
            timeout=seconds + 60,
            check=False,
        )
    return read_counts(done.stdout + done.stderr)
