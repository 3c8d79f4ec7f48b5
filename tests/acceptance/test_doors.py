"""Every door: a stranger's file works, a broken one is named, an empty one remarked."""

import subprocess
import sys
import time

import pytest

from tests.acceptance.checkout import copied
from tests.acceptance.conftest import opened
from tests.acceptance.test_drop_in import started
from tests.served import environment, serve

CONFIG = """
from atom.config.parse import text, whole
from atom.config.resolve import Key

KEYS = [
    Key("config_shop_name", text, "Shop", "Name on the door."),
    Key("config_shop_size", whole(1, 9), 3, "Rooms."),
]
config_shop_nane = "misspelt"
config_route_override_list = ["GET /health"]
config_api = {
    "/shop/open": {"is_token": 1},
    "/shop/kept": {"cache_sec": ["inmemory", 60]},
    "/admin/object-read": {"cache_sec": None},
}
config_api.pop("/admin/object-read")
config_postgres_schema = {
    "table": {
        "users": ["nickname-text-0-btree", "country-text-0-btree,gin"],
        "booking": ["title-text-0-0"],
    }
}
"""
MORE = """
config_postgres_schema = {"table": {"users": ["shoe-integer-0-0"]}}
config_api = {"/auth/signup": {"ratelimiter_times_sec": [77, 60]}}
"""
CLIENT = """
from atom.client import Client
from atom.config.parse import text
from atom.config.resolve import Key


class Till:
    def __init__(self, place):
        self.place, self.closed = place, False


async def connect(config, live):
    return Till(config["config_till_place"])


async def close(till):
    print("the till is closed", flush=True)


CLIENT = Client(
    name="client_till",
    needs=("config_till_place",),
    package="",
    open=connect,
    close=close,
    keys=(Key("config_till_place", text, None, "Where the till is."),),
)
"""
STEP = '''
BEFORE = "limit_rate"


async def STEP(exchange, proceed):
    """the door of the shop"""
    exchange.extra_headers.append((b"x-shop", b"open"))
    await proceed(exchange)
'''
GUARD = """
from atom.errors import Forbidden
from atom.http.step import Check, Step

BEFORE = "require_access"
CODES = {"shop.closed": (403, "The shop is closed at night.")}


async def guard(exchange, proceed):
    if b"night" in exchange.scope["query_string"]:
        raise Forbidden("The shop is closed.", code="shop.closed")
    await proceed(exchange)


STEP = Step(
    guard,
    "the shop is open",
    codes=("shop.closed",),
    applies=lambda policy: policy.tier == "shop",
    explain=lambda policy, caller: Check("shop", "open by day"),
)
"""
START = """
async def start(app):
    app.state.opened = [app.state.client_till.place]
    yield
    print("the first start ends", flush=True)
"""
SECOND = """
async def start(app):
    app.state.opened.append("second")
    yield
    print("the second start ends", flush=True)
"""
PLAIN = """
async def start(app):
    app.state.opened.append("plain")
"""
COMMAND = '''
def COMMAND(word: str = "nothing"):
    """Print the report."""
    print(f"report of {word}")
'''
HOOK = """
async def before_create_booking(row, hook):
    return row
"""
EXTEND = "PRICE = 12\n"
ROUTER = """
from extend import *
from extend_price import PRICE

router = APIRouter(tags=["Shop"])
CODES = {"shop.sold": "Somebody else was faster."}


@router.get("/shop/price")
async def price(request: Request):
    return {"price": PRICE, "opened": request.app.state.opened,
            "name": config["config_shop_name"]}


@router.get("/shop/me")
async def me(me: Me, db: Db, ports: Ports):
    sql = "select username from users where id = :id"
    name = await db.fetch_val(sql, {"id": me["id"]})
    return {"name": name, "tables": "users" in ports.database.catalog.tables}


@router.get("/shop/report", dependencies=[require_access(20)])
async def report():
    return 1


@router.get("/shop/kept")
async def kept(me: Me):
    return me["id"]


@router.get("/shop/open")
async def open_shop():
    return 1
"""
HEALTH = """
from fastapi import APIRouter

router = APIRouter()


@router.get("/health")
async def health():
    return "mine"
"""
FILES = {
    "config_shop": CONFIG,
    "config__more": MORE,
    "client_till": CLIENT,
    "step_shop": STEP,
    "step_guard": GUARD,
    "start_a": START,
    "start_b": SECOND,
    "start_c": PLAIN,
    "command_daily_report": COMMAND,
    "hook__booking": HOOK,
    "extend_price": EXTEND,
    "router__shop": ROUTER,
    "router_health": HEALTH,
}


