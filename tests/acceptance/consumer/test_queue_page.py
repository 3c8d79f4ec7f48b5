"""docs/queue.md: its ten lines, copied into a project, do what it promises."""

import re

from tests.acceptance.conftest import serving
from tests.acceptance.consumer.consuming import consuming, until
from tests.integration.near import free_port, valkey
from tests.served import ROOT

TEXT = (ROOT / "docs" / "queue.md").read_text()


def test_the_ten_lines(tmp_path):
    """A message of a route becomes a row."""
    handler, router = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)[:2]
    assert len([line for line in (handler + router).splitlines() if line.strip()]) <= 14
    with valkey(free_port()) as url:
        config = {"config_redis_pubsub_url": url}
        files = {"handler_note": handler, "router_note": router}
        with serving(tmp_path, config=config, **files) as running:
            made = running.message("POST", "/note?text=from the page")
            assert re.fullmatch("[0-9a-f-]{36}", made)
            config = running.config | {"config_postgres_url": running.database}
            with consuming("redis", tmp_path, config):
                query = "select title from test where title = 'from the page'"
                until(lambda: running.sql(query))
