"""The smoke test: runs the active lines of curl.txt, writes curl.csv. See test.sh.

`curl_*.txt` are a project's own lines, and run after those of curl.txt.

A line of curl.txt is a comment (`#`), a request (`curl …`) or one that is skipped
(`0 curl …`). `$name` stands for a value; ` #> name` at the end of a request keeps its
`message` under that name for the lines that follow; ` #> name=field` keeps what stands
beside it. Lines are split as a shell would split them, and never handed to one.
"""

import csv
import json
import os
import re
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.served import ROOT, free_port, is_open, serve

BASEURL = "http://127.0.0.1:8000"
API_ACCESS = ",".join(str(number) for number in range(1, 100))
PLACEHOLDER = re.compile(r"\$([a-z][a-z0-9_]*)")
KEEP = re.compile(r"\s#>\s*([a-z][a-z0-9_]*)(?:=([a-z_]+))?\s*$")
OURS = (sys.executable, str(ROOT / "tests" / "curl.py"))  # where there is no curl
CURL = (
    *((real,) if (real := shutil.which("curl")) else OURS),
    *("-q", "-sS", "--max-time", "60", "--noproxy", "127.0.0.1,localhost"),
)
JSON = "Content-Type: application/json"
BODY = {"-d", "--data", "--data-binary", "--json", "-F", "--form"}
TAIL = "\n%{http_code} %{time_total}"


class SmokeError(Exception):
    """The smoke test cannot be run at all."""


@dataclass(frozen=True)
class Line:
    """One request of curl.txt."""

    number: int
    words: tuple[str, ...]  # after `curl`, placeholders still in place
    keep: str = ""  # name under which a field of the answer is kept
    field: str = "message"
    skipped: bool = False


@dataclass(frozen=True)
class Outcome:
    """What became of one request."""

    api: str
    status: int
    milliseconds: float
    body: str


def parse(text: str, source: str = "curl.txt") -> list[Line]:
    """Parse a file of requests.

    Raises:
        SmokeError: naming the line that is neither comment nor request.

    >>> parse('# front door\\ncurl "$baseurl/" #> status')[0].words
    ('$baseurl/',)
    """
    lines = []
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        skipped = line.startswith("0 ")
        line = line.removeprefix("0 ").strip()
        found = KEEP.search(line)
        name, field = (found.group(1), found.group(2)) if found else ("", None)
        try:
            words = shlex.split(KEEP.sub("", line))
        except ValueError as error:
            raise SmokeError(f"{source}, line {number}: {error}") from None
        if words[0] != "curl":
            raise SmokeError(f"{source}, line {number}: expected #, curl or 0 curl")
        lines.append(Line(number, tuple(words[1:]), name, field or "message", skipped))
    return lines


def fill(word: str, values: Mapping[str, str]) -> str:
    """Put the values in place of their `$names`.

    Raises:
        SmokeError: when a name has no value.

    >>> fill("$baseurl/my/profile", {"baseurl": "http://a"})
    'http://a/my/profile'
    """

    def value(found: re.Match[str]) -> str:
        if found.group(1) not in values:
            known = ", ".join(f"${name}" for name in sorted(values))
            raise SmokeError(f"{found.group(0)} has no value; there are {known}")
        return values[found.group(1)]

    return PLACEHOLDER.sub(value, word)


def api(words: tuple[str, ...]) -> str:
    """Return the method and the path of a request.

    >>> api(("-X", "DELETE", "http://a/my/ids-delete?table=test"))
    'DELETE /my/ids-delete'
    """
    url = next((word for word in words if "://" in word), "")
    method = "POST" if BODY & set(words) else "GET"
    for flag, value in pairwise(words):
        if flag in {"-X", "--request"}:
            method = value.upper()
    return f"{method} {urlsplit(url).path or '/'}"