@pytest.fixture(scope="module")
def code(tmp_path_factory):
    """A project with a file at every door."""
    return copied(tmp_path_factory.mktemp("doors"), **FILES)


@pytest.fixture(scope="module")
def shop(code):
    """Its server."""
    with serve({"config_till_place": "corner"}, code=code) as served:
        running = opened(served)
        yield running
        running.http.close()


class TestStrangersFiles:
    """What a stranger drops in works without an edit of a file of Atom."""

    def test_own_groups_come_first_in_the_docs(self, shop):
        """/docs shows the groups in the order of the document."""
        tags = shop.call("GET", "/openapi.json").json()["tags"]
        names = [tag["name"] for tag in tags]

        assert names.index("Shop") < names.index("Auth")
        assert names[0] not in {"Auth", "My account"}

    def test_client_start_extend_and_keys_reach_a_route(self, shop):
        """Opened in order, under the names they declare."""
        answer = shop.call("GET", "/shop/price").json()

        expected = {
            "price": 12,
            "opened": ["corner", "second", "plain"],
            "name": "Shop",
        }
        assert expected == answer

    def test_step_runs_on_shipped_routes_too(self, shop):
        """Its header is on them."""
        assert "open" == shop.call("GET", "/test").headers["x-shop"]

    def test_explain_shows_the_step_or_passes_it_over(self, shop):
        """A step without an explanation does not break it."""
        shop.message("GET", "/root/explain?path=/test&method=GET", "root")

    def test_step_decides_by_the_caller_if_it_is_declared_so(self, shop):
        """A refusal with 403 alone does not put it among those that do."""
        found = shop.message("GET", "/root/explain?path=/shop/price", "root")
        names = [each["check"] for each in found["checks"]]

        assert names.index("owner") < names.index("shop")
        assert names.index("role") < names.index("owner")

    def test_own_codes_are_answered_and_in_the_docs(self, shop):
        """The status of a step that has one, and every code with its meaning."""
        answer = shop.call("GET", "/shop/price?night=1")
        assert (403, "shop.closed") == (answer.status_code, answer.json()["code"])
        document = shop.call("GET", "/openapi.json").json()
        assert "403" in document["paths"]["/shop/price"]["get"]["responses"]
        code = document["components"]["schemas"]["Failure"]["properties"]["code"]
        assert (
            "- `shop.closed` (403): The shop is closed at night."
            in (code["description"])
        )
        assert "- `shop.sold` (400): Somebody else was faster." in code["description"]

    def test_override_is_allowed_by_name(self, shop):
        """The shipped route is hidden because the user listed it."""
        assert "mine" == shop.call("GET", "/health").json()

    def test_columns_and_indexes_are_added_to_users(self, shop):
        """Two files add to a table of Atom's."""
        live = shop.sql(
            "select column_name from information_schema.columns"
            " where table_schema = 'public' and table_name = 'users'"
        )
        names = {row["column_name"] for row in live}
        assert {"nickname", "shoe", "username"} <= names
        indexes = shop.sql(
            "select indexdef from pg_indexes where tablename = 'users'"
            " and indexdef like '%country%'"
        )
        assert 2 == len(indexes)

    def test_entry_of_atom_is_changed_key_by_key(self, shop):
        """The user's value wins, the rest of the entry stays."""
        listed = shop.message("GET", "/root/explain", "root")
        text = str(listed)
        assert "77" in text

    def test_misspelt_own_key_is_remarked(self, shop):
        """A declared key is known, so that one like it is a typing error."""
        log = shop.log.read_text()
        assert "config_shop_nane" in log
        assert "Did you mean 'config_shop_name'?" in log


