"""consumer_redis.py: what a message does, once; what becomes of one that fails."""

import json
import secrets
import signal
import subprocess
import sys
import time

import pytest
import redis

from tests.acceptance.conftest import serving
from tests.acceptance.consumer.consuming import consuming, until
from tests.acceptance.consumer.note import (
    CONFIG,
    CREATE,
    HANDLER,
    ROW,
    ask,
    channel_of,
    send,
)
from tests.integration.near import free_port, valkey
from tests.served import environment


@pytest.fixture(scope="module")
def broker():
    """A Valkey of this module."""
    with valkey(free_port()) as url:
        yield url


@pytest.fixture(scope="module")
def shop(tmp_path_factory, broker):
    """A server that sends messages to it."""
    folder = tmp_path_factory.mktemp("shop")
    config = {
        "config_redis_pubsub_url": broker,
        "config_queue_retry_sec": "0.1,0.2",
        "config_queue_lease_sec": "2",
        "config_queue_drain_sec": "5",
    }
    files = {"config_note": CONFIG, "handler_note": HANDLER}
    with serving(folder, config=config, **files) as running:
        running.folder = folder
        running.config |= {
            "config_postgres_url": running.database,
            "config_log_level": "DEBUG",
        }
        yield running


@pytest.fixture(scope="module")
def streams(broker):
    """The broker, as another program sees it."""
    with redis.Redis.from_url(broker) as client:
        yield client


@pytest.fixture(scope="module")
def consumer(shop):
    """One consumer for most tests."""
    with consuming("redis", shop.folder, shop.config) as process:
        yield process


@pytest.fixture(scope="module")
def eve(shop):
    """A user."""
    return shop.person()


def count(shop, text):
    """Return how many notes have a text."""
    (row,) = shop.sql("select count(*) from note where text = $1", text)
    return row["count"]


def dead(streams, mark):
    """Return the dead letters whose body holds a mark."""
    found = streams.xrange("channel_1_dead")
    return [fields for _, fields in found if mark.encode() in fields[b"body"]]


def is_settled(streams):
    """Whether every message has been settled."""
    return 0 == streams.xlen("channel_1")


def test_row_of_a_route_is_written_by_the_consumer(shop, eve, consumer):
    """The answer is the id of the message; the row is the caller's, to the digit."""
    body = '{"text": "later", "amount": 12345678901234567890.125}'
    headers = {"Content-Type": "application/json"}
    made = shop.message("POST", ROW, eve, content=body, headers=headers)
    assert 36 == len(made)
    read = "/my/object-read?table=note&text==,later"
    (found,) = until(lambda: shop.message("GET", read, eve))
    assert eve.id == found["created_by_id"]
    (exact,) = shop.sql("select amount::text from note where text = 'later'")
    assert "12345678901234567890.125" == exact["amount"]


def test_list_is_one_message(shop, eve, consumer):
    """All rows or none."""
    rows = [{"text": "many"}, {"text": "many"}]
    assert isinstance(shop.message("POST", ROW, eve, json=rows), str)
    until(lambda: 2 == count(shop, "many"))


@pytest.mark.parametrize(
    ("table", "body", "status"),
    [
        ("secret_note", {"text": "x"}, 403),
        ("note", {"text": "x", "created_by_id": 7}, 400),
        ("note", {"text": "x", "nope": 1}, 400),
        ("note", {"amount": "many"}, 400),
        ("note", [], 400),
        ("users", {"username": "x", "password": "y"}, 403),
    ],
)
def test_route_refuses_before_it_sends(shop, eve, streams, table, body, status):
    """What the rules close, and values that do not fit."""
    shop.message("POST", ROW, eve, json={"text": "first"})
    sent = streams.xinfo_stream("channel_1")["entries-added"]
    path = f"/my/object-create?table={table}&queue=redis"
    assert status == shop.call("POST", path, eve, json=body).status_code
    assert sent == streams.xinfo_stream("channel_1")["entries-added"]


def test_password_goes_through_no_queue(shop, eve):
    """In no table: a broker would keep it as it was sent."""
    path = "/my/object-create?table=vault&queue=redis"
    answer = shop.call("POST", path, eve, json={"password": "in the clear 1"})
    assert 400 == answer.status_code
    assert "A password is not sent through a queue." == answer.json()["message"]
    shop.message("POST", path, eve, json={"title": "without"})


