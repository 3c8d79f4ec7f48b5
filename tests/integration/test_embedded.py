"""A private PostgreSQL and Valkey, started, shared, killed and started again."""

import asyncio
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest
import redis

from atom.errors import ConfigError
from embedded import binaries, keys, provided
from embedded.leftover import processes_in
from tests import machine
from tests.template import embed

ROOT = Path(__file__).resolve().parents[2]
URL = "config_postgres_url"
REDIS = ("config_redis_url", "config_redis_url_ratelimiter", "config_redis_pubsub_url")
AS_ROOT = machine.as_root()
NAMESPACES = machine.with_namespaces()

# An application: says where its servers are, then writes rows or waits for its end.
APP = """
import asyncio, json, logging, sys, time
from pathlib import Path
sys.path[:0] = json.loads(sys.argv[1])["path"]
from embedded import provided
from atom.errors import ConfigError
how = json.loads(sys.argv[1])
logging.basicConfig()
async def write(url):
    import asyncpg
    c = await asyncpg.connect(url)
    await c.execute("create table if not exists t (id bigint primary key)")
    for number in range(10**9):
        await c.execute("insert into t values ($1)", number)
        print(number, flush=True)
async def ask(url):
    import asyncpg
    c = await asyncpg.connect(url)
    return await c.fetchval("select current_user::text")
try:
    with provided(how["config"], Path(how["root"]), join=how["join"],
                  workers=how["workers"]) as urls:
        url = urls["config_postgres_url"]
        if not how["write"]:
            urls["user"] = asyncio.run(ask(url))
        print(json.dumps(urls), flush=True)
        if how["write"]:
            asyncio.run(write(url))
        sys.stdin.read()
except ConfigError as error:
    print(json.dumps({"error": str(error)}), flush=True)
"""