class TestDependencies:
    """`Me`, `Db`, `Ports` and `require_access` of extend."""

    def test_me_needs_a_valid_token(self, shop):
        """On a route that has no policy; the reason is named."""
        eve = shop.person()
        assert 401 == shop.call("GET", "/shop/me").status_code
        wrong = shop.call("GET", "/shop/me", headers={"Authorization": "Bearer x"})
        assert "token.invalid" == wrong.json()["code"]
        answer = shop.call("GET", "/shop/me", eve)
        assert {"name": eve.username, "tables": True} == answer.json()

    def test_inactive_user_is_refused(self, shop):
        """At once, as on /my."""
        eve = shop.person()
        shop.sql(f"update users set is_active = 0 where id = {eve.id}")
        deadline = time.monotonic() + 30
        while (answer := shop.call("GET", "/shop/me", eve)).status_code != 403:
            assert time.monotonic() < deadline
        assert "user not active" == answer.json()["message"]

    def test_access_needs_the_id(self, shop):
        """Nobody without it; then the users who list it."""
        eve = shop.person()
        assert 401 == shop.call("GET", "/shop/report").status_code
        refused = shop.call("GET", "/shop/report", eve)
        assert (403, "api access denied") == (
            refused.status_code,
            refused.json()["message"],
        )
        shop.sql(f"update users set api_access = '20' where id = {eve.id}")
        deadline = time.monotonic() + 30
        while shop.call("GET", "/shop/report", eve).status_code != 200:
            assert time.monotonic() < deadline

    def test_cached_answer_is_sent_to_active_users_alone(self, shop):
        """The policy of a route requires what its dependency does."""
        eve = shop.person()
        assert 401 == shop.call("GET", "/shop/kept").status_code
        for hit in (None, "hit"):
            answer = shop.call("GET", "/shop/kept", eve)
            assert (200, hit) == (answer.status_code, answer.headers.get("x-cache"))
        shop.sql(f"update users set is_active = 0 where id = {eve.id}")
        deadline = time.monotonic() + 30
        while shop.call("GET", "/shop/kept", eve).status_code != 403:
            assert time.monotonic() < deadline

    def test_docs_draw_a_lock(self, shop):
        """The scheme is the one that policies use."""
        document = shop.call("GET", "/openapi.json").json()
        for path in ("/shop/me", "/shop/report"):
            assert [{"user": []}] == document["paths"][path]["get"]["security"]
        assert "security" not in document["paths"]["/shop/price"]["get"]


