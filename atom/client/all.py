"""Every client, in the order they open."""

from atom.client import (
    aws,
    celery,
    kafka,
    mongodb,
    openai,
    postgres,
    posthog,
    rabbitmq,
    redis,
)

CLIENTS = (
    postgres.POOL,
    postgres.NAMED,
    postgres.CONNECTION,
    postgres.READ,
    redis.CACHE,
    redis.RATELIMITER,
    redis.PRODUCER,
    mongodb.MONGODB,
    aws.S3,
    aws.S3_RESOURCE,
    aws.SNS,
    aws.SES,
    openai.OPENAI,
    posthog.POSTHOG,
    celery.CELERY,
    kafka.KAFKA,
    rabbitmq.RABBITMQ,
    rabbitmq.CHANNEL,
)
