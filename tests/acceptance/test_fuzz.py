"""Five thousand requests of our own grammar: none breaks the server, none lies.

A soak run has forty times as many, each time others. `ATOM_FUZZ_SEED` repeats a run;
the seed is in every failure.
"""

import asyncio
import json
import os
import secrets
from collections import Counter
from urllib.parse import unquote_plus

import pytest

from tests.acceptance import fuzz_values as values
from tests.acceptance.conftest import serving
from tests.acceptance.fuzz_grammar import FINE, WRONG, Maker
from tests.acceptance.fuzz_wire import Line
from tests.rules import config_file
from tests.soak import size

REQUESTS = size(5_000, 200_000)
SEED = int(os.environ.get("ATOM_FUZZ_SEED") or size(1, secrets.randbelow(10**6)))
LINES = 24
READ_MS = 700
MARKER = f"sekret-{secrets.token_hex(8)}"
INSIDES = (
    *("Traceback", 'File "', "asyncpg", "pydantic", "DETAIL:", "SQLSTATE"),
    *("syntax error", "Expecting value", "LINE 1", "<class", "object at 0x", "$2"),
    *("could not ", "violates", "does not exist", "invalid input"),
)
SHAPE = {"status", "message", "code", "hint", "request_id"}
SHOWN = 12
AWAY = (b"client.missing", b"concurrency.exceeded")
EXPORT = "/root/postgres-export"


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A server that may be left in any state, with a table of every datatype."""
    config = {
        "config_read_timeout_ms": str(READ_MS),
        "config_table_allowed_public_read_list": "test,zoo",
        "config_table_allowed_public_create_list": "test,zoo",
    }
    file = config_file("zoo", "paw", "diary")
    with serving(
        tmp_path_factory.mktemp("fuzz"), config_fuzz=file, config=config
    ) as running:
        for statement in values.SETUP.split(";\n")[:-1]:
            running.sql(statement)
        running.message("GET", "/root/reset-global", "root")
        yield running


@pytest.fixture(scope="module")
def people(own):
    """A user who asks, one whose rows are secret, and an admin."""
    user, other = own.person(), own.person()
    admin = own.person(api_access="1,2,3,4,5,6")
    for person, text in ((other, MARKER), (user, "mine")):
        insert = "insert into diary (created_by_id, secret) values ($1, $2)"
        own.sql(insert, person.id, text)
    own.sql(
        # An id that no admin of the fuzzer comes upon.
        "insert into message (id, created_by_id, user_id, description)"
        " values (7000001, $1, $1, $2)",
        other.id,
        MARKER,
    )
    own.sql("insert into zoo (created_by_id, title) values ($1, $2)", user.id, "x")
    own.sql(
        "insert into zoo (created_by_id, title) values ($1, $2)",
        user.id,
        values.BOMB_TEXT,
    )
    return user, other, admin


class Judge:
    """Reads answers, and remembers what was wrong with them."""

    def __init__(self, document, user):
        self.document = document
        self.user = user
        self.faults = []
        self.late = []
        self.statuses = Counter()
        self.fine = Counter()

    def fault(self, case, why, heard):
        """Keep a fault, for the end."""
        self.faults.append(
            f"{why}: {heard.status} after {heard.seconds:.1f} s"
            f" [{case.verdict}] {case.told()} -> {heard.body[:300]!r}"
        )

    def hear(self, case, heard, *, again=False):
        """Judge one answer."""
        self.statuses[heard.status] += 1
        if heard.status == 504 and not again:
            self.late.append(case)
            return
        documented = self.document["paths"].get(case.route, {}).get(case.method.lower())
        if heard.status >= 500 and heard.status not in {503, 504}:
            self.fault(case, "a fault of ours", heard)
        elif heard.status == 503 and not any(word in heard.body for word in AWAY):
            self.fault(case, "out of order", heard)
        elif documented and str(heard.status) not in documented["responses"]:
            self.fault(case, "an undocumented status", heard)
        elif case.verdict == FINE and heard.status != 200:
            self.fault(case, "refused what is right", heard)
        elif case.verdict == WRONG and heard.status < 400:
            self.fault(case, "took what is wrong", heard)
        if case.who != "admin" and MARKER.encode() in heard.body:
            self.fault(case, "told what is another's", heard)
        if heard.kind.startswith("text/csv") and heard.status == 200:
            return
        self.shape(case, heard)
        self.fine[case.verdict] += 1

    def shape(self, case, heard):
        """Check the one shape."""
        try:
            told = json.loads(heard.body)
        except ValueError:
            self.fault(case, "no JSON", heard)
            return
        if heard.status == 200:
            if told.get("status") != 1 or "message" not in told:
                self.fault(case, "another shape", heard)
            elif case.route == "/my/object-read":
                self.owned(case, told["message"], heard)
            return
        if told.get("status") != 0 or not told.keys() >= SHAPE or not told["message"]:
            self.fault(case, "another shape", heard)
        text = heard.body.decode()
        # Who may write SQL is told where it is wrong, in PostgreSQL's words.
        if case.who != "admin" and case.route != EXPORT and leaks(text, case):
            self.fault(case, "told what is inside", heard)

    def owned(self, case, rows, heard):
        """Check that rows of /my are the caller's."""
        for row in rows:
            if row.get("created_by_id", self.user.id) != self.user.id:
                self.fault(case, "rows of another", heard)
                return


