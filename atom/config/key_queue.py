"""The keys of queues and their consumers."""

from atom.config.parse import all_seconds, flag, seconds, text, whole
from atom.config.resolve import Key

QUEUE = (
    Key(
        "config_channel",
        text,
        "channel_1",
        "Stream, queue or topic of messages; dead letters are in <channel>_dead.",
    ),
    Key(
        "config_queue_concurrency",
        whole(1, 1000),
        10,
        "Messages a consumer handles at once.",
    ),
    Key(
        "config_queue_prefetch",
        whole(1, 10_000),
        200,
        "Messages a consumer has in hand at most.",
    ),
    Key(
        "config_queue_batch",
        whole(1, 1000),
        100,
        "Messages of one table and caller that are written in one transaction.",
    ),
    Key(
        "config_queue_retry_sec",
        all_seconds,
        (1.0, 5.0, 30.0),
        "Seconds before each further attempt; after the last a message is dead.",
    ),
    Key(
        "config_queue_timeout_sec",
        seconds,
        300.0,
        "Seconds one attempt at a message may take.",
    ),
    Key(
        "config_queue_lease_sec",
        seconds,
        30.0,
        "Seconds until another consumer takes over what a dead one had in hand.",
    ),
    Key(
        "config_queue_drain_sec",
        seconds,
        20.0,
        "Seconds a consumer that is stopped has to finish what it handles.",
    ),
    Key(
        "config_queue_inbox_days",
        whole(1, 3650),
        30,
        "Days for which a message that is delivered again does nothing.",
    ),
    Key(
        "config_is_consumer_query_runner",
        flag,
        False,
        "Messages may ask for function_postgres_query_runner: SQL in the sandbox.",
    ),
)
