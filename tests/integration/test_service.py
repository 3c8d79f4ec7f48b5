"""The services of tests/service are what they claim to be."""

import asyncio
import base64
import json
import os
import smtplib
import subprocess
import sys
import time
import urllib.parse

import httpx2
import jwt
import pytest

from tests import machine
from tests.database import wait_until
from tests.served import ROOT, is_open
from tests.service.fixture import own
from tests.service.smtp import PASSWORD, USER, received


async def sent(url, queue, body):
    """Send one confirmed, lasting message; return how many the queue had before."""
    import aio_pika

    async with await aio_pika.connect(url, timeout=5) as connection:
        channel = await connection.channel()
        made = await channel.declare_queue(queue, durable=True)
        await channel.default_exchange.publish(
            aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT),
            routing_key=queue,
        )
        return made.declaration_result.message_count


async def test_rabbitmq_is_shared(rabbitmq_url):
    """The fixture's server answers."""
    assert 0 == await sent(rabbitmq_url, "shared", b"1")


async def test_mongodb_keeps_what_it_acknowledged(tmp_path):
    """Killed, and started again; a repeated key is refused."""
    import pymongo
    from pymongo.errors import DuplicateKeyError

    with own("mongodb", tmp_path) as server:
        async with pymongo.AsyncMongoClient(server.url) as client:
            rows = client["kept"]["rows"]
            await rows.create_index("name", unique=True)
            await rows.insert_one({"name": "a"})
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
            assert 1 == await rows.count_documents({"name": "a"})
            with pytest.raises(DuplicateKeyError):
                await rows.insert_one({"name": "a"})


