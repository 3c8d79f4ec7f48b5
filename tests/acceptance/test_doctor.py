"""GET /root/doctor: what the running server knows of its services."""

import pytest

from tests import web
from tests.acceptance.conftest import serving
from tests.served import free_port


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    """A server with a service that is well, one that refuses and one that is away."""
    with web.web(web.openai) as openai, web.web(web.posthog) as posthog:
        values = {
            "config_openai_key": "sk-not-the-key-that-it-takes",
            "config_openai_base_url": openai.url,
            "config_redis_url": f"redis://:pa55word@127.0.0.1:{free_port()}",
            "config_posthog_project_key": web.KEY,
            "config_posthog_project_host": posthog.url,
        }
        with serving(tmp_path_factory.mktemp("doctor"), config=values) as found:
            yield found


def test_every_client_is_examined(api):
    """Its state, and the cure."""
    answer = api.call("GET", "/root/doctor", "root")
    assert 200 == answer.status_code
    found = {one["name"]: one for one in answer.json()["message"]}

    assert "ok" == found["client_postgres"]["state"]
    assert found["client_postgres"]["version"].startswith("PostgreSQL ")
    assert ("ok", True, True) == (
        found["client_posthog"]["state"],
        found["client_posthog"]["reachable"],
        found["client_posthog"]["permitted"],
    )
    assert ("refused", False) == (
        found["client_openai"]["state"],
        found["client_openai"]["permitted"],
    )
    assert "config_openai_key" in found["client_openai"]["cure"]
    assert "silent" == found["client_redis"]["state"]
    assert ("off", False) == (
        found["client_mongodb"]["state"],
        found["client_mongodb"]["configured"],
    )
    assert "config_mongodb_url" in found["client_mongodb"]["cure"]
    for secret in ("pa55word", "sk-not", web.KEY):
        assert secret not in answer.text


def test_it_is_the_operator_s(api):
    """With the root key alone."""
    assert 401 == api.call("GET", "/root/doctor").status_code
    assert 401 == api.call("GET", "/root/doctor", api.person()).status_code