def test_return_row_is_refused(shop, eve):
    """There is no row yet."""
    answer = shop.call("POST", f"{ROW}&return=row", eve, json={"text": "x"})
    assert 400 == answer.status_code
    assert "message" in answer.json()["hint"]
    prefer = {"Prefer": "return=representation"}
    made = shop.message("POST", ROW, eve, json={"text": "x"}, headers=prefer)
    assert isinstance(made, str)


def test_rules_hold_at_effect(shop, eve, streams, consumer):
    """A condition that the row breaks, and a user who is not active any more."""
    shop.message("POST", ROW, eve, json={"text": "too good", "rating": 9})
    (letter,) = until(lambda: dead(streams, "too good"))
    assert b"row.rule_refused" in letter[b"reason"]
    assert 0 == count(shop, "too good")

    gone = shop.person(is_active=0)
    body = {"table": "note", "object_list": [{"text": "ghost"}], "tier": "my"}
    ask(streams, CREATE, **body, user_id=gone.id)
    (letter,) = until(lambda: dead(streams, "ghost"))
    assert b"user not active" in letter[b"reason"]
    assert 0 == count(shop, "ghost")


def test_message_has_one_effect(shop, streams, consumer):
    """However often it is sent."""
    for _ in range(3):
        ask(streams, "function_note", "one-effect", text="once")
    until(lambda: is_settled(streams))
    assert 1 == count(shop, "once")


def test_same_message_twice_in_a_batch_of_rows(shop, streams, consumer):
    """Rows of many messages share a statement; each id counts once."""
    for number in range(200):
        body = {"table": "note", "object_list": [{"text": "batch"}]}
        ask(streams, CREATE, f"row-{number // 2}", **body)
    until(lambda: is_settled(streams))
    assert 100 == count(shop, "batch")


def test_bad_row_hurts_no_other(shop, streams, consumer):
    """Those around it in the same statement are written."""
    for number in range(20):
        row = {"text": "around"} | ({"amount": "bad row"} if number == 7 else {})
        ask(streams, CREATE, table="note", object_list=[row])
    until(lambda: is_settled(streams))
    assert 19 == count(shop, "around")
    (letter,) = dead(streams, "bad row")
    assert b"amount" in letter[b"reason"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("not json", "is not JSON"),
        ("[1]", "not a JSON object"),
        ("{}", "neither 'function' nor 'event_type'"),
        ({"function": "function_nate", "message_id": "m1"}, "Did you mean"),
        ({"function": "function_note", "message_id": "m2"}, "text: Field required"),
        ({"function": "function_note", "message_id": "m3", "text": 1}, "text: "),
        (
            {"function": "function_note", "message_id": "m4", "text": "x", "y": 1},
            "y: Extra inputs",
        ),
        (
            {"function": "function_postgres_query_runner", "message_id": "m5"},
            "there is no function",
        ),
        ({"event_type": "nobody.cares", "event_id": "m6"}, "on_nobody_cares"),
        ({"event_type": "note.wanted"}, "it has no id"),
        ({"function": "function_note", "message_id": 5, "text": "x"}, "it has no id"),
    ],
)
def test_what_cannot_be_done_is_dead_at_once(streams, consumer, body, reason):
    """Malformed, unknown, or with arguments that do not fit."""
    streams.delete("channel_1_dead")
    send(streams, body)
    ((_, letter),) = until(lambda: streams.xrange("channel_1_dead"))
    assert reason in letter[b"reason"].decode()
    assert b"1" == letter[b"attempts"]
    assert letter[b"died_at"]
    text = body if isinstance(body, str) else json.dumps(body)
    assert text.encode() == letter[b"body"]
    until(lambda: is_settled(streams))


@pytest.mark.parametrize(
    "more",
    [
        {"Type": "Notification", "MessageId": "i", "Message": "INNER"},
        {"event_type": "note.wanted", "event_id": "i", "payload": {"text": "inner"}},
    ],
    ids=["a notification", "an event"],
)
def test_arguments_make_no_other_message(shop, streams, consumer, more):
    """Who may choose the arguments of a function chooses no other function."""
    inner = {"function": "function_note", "message_id": "i", "text": "inner"}
    given = {
        name: json.dumps(inner) if value == "INNER" else value
        for name, value in more.items()
    }
    ask(streams, "function_note", text="outer", **given)
    until(lambda: is_settled(streams))
    assert 0 == count(shop, "inner")
    (letter, *_) = dead(streams, "outer")
    assert b"Extra inputs" in letter[b"reason"]


