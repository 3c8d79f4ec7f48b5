"""Kafka as a producer: a message counts as sent when every replica has it."""

import ssl
from typing import Any

from atom.client import Client, Config, Live
from atom.config.parse import text, whole
from atom.config.resolve import Key
from atom.errors import ApiError, ConfigError

FETCH = 1  # the number of the request that consumers read with


def security(config: Config) -> dict[str, Any]:
    """Return how to sign on; without a username not at all.

    Raises:
        ConfigError: when the password is missing.
    """
    username = config.get("config_kafka_username")
    if not username:
        return {}
    if not config.get("config_kafka_password"):
        raise ConfigError(["set config_kafka_password, or unset config_kafka_username"])
    protocol = config["config_kafka_security_protocol"]
    return {
        "security_protocol": protocol,
        "sasl_mechanism": config["config_kafka_sasl_mechanism"],
        "sasl_plain_username": username,
        "sasl_plain_password": config["config_kafka_password"],
        "ssl_context": ssl.create_default_context() if "SSL" in protocol[4:] else None,
    }


def address(config: Config) -> dict[str, Any]:
    """Return where the cluster is, and how to sign on to it.

    Raises:
        ConfigError: when the password is missing.
    """
    servers = [part.strip() for part in config["config_kafka_url"].split(",")]
    found = {"bootstrap_servers": [part for part in servers if part]}
    return {**found, **security(config)}


async def refusal(config: Config) -> str:
    """Return what is wrong with the user, "" when Kafka just does not answer.

    The driver only logs it, and tries the next server.
    """
    from aiokafka.conn import create_conn
    from aiokafka.errors import (
        AuthenticationFailedError,
        KafkaError,
        SaslAuthenticationFailed,
        UnsupportedSaslMechanismError,
    )

    wanted = security(config)
    if not wanted:
        return ""
    for server in address(config)["bootstrap_servers"]:
        host, _, port = server.rpartition(":")
        try:
            connection = await create_conn(host, int(port), **wanted)
        except (AuthenticationFailedError, SaslAuthenticationFailed):
            return (
                "config_kafka_username, config_kafka_password: Kafka refuses this user"
                " or password"
            )
        except UnsupportedSaslMechanismError as error:
            return f"config_kafka_sasl_mechanism: {error}"
        except (KafkaError, OSError, ValueError):
            continue  # the next one may answer
        connection.close()
    return ""


async def connect(config: Config, live: Live) -> Any:
    """Start a producer; it waits for the brokers' answer.

    Raises:
        ConfigError: when Kafka refuses the user.
    """
    from aiokafka import AIOKafkaProducer
    from aiokafka.errors import KafkaConnectionError

    producer = AIOKafkaProducer(
        acks="all",
        enable_idempotence=True,
        request_timeout_ms=10_000,
        **address(config),
    )
    try:
        await producer.start()
    except KafkaConnectionError:
        await producer.stop()
        if problem := await refusal(config):
            raise ConfigError([problem]) from None
        raise
    except BaseException:
        await producer.stop()
        raise
    return producer


async def probe(producer: Any) -> None:
    """Ask the cluster for its metadata."""
    if not await producer.client.force_metadata_update():
        raise ConnectionError("no broker answers")


async def examine(producer: Any) -> str:
    """Return what is known of the brokers; ask for a producer id, as each sender does.

    Kafka does not report the version of its software, but of each of its requests.

    Raises:
        ApiError: when the user may not write to any topic.
    """
    from aiokafka.errors import (
        ClusterAuthorizationFailedError,
        TopicAuthorizationFailedError,
        for_code,
    )
    from aiokafka.protocol.admin import ApiVersionRequest
    from aiokafka.protocol.transaction import InitProducerIdRequest

    client = producer.client
    node = client.get_random_node()
    answer = await client.send(node, InitProducerIdRequest(None, 1000))
    error = for_code(answer.error_code)
    if error in (ClusterAuthorizationFailedError, TopicAuthorizationFailedError):
        raise ApiError(
            "Kafka does not permit this user to write to any topic.",
            code="client.refused",
            status=502,
            hint="Give the user of config_kafka_username the operation Write on the"
            " topics, and IdempotentWrite on the cluster.",
        )
    known = (await client.send(node, ApiVersionRequest())).api_versions
    fetch = max(most for key, _, most in known if key == FETCH)
    count = len(client.cluster.brokers())
    return f"Kafka, {count} broker{'s' * (count > 1)}, fetch protocol {fetch}"


KAFKA = Client(
    name="client_kafka_producer",
    needs=("config_kafka_url",),
    package="aiokafka==0.14.0",
    keys=(
        Key(
            "config_kafka_url",
            text,
            None,
            "Kafka bootstrap servers.",
            also=("KAFKA_BOOTSTRAP_SERVERS",),
        ),
        Key("config_kafka_username", text, None, "Kafka user; switches SASL on."),
        Key("config_kafka_password", text, None, "Kafka password.", secret=True),
        Key(
            "config_kafka_security_protocol",
            text,
            "SASL_SSL",
            "How Kafka is reached when a user is set.",
        ),
        Key("config_kafka_sasl_mechanism", text, "PLAIN", "How that user is proven."),
        Key(
            "config_kafka_partitions",
            whole(1, 10_000),
            6,
            "Partitions of a topic that Atom makes; each is one consumer's at a time.",
        ),
    ),
    open=connect,
    close=lambda producer: producer.stop(),
    probe=probe,
    examine=examine,
    optional=("config_kafka_username", "config_kafka_password"),
)
