"""Every client in its four faults, by `python main.py doctor`: each names its cure.

Half configured, its package missing, a wrong password, a host that does not answer.
"""

import json
import subprocess
import sys
from contextlib import contextmanager
from urllib.parse import urlsplit

import asyncpg
import pytest

from atom.client.all import CLIENTS
from tests import web
from tests.integration.near import database_url, valkey  # noqa: F401
from tests.served import ROOT, environment, free_port

SECRET = "s3cret-0123456789abcdef"
MODULES = {  # by what pip calls them
    "aio-pika": "aio_pika",
    "prometheus_client": "prometheus_client",
    "sentry-sdk": "sentry_sdk",
    "prometheus-client": "prometheus_client",
}
BLOCKER = """
import sys
NAMES = {names!r}
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in NAMES:
            raise ModuleNotFoundError("blocked", name=name)
sys.meta_path.insert(0, Blocker())
"""
HALF = {  # what is set, what is to be named
    "config_s3_region_name": ("eu-west-1", "config_aws_access_key_id"),
    "config_sns_region_name": ("eu-west-1", "config_aws_access_key_id"),
    "config_ses_region_name": ("eu-west-1", "config_aws_access_key_id"),
    "config_sqs_region_name": ("eu-west-1", "config_aws_access_key_id"),
    "config_kafka_url": ("127.0.0.1:1", "config_kafka_password"),
    "config_posthog_project_key": (SECRET, "config_posthog_project_host"),
    "config_fast2sms_key": (SECRET, "config_fast2sms_url"),
    "config_resend_key": (SECRET, "config_resend_url"),
}
# The primary has tests of its own: without it nothing starts.
OPTIONAL = [client for client in CLIENTS if not client.required]
NAMES = [client.name for client in OPTIONAL]
LOCAL = {"client_prometheus", "client_http"}  # no host to be away


def everything(port):
    """Return config of every client, with a secret, at one port."""
    host, at = f"127.0.0.1:{port}", f"me:{SECRET}@127.0.0.1:{port}"
    return {
        "config_postgres_url_read": f"postgresql://{at}/x",
        "config_redis_url": f"redis://:{SECRET}@{host}/0",
        "config_redis_url_ratelimiter": f"redis://:{SECRET}@{host}/0",
        "config_redis_pubsub_url": f"redis://:{SECRET}@{host}/0",
        "config_mongodb_url": f"mongodb://{at}/",
        "config_celery_broker_url": f"redis://:{SECRET}@{host}/0",
        "config_rabbitmq_url": f"amqp://{at}/",
        "config_kafka_url": host,
        "config_kafka_username": "me",
        "config_kafka_password": SECRET,
        "config_kafka_security_protocol": "SASL_PLAINTEXT",
        "config_aws_access_key_id": "AKIA0123456789",
        "config_aws_secret_access_key": SECRET,
        "config_aws_endpoint_url": f"http://{host}",
        "config_s3_region_name": "eu-west-1",
        "config_sns_region_name": "eu-west-1",
        "config_ses_region_name": "eu-west-1",
        "config_sqs_region_name": "eu-west-1",
        "config_openai_key": SECRET,
        "config_openai_base_url": f"http://{host}",
        "config_openai_timeout_sec": "2",
        "config_posthog_project_host": f"http://{host}",
        "config_posthog_project_key": SECRET,
        "config_fast2sms_url": f"http://{host}/dev",
        "config_fast2sms_key": SECRET,
        "config_resend_url": f"http://{host}/emails",
        "config_resend_key": SECRET,
        "config_sentry_dsn": f"http://{SECRET}@{host}/1",
        "config_is_prometheus": "1",
    }