def leaks(text, case):
    """Return the words from inside that an answer holds and its request did not."""
    asked = f"{unquote_plus(case.target)} {case.body}"
    return [word for word in INSIDES if word in text and word not in asked]


async def run(own, people, maker, judge, count):
    """Ask everything, on a few connections at once."""
    user, _, admin = people
    tokens = {
        "user": user.token,
        "admin": admin.token,
        "root": own.config["config_key_root"],
        None: "",
    }
    left = iter(range(count))
    port = int(own.url.rpartition(":")[2])

    async def work():
        line = Line(port)
        for _ in left:
            case = maker.one()
            try:
                heard = await line.ask(case, tokens[case.who])
            except (
                ConnectionError,
                asyncio.IncompleteReadError,
                TimeoutError,
            ) as error:
                judge.faults.append(f"no answer ({error!r}): {case.told()}")
                line.close()
                continue
            judge.hear(case, heard)
        line.close()

    await asyncio.gather(*(work() for _ in range(LINES)))
    # Alone, only a pattern that never ends is late.
    line = Line(port)
    for case in [each for each in judge.late if each.verdict != "open"]:
        for _ in range(10):  # the machine may be as busy as before
            heard = await line.ask(case, tokens[case.who])
            if heard.status != 504:
                break
        judge.hear(case, heard, again=True)
    line.close()


def cursors(own, user):
    """Return cursors the server gave, for orders a case may or may not have."""
    orders = ["", "id", "title,id desc", "at desc nulls last", "small nulls first"]
    found = []
    for order in orders:
        asked = {"table": "zoo", "limit": 1, "cursor": ""}
        asked |= {"order": order} if order else {}
        answer = own.call("GET", "/my/object-read", user, params=asked)
        found.append(answer.json()["next_cursor"])
    return found


def secret_rows(own, other):
    """Return the rows nobody but an admin may see, as they are."""
    rows = own.sql("select * from diary where created_by_id = $1", other.id)
    rows += own.sql("select * from message where created_by_id = $1", other.id)
    return rows + own.sql("select * from users where id = $1", other.id)


@pytest.mark.soak
def test_no_request_breaks_the_server_or_is_misread(own, people):
    """Never 500, one shape, nothing from inside; what is wrong is never ignored."""
    user, other, _ = people
    document = own.call("GET", "/openapi.json").json()
    before = secret_rows(own, other)
    judge = Judge(document, user)
    maker = Maker(SEED, (user.id, other.id), cursors(own, user))

    asyncio.run(run(own, people, maker, judge, REQUESTS))

    told = "\n".join(judge.faults[:SHOWN])
    assert not judge.faults, f"seed {SEED}, {len(judge.faults)} faults:\n{told}"
    assert before == secret_rows(own, other), f"seed {SEED}"
    # A fuzzer that is refused at the door finds nothing.
    assert judge.statuses[200] > REQUESTS / 5, (SEED, judge.statuses)
    assert judge.statuses[400] > REQUESTS / 5, (SEED, judge.statuses)
    assert judge.fine[FINE] > REQUESTS / 10, (SEED, judge.fine)
    assert own.call("GET", "/").status_code == 200
