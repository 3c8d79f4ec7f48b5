"""Config as people give it: files, other names, URLs in parts, a late database."""

import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.acceptance.checkout import copied
from tests.integration.near import Wire, connected, database_url
from tests.served import ROOT, environment, free_port, serve

__all__ = ["database_url"]
SHOW = """
import json
import os
from function import function_config_read
config = function_config_read()
print(json.dumps([
    {name: value for name, value in config.items() if not isinstance(value, dict)},
    config.problems,
]))
"""
SECRETS = {"config_key_root": "r" * 32, "config_key_jwt": "j" * 64}
PARTS = {
    "POSTGRES_SERVER": "db.internal",
    "POSTGRES_USER": "shop",
    "POSTGRES_PASSWORD": "p@ss/:?#%",
    "POSTGRES_DB": "shop",
}
URL = "postgresql://shop:p%40ss%2F%3A%3F%23%25@db.internal:5432/shop"


@pytest.fixture(scope="module")
def code():
    """A copy of the checkout."""
    folder = Path(tempfile.mkdtemp(prefix="atom-"))
    yield copied(folder)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def read(code):
    """Read config in the copy, with these files and this environment."""
    files = []

    def read(variables=None, **texts):
        for name, text in texts.items():
            path = code / {"dotenv": ".env", "local": ".env.local"}[name]
            path.write_text(text)
            files.append(path)
        base = environment({"config_atom_folder": str(code / "data")})
        names = ("config_postgres_url", "config_redis_url")
        base = {name: value for name, value in base.items() if name not in names}
        done = subprocess.run(
            [sys.executable, "-c", SHOW],
            cwd=code,
            env=base | (variables or {}),
            capture_output=True,
            text=True,
            check=True,
        )
        return json.loads(done.stdout)

    yield read
    for path in files:
        path.unlink(missing_ok=True)


def test_env_local_wins_over_env_and_the_environment_over_both(read):
    """Each layer over the one before it."""
    env = "config_app_name=a\nconfig_app_version=1\nconfig_log_level=debug\n"
    local = "config_app_name=b\nconfig_app_version=2\n"
    config, problems = read({"config_app_name": "c"}, dotenv=env, local=local)

    assert [] == problems
    assert ("c", "2", "debug") == (
        config["config_app_name"],
        config["config_app_version"],
        config["config_log_level"],
    )


OTHER_NAMES = {
    "DATABASE_URL": "config_postgres_url",
    "REDIS_URL": "config_redis_url",
    "KAFKA_BOOTSTRAP_SERVERS": "config_kafka_url",
    "MONGODB_URL": "config_mongodb_url",
    "RABBITMQ_URL": "config_rabbitmq_url",
    "CELERY_BROKER_URL": "config_celery_broker_url",
    "OPENAI_API_KEY": "config_openai_key",
}


def test_a_key_has_another_name(read):
    """Used where the key itself has no value, in whatever layer that would be."""
    there = {name: f"there {key}" for name, key in OTHER_NAMES.items()}
    empty = dict.fromkeys(OTHER_NAMES.values(), "")
    own = "".join(f"{key}=own\n" for key in OTHER_NAMES.values())

    def values(*given, **files):
        config = read(*given, **files)[0]
        return [config[key] for key in OTHER_NAMES.values()]

    assert list(there.values()) == values(there)
    assert list(there.values()) == values(there | empty)
    assert ["own"] * len(OTHER_NAMES) == values(there, dotenv=own)


def test_a_url_in_parts(read):
    """Its special characters are escaped; the URL itself wins, by any name."""
    assert URL == read(PARTS)[0]["config_postgres_url"]
    assert (
        URL.replace("5432", "6000")
        == (read(PARTS | {"POSTGRES_PORT": "6000"})[0]["config_postgres_url"])
    )
    own = {"config_postgres_url": "postgresql://own/x"}
    assert "postgresql://own/x" == read(PARTS | own)[0]["config_postgres_url"]
    other = {"DATABASE_URL": "postgresql://other/x"}
    assert "postgresql://other/x" == read(PARTS | other)[0]["config_postgres_url"]