def doctor(url, values, *words):
    """Run doctor; return its document, and the process."""
    done = subprocess.run(
        [sys.executable, "main.py", "doctor", "--json", *words],
        cwd=ROOT,
        env=environment({"config_postgres_url": url, **values}),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert SECRET not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return json.loads(done.stdout), done


def by_name(document):
    """Return the findings by the name of their client."""
    return {one["name"]: one for one in document["client"]}


@pytest.fixture(scope="module")
def away(database_url):  # noqa: F811
    """Everything is configured, and nobody is there."""
    return by_name(doctor(database_url, everything(free_port()))[0])


@pytest.fixture(scope="module")
def bare(database_url, tmp_path_factory):  # noqa: F811
    """Everything is configured, and no package is installed."""
    folder = tmp_path_factory.mktemp("bare")
    packages = {client.package.partition("==")[0] for client in OPTIONAL}
    names = {MODULES.get(each, each) for each in packages - {"asyncpg", "redis"}}
    (folder / "sitecustomize.py").write_text(BLOCKER.format(names=names))
    values = everything(free_port()) | {"PYTHONPATH": str(folder)}
    return by_name(doctor(database_url, values)[0])


@pytest.fixture(scope="module")
def half(database_url):  # noqa: F811
    """One key of each client that needs several."""
    values = {key: value for key, (value, _) in HALF.items()}
    values["config_kafka_username"] = "me"
    return by_name(doctor(database_url, values)[0])


@contextmanager
def locked_postgres(url):
    """Have the server ask one role for a password; yield a URL with a wrong one."""
    import asyncio

    async def lock(rule):
        connection = await asyncpg.connect(url)
        try:
            await connection.execute(
                "drop role if exists me; create role me login password 'right'"
            )
            await connection.execute(rule)
            await connection.execute("select pg_reload_conf()")
        finally:
            await connection.close()

    rule = """do $$ begin
        create temp table old (line text);
        execute format('copy old from %L', current_setting('hba_file'));
        execute format(
            'copy (select ''host all me all scram-sha-256'' union all '
            || 'select line from old) to %L', current_setting('hba_file'));
    end $$"""
    asyncio.run(lock(rule))
    parts = urlsplit(url)
    yield f"postgresql://me:{SECRET}@127.0.0.1:{parts.port or 5432}{parts.path}"


@pytest.mark.parametrize("name", NAMES)
def test_host_that_is_away(away, name):
    """The keys to check, and that the service has to run."""
    found = away[name]
    if name in LOCAL:
        assert "ok" == found["state"]
        return
    client = next(each for each in CLIENTS if each.name == name)
    if not client.has_probe and client.examine is None:
        assert found["reachable"] is None  # it cannot be asked
        return

    assert ("silent", True, False) == (
        found["state"],
        found["configured"],
        found["reachable"],
    )
    keys = (*client.needs, *client.optional)
    assert any(key in found["cure"] for key in keys), found
    assert found["problem"]


@pytest.mark.parametrize("client", OPTIONAL, ids=NAMES)
def test_package_that_is_missing(bare, client):
    """What to install, with its version."""
    if client.package in ("asyncpg", "redis"):  # Atom itself needs them
        assert "silent" == bare[client.name]["state"]
        return

    assert "missing" == bare[client.name]["state"]
    assert f"Run: pip install {client.package}" == bare[client.name]["cure"]


@pytest.mark.parametrize("client", OPTIONAL, ids=NAMES)
def test_half_a_configuration(half, client):
    """The key that is lacking."""
    halves = [key for key in client.switched_by if key in HALF]
    if not halves or client.name == "client_http":
        assert 1 >= len(client.needs)  # it cannot be half configured
        return

    assert "missing" == half[client.name]["state"]
    assert HALF[halves[0]][1] in half[client.name]["cure"]


class TestWrongPassword:
    """The service refuses: the key is named, the password is not shown."""

    def check(self, found, key):
        """Check a finding: not well, and its key named."""
        assert found["state"] in ("silent", "refused", "missing"), found
        assert key in found["cure"], found
        assert found["problem"]

    def test_of_the_replica(self, database_url):  # noqa: F811
        """PostgreSQL."""
        with locked_postgres(database_url) as locked:
            values = {"config_postgres_url_read": locked}
            found = by_name(doctor(database_url, values)[0])["client_postgres_read"]

        self.check(found, "config_postgres_url_read")
        assert "password" in found["problem"]

    def test_of_redis_and_celery(self, database_url):  # noqa: F811
        """A Valkey with a password."""
        import redis

        with valkey(free_port()) as url:
            with redis.Redis.from_url(url) as admin:
                admin.config_set("requirepass", "right")
            wrong = url.replace("//", f"//:{SECRET}@")
            keys = {
                "client_redis": "config_redis_url",
                "client_redis_ratelimiter": "config_redis_url_ratelimiter",
                "client_redis_producer": "config_redis_pubsub_url",
                "client_celery_producer": "config_celery_broker_url",
            }
            values = dict.fromkeys(keys.values(), wrong)
            found = by_name(doctor(database_url, values)[0])
            right = wrong.replace(SECRET, "right")
            well = by_name(doctor(database_url, dict.fromkeys(values, right))[0])
        for name, key in keys.items():
            self.check(found[name], key)
            assert "ok" == well[name]["state"]
        assert well["client_redis"]["version"].startswith("Valkey ")

    def test_of_rabbitmq(self, database_url, rabbitmq_url):  # noqa: F811
        """The real one."""
        parts = urlsplit(rabbitmq_url)
        wrong = f"amqp://guest:{SECRET}@{parts.hostname}:{parts.port}/"
        values = {"config_rabbitmq_url": wrong}
        found = by_name(doctor(database_url, values)[0])

        self.check(found["client_rabbitmq"], "config_rabbitmq_url")
        self.check(found["client_rabbitmq_channel"], "config_rabbitmq_url")

    @pytest.mark.parametrize(
        ("name", "answer", "key"),
        [
            ("client_openai", web.openai, "config_openai_key"),
            ("client_sentry", web.sentry, "config_sentry_dsn"),
        ],
    )
    def test_of_a_service_on_the_web(self, database_url, name, answer, key):  # noqa: F811
        """One that can be asked without sending anything."""
        with web.web(answer) as service:
            port = urlsplit(service.url).port
            every = everything(port)
            parts = key.split("_")[1]
            values = {k: v for k, v in every.items() if k.split("_")[1] == parts}
            wrong = by_name(doctor(database_url, values)[0])[name]
            right = {k: v.replace(SECRET, web.KEY) for k, v in values.items()}
            well = by_name(doctor(database_url, right)[0])[name]

        assert ("refused", True, False) == (
            wrong["state"],
            wrong["reachable"],
            wrong["permitted"],
        )
        self.check(wrong, key)
        assert ("ok", True, True) == (
            well["state"],
            well["reachable"],
            well["permitted"],
        )


class TestExit:
    """1 if the server would not start; --strict: for anything that is not well."""

    def test_all_is_well(self, database_url):  # noqa: F811
        """The database alone."""
        document, done = doctor(database_url, {}, "--strict")
        found = by_name(document)["client_postgres"]

        assert 0 == done.returncode, document
        assert ("ok", True, True) == (
            found["state"],
            found["reachable"],
            found["permitted"],
        )
        assert found["version"].startswith("PostgreSQL ")
        assert 0 < found["latency_ms"]

    def test_optional_one_is_away(self, database_url):  # noqa: F811
        """A warning, and with --strict a failure."""
        values = {"config_redis_url": f"redis://127.0.0.1:{free_port()}"}
        assert 0 == doctor(database_url, values)[1].returncode
        assert 1 == doctor(database_url, values, "--strict")[1].returncode

    def test_primary_is_away(self):
        """The server would not start."""
        url = f"postgresql://me:{SECRET}@127.0.0.1:{free_port()}/x"
        document, done = doctor(url, {})
        found = by_name(document)["client_postgres"]

        assert (1, "silent") == (done.returncode, found["state"])
        assert "config_postgres_url" in found["cure"]

    def test_config_is_wrong(self, database_url):  # noqa: F811
        """Every problem of config is one of the document."""
        document, done = doctor(database_url, {"config_workers": "none"})

        assert 1 == done.returncode
        assert "config_workers" in " ".join(document["problem"])

    def test_role_may_not_create_tables(self, database_url):  # noqa: F811
        """What an administrator has to do is written out."""
        import asyncio

        async def make():
            connection = await asyncpg.connect(database_url)
            await connection.execute("drop role if exists poor; create role poor login")
            await connection.execute("revoke create on schema public from public")
            await connection.close()

        asyncio.run(make())
        parts = urlsplit(database_url)
        url = f"postgresql://poor@127.0.0.1:{parts.port or 5432}{parts.path}"
        document, done = doctor(url, {})
        found = by_name(document)["client_postgres"]

        assert (1, "refused") == (done.returncode, found["state"])
        assert "grant create on schema public to poor" in found["cure"]
