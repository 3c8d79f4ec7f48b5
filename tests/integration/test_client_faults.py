"""Every client by `python main.py doctor`: what is well, and its four faults, cured.

Half configured, its package missing, a wrong password, a host that does not answer.
"""

import re
from urllib.parse import urlsplit

import asyncpg
import pytest

from atom.client import MISSING, opened
from atom.client.all import CLIENTS
from atom.client.kafka import KAFKA
from atom.config.keys import KEYS
from tests.integration.every_client import (
    SECRET,
    WEB,
    by_name,
    doctor,
    everything,
    locked,
)
from tests.integration.near import database_url  # noqa: F401
from tests.integration.test_aws import answering, refusal
from tests.served import free_port
from tests.service.aws import keys as aws_keys
from tests.web import KEY

DEFAULTS = {key.name: key.default for key in KEYS}
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
AWS = "config_aws_secret_access_key"
TOKEN = "InvalidClientTokenId"
REFUSES = "refuses this user or password"
WRONG = {  # by client: the key that is named, the state, and words that are there
    "client_postgres_read": ("config_postgres_url_read", "silent", "password"),
    "client_redis": ("config_redis_url", "silent", "password"),
    "client_redis_ratelimiter": ("config_redis_url_ratelimiter", "silent", "password"),
    "client_redis_producer": ("config_redis_pubsub_url", "silent", "password"),
    "client_mongodb": ("config_mongodb_url", "missing", f"MongoDB {REFUSES}"),
    "client_rabbitmq": ("config_rabbitmq_url", "missing", f"RabbitMQ {REFUSES}"),
    "client_rabbitmq_channel": ("config_rabbitmq_url", "missing", "RabbitMQ"),
    "client_celery_producer": ("config_celery_broker_url", "missing", REFUSES),
    "client_kafka_producer": ("config_kafka_password", "missing", f"Kafka {REFUSES}"),
    "client_s3": (AWS, "refused", TOKEN),
    "client_s3_resource": (AWS, "refused", TOKEN),
    "client_sns": (AWS, "refused", TOKEN),
    "client_ses": (AWS, "refused", TOKEN),
    "client_sqs": (AWS, "refused", TOKEN),
    "client_smtp": ("config_smtp_password", "refused", "login"),
    **{name: (key, "refused", "refuses") for name, (_, key) in WEB.items()},
}
POSTGRES, REDIS, RABBITMQ = r"PostgreSQL \d+", r"Valkey \d+\.\d+", r"RabbitMQ \d+\.\d+"
VERSIONS = {
    "client_postgres": POSTGRES,
    "client_postgres_read": rf"{POSTGRES}.*, 1 of 1 replicas are read, ",
    "client_redis": REDIS,
    "client_redis_ratelimiter": REDIS,
    "client_redis_producer": REDIS,
    "client_mongodb": r"(MongoDB|FerretDB) \d+\.\d+",
    "client_rabbitmq": RABBITMQ,
    "client_celery_producer": RABBITMQ,
    "client_kafka_producer": r"Kafka, 1 broker, fetch protocol \d+",
    "client_s3": "S3, API 2006-03-01",
    "client_s3_resource": "S3, API 2006-03-01",
    "client_sns": "SNS, API 2010-03-31",
    "client_ses": "SES, API 2010-12-01",
    "client_sqs": "SQS, API 2012-11-05",
    "client_openai": "gpt-",
    "client_posthog": "",
    "client_fast2sms": "",
    "client_google": "",
    "client_oidc": "",
    "client_resend": "",
    "client_sentry": "",
    "client_smtp": "",
}
# The primary has tests of its own: without it nothing starts.
OPTIONAL = [client for client in CLIENTS if not client.required]
NAMES = [client.name for client in OPTIONAL]
LOCAL = {"client_prometheus", "client_http"}  # no host to be away


@pytest.fixture(scope="module")
def away(database_url):  # noqa: F811
    """Everything is configured, and nobody is there: the server starts without."""
    document, done = doctor(database_url, everything(free_port()))
    assert 0 == done.returncode
    return by_name(document)


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


