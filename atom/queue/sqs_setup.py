"""The queues of a channel on SQS, and their subscription to a topic of SNS."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from atom.aws import Aws, AwsRefused
from atom.client.aws import POLL_SECONDS
from atom.queue.sqs_message import FIFO, dead_queue

MOVED_AFTER = 1000  # deliveries; the most SQS allows. Consumers give up long before
KEPT_SECONDS = 1_209_600  # 14 days, the most SQS allows


@dataclass(frozen=True, slots=True)
class SqsConfig:
    """What config sets for the queues."""

    sqs_topic: str | None
    sqs_event_list: tuple[str, ...]


async def create(aws: Aws, channel: str, lease: int, config: SqsConfig) -> list[str]:
    """Create what is missing. Return what was created or changed."""
    dead, made = dead_queue(channel), []
    kept = {"MessageRetentionPeriod": str(KEPT_SECONDS)}
    made += await _queue(aws, dead, kept)
    dead_arn = await _arn(aws, dead)
    redrive = {"deadLetterTargetArn": dead_arn, "maxReceiveCount": MOVED_AFTER}
    wanted = {
        **kept,
        "VisibilityTimeout": str(lease),
        "ReceiveMessageWaitTimeSeconds": str(POLL_SECONDS),
        "RedrivePolicy": json.dumps(redrive),
    }
    made += await _queue(aws, channel, wanted)
    if config.sqs_topic:
        made += await _subscribe(aws, channel, config.sqs_topic, config.sqs_event_list)
    return made


async def _url(aws: Aws, name: str) -> str | None:
    """Return the URL of a queue, None when it does not exist."""
    try:
        answer = await aws.call("sqs", "get_queue_url", QueueName=name)
    except AwsRefused as error:
        if "QueueDoesNotExist" in error.reason or "NonExistent" in error.reason:
            return None
        raise
    return str(answer["QueueUrl"])


async def _attributes(aws: Aws, name: str) -> Mapping[str, str]:
    url = await _url(aws, name)
    answer = await aws.call(
        "sqs", "get_queue_attributes", QueueUrl=url, AttributeNames=["All"]
    )
    found: Mapping[str, str] = answer["Attributes"]
    return found


async def _arn(aws: Aws, name: str) -> str:
    return (await _attributes(aws, name))["QueueArn"]


async def _queue(aws: Aws, name: str, wanted: Mapping[str, str]) -> list[str]:
    """Create a queue, or set the attributes of it that differ."""
    url = await _url(aws, name)
    if url is None:
        order = {}
        if name.endswith(FIFO):
            order = {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
        given = {**wanted, **order}
        await aws.call("sqs", "create_queue", QueueName=name, Attributes=given)
        return [f"queue {name}"]
    found = await _attributes(aws, name)
    changed = {
        each: value
        for each, value in wanted.items()
        if not _is_same(found.get(each), value)
    }
    if not changed:
        return []
    await aws.call("sqs", "set_queue_attributes", QueueUrl=url, Attributes=changed)
    return [f"{each} of queue {name}" for each in changed]


def _is_same(found: str | None, wanted: str) -> bool:
    """Whether two attributes are equal; JSON may be written in another order.

    >>> _is_same('{"a": 1, "b": 2}', '{"b":2,"a":1}'), _is_same(None, "5")
    (True, False)
    """
    if found is None or not wanted.startswith("{"):
        return found == wanted
    left, right = json.loads(found), json.loads(wanted)
    if "maxReceiveCount" in left:  # AWS answers a number, others the text
        left["maxReceiveCount"] = int(left["maxReceiveCount"])
    return bool(left == right)


async def _subscribe(
    aws: Aws, channel: str, topic: str, event_types: tuple[str, ...]
) -> list[str]:
    """Subscribe the queue to a topic: raw bodies, of some event types or of all."""
    made = []
    arn = topic
    if not topic.startswith("arn:"):
        arn, is_new = await _topic(aws, topic)
        made += [f"topic {topic}"] * is_new
    queue = await _arn(aws, channel)
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "topic",
                "Effect": "Allow",
                "Principal": {"Service": "sns.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": queue,
                "Condition": {"ArnEquals": {"aws:SourceArn": arn}},
            }
        ],
    }
    made += await _queue(aws, channel, {"Policy": json.dumps(policy)})
    wanted = {"RawMessageDelivery": "true"}
    if event_types:
        wanted["FilterPolicy"] = json.dumps({"event_type": list(event_types)})
    known = await _subscription(aws, arn, queue)
    if known is None:
        await aws.call(
            "sns",
            "subscribe",
            TopicArn=arn,
            Protocol="sqs",
            Endpoint=queue,
            Attributes=wanted,
        )
        return [*made, f"subscription of {channel} to {topic}"]
    answer = await aws.call("sns", "get_subscription_attributes", SubscriptionArn=known)
    found = answer["Attributes"]
    wanted.setdefault("FilterPolicy", "{}")
    for name, value in wanted.items():
        if _is_same(found.get(name) or "{}", value):
            continue
        await aws.call(
            "sns",
            "set_subscription_attributes",
            SubscriptionArn=known,
            AttributeName=name,
            AttributeValue=value,
        )
        made.append(f"{name} of the subscription of {channel} to {topic}")
    return made


async def _topic(aws: Aws, name: str) -> tuple[str, bool]:
    """Return the ARN of a topic, and whether it was created."""
    token: dict[str, Any] = {}
    while True:
        page = await aws.call("sns", "list_topics", **token)
        for each in page.get("Topics", ()):
            if each["TopicArn"].rpartition(":")[2] == name:
                return str(each["TopicArn"]), False
        if not page.get("NextToken"):
            break
        token = {"NextToken": page["NextToken"]}
    order = {"FifoTopic": "true"} if name.endswith(FIFO) else {}
    made = await aws.call("sns", "create_topic", Name=name, Attributes=order)
    return str(made["TopicArn"]), True


async def _subscription(aws: Aws, topic: str, queue: str) -> str | None:
    """Return the ARN of the subscription of a queue to a topic."""
    token: dict[str, Any] = {}
    while True:
        page = await aws.call(
            "sns", "list_subscriptions_by_topic", TopicArn=topic, **token
        )
        for each in page.get("Subscriptions", ()):
            if each["Protocol"] == "sqs" and each["Endpoint"] == queue:
                return str(each["SubscriptionArn"])
        if not page.get("NextToken"):
            return None
        token = {"NextToken": page["NextToken"]}
