"""Events through brokers: from a row to the handler of a consumer, each effect once."""

import time

from tests.acceptance.conftest import serving
from tests.acceptance.consumer.consuming import consuming, until
from tests.integration.near import free_port, valkey
from tests.service.fixture import own

CONFIG = """
config_postgres_schema = {"table": {
    "booking": ["created_by_id-bigint-0-btree", "code-text-0-0"],
    "effect": ["code-text-1-0", "event_id-text-1-0", "request_id-text-0-0"],
}}
config_table = {"booking": {"my": "owner"}}
config_event = {"row.booking.created": {"target": "%s", "retry": []}}
"""
HANDLER = """
SQL = "insert into effect (code, event_id, request_id) values (:code, :id, :request)"


async def on_row_booking_created(event, connection, app):
    values = {"code": event.payload["row"]["code"], "id": event.event_id,
              "request": event.metadata["request_id"]}
    await connection.execute(SQL, values)
"""


def create(shop, eve, code):
    path, head = "/my/object-create?table=booking", {"x-request-id": f"r-{code}"}
    shop.message("POST", path, eve, json={"code": code}, headers=head)


def outbox(shop):
    return shop.sql("select state, attempts, error from atom.outbox order by id")


def check(shop, eve, consumer, start):
    """What is published while a broker is away is handled once it is there; what comes
    twice is handled once."""
    for number in range(20):
        create(shop, eve, f"c{number}")
    time.sleep(2)
    assert {"pending"} == {row["state"] for row in outbox(shop)}
    with start(), consumer():
        until(lambda: {"done"} == {row["state"] for row in outbox(shop)}, 60)
        text = "select * from effect order by id"
        until(lambda: len(shop.sql(text)) >= 20, 60)
        shop.sql(
            "update atom.outbox set state = 'pending', settled_at = null, attempts = 0,"
            " due_at = now() where id <= 5"
        )
        create(shop, eve, "last")
        until(lambda: {"done"} == {row["state"] for row in outbox(shop)}, 60)
        until(lambda: any(row["code"] == "last" for row in shop.sql(text)), 60)
        found = shop.sql(text)

    assert 21 == len(found) == len({row["event_id"] for row in found})
    assert {f"r-{row['code']}" for row in found} == {row["request_id"] for row in found}
    assert [] == [row for row in outbox(shop) if row["attempts"] > 1]


def served(folder, target, config):
    """Serve with events for one target, while it is away."""
    files = {"config_events": CONFIG % target, "handler_events": HANDLER}
    config = {**config, "config_queue_lease_sec": "5"}
    return serving(folder, config=config, **files)


def consumer_of(shop, folder, name):
    config = {**shop.config, "config_postgres_url": shop.database}
    return lambda: consuming(name, folder, config)


def test_through_redis(tmp_path):
    """A Redis that is not there when the server starts."""
    port = free_port()
    config = {"config_redis_pubsub_url": f"redis://127.0.0.1:{port}/0"}
    with served(tmp_path, "redis", config) as shop:
        consumer = consumer_of(shop, tmp_path, "redis")
        check(shop, shop.person(), consumer, lambda: valkey(port))


def test_through_rabbitmq(tmp_path):
    """A RabbitMQ that ends after the server has started, and comes back."""
    with own("rabbitmq", tmp_path / "broker") as broker:
        code = tmp_path / "code"
        code.mkdir()
        with served(code, "rabbitmq", {"config_rabbitmq_url": broker.url}) as shop:
            broker.kill()

            class Started:
                def __enter__(self):
                    broker.start()

                def __exit__(self, *_):
                    """It ends with the test."""

            consumer = consumer_of(shop, code, "rabbitmq")
            check(shop, shop.person(), consumer, Started)