def run(code, *words):
    """Run one command of a project."""
    config = {
        "config_atom_folder": str(code / "data"),
        "config_key_root": "r" * 16,
        "config_key_jwt": "j" * 32,
    }
    return subprocess.run(
        [sys.executable, "main.py", *words],
        cwd=code,
        env=environment(config),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_own_command_runs(code):
    """Under its name, with its options."""
    done = run(code, "daily-report", "--word", "today")

    assert (0, "report of today\n") == (done.returncode, done.stdout), done.stderr


def test_doors_lists_each_door_and_what_was_found(code):
    """Every kind of file, with what it declares."""
    done = run(code, "doors")

    assert 0 == done.returncode, done.stderr
    for words in (
        "config/more.py: config_postgres_schema, config_api",
        "client_till.py: CLIENT",
        "step_shop.py: before limit_rate",
        "start_a.py: start",
        "command_daily_report.py: python main.py daily-report",
        "hook/booking.py: before_create_booking",
        "extend_price.py: PRICE",
        "router/shop.py: 5 routes",
    ):
        assert words in done.stdout, done.stdout


def test_ends_run_in_reverse(tmp_path):
    """What follows a yield runs at the end, last first; then clients close."""
    code = copied(tmp_path, **FILES)
    log = tmp_path / "kept.log"
    with serve({"config_till_place": "corner"}, code=code) as served:
        ending = served.log
        served.process.terminate()
        served.process.wait(30)
        log.write_text(ending.read_text())

    text = log.read_text()
    places = [
        text.index(words)
        for words in (
            "the second start ends",
            "the first start ends",
            "the till is closed",
        )
    ]
    assert sorted(places) == places


ROUTE = "from extend import *\nrouter = APIRouter()\n"
# A broken file each, the line it is refused with; all in one project.
BROKEN = [
    ("config_a", "x = 1\n1/0\n", "config_a.py, line 2: ZeroDivisionError"),
    ("config_b", "KEYS = ['x']\n", "config_b.py: KEYS holds a str, not a Key"),
    ("config_c", CONFIG, ""),
    (
        "config_d",
        "config_shop_size = 'big'\n",
        "config_shop_size in config_d.py: expected a whole number from 1 to 9",
    ),
    (
        "config_e",
        "config_postgres_schema = {'table': {'booking': ['title-text-0-0']}}\n",
        "table booking: 'title-text-0-0': column title is declared twice",
    ),
    (
        "config_f",
        "config_postgres_schema = {'table': {'users': ['email-integer-0-0']}}\n",
        "users.email is declared by Atom as 'email-text-0-btree'",
    ),
    ("client_a", "x = 1\nCLIENT = y\n", "client_a.py, line 2: NameError"),
    ("client_b", "CLIENT = 1\n", "client_b.py: CLIENT is not a Client"),
    (
        "client_c",
        "from extend import *\nCLIENT = 1\n",
        "client_c.py imports what needs config, and config is not read yet",
    ),
    ("step_a", "\n\n1/0\n", "step_a.py, line 3: ZeroDivisionError"),
    (
        "step_b",
        STEP.replace("limit_rate", "limit_rat"),
        "step_b.py: BEFORE: no step 'limit_rat'. Did you mean 'limit_rate'?",
    ),
    (
        "step_c",
        "STEP = 1\nBEFORE = 'limit_rate'\n",
        "step_c.py: STEP must be an async function",
    ),
    ("step_d", "async def STEP(e, p): ...\n", "step_d.py: it has no BEFORE"),
    (
        "step_e",
        GUARD.replace('codes=("shop', 'codes=("shpo'),
        "step_e.py: BEFORE: error code 'shpo.closed' is not declared: a file of the "
        "project declares its own, CODES = {'shpo.closed': \"…\"}. Did you mean "
        "'shop.closed'?",
    ),
    (
        "extend_b",
        "CODES = {'row.missing': 'Not here.'}\n",
        "extend_b.py: CODES: row.missing is a code of Atom",
    ),
    (
        "extend_c",
        "CODES = {'Closed': 'Not here.'}\n",
        "extend_c.py: CODES: 'Closed': expected two words like clinic.closed",
    ),
    (
        "extend_d",
        "CODES = {'a.b': (200, 'Fine.')}\n",
        "extend_d.py: CODES: a.b: expected a text, or a status from 400 and a text",
    ),
    ("start_a", "1/0\n", "start_a.py, line 1: ZeroDivisionError"),
    (
        "start_b",
        "def start(app):\n    return 1\n",
        "start_b.py: start must be async def",
    ),
    ("command_a", "1/0\n", "command_a.py, line 1: ZeroDivisionError"),
    ("extend_a", "1/0\n", "extend_a.py, line 1: ZeroDivisionError"),
    ("hook_a", "1/0\n", "hook_a.py, line 1: ZeroDivisionError"),
    (
        "hook__a",
        "async def before_create_tset(row, hook):\n    return row\n",
        "hook/a.py: before_create_tset: no table 'tset'. Did you mean 'test'?",
    ),
    (
        "hook_b",
        "async def before_craete_test(row, hook):\n    return row\n",
        "'craete' is not a verb. Did you mean 'create'?",
    ),
    ("router_a", "1/0\n", "router_a.py, line 1: ZeroDivisionError"),
    (
        "router_b",
        "from fastapi import APIRouter\nruoter = APIRouter()\n",
        "router_b.py: it has no router. Did you mean 'ruoter'?",
    ),
    (
        "router_c",
        f"{ROUTE}@router.get('/root/explain')\nasync def mine():\n    return 1\n",
        "router_c.py: its GET /root/explain hides that of router/root.py",
    ),
]


@pytest.fixture(scope="module")
def refusal(tmp_path_factory):
    """The exit code and the text of a start with all the broken files."""
    dropped = {name: text for name, text, _ in BROKEN}
    return started(copied(tmp_path_factory.mktemp("broken"), **dropped))


@pytest.mark.parametrize(("name", "text", "words"), BROKEN, ids=lambda text: text[:9])
def test_broken_file_stops_the_start_and_is_named(refusal, name, text, words):
    """With its line where it has one, and without a trace."""
    code, shown = refusal

    assert 0 != code
    listed = shown.partition("Config cannot be used:")[2].splitlines()
    assert any(words in line for line in listed), shown
    assert "Traceback" not in shown


def test_start_that_fails_is_named(tmp_path):
    """By file and line, when the server has everything open."""
    text = "async def start(app):\n    raise ValueError('cold')\n"
    code, shown = started(copied(tmp_path, start_a=text))

    assert 0 != code
    assert "start_a.py, line 2: ValueError: cold" in shown
    assert "Traceback" not in shown


def test_file_that_does_nothing_is_remarked(tmp_path):
    """One remark a file; the server starts all the same."""
    names = (
        *("config_a", "client_a", "step_a", "start_a"),
        *("command_a", "extend_a", "hook_a"),
    )
    with serve(code=copied(tmp_path, **dict.fromkeys(names, "\n"))) as served:
        text = served.log.read_text()

    for name in names:
        assert f"{name}.py does nothing" in text, name
