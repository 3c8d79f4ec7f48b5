"""Doctor: services that take the password, and refuse what the client is for."""

import pytest
import redis

from atom.client.all import CLIENTS
from atom.client.doctor import examine_new
from atom.config.keys import KEYS
from tests import web
from tests.integration.near import redis_url  # noqa: F401
from tests.web import KEY

DEFAULTS = {key.name: key.default for key in KEYS}
OPTIONAL = tuple(client for client in CLIENTS if "postgres" not in client.name)


async def examined(**values):
    """Return what doctor finds, by the name of the client."""
    found = await examine_new(OPTIONAL, DEFAULTS | values)
    return {each.name: each for each in found}


def check_refused(found, cure):
    """Check a finding: it answers, it does not permit, and who can change that."""
    assert ("refused", True, False) == (
        found.state,
        found.reachable,
        found.permitted,
    ), found
    assert cure in found.cure
    assert KEY not in found.problem + found.cure


async def test_redis_that_may_only_be_read(redis_url):  # noqa: F811
    """As a broker of Celery too."""
    words = ("on", f">{KEY}", "~*", "+@read", "+@connection", "+info")
    with redis.Redis.from_url(redis_url) as admin:
        admin.execute_command("ACL", "SETUSER", "reader", *words)
    url = redis_url.replace("//", f"//reader:{KEY}@")
    found = await examined(config_redis_url=url, config_celery_broker_url=url)

    for name in ("client_redis", "client_celery_producer"):
        check_refused(found[name], "+@all")


async def test_celery_on_redis(redis_url):  # noqa: F811
    """It is well, and its version is that of the server."""
    found = await examined(config_celery_broker_url=redis_url)
    celery = found["client_celery_producer"]

    assert ("ok", True) == (celery.state, celery.permitted), celery
    assert celery.version.startswith("Valkey ")


async def test_user_of_rabbitmq_without_permissions(rabbitmq_url):
    """The connection opens; a queue may not be declared."""
    url = rabbitmq_url.replace("guest:guest@", "poor:poor@")
    found = await examined(config_rabbitmq_url=url, config_celery_broker_url=url)

    for name in ("client_rabbitmq", "client_celery_producer"):
        check_refused(found[name], "rabbitmqctl set_permissions")


async def test_bucket_that_is_not_there_is_named(aws_url):
    """A bucket of config that S3 does not have is not well."""
    from tests.service.aws import keys

    values = {**keys(aws_url), "config_s3_bucket_list": ("atom-never-made",)}
    found = (await examined(**values))["client_s3"]

    assert "ok" != found.state
    assert "config_s3_region_name" in found.cure


async def test_service_that_proves_nothing():
    """It is there; whether it takes the key is not known, and nothing was sent."""
    with web.web(lambda _: (404, {})) as service:
        found = await examined(
            config_posthog_project_key=KEY,
            config_posthog_project_host=service.url,
            config_fast2sms_url=f"{service.url}/other",
            config_fast2sms_key=KEY,
            config_resend_url=f"{service.url}/other",
            config_resend_key=KEY,
        )
        asked = [each.json for each in service.asked]

    for name in ("client_posthog", "client_fast2sms", "client_resend"):
        one = found[name]
        assert ("ok", True, None) == (one.state, one.reachable, one.permitted), one
    assert 3 == len(asked)
    for body in asked:
        assert not {"to", "event", "batch"} & set(body)
        assert not body.get("numbers")


@pytest.mark.parametrize(
    ("answer", "name"),
    [(web.fast2sms, "client_fast2sms"), (web.resend, "client_resend")],
)
async def test_service_that_is_busy_is_silent(answer, name):
    """Not refused: the key may be right."""
    with web.web(web.refusing(503)) as service:
        key = name.replace("client_", "config_")
        values = {f"{key}_url": service.url, f"{key}_key": KEY}
        found = (await examined(**values))[name]

    assert ("silent", None) == (found.state, found.permitted), found