@pytest.fixture(scope="module")
def right(request, database_url, tmp_path_factory):  # noqa: F811
    """Every service that this machine has, with the right passwords."""
    folder = tmp_path_factory.mktemp("locked")
    with locked(request, database_url, folder) as found:
        yield found


@pytest.fixture(scope="module")
def well(database_url, right, aws_url):  # noqa: F811
    """What doctor finds of them; all is well, also for who is strict."""
    document, done = doctor(database_url, right | aws_keys(aws_url), "--strict")
    assert 0 == done.returncode, document
    return by_name(document)


@pytest.fixture(scope="module")
def wrong(database_url, right):  # noqa: F811
    """What doctor finds with passwords and keys that no service accepts."""
    values = {key: value.replace(KEY, SECRET) for key, value in right.items()}
    with answering(403, refusal("InvalidClientTokenId")) as (aws, _):
        return by_name(doctor(database_url, values | aws_keys(aws))[0])


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

    parents = (each for each in CLIENTS if each.name == client.after)
    package = next(parents, client).package  # what it is made from is needed first
    assert "missing" == bare[client.name]["state"]
    assert f"Run: pip install {package}" == bare[client.name]["cure"]


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

    @pytest.mark.parametrize("name", WRONG)
    def test_key_is_named(self, wrong, name):
        """Of each service that has a password, and is there."""
        key, state, text = WRONG[name]
        found = wrong[name]
        if "off" == found["state"]:
            assert any(
                each in key for each in ("mongodb", "rabbitmq", "kafka", "celery")
            )
            pytest.skip(f"absent: {name}")

        assert state == found["state"], found
        assert key in found["cure"], found
        assert text in found["problem"] + found["cure"], found
        if "refused" == state:
            assert (True, False) == (found["reachable"], found["permitted"])

    def test_of_the_primary(self, database_url, right):  # noqa: F811
        """The server would not start."""
        url = right["config_postgres_url_read"].replace(KEY, SECRET)
        document, done = doctor(url, {})
        found = by_name(document)["client_postgres"]

        assert 1 == done.returncode
        assert "config_postgres_url" in found["cure"]
        assert "password" in found["problem"]

    async def test_kafka_proves_a_user_in_another_way(self, right):
        """A mechanism that it does not have."""
        if "config_kafka_url" not in right:
            pytest.skip("absent: kafka")
        own = {"config_kafka_sasl_mechanism": "SCRAM-SHA-256"}
        async with opened((KAFKA,), DEFAULTS | right | own) as live:
            problem = live.problems[KAFKA.name]

        assert MISSING == problem.code
        assert "config_kafka_sasl_mechanism" in problem.hint


class TestWell:
    """What answers: its version, whether it permits, how long it took."""

    @pytest.mark.parametrize("name", VERSIONS)
    def test_version_rights_and_latency(self, well, name):
        """Each reachable, permitted, in a measured time."""
        found = well[name]
        if "off" == found["state"]:
            assert name.split("_")[1] in {"mongodb", "rabbitmq", "celery", "kafka"}
            pytest.skip(f"absent: {name}")

        assert ("ok", True, True) == (
            found["state"],
            found["reachable"],
            found["permitted"],
        ), found
        assert re.match(VERSIONS[name], found["version"]), found
        assert 0 < found["latency_ms"]

    def test_table_is_complete(self):
        """All clients but the views of another one, and what has no server."""
        views = {client.name for client in CLIENTS if client.examine is None}
        assert {client.name for client in CLIENTS} == views | set(VERSIONS)
        assert views == LOCAL | {
            "client_postgres_asyncpg",
            "client_postgres_asyncpg_pool",
            "client_rabbitmq_channel",
        }


class TestExit:
    """1 if the server would not start; --strict: for anything that is not well."""

    def test_optional_one_is_away(self, database_url):  # noqa: F811
        """A warning (see `away`), and with --strict a failure."""
        values = {"config_redis_url": f"redis://127.0.0.1:{free_port()}"}
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