def test_failure_is_tried_again_then_dead(shop, streams, consumer):
    """Three attempts, none with an effect."""
    ask(streams, "function_fail", text="no ink")
    (letter,) = until(lambda: dead(streams, "no ink"))
    assert b"RuntimeError: out of ink" == letter[b"reason"]
    assert b"3" == letter[b"attempts"]
    assert 0 == count(shop, "no ink")
    until(lambda: not shop.sql("select from atom.message_failure"))


def test_passing_failure_is_done_in_the_end(shop, streams, consumer):
    """The second attempt goes well, and has the one effect."""
    ask(streams, "function_recover", text="hiccup")
    until(lambda: is_settled(streams))
    assert 1 == count(shop, "hiccup")
    assert [] == dead(streams, "hiccup")


def test_outage_of_the_database_is_no_attempt(shop, streams, consumer):
    """Five of them, where three attempts are the limit."""
    ask(streams, "function_away", text="outage")
    until(lambda: is_settled(streams))
    assert 1 == count(shop, "outage")
    assert [] == dead(streams, "outage")


def test_other_services_that_are_away_are_attempts(streams, consumer):
    """Or the message would wait for one that never comes back."""
    ask(streams, "function_no_service", text="no service")
    (letter,) = until(lambda: dead(streams, "no service"))
    assert b"3" == letter[b"attempts"]


def test_order_of_a_key_is_kept_over_failures(shop, streams, consumer):
    """Those behind the failing one wait; those of other keys do not."""
    ask(streams, "function_recover", text="k-a", key="k")
    for text in ("k-b", "k-c", "k-d"):
        ask(streams, "function_note", text=text, key="k")
    ask(streams, "function_note", text="k-other")
    until(lambda: is_settled(streams))
    rows = shop.sql("select text from note where text like 'k-%' order by id")
    texts = [row["text"] for row in rows]
    assert ["k-a", "k-b", "k-c", "k-d"] == [each for each in texts if "o" not in each]
    assert texts.index("k-other") < texts.index("k-b")


@pytest.mark.parametrize("is_wrapped", [False, True], ids=["raw", "from SNS"])
def test_event_is_handled_by_its_type(shop, streams, consumer, is_wrapped):
    """The envelope as it is, or in a notification of SNS."""
    text = f"event {is_wrapped}"
    event = {"event_type": "note.wanted", "event_id": secrets.token_hex(8)}
    body = json.dumps(event | {"payload": {"text": text}})
    if is_wrapped:
        body = json.dumps({"Type": "Notification", "MessageId": "x", "Message": body})
    send(streams, body)
    until(lambda: is_settled(streams))
    assert 1 == count(shop, text)


def test_sigterm_finishes_what_is_in_hand(shop, streams):
    """The one being handled is done; the process ends with 0."""
    channel = channel_of(streams)
    with consuming("redis", shop.folder, shop.config, "--channel", channel) as own:
        body = {"function": "function_slow", "message_id": channel, "text": channel}
        streams.xadd(channel, {"body": json.dumps(body | {"seconds": 2})})
        until(lambda: streams.xpending(channel, "atom")["pending"])
        time.sleep(0.3)
        own.send_signal(signal.SIGTERM)
        assert 0 == own.wait(60)
    assert 1 == count(shop, channel)
    assert 0 == streams.xlen(channel)


def test_what_a_killed_consumer_held_is_taken_over(shop, streams):
    """By the next one, after the lease; with one effect."""
    channel = channel_of(streams)
    options = ("--channel", channel)
    with consuming("redis", shop.folder, shop.config, *options) as own:
        body = {"function": "function_slow", "message_id": channel, "text": channel}
        streams.xadd(channel, {"body": json.dumps(body | {"seconds": 1})})
        until(lambda: streams.xpending(channel, "atom")["pending"])
        own.kill()
        own.wait()
    assert 0 == count(shop, channel)
    with consuming("redis", shop.folder, shop.config, *options):
        until(lambda: 0 == streams.xlen(channel))
    assert 1 == count(shop, channel)