def read_answer(output: str) -> tuple[str, int, float]:
    """Take curl's output apart: body, status, milliseconds.

    >>> read_answer('{"status":1}\\n200 0.012500')
    ('{"status":1}', 200, 12.5)
    """
    body, _, tail = output.rpartition("\n")
    status, _, seconds = tail.partition(" ")
    return body, int(status), round(float(seconds) * 1000, 1)


def kept(body: str, field: str = "message") -> str:
    """Return a field of an answer as text; a list is joined by commas."""
    found: Any = json.loads(body)[field]
    if isinstance(found, list):
        return ",".join(str(item) for item in found)
    return str(found)


def request(line: Line, values: Mapping[str, str], stdin: str = "") -> Outcome:
    """Send one request with curl; status 0 when there was no answer."""
    words = tuple(fill(word, values) for word in line.words)
    done = subprocess.run(
        [*CURL, "-w", TAIL, *words],
        cwd=ROOT,
        input=stdin.encode(),
        capture_output=True,
        check=False,
    )
    output, complaint = (
        stream.decode(errors="replace") for stream in (done.stdout, done.stderr)
    )
    if done.returncode != 0:
        return Outcome(api(words), 0, 0.0, complaint)
    body, status, milliseconds = read_answer(output)
    return Outcome(api(words), status, milliseconds, body)


def run(lines: list[Line], values: dict[str, str]) -> Iterator[Outcome]:
    """Send the active requests in order; keep what lines ask to keep."""
    for line in lines:
        if line.skipped:
            continue
        try:
            outcome = request(line, values)
        except SmokeError as error:
            outcome = Outcome(f"line {line.number}", 0, 0.0, str(error))
        if line.keep and outcome.status == 200:
            values[line.keep] = kept(outcome.body, line.field)
        yield outcome


def call(
    values: Mapping[str, str],
    path: str,
    *words: str,
    token: str | None = None,
    stdin: str = "",
) -> Any:
    """Ask the server for something the lines need. Return the `message`.

    Raises:
        SmokeError: when it does not answer 200.
    """
    bearer = ("-H", f"Authorization: Bearer {token}") if token else ()
    line = Line(0, (f"{values['baseurl']}{path}", *bearer, *words))
    outcome = request(line, {}, stdin)
    if outcome.status != 200:
        raise SmokeError(f"{path} answered {outcome.status}: {outcome.body}")
    return json.loads(outcome.body)["message"]


def account(values: Mapping[str, str], route: str, username: str, word: str) -> str:
    """Sign up or log in. Return the access token."""
    body = json.dumps({"type": 1, "username": username, "password": word})
    return str(call(values, f"/auth/{route}", "-H", JSON, "-d", body))


def user_id(values: Mapping[str, str], token: str) -> str:
    """Return the id of the user a token belongs to."""
    return str(call(values, "/my/profile", token=token)["id"])


def grant(values: Mapping[str, str], who: str, api_access: str) -> None:
    """Give a user api ids, as the operator: by an import with the root key."""
    form = "mode=update", "table=users", "file=@-;filename=grant.csv"
    call(
        values,
        "/root/postgres-import",
        *(word for field in form for word in ("-F", field)),
        token=values["token_root"],
        stdin=f'id,api_access\n{who},"{api_access}"\n',
    )


def dismiss(values: Mapping[str, str], who: str, name: str, word: str) -> None:
    """Take a user's api ids away again, and then the user."""
    grant(values, who, "")
    token = account(values, "login-password", name, word)
    call(values, "/my/account-delete?mode=hard", "-X", "DELETE", token=token)