def test_aws_keeps_buckets_topics_and_queues(aws_url):
    """A topic reaches a queue."""
    import boto3

    words = {"endpoint_url": aws_url, "region_name": "ap-south-1"}
    words |= {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    sns, sqs = boto3.client("sns", **words), boto3.client("sqs", **words)
    topic = sns.create_topic(Name="t")["TopicArn"]
    queue = sqs.create_queue(QueueName="q")["QueueUrl"]
    named = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
    sns.subscribe(
        TopicArn=topic, Protocol="sqs", Endpoint=named["Attributes"]["QueueArn"]
    )
    sns.publish(TopicArn=topic, Message="hi")
    (message,) = sqs.receive_message(QueueUrl=queue)["Messages"]
    assert "hi" == json.loads(message["Body"])["Message"]


def test_smtp_takes_mail_and_refuses_a_wrong_password(smtp_url):
    """By address; a wrong password is answered 535."""
    found = urllib.parse.urlsplit(smtp_url)
    with smtplib.SMTP(found.hostname, found.port) as client:
        with pytest.raises(smtplib.SMTPAuthenticationError) as caught:
            client.login(USER, "wrong")
        assert 535 == caught.value.smtp_code
        client.login(USER, PASSWORD)
        client.sendmail("a@b.co", ["ada@b.co"], "Subject: hello\r\n\r\nA text.")
    assert ["hello"] == [mail["Subject"] for mail in received(smtp_url, "ada@b.co")]
    assert [] == received(smtp_url, "bob@b.co")


class TestWeb:
    """The server that stands in for HTTP services, with the SDKs of those services."""

    async def test_openai(self, web):
        """Whole, streamed, and refused without a key."""
        from openai import AsyncOpenAI

        words = {"base_url": web.url + "/openai/v1", "max_retries": 0}
        prompt = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
        async with AsyncOpenAI(api_key="k", **words) as client:
            whole = await client.chat.completions.create(**prompt)
            stream = await client.chat.completions.create(**prompt, stream=True)
            pieces = [chunk.choices[0].delta.content async for chunk in stream]
            response = await client.responses.create(model="m", input="hi")
            embedded = await client.embeddings.create(model="m", input=["a", "b"])
        assert "hello" == whole.choices[0].message.content == response.output_text
        assert ["he", "llo", None] == pieces
        assert [0.25, 0.5] == embedded.data[1].embedding
        assert "Bearer k" == web.requests("openai")[0]["headers"]["authorization"]
        with httpx2.Client() as client:
            answer = client.post(web.url + "/openai/v1/responses", json={"model": "m"})
        assert 401 == answer.status_code

    def test_posthog(self, web):
        """An event comes with who it is about."""
        from posthog import Posthog

        client = Posthog("phc_1", host=web.url + "/posthog", sync_mode=True)
        client.capture("signed up", distinct_id="u1")
        client.shutdown()
        (request,) = web.requests("posthog")
        assert (200, None) == (request["status"], request["refused"])
        assert "signed up" == request["json"]["batch"][0]["event"]

    def test_sentry(self, web):
        """An exception comes as an item of an envelope."""
        import sentry_sdk

        client = sentry_sdk.Client(dsn=web.dsn, default_integrations=False)
        client.capture_event({"message": "it broke"}, scope=sentry_sdk.Scope())
        client.close(timeout=5)
        (request,) = web.requests("sentry")
        assert (200, None) == (request["status"], request["refused"])
        assert "it broke" == request["json"][0]["payload"]["message"]

    def test_fast2sms_and_resend(self, web):
        """What is complete is taken, what is not is refused."""
        sms = {"route": "otp", "variables_values": "1234", "numbers": "9876543210"}
        mail = {"from": "a@b.co", "to": ["c@d.co"], "subject": "s", "text": "t"}
        key = {"Authorization": "Bearer re_1", "Idempotency-Key": "1"}
        with httpx2.Client(base_url=web.url) as client:
            path = "/fast2sms/dev/bulkV2"
            assert 401 == client.post(path, json=sms).status_code
            taken = client.post(path, json=sms, headers={"authorization": "k"})
            assert taken.json()["return"]
            sms["numbers"] = "123"
            refused = client.post(path, json=sms, headers={"authorization": "k"})
            assert (400, False) == (refused.status_code, refused.json()["return"])
            path = "/resend/emails"
            assert 401 == client.post(path, json=mail).status_code
            first = client.post(path, json=mail, headers=key).json()
            assert first == client.post(path, json=mail, headers=key).json()
            del mail["subject"]
            assert 422 == client.post(path, json=mail, headers=key).status_code
        assert 3 == len(web.requests("fast2sms"))

    def test_google(self, web):
        """A token is signed by a published key."""
        with httpx2.Client() as client:
            keys = client.get(web.url + "/google/oauth2/v3/certs").json()
        key = jwt.PyJWK(keys["keys"][0]).key
        token = web.id_token(aud="mine", email="ada@b.co")
        read = jwt.decode(token, key, ["RS256"], audience="mine")
        assert "ada@b.co" == read["email"]
        old = web.id_token(aud="mine", exp="-5")
        with pytest.raises(jwt.ExpiredSignatureError):
            jwt.decode(old, key, ["RS256"], audience="mine")
        assert ["/oauth2/v3/certs"] == [one["path"] for one in web.requests("google")]

    def test_hook(self, web):
        """Once there is a secret, what it has not signed is refused."""
        from atom.event.signature import signed_headers

        secret = "whsec_" + base64.b64encode(b"0" * 24).decode()
        with httpx2.Client() as client:
            assert 200 == client.post(web.url + "/hook/a", content=b"{}").status_code
            web.sign_with(secret)
            good = signed_headers(secret, "1", int(time.time()), b"{}")
            path = web.url + "/hook/a"
            assert 200 == client.post(path, content=b"{}", headers=good).status_code
            assert 401 == client.post(path, content=b"[]", headers=good).status_code
            assert 400 == client.post(web.url + "/hook/a", content=b"{}").status_code

    def test_answers_can_be_asked_for(self, web):
        """In order; then it answers by itself again. A cut answer is an error."""
        web.script("hook", {"status": 503, "headers": {"retry-after": "1"}})
        web.script("hook", {"cut": True}, {"status": 200, "body": "plain"})
        path = web.url + "/hook/a"
        with httpx2.Client() as client:
            answer = client.post(path)
            assert (503, "1") == (answer.status_code, answer.headers["retry-after"])
            with pytest.raises(httpx2.HTTPError):
                client.post(path)
            assert "plain" == client.post(path).text
            assert {} == client.post(path).json()


SHARING = """
import os, sys
from pathlib import Path
from tests.service import shared

mine = shared.begin()
print(shared.shared("{name}").url or "absent", flush=True)
sys.stdin.read()
if mine:
    shared.end(mine)
"""


def test_processes_of_a_run_share_a_server_that_ends_with_the_last(tmp_path):
    """However that ends: here it is killed."""
    env = {**os.environ, "ATOM_TESTS_RUN": str(tmp_path), "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-c", SHARING.format(name="rabbitmq")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with (
        subprocess.Popen(words, cwd=ROOT, env=env, **pipes) as one,
        subprocess.Popen(words, cwd=ROOT, env=env, **pipes) as other,
    ):
        urls = {one.stdout.readline(), other.stdout.readline()}
        assert 1 == len(urls), urls
        if urls == {"absent\n"}:
            one.kill()
            other.kill()
            machine.absent("rabbitmq")
        port = int(urls.pop().strip().rstrip("/").rpartition(":")[2])
        one.kill()
        one.wait()
        assert is_open("127.0.0.1", port)
        other.kill()
    wait_until(lambda: not is_open("127.0.0.1", port))