def test_without_its_keys_a_consumer_names_them(shop):
    """And exits with 1."""
    config = shop.config | {"config_redis_pubsub_url": ""}
    log = shop.folder / "unset.log"
    with consuming("redis", shop.folder, config, log=log) as own:
        assert 1 == own.wait(20)
    assert "config_redis_pubsub_url" in log.read_text()


def command(shop, *words):
    """Run `python main.py queue …`; return its lines."""
    done = subprocess.run(
        [sys.executable, "main.py", "queue", *words],
        cwd=shop.folder,
        env=environment(shop.config),
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == done.returncode, done.stderr
    return done.stdout.splitlines()


def test_commands(shop, streams, consumer):
    """A channel is set up once; its dead letters are listed, replayed and deleted."""
    own = ("--channel", f"c_{secrets.token_hex(4)}")
    assert "created" in command(shop, "setup", "redis", *own)[0]
    assert ["nothing to create"] == command(shop, "setup", "redis", *own)
    with consuming("redis", shop.folder, shop.config, *own):
        for number in range(3):
            body = {"function": "gone", "message_id": f"{own[1]}-{number}"}
            streams.xadd(own[1], {"body": json.dumps(body)})
        until(lambda: 3 == streams.xlen(f"{own[1]}_dead"))
    (state,) = map(json.loads, command(shop, "list", *own, "--json"))
    wanted = {"waiting": 0, "in_hand": 0, "dead": 3}
    assert wanted | {"broker": "redis", "channel": own[1]} == state
    letters = [
        json.loads(line) for line in command(shop, "dead", "redis", *own, "--json")
    ]
    assert 3 == len(letters)
    assert "no function 'gone'" in letters[0]["reason"]
    assert "no function 'gone'" in command(shop, "dead", "redis", *own)[0]
    again = command(shop, "replay", "redis", letters[1]["id"], *own)
    assert ["1 sent again"] == again
    assert 1 == streams.xlen(own[1])
    ((_, fields),) = streams.xrange(own[1])
    assert letters[1]["body"] == fields[b"body"].decode()
    assert ["2 sent again"] == command(shop, "replay", "redis", "--all", *own)
    assert ["3 deleted"] == command(shop, "purge", "redis", *own, "--yes")
    assert 0 == streams.xlen(own[1])


def test_metrics_of_a_consumer(shop, streams):
    """What was done, what is dead, and what waits."""
    channel, port = f"c_{secrets.token_hex(4)}", free_port()
    words = ("--channel", channel, "--metrics-port", str(port))
    labels = f'broker="redis",channel="{channel}"'
    lines = (
        f'atom_queue_consumed_total{{{labels},outcome="done"}} 1.0',
        f"atom_queue_dead_total{{{labels}}} 1.0",
        f"atom_queue_lag{{{labels}}} 0.0",
    )
    with consuming("redis", shop.folder, shop.config, *words):
        body = {"function": "function_note", "message_id": channel, "text": channel}
        streams.xadd(channel, {"body": json.dumps(body)})
        streams.xadd(channel, {"body": "rubbish"})

        def counted():
            text = shop.http.get(f"http://127.0.0.1:{port}/metrics").text
            return all(line in text for line in lines)

        until(counted)


def test_health_file_is_there_while_it_works(shop):
    """And gone afterwards."""
    path = shop.folder / "healthy"
    words = ("--health-file", str(path))
    with consuming("redis", shop.folder, shop.config, *words):
        assert path.exists()
    assert not path.exists()


def test_query_runner_once_it_is_switched_on(shop, streams):
    """In the sandbox: it writes rows, and sees no password."""
    channel = f"c_{secrets.token_hex(4)}"
    config = shop.config | {"config_is_consumer_query_runner": "1"}
    name = "function_postgres_query_runner"
    insert = f"insert into note (text) values ('{channel}')"
    with consuming("redis", shop.folder, config, "--channel", channel):
        for number, query in enumerate((insert, "select password from users")):
            body = {"function": name, "message_id": f"{channel}-{number}"}
            streams.xadd(channel, {"body": json.dumps(body | {"query": query})})
        until(lambda: 0 == streams.xlen(channel) and streams.xlen(f"{channel}_dead"))
    letters = [fields for _, fields in streams.xrange(f"{channel}_dead")]
    assert 1 == len(letters), letters
    letter = letters[0]
    assert 1 == count(shop, channel)
    assert b"query.secret" in letter[b"reason"]