def operator(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what this machine knows of a server somebody else started.

    Generated keys, then `.env`, then the environment; names in any case.
    """
    keys, dotenv = ROOT / ".atom" / "keys.json", ROOT / ".env"
    layers: list[Mapping[str, Any]] = []
    if keys.is_file():
        layers.append(json.loads(keys.read_text()))
    if dotenv.is_file():
        from dotenv import dotenv_values

        layers.append(dotenv_values(dotenv))
    layers.append(environ)
    return {n.lower(): str(v) for layer in layers for n, v in layer.items() if v}


def prepare(values: dict[str, str], known: Mapping[str, str], stack: ExitStack) -> None:
    """Fill in the tokens: a user's, and an admin's.

    The root user's password is known when it was configured. When it was generated it
    was printed once and kept nowhere: then a new user is made admin for this run.
    """
    call(values, "/root/postgres-init", token=values["token_root"])
    values["username"] = f"smoke_{secrets.token_hex(4)}"
    values["password"] = secrets.token_hex(8)
    values["token"] = account(values, "signup", values["username"], values["password"])
    values["user_id"] = user_id(values, values["token"])
    if word := known.get("config_root_password"):
        name = known.get("config_root_username", "root")
        values["token_admin"] = account(values, "login-password", name, word)
        return
    name, word = f"smoke_{secrets.token_hex(4)}", secrets.token_hex(16)
    who = user_id(values, account(values, "signup", name, word))
    stack.callback(dismiss, values, who, name, word)
    grant(values, who, API_ACCESS)
    values["token_admin"] = account(values, "login-password", name, word)


def is_atom(url: str) -> bool:
    """Say whether it is Atom that answers there."""
    try:
        with urllib.request.urlopen(f"{url}/", timeout=5) as answer:
            fields: dict[str, Any] = json.load(answer)
            return fields.keys() == {"status", "name", "version", "env"}
    except (OSError, ValueError, AttributeError):
        return False


def server(environ: Mapping[str, str], stack: ExitStack) -> dict[str, str]:
    """Find the server at `baseurl`, or start one. Return the values to begin with."""
    baseurl = environ.get("baseurl", BASEURL).rstrip("/")
    known: Mapping[str, str] = operator(environ)
    if not is_atom(baseurl):
        port = urlsplit(baseurl).port or 80
        if is_open("127.0.0.1", port):
            port = free_port()
        served = stack.enter_context(serve(port=port, first=True))
        baseurl, known = served.url, served.config
    if not known.get("config_key_root"):
        raise SmokeError(f"{baseurl} answers; set config_key_root to its root key")
    values = {"baseurl": baseurl, "token_root": known["config_key_root"]}
    prepare(values, known, stack)
    return values


def smoke(paths: Iterable[Path], environ: Mapping[str, str]) -> int:
    """Run these files. Return 0 only when every active line answered 200."""
    lines = [line for path in paths for line in parse(path.read_text(), path.name)]
    outcomes = []
    with ExitStack() as stack:
        values = server(environ, stack)
        sys.stdout.write(f"{values['baseurl']}\n")
        for outcome in run(lines, values):
            outcomes.append(outcome)
            sys.stdout.write(
                f"{outcome.status:03} {outcome.milliseconds:9.1f} ms  {outcome.api}\n"
            )
            if outcome.status != 200:
                sys.stdout.write(f"    {outcome.body.strip()[:500]}\n")
            sys.stdout.flush()
    with (ROOT / "curl.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("API", "Status Code", "Response Time (ms)"))
        table.writerows((o.api, f"{o.status:03}", o.milliseconds) for o in outcomes)
    failed = sum(outcome.status != 200 for outcome in outcomes)
    skipped = sum(line.skipped for line in lines)
    sys.stdout.write(
        f"\n{len(outcomes)} requests: {len(outcomes) - failed} answered 200, "
        f"{failed} failed; {skipped} skipped. Timings in curl.csv\n"
    )
    return 1 if failed or not outcomes else 0


def files(arguments: list[str], root: Path) -> list[Path]:
    """Return the files that are named, or curl.txt and a project's own."""
    given = [Path(name) for name in arguments]
    return given or [root / "curl.txt", *sorted(root.glob("curl_*.txt"))]


def main(arguments: list[str]) -> int:
    """Run it; a server that was started is stopped whatever ends the run."""
    for sign in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(sign, lambda number, _: sys.exit(128 + number))
    try:
        return smoke(files(arguments, ROOT), os.environ)
    except (SmokeError, RuntimeError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
