"""Every client configured: where nobody is, and where a service takes a password.

What is right has `KEY` as its password or key, what is wrong `SECRET`.
"""

import asyncio
import json
import re
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import asyncpg
import pytest
import redis

from tests import web
from tests.integration.near import valkey
from tests.served import ROOT, environment, free_port
from tests.service.fixture import own
from tests.service.oidc_provider import oidc_provider
from tests.service.post_office import post_office
from tests.web import KEY

SECRET = "s3cret-0123456789abcdef"
WORD = re.compile(r"[\w-]+")
WEB = {  # by client: what stands in, and the key that it may refuse
    "client_openai": (web.openai, "config_openai_key"),
    "client_sentry": (web.sentry, "config_sentry_dsn"),
    "client_posthog": (web.posthog, "config_posthog_project_key"),
    "client_fast2sms": (web.fast2sms, "config_fast2sms_key"),
    "client_resend": (web.resend, "config_resend_key"),
}
OPEN = (web.google, "config_google_certs_url")  # its keys are public
MONGODB_USER = (
    *("--test-enable-new-auth", "--setup-database=admin"),
    *("--setup-username=me", f"--setup-password={KEY}"),
)


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
        "config_google_login_client_id": "client",
        "config_google_certs_url": f"http://{host}/certs",
        "config_oidc": json.dumps({"work": oidc(f"http://{host}")}),
        "config_sentry_dsn": f"http://{SECRET}@{host}/1",
        "config_is_prometheus": "1",
        **smtp(port, SECRET),
    }


def oidc(issuer):
    """Return config of a sign-in service."""
    page = "https://shop.example/back"
    client = {"client_id": "me", "client_secret": SECRET, "redirect_uri": page}
    return {"issuer": issuer, **client}


def smtp(port, password):
    """Return config of a mail server at a port."""
    return {
        "config_smtp_host": "127.0.0.1",
        "config_smtp_port": f"{port}",
        "config_smtp_tls": "0",
        "config_smtp_user": "me",
        "config_smtp_password": password,
        "config_email_from": "me@example.com",
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
    assert not {SECRET, KEY} & set(WORD.findall(done.stdout + done.stderr))
    assert "Traceback" not in done.stderr, done.stderr
    return json.loads(done.stdout), done


def by_name(document):
    """Return the findings by the name of their client."""
    return {one["name"]: one for one in document["client"]}


@contextmanager
def services():
    """Start what stands in for services on the web; yield config that is right."""
    with ExitStack() as stack:
        values = {}
        for answer, key in (*WEB.values(), OPEN):
            port = urlsplit(stack.enter_context(web.web(answer)).url).port
            part = key.split("_")[1]
            every = everything(port)
            values |= {k: v for k, v in every.items() if k.split("_")[1] == part}
        service = stack.enter_context(oidc_provider())
        values["config_oidc"] = json.dumps({"work": oidc(service.url)})
        yield {k: v.replace(SECRET, KEY) for k, v in values.items()}


def locked_postgres(url):
    """Have a server ask one role for a password; return a URL with the right one."""

    async def lock(rule):
        connection = await asyncpg.connect(url)
        try:
            await connection.execute(
                f"drop role if exists me; create role me login password '{KEY}'"
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
    return f"postgresql://me:{KEY}@127.0.0.1:{parts.port or 5432}{parts.path}"


@contextmanager
def locked_mongodb(folder):
    """Run a server that asks who it is; yield a URL with the right password."""
    with own("mongodb", folder / "server") as server:
        server.kill()
        server.command = [*server.command, *MONGODB_USER]
        server.folder = folder
        server.start()
        yield server.url.replace("//", f"//me:{KEY}@")


@contextmanager
def locked_redis():
    """Run a Valkey with a password; yield a URL with it."""
    with valkey(free_port()) as url:
        with redis.Redis.from_url(url) as admin:
            admin.config_set("requirepass", KEY)
        yield url.replace("//", f"//:{KEY}@")


@contextmanager
def locked(request, database_url, folder):
    """Start what this machine has of services; yield config that is right."""
    with ExitStack() as stack:
        redis_url = stack.enter_context(locked_redis())
        found = stack.enter_context(services()) | {
            "config_postgres_url_read": locked_postgres(database_url),
            "config_redis_url": redis_url,
            "config_redis_url_ratelimiter": redis_url,
            "config_redis_pubsub_url": redis_url,
        }
        office = stack.enter_context(post_office(account=("me", KEY)))
        found |= smtp(office.port, KEY)
        try:
            found["config_mongodb_url"] = stack.enter_context(locked_mongodb(folder))
            found["config_mongodb_database_list"] = "shop,other"
        except pytest.skip.Exception:
            pass  # listed as absent at the end of the run
        try:
            amqp = request.getfixturevalue("rabbitmq_url")
        except pytest.skip.Exception:
            pass
        else:
            amqp = amqp.replace("guest:guest@", f"me:{KEY}@")
            found |= dict.fromkeys(
                ("config_rabbitmq_url", "config_celery_broker_url"), amqp
            )
        try:
            kafka = request.getfixturevalue("sasl_kafka_url")
        except pytest.skip.Exception:
            pass
        else:
            found |= {
                "config_kafka_url": kafka,
                "config_kafka_username": "me",
                "config_kafka_password": KEY,
                "config_kafka_security_protocol": "SASL_PLAINTEXT",
            }
        yield found