def test_parts_come_from_every_layer(read):
    """The password is often in the environment alone."""
    parts = dict(PARTS)
    password = {"POSTGRES_PASSWORD": parts.pop("POSTGRES_PASSWORD")}
    env = "".join(f"{name}={value}\n" for name, value in parts.items())

    assert URL == read(password, dotenv=env)[0]["config_postgres_url"]


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ({"REDIS_HOST": "cache"}, "redis://cache:6379/0"),
        (
            {"REDIS_HOST": "::1", "REDIS_PASSWORD": "a@b", "REDIS_DB": "2"},
            "redis://:a%40b@[::1]:6379/2",
        ),
    ],
)
def test_redis_in_parts(read, given, url):
    """Only the host is needed."""
    assert url == read(given)[0]["config_redis_url"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            {"POSTGRES_SERVER": "db"},
            ["POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_DB"],
        ),
        ({"POSTGRES_PASSWORD": "secret"}, ["POSTGRES_SERVER", "config_postgres_url"]),
        ({"REDIS_PASSWORD": "secret"}, ["REDIS_HOST"]),
        (PARTS | {"POSTGRES_PORT": "five"}, ["POSTGRES_PORT"]),
    ],
)
def test_half_a_set_is_a_problem(read, given, words):
    """Every missing name is reported, and no value."""
    config, problems = read(given)

    (problem,) = problems
    assert all(word in problem for word in words)
    assert "secret" not in problem
    assert config["config_postgres_url"] is None
    assert config["config_redis_url"] is None


@pytest.mark.parametrize("env", ["dev", "qa-2", "development", "Local"])
def test_any_word_names_an_environment(read, env):
    """It follows the rules of development."""
    config, problems = read({"config_env": env})

    assert ([], env.lower()) == (problems, config["config_env"])
    assert config["config_key_root"]


@pytest.mark.parametrize("env", ["production", "staging"])
def test_production_and_staging_have_its_rules(code, env):
    """Nothing is generated, nothing may be missing."""
    base = environment({"config_atom_folder": str(code / "data"), "config_env": env})
    done = subprocess.run(
        [sys.executable, "main.py"], cwd=code, env=base, capture_output=True, text=True
    )

    assert 1 == done.returncode
    for name in ("config_postgres_url", "config_root_password", "config_key_jwt"):
        assert name in done.stderr
    assert f"config_env={env}" in done.stderr


def test_two_words_are_not_an_environment(read):
    """The problem names the key."""
    assert "config_env in the environment" in read({"config_env": "a b"})[1][0]


@pytest.fixture
def late(database_url):
    """A port on which the database answers only after three seconds."""
    wire = Wire(urlsplit(database_url).port)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def open_later():
        await asyncio.sleep(3)
        await wire.mend()

    async def end():
        await wire.cut()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0.1)  # until aborted transports have closed

    asyncio.run_coroutine_threadsafe(open_later(), loop)
    yield wire.port
    asyncio.run_coroutine_threadsafe(end(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


@pytest.mark.parametrize(
    "command",
    [
        (sys.executable, "main.py"),
        (sys.executable, "-m", "uvicorn", "main:app"),
    ],
    ids=["main", "uvicorn"],
)
def test_the_start_waits_for_a_database_in_parts(database_url, late, command):
    """A database that starts later than the server, under a password full of signs."""
    asyncio.run(_role(database_url))
    parts = PARTS | {
        "POSTGRES_SERVER": "127.0.0.1",
        "POSTGRES_PORT": str(late),
        "POSTGRES_DB": urlsplit(database_url).path[1:],
        "config_startup_wait_sec": "20",
        "config_is_postgres_init": "1",
        "config_env": "staging-2",
    }
    port = free_port()
    if "uvicorn" in command:
        command = (*command, "--port", str(port))
    began = time.monotonic()
    with serve(parts, port=port, command=command) as served:
        assert 2.5 < time.monotonic() - began
        assert served.process.poll() is None


def test_without_a_wait_the_start_fails_at_once(late):
    """As before, with the key in the message."""
    url = f"postgresql://nobody@127.0.0.1:{late}/none"
    done = subprocess.run(
        [sys.executable, "main.py"],
        cwd=ROOT,
        env=environment(SECRETS | {"config_postgres_url": url, "config_port": "0"}),
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert 1 == done.returncode
    assert "config_postgres_url: the database does not answer" in done.stderr


async def _role(url):
    """Create the role of the parts, which may create tables."""
    connection = await connected(url)
    await connection.execute(
        "do $$ begin create role shop superuser login password 'p@ss/:?#%'; "
        "exception when duplicate_object then null; end $$"
    )
    await connection.close()
