"""SERVICES: the keys of databases and other services, part of KEYS in keys.py."""

from atom.config.resolve import Key, flag, seconds, text, whole

SERVICES = (
    # PostgreSQL
    Key(
        "config_postgres_url",
        text,
        None,
        "Primary PostgreSQL. Unset: an embedded one is started.",
        secret=True,
    ),
    Key(
        "config_postgres_url_direct",
        text,
        None,
        "PostgreSQL itself, when config_postgres_url leads to a pooler: for LISTEN, "
        "locks and schema changes. Unset: config_postgres_url.",
        secret=True,
    ),
    Key(
        "config_postgres_url_read",
        text,
        None,
        "Replica for /my/object-read and /public/object-read.",
        secret=True,
    ),
    Key(
        "config_is_postgres_init",
        flag,
        False,
        "Whether the schema is applied at start also on an external database.",
    ),
    Key("config_postgres_min_connection", whole(0, 1000), 1, "Smallest pool."),
    Key("config_postgres_max_connection", whole(1, 1000), 20, "Largest pool."),
    Key(
        "config_postgres_acquire_timeout_sec",
        seconds,
        5.0,
        "Seconds a request waits for a connection before 503.",
    ),
    Key(
        "config_postgres_command_timeout_sec",
        seconds,
        30.0,
        "Seconds one statement may take.",
    ),
    Key(
        "config_postgres_lock_timeout_sec",
        seconds,
        5.0,
        "Seconds a statement waits for a lock that another transaction holds; "
        "then 409.",
    ),
    Key(
        "config_postgres_connect_timeout_sec",
        seconds,
        5.0,
        "Seconds to connect.",
    ),
    Key(
        "config_postgres_idle_transaction_timeout_sec",
        seconds,
        60.0,
        "Seconds a transaction may stand idle before PostgreSQL ends it.",
    ),
    Key(
        "config_postgres_statement_cache_size",
        whole(0, 10_000),
        1024,
        "Prepared statements kept by a connection; 0 behind a transaction pooler.",
    ),
    Key(
        "config_transfer_timeout_sec",
        seconds,
        600.0,
        "Seconds an import or an export may take.",
    ),
    Key(
        "config_db_runner_timeout_ms",
        whole(1),
        5000,
        "Milliseconds a statement of /admin/db-runner may take.",
    ),
    Key("config_db_runner_limit", whole(1), 1000, "Most rows of /admin/db-runner."),
    Key(
        "config_db_runner_role",
        text,
        None,
        "Role that statements of /admin/db-runner run as.",
    ),
    # Redis
    Key("config_redis_url", text, None, "Redis for cached answers.", secret=True),
    Key(
        "config_redis_url_ratelimiter",
        text,
        None,
        "Redis for rate limits. Unset: each process counts for itself.",
        secret=True,
    ),
    Key("config_redis_pubsub_url", text, None, "Redis for messages.", secret=True),
    # optional clients
    Key("config_mongodb_url", text, None, "MongoDB.", secret=True),
    Key("config_celery_broker_url", text, None, "Celery's broker.", secret=True),
    Key("config_rabbitmq_url", text, None, "RabbitMQ.", secret=True),
    Key("config_kafka_url", text, None, "Kafka bootstrap servers."),
    Key("config_kafka_username", text, None, "Kafka user; switches SASL on."),
    Key("config_kafka_password", text, None, "Kafka password.", secret=True),
    Key(
        "config_kafka_security_protocol",
        text,
        "SASL_SSL",
        "How Kafka is reached when a user is set.",
    ),
    Key("config_kafka_sasl_mechanism", text, "PLAIN", "How that user is proven."),
    Key("config_aws_access_key_id", text, None, "AWS key id.", secret=True),
    Key("config_aws_secret_access_key", text, None, "AWS secret.", secret=True),
    Key("config_aws_endpoint_url", text, None, "Another address than AWS's own."),
    Key("config_s3_region_name", text, None, "Region; switches S3 on."),
    Key("config_sns_region_name", text, None, "Region; switches SNS on."),
    Key("config_ses_region_name", text, None, "Region; switches SES on."),
    Key("config_posthog_project_host", text, None, "PostHog's address."),
    Key("config_posthog_project_key", text, None, "PostHog's key.", secret=True),
    Key("config_openai_key", text, None, "OpenAI's key.", secret=True),
    Key("config_openai_base_url", text, None, "Another address than OpenAI's own."),
)