class App:
    """One application process."""

    def __init__(self, root, *, join=False, workers=1, write=False, before=(), path=()):
        how = {
            "config": {},
            "root": str(root),
            "join": join,
            "workers": workers,
            "write": write,
            "path": [*map(str, path), str(ROOT)],
        }
        self.process = subprocess.Popen(
            [*before, sys.executable, "-c", APP, json.dumps(how)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.said = None

    def ready(self):
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read()
        self.said = json.loads(line)
        return self.said

    def end(self, signal_number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(signal_number)
        return self.process.communicate(timeout=60)


@pytest.fixture
def made(tmp_path):
    """A project with a database that an earlier start made."""
    embed(tmp_path / ".atom")
    return tmp_path


@pytest.fixture
def app():
    """Start applications; none outlives its test."""
    apps = []

    def start(*arguments, **named):
        apps.append(App(*arguments, **named))
        return apps[-1]

    yield start
    for each in apps:
        each.end(signal.SIGKILL)


def ask(url, text, *values):
    async def run():
        connection = await asyncpg.connect(url, timeout=30)
        try:
            return await connection.fetchval(text, *values)
        finally:
            await connection.close()

    return asyncio.run(run())


def ask_until(url, text, seconds):
    """Ask again while nobody answers; the time limit is the test."""
    end = time.monotonic() + seconds
    while True:
        try:
            return ask(url, text)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


def postgres_of(root):
    machine.proc()
    return processes_in(root / ".atom" / "postgres", "postgres")


def postmaster(root):
    return int((root / ".atom/postgres/postmaster.pid").read_text().split()[0])


def socket_folder(root):
    """Return where the socket is: beside the files only where that path will do."""
    file = root / ".atom/postgres/postmaster.pid"
    return Path(file.read_text().splitlines()[4])


def gone(root, seconds):
    end = time.monotonic() + seconds
    while postgres_of(root) and time.monotonic() < end:
        time.sleep(0.02)
    return not postgres_of(root)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@contextmanager
def running(root, *, join=False, workers=1, **config):
    with provided(config, root, join=join, workers=workers) as urls:
        yield urls


def start_once(root):
    with running(root):
        pass


class TestStart:
    def test_first_start_answers_within_a_second_or_so(self, tmp_path):
        """From nothing to the first answer; the bench measures how many."""
        begun = time.monotonic()
        with running(tmp_path) as urls:
            assert 1 == ask(urls[URL], "select 1")
        assert time.monotonic() - begun < 10

    def test_rows_are_there_after_a_stop_and_a_start(self, tmp_path):
        """A second start is quick, uses the same URL and finds what was written."""
        with running(tmp_path) as first:
            ask(first[URL], "create table t as select 7 as a")
        begun = time.monotonic()
        with running(tmp_path) as second:
            assert 7 == ask(second[URL], "select a from t")
        assert time.monotonic() - begun < 10
        assert first == second

    def test_nothing_is_started_when_everything_is_configured(self, tmp_path):
        """With a database of your own there is no `.atom`."""
        with running(tmp_path, config_postgres_url="postgresql://x/y") as urls:
            assert {} == urls
        assert [] == os.listdir(tmp_path)

    def test_works_inside_an_event_loop(self, made):
        """`uvicorn main:app` imports the application while a loop runs."""

        async def start():
            with running(made) as urls:
                connection = await asyncpg.connect(urls[URL])
                try:
                    return await connection.fetchval("select 1")
                finally:
                    await connection.close()

        assert 1 == asyncio.run(start())

    @pytest.mark.parametrize("name", ["with spaces, é and 'quotes'", "x" * 120])
    def test_any_path_will_do(self, tmp_path, name):
        """Spaces, other letters and long paths: the socket moves to a short one."""
        root = tmp_path / name
        root.mkdir()
        with running(root) as urls:
            assert 1 == ask(urls[URL], "select 1")
            place = Path(parse_qs(urlsplit(urls[URL]).query)["host"][0])
            assert 0o700 == mode(place)
        assert not place.exists()

    def test_a_start_cut_short_is_made_good(self, tmp_path):
        """What a first start that was killed left behind is in nobody's way."""
        folder = tmp_path / ".atom"
        (folder / "postgres.new-1234" / "base").mkdir(parents=True)
        (folder / "postgres.password").write_text("old")
        with running(tmp_path) as urls:
            assert 1 == ask(urls[URL], "select 1")
            assert not (folder / "postgres.new-1234").exists()
            assert not (folder / "postgres.password").exists()

    def test_files_of_another_version_are_told(self, tmp_path):
        """A folder made by a PostgreSQL this machine lacks: said in words."""
        place = tmp_path / ".atom" / "postgres"
        place.mkdir(parents=True)
        (place / "PG_VERSION").write_text("11\n")
        with (
            pytest.raises(ConfigError, match="made by PostgreSQL 11"),
            running(tmp_path),
        ):
            pass

    def test_a_database_moved_away_makes_room_for_an_empty_one(self, tmp_path):
        """As messages advise: the next start has a new database, on the same URL."""
        place = tmp_path / ".atom" / "postgres"
        with running(tmp_path) as first:
            ask(first[URL], "create table t as select 7 as a")
        place.rename(tmp_path / "away")

        with running(tmp_path) as second:
            assert first == second
            assert ask(second[URL], "select to_regclass('t')") is None
        shutil.rmtree(place)
        (tmp_path / "away").rename(place)
        with running(tmp_path) as third:
            assert 7 == ask(third[URL], "select a from t")

    def test_lost_passwords_and_a_database_moved_away(self, tmp_path):
        """The message without `postgres.json` advises the same; it works as well."""
        with running(tmp_path):
            pass
        (tmp_path / ".atom/postgres.json").unlink()
        with pytest.raises(ConfigError, match="move .atom/postgres away"):
            start_once(tmp_path)
        (tmp_path / ".atom/postgres").rename(tmp_path / "away")

        with running(tmp_path) as urls:
            assert 1 == ask(urls[URL], "select 1")

    def test_a_server_that_cannot_start_shows_its_log(self, made):
        """A broken database stops the start with PostgreSQL's own words."""
        with running(made):
            pass
        (made / ".atom/postgres/global/pg_control").unlink()
        with pytest.raises(ConfigError, match="pg_control"), running(made):
            pass
        assert gone(made, 1)

    def test_the_log_does_not_grow_for_ever(self, tmp_path):
        """A log beyond 10 MB is emptied at the next start."""
        (tmp_path / ".atom").mkdir(mode=0o700)
        journal = tmp_path / ".atom" / "postgres.log"
        journal.write_bytes(b"x" * (10 * 1024 * 1024 + 1))
        with running(tmp_path):
            assert journal.stat().st_size < 100_000


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One server for questions that change nothing."""
    root = tmp_path_factory.mktemp("access")
    with running(root) as urls:
        yield root, urls[URL]


class TestAccess:
    def test_the_application_is_no_superuser(self, server):
        """The role of the application may not do what only operators may."""
        rights = ask(
            server[1],
            "select array[rolsuper, rolcreaterole, rolcreatedb, rolbypassrls, "
            "rolreplication] from pg_roles where rolname = current_user",
        )
        assert [False] * 5 == rights

    def test_the_application_owns_its_database(self, server):
        """It may make tables, and extensions that PostgreSQL trusts."""
        ask(server[1], "create extension if not exists citext")
        assert "atom" == ask(
            server[1],
            "select datdba::regrole::text from pg_database "
            "where datname = current_database()",
        )

    def test_programs_cannot_be_run_from_sql(self, server):
        """What makes a superuser dangerous is refused."""
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            ask(server[1], "copy (select 1) to program 'true'")

    def test_extensions_are_there_before_the_application(self, server):
        """Trigrams work from the first statement on."""
        assert ask(server[1], "select similarity('ada', 'adam')") == 0.5

    def test_a_wrong_password_is_refused(self, server):
        """The socket alone lets nobody in."""
        password = urlsplit(server[1]).password
        with pytest.raises(asyncpg.InvalidPasswordError):
            ask(server[1].replace(password, "wrong"), "select 1")

    def test_the_superuser_is_refused_without_its_password(self, server):
        """The application's password does not open the superuser's door."""
        with pytest.raises(asyncpg.InvalidPasswordError):
            ask(server[1].replace("//atom:", "//postgres:"), "select 1")

    def test_nobody_listens_on_the_network(self, server):
        """Only the socket in the private folder leads to the server."""
        assert "" == ask(server[1], "show listen_addresses")

    def test_durability_is_on(self, server):
        """What is acknowledged is on disk, and its pages are checked."""
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            assert "on" == ask(server[1], "select current_setting($1)", setting)
        assert "on" == ask(server[1], "show data_checksums")

    def test_upper_case_is_known_beyond_ascii(self, server):
        """Comparing without case works for É, as users expect."""
        assert ask(server[1], "select 'É' ilike 'é'")

    def test_only_the_owner_reads_the_files(self, server):
        """Folders are 0700, files with passwords 0600."""
        folder = server[0] / ".atom"
        assert [0o700] * 3 == [
            mode(place)
            for place in (folder, folder / "postgres", socket_folder(server[0]))
        ]
        assert [0o600] * 4 == [
            mode(folder / name)
            for name in ("postgres.json", "run.json", "lock", "postgres.log")
        ]

    def test_no_password_stands_on_a_command_line(self, server):
        """`ps` shows nothing that opens the database."""
        words = machine.proc(f"{postmaster(server[0])}/cmdline").read_text()
        kept = json.loads((server[0] / ".atom/postgres.json").read_text())
        assert kept["superuser"] not in words
        assert kept["application"] not in words

    def test_the_server_has_a_session_of_its_own(self, server):
        """Ctrl-C in the terminal reaches the application, not the database."""
        assert os.getsid(postmaster(server[0])) != os.getsid(0)

    def test_the_secrets_of_the_application_stay_with_it(self, server):
        """The server is not told the environment of the application."""
        told = machine.proc(f"{postmaster(server[0])}/environ").read_bytes()
        assert {b"LC_ALL", b"PATH", b"LD_ORIGIN_PATH"} >= {
            pair.split(b"=")[0] for pair in told.split(b"\0") if pair
        } - {b"LD_LIBRARY_PATH", b"TMPDIR"}


class TestHolder:
    def test_a_second_application_is_told_who_holds_it(self, made, app):
        """The message names process, command and time, and what to do."""
        first = app(made)
        first.ready()
        second = app(made).ready()

        assert f"process {first.process.pid}" in second["error"]
        assert "running since 20" in second["error"]
        assert f"kill {first.process.pid}" in second["error"]
        assert "config_postgres_url" in second["error"]

    def test_others_join(self, made, app):
        """Workers and consumers of the project use the server that runs."""
        with running(made) as urls:
            joined = app(made, join=True)
            assert urls[URL] == joined.ready()[URL]
            joined.end()
            assert 1 == ask(urls[URL], "select 1")

    def test_all_who_start_at_once_share_one_server(self, tmp_path, app):
        """Four workers on an empty folder: one makes the database, all use it."""
        apps = [app(tmp_path, join=True) for _ in range(4)]

        urls = {each.ready()[URL] for each in apps}

        assert 1 == len(urls)
        assert ["atom"] * 4 == [each.said["user"] for each in apps]

    def test_a_worker_that_replaces_a_killed_holder_serves_the_same_url(
        self, made, app
    ):
        """The pools of the other workers heal: nothing they know has changed."""
        holder = app(made, join=True, workers=2)
        holder.ready()
        other = app(made, join=True, workers=2)
        other.ready()
        holder.end(signal.SIGKILL)

        assert other.said == app(made, join=True, workers=2).ready()
        assert 1 == ask(other.said[URL], "select 1")

    def test_a_holder_that_stops_makes_room(self, made, app):
        """An application started while the old one stops waits for it."""
        first = app(made)
        first.ready()
        first.process.terminate()
        assert "error" not in app(made).ready()


class TestEnd:
    @pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
    def test_the_server_ends_with_the_application(self, made, app, how):
        """However the application ends, PostgreSQL shuts down and writes its log."""
        each = app(made)
        each.ready()

        each.end(how)

        assert gone(made, 30)
        journal = (made / ".atom/postgres.log").read_text()
        assert journal.strip().endswith("database system is shut down")

    def test_an_exception_ends_the_server(self, made):
        """An application that fails leaves nothing running."""
        with pytest.raises(ZeroDivisionError), running(made):
            raise ZeroDivisionError
        assert [] == postgres_of(made)
        assert not (made / ".atom/run.json").exists()

    @pytest.mark.parametrize("kill", ["application", "postmaster", "both"])
    def test_no_acknowledged_row_is_lost(self, made, app, kill):
        """Whatever is killed in the middle of writing: what was answered is there."""
        writer = app(made, write=True)
        writer.ready()
        for _ in range(200):
            last = writer.process.stdout.readline()
        if kill != "application":
            os.kill(postmaster(made), signal.SIGKILL)
        if kill != "postmaster":
            writer.process.kill()
        rest, _ = writer.process.communicate(timeout=60)
        acknowledged = int((last + rest).split()[-1])

        with running(made) as urls:
            assert acknowledged + 1 <= ask(urls[URL], "select count(*) from t")
            assert acknowledged <= ask(urls[URL], "select max(id) from t")

    def test_a_killed_postmaster_comes_back_on_the_same_url(self, made):
        """The application goes on; its next query within seconds is answered."""
        with running(made) as urls:
            ask(urls[URL], "create table t as select 7 as a")
            for _ in range(2):
                old = postmaster(made)
                os.kill(old, signal.SIGKILL)
                begun = time.monotonic()
                assert 7 == ask_until(urls[URL], "select a from t", 30)
                assert time.monotonic() - begun < 10
                assert old != postmaster(made)
        assert [] == postgres_of(made)

    def test_a_server_that_came_back_ends_with_the_application(self, made, app):
        """The tie to the application holds for every start, not for the first only."""
        each = app(made)
        url = each.ready()[URL]
        os.kill(postmaster(made), signal.SIGKILL)
        assert 1 == ask_until(url, "select 1", 30)

        each.end(signal.SIGKILL)

        assert gone(made, 30)

    def test_a_busy_backend_does_not_hold_up_the_return(self, made):
        """A query that runs on after its postmaster died is ended."""
        machine.proc()

        async def compute(url):
            connection = await asyncpg.connect(url)
            task = asyncio.create_task(
                connection.execute("select count(*) from generate_series(1, 1e10)")
            )
            await asyncio.sleep(0.3)
            os.kill(postmaster(made), signal.SIGKILL)
            with pytest.raises((asyncpg.PostgresError, OSError)):
                await asyncio.wait_for(task, 30)

        with running(made) as urls:
            asyncio.run(compute(urls[URL]))
            assert 1 == ask_until(urls[URL], "select 1", 30)

    def test_the_kill_of_a_backend_is_healed_by_postgres(self, made):
        """One killed connection restarts the server, not its master."""
        with running(made) as urls:
            old = postmaster(made)
            victim = (set(postgres_of(made)) - {old}).pop()
            os.kill(victim, signal.SIGKILL)
            assert 1 == ask_until(urls[URL], "select 1", 30)
            assert old == postmaster(made)


class TestOldTraces:
    def test_a_number_given_to_another_process_is_no_postmaster(self, made):
        """A pid file that names a living stranger does not stop the start."""
        with running(made):
            state = (made / ".atom/postgres/postmaster.pid").read_text()
            socket = socket_folder(made)
        lines = [str(os.getpid()), *state.split("\n")[1:]]
        (made / ".atom/postgres/postmaster.pid").write_text("\n".join(lines))
        if socket.is_dir():  # one beside a long path is taken away at the end
            (socket / ".s.PGSQL.5432.lock").write_text("\n".join(lines))

        with running(made) as urls:
            assert 1 == ask(urls[URL], "select 1")

    def test_an_old_note_misleads_nobody(self, made, app):
        """A `run.json` a killed holder left is not taken for a running server."""
        first = app(made)
        first.ready()
        first.end(signal.SIGKILL)
        assert (made / ".atom/run.json").exists()

        assert "atom" == app(made, join=True).ready()["user"]

    def test_a_server_started_by_hand_is_left_alone(self, made):
        """A PostgreSQL that is not Atom's is named, not ended."""
        machine.proc()
        with running(made):
            pass
        place = made / ".atom/postgres"
        program = made / "postgres"
        shutil.copy(shutil.which("sleep"), program)
        stranger = subprocess.Popen([program, "30"], cwd=place)
        try:
            (place / "postmaster.pid").write_text(f"{stranger.pid}\n")
            told = f"Process {stranger.pid}, not"
            with pytest.raises(ConfigError, match=told), running(made):
                pass
            assert stranger.poll() is None
        finally:
            stranger.kill()
            stranger.wait()


class TestIdentity:
    @AS_ROOT
    @NAMESPACES
    def test_root_keeps_its_files_below_a_closed_folder(self, tmp_path, app):
        """As root nothing is given away: folder and files stay root's, 0700."""
        tmp_path.chmod(0o700)
        assert "atom" == app(tmp_path).ready()["user"]

        place = tmp_path / ".atom/postgres"
        assert {0} == {path.stat().st_uid for path in (place, *place.iterdir())}
        assert 0o700 == mode(tmp_path)

    @AS_ROOT
    def test_root_without_user_namespaces_becomes_nobody(self, app):
        """Where namespaces are refused the server runs as nobody; so do its files."""
        with open_folder() as root:
            each = app(root, workers=2, before=NO_NAMESPACES)
            assert "atom" == each.ready()["user"]
            assert redis.from_url(each.said[REDIS[0]]).ping()
            place = root / ".atom/postgres"
            assert 65534 == place.stat().st_uid
            assert 65534 == machine.proc(f"{postmaster(root)}").stat().st_uid
            assert 0o600 == mode(root / ".atom/postgres.json")
            assert 0 == (root / ".atom/postgres.json").stat().st_uid
            each.end(signal.SIGKILL)
            assert gone(root, 30)

            again = app(root)
            assert "atom" == again.ready()["user"]
            owner = 0 if machine.namespaces() else 65534
            assert owner == (place / "PG_VERSION").stat().st_uid
            again.end()

    @AS_ROOT
    def test_root_without_user_namespaces_keeps_a_closed_folder_closed(
        self, tmp_path, app
    ):
        """Below /root the server runs as nobody, and the files stay where they are."""
        tmp_path.chmod(0o700)
        each = app(tmp_path, workers=2, before=NO_NAMESPACES)
        url = each.ready()[URL]
        ask(url, "create table t as select 7 as a")
        assert redis.from_url(each.said[REDIS[0]]).ping()

        place = tmp_path / ".atom/postgres"
        process = machine.proc(f"{postmaster(tmp_path)}")
        assert (65534, 65534) == (place.stat().st_uid, process.stat().st_uid)
        assert [0o700] * 3 == [mode(each) for each in (tmp_path, place.parent, place)]
        assert {"Eff": 1, "Prm": 1} == capabilities(process)
        each.end(signal.SIGKILL)
        assert gone(tmp_path, 30)

        again = app(tmp_path, workers=2, before=NO_NAMESPACES)
        assert url == again.ready()[URL]
        assert 7 == ask(url, "select a from t")

    @AS_ROOT
    def test_root_without_proc_starts_it(self, tmp_path, app):
        """As in a chroot with nothing mounted: libraries and capabilities are found."""
        if not machine.private_mounts():
            machine.absent("private mounts")
        tmp_path.chmod(0o700)
        before = ("unshare", "-m", "sh", "-c", 'mount -t tmpfs none /proc; exec "$@"')

        each = app(tmp_path, workers=2, before=(*before, "sh"))

        assert "atom" == each.ready()["user"]
        assert 65534 == (tmp_path / ".atom/postgres").stat().st_uid

    @AS_ROOT
    def test_root_without_any_way_is_named_the_cure(self, tmp_path, app):
        """Neither namespaces nor capabilities: the message has what to do."""
        error = app(tmp_path, before=NO_WAY).ready()["error"]

        assert str(tmp_path) in error
        assert "ordinary user" in error

    @AS_ROOT
    def test_programs_nobody_can_reach_are_used_where_they_are(self, tmp_path, app):
        """Binaries below a closed folder run from there, and are not copied."""
        package = binaries.postgres().folder.parent.parent
        for part in (package, package.with_name(f"{package.name}.libs")):
            if part.is_dir():
                shutil.copytree(part, tmp_path / part.name)
        tmp_path.chmod(0o700)
        with open_folder() as root:
            each = app(root, before=NO_NAMESPACES, path=[tmp_path])
            assert "atom" == each.ready()["user"]
            program = Path(os.readlink(machine.proc(f"{postmaster(root)}/exe")))
            assert program.is_relative_to(tmp_path)
            each.end()

    def test_an_ordinary_user_runs_it_as_itself(self, tmp_path, app):
        """Without being root nothing special is done."""
        project = tmp_path / "project"
        project.mkdir(mode=0o700)
        before, seen = as_ordinary_user(project, tmp_path)
        each = app(seen, workers=2, before=before)

        assert "atom" == each.ready()["user"]

        owner = (project / ".atom/postgres").stat().st_uid
        assert owner == project.stat().st_uid != 0
        assert 0o700 == mode(project / ".atom")


class TestProduction:
    def test_production_is_refused(self, tmp_path):
        """In production the keys to set are named, and nothing is made."""
        config = {"config_env": "production"}
        with (
            pytest.raises(ConfigError) as caught,
            running(tmp_path, workers=3, **config),
        ):
            pass
        for key in (URL, *REDIS[:2]):
            assert key in str(caught.value)
        assert [] == os.listdir(tmp_path)

    def test_production_with_a_database_starts_nothing(self, tmp_path):
        """Redis is the operator's choice: nothing private is started beside."""
        config = {URL: "postgresql://x/y", "config_env": "production"}
        with running(tmp_path, workers=3, **config) as urls:
            assert {} == urls
        assert [] == os.listdir(tmp_path)


class TestValkey:
    def test_several_workers_get_a_redis(self, made):
        """Limits, cache and messages share one server when there are workers."""
        with running(made, workers=2) as urls:
            assert {URL, *REDIS} == set(urls)
            assert redis.from_url(urls[REDIS[1]]).ping()

    def test_one_worker_needs_none(self, made):
        """A single worker keeps limits in its own memory."""
        with running(made) as urls:
            assert {URL} == set(urls)

    def test_a_redis_that_is_set_is_not_replaced(self, tmp_path):
        """What the config names is left as it is."""
        config = {URL: "postgresql://x/y", REDIS[2]: "redis://mine"}
        with running(tmp_path, workers=2, **config) as urls:
            assert set(REDIS[:2]) == set(urls)

    def test_it_is_closed_without_the_password(self, tmp_path):
        """Another user of the machine finds the port and cannot use it."""
        config = {URL: "postgresql://x/y"}
        with running(tmp_path, workers=2, **config) as urls:
            port = urlsplit(urls[REDIS[0]]).port
            with pytest.raises(redis.AuthenticationError):
                redis.Redis(port=port, retry=None).ping()
            assert 0o600 == mode(tmp_path / ".atom/valkey/valkey.conf")

    def test_it_comes_back_with_its_data(self, tmp_path):
        """Killed, it answers on the same port again; so it does after a restart."""
        config = {URL: "postgresql://x/y"}
        with running(tmp_path, workers=2, **config) as first:
            client = redis.from_url(first[REDIS[0]])
            client.set("a", "1")
            machine.proc()
            (pid,) = processes_in(tmp_path / ".atom/valkey", "valkey-server")
            os.kill(pid, signal.SIGKILL)
            end = time.monotonic() + 30
            while True:
                try:
                    assert b"1" == client.get("a")
                    break
                except redis.ConnectionError:
                    assert time.monotonic() < end
                    time.sleep(0.05)
        assert [] == processes_in(tmp_path / ".atom/valkey", "valkey-server")
        with running(tmp_path, workers=2, **config) as second:
            assert b"1" == redis.from_url(second[REDIS[0]]).get("a")
        assert first == second

    def test_it_ends_with_a_killed_application(self, made, app):
        """kill -9 of the application leaves no Valkey behind, and loses nothing."""
        each = app(made, workers=2)
        each.ready()
        redis.from_url(each.said[REDIS[0]]).set("a", "1")
        each.end(signal.SIGKILL)
        with running(made, workers=2) as urls:
            assert b"1" == redis.from_url(urls[REDIS[0]]).get("a")
        assert [] == processes_in(made / ".atom/valkey", "valkey-server")

    def test_those_who_join_get_it_too(self, made, app):
        """A consumer beside several workers hears of their Redis."""
        with running(made, workers=2) as urls:
            joined = app(made, join=True)
            assert urls[REDIS[2]] == joined.ready()[REDIS[2]]
            joined.end()


def test_keys_survive_the_servers(tmp_path):
    """Keys and database live in one folder and do not disturb each other."""
    made = keys(tmp_path)
    with running(tmp_path):
        assert made == keys(tmp_path)


@contextmanager
def open_folder():
    """A folder other users may pass through; pytest's own is closed."""
    root = Path(tempfile.mkdtemp(prefix="atom-test-", dir="/tmp"))
    root.chmod(0o755)
    try:
        yield root
    finally:
        try:
            assert gone(root, 30)
        finally:
            shutil.rmtree(root)


def capabilities(process):
    """Return how many capabilities a process has, by the sets that matter."""
    text = (process / "status").read_text()
    found = re.findall(r"^Cap(Eff|Prm):\s+([0-9a-f]+)$", text, re.MULTILINE)
    return {name: int(number, 16).bit_count() for name, number in found}


# Root as in a container that refuses user namespaces: a namespace in which root has
# everything and whose own limit of further namespaces is zero.
NO_NAMESPACES = (
    ()
    if not machine.namespaces()
    else (
        sys.executable,
        "-c",
        """
import ctypes, os, signal, sys
told, tell = os.pipe(); made, make = os.pipe()
child = os.fork()
if child == 0:
    ctypes.CDLL(None).unshare(0x10000000)
    os.write(tell, b"x"); os.read(made, 1)
    with open("/proc/sys/user/max_user_namespaces", "w") as file: file.write("0")
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    os.execv(sys.argv[1], sys.argv[1:])
os.read(told, 1)
for name in ("uid_map", "gid_map"):
    with open(f"/proc/{child}/{name}", "w") as file: file.write("0 0 4294967295")
os.write(make, b"x")
signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
os.waitpid(child, 0)
""",
    )
)


# Root that is not even allowed to search the folders of others.
NO_WAY = (
    *NO_NAMESPACES,
    *(
        shutil.which("setpriv") or "setpriv",
        "--bounding-set=-dac_override,-dac_read_search",
    ),
    *("--inh-caps=-dac_override,-dac_read_search", "--"),
)


def as_ordinary_user(project, stage):
    """How to run as nobody, and where nobody then finds the project.

    The interpreter may be in root's closed home. In a private view of the file system
    it is put where others can reach it; the machine itself is not changed.
    """
    if os.geteuid() != 0:
        return (), project
    os.chown(project, 65534, 65534)
    commands = ["set -e"]
    needed = [Path(sys.base_prefix), Path(sys.prefix), ROOT]
    hidden = {
        next((p for p in reversed(n.parents) if not p.stat().st_mode & 0o001), None)
        for n in needed
    } - {None}
    if not machine.private_mounts():
        machine.absent("private mounts")
    below = [n for n in needed if any(n.is_relative_to(h) for h in hidden)]
    for number, path in enumerate(below):
        (stage / f"stage{number}").mkdir()
        commands.append(f"mount --bind '{path}' '{stage}/stage{number}'")
    commands.append(f"mount --bind '{project}' /mnt")
    commands += [f"mount -t tmpfs -o mode=755 tmpfs '{place}'" for place in hidden]
    for number, path in enumerate(below):
        commands.append(f"mkdir -p '{path}'")
        commands.append(f"mount --bind '{stage}/stage{number}' '{path}'")
    commands.append('exec setpriv --reuid=65534 --regid=65534 --clear-groups "$@"')
    return ("unshare", "-m", "sh", "-c", "\n".join(commands), "sh"), Path("/mnt")
