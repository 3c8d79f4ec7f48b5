"""Services that speak HTTP: OpenAI, PostHog, Fast2SMS, Resend."""

import asyncio
import time
from types import SimpleNamespace

import pytest

import function
from atom.client import opened
from atom.client.http import FAST2SMS, HTTP, RESEND
from atom.client.openai import OPENAI
from atom.client.posthog import POSTHOG
from atom.config import keys
from atom.errors import ApiError, Unavailable
from tests import web
from tests.served import free_port
from tests.web import KEY

DEFAULTS = {key.name: key.default for key in keys.KEYS}
PNG = b"\x89PNG\r\n\x1a\n" + b"x" * 20


def ports(live):
    """Return what the functions take: ports with these clients."""
    return SimpleNamespace(clients=live)


def near(service, **values):
    """Open the clients on one stand-in."""
    config = {
        **DEFAULTS,
        "config_openai_key": KEY,
        "config_openai_base_url": service.url,
        "config_openai_retry": 1,
        "config_posthog_project_key": KEY,
        "config_posthog_project_host": service.url,
        "config_fast2sms_url": f"{service.url}/dev/bulkV2",
        "config_fast2sms_key": KEY,
        "config_resend_url": f"{service.url}/emails",
        "config_resend_key": KEY,
        **values,
    }
    return opened((HTTP, FAST2SMS, RESEND, OPENAI, POSTHOG), config)


class TestOpenai:
    """`function_openai_prompt`, `_stream` and `_ocr`."""

    async def test_prompt_is_answered(self):
        """With the model of config, or another."""
        with web.web(web.openai) as service:
            async with near(service, config_openai_model="small") as live:
                prompt = function.function_openai_prompt
                assert "hello you" == await prompt(ports(live), "hello you")
                asked = [{"role": "system", "content": "x"}]
                asked += [{"role": "user", "content": "second"}]
                assert "second" == await prompt(
                    ports(live), asked, model="large", temperature=0
                )

        bodies = [each.json for each in service.asked]
        assert ["small", "large"] == [each["model"] for each in bodies]
        assert 0 == bodies[1]["temperature"]

    async def test_stream_comes_in_pieces(self):
        """Piece by piece."""
        with web.web(web.openai) as service:
            async with near(service) as live:
                pieces = function.function_openai_stream(ports(live), "one two three")
                assert ["one", "two", "three"] == [each async for each in pieces]

    @pytest.mark.parametrize(
        ("source", "seen"),
        [
            (PNG, "data:image/png;base64,"),
            (b"\xff\xd8\xff rest", "data:image/jpeg;base64,"),
            (b"RIFF1234WEBPxx", "data:image/webp;base64,"),
            (b"%PDF-1.7 rest", "data:application/pdf;base64,"),
            ("https://h/a.png", "https://h/a.png"),
        ],
        ids=["png", "jpeg", "webp", "pdf", "url"],
    )
    async def test_ocr_takes_files_and_urls(self, source, seen):
        """Each as its kind."""
        with web.web(web.openai) as service:
            async with near(service) as live:
                ocr = function.function_openai_ocr
                found = await ocr(ports(live), source, page=3, prompt="Read.")

        assert found.startswith(f"Read. Only page 3. {seen}")

    @pytest.mark.parametrize("source", [b"MZ\x90 program", "file:///etc/passwd", b""])
    async def test_ocr_refuses_what_is_no_document(self, source):
        """Before anything is sent."""
        with web.web(web.openai) as service:
            async with near(service) as live:
                with pytest.raises(ApiError, match="neither an image") as caught:
                    await function.function_openai_ocr(ports(live), source)

        assert (400, []) == (caught.value.status, service.asked)

    async def test_wrong_key_names_the_key_and_not_its_value(self):
        """What OpenAI answers repeats the key."""
        with web.web(web.openai) as service:
            async with near(service, config_openai_key="sk-wrong") as live:
                with pytest.raises(ApiError) as caught:
                    await function.function_openai_prompt(ports(live), "x")

        error = caught.value
        assert ("client.refused", 502) == (error.code, error.status)
        assert "config_openai_key" in error.hint
        assert "sk-wrong" not in error.message

    async def test_time_is_bounded_with_its_tries(self):
        """A service that hangs is left."""
        with web.web(lambda asked: time.sleep(3) or web.openai(asked)) as service:
            async with near(
                service, config_openai_timeout_sec=0.5, config_openai_retry=5
            ) as live:
                began = time.monotonic()
                with pytest.raises(Unavailable) as caught:
                    await function.function_openai_prompt(ports(live), "x")
                with pytest.raises(Unavailable):
                    pieces = function.function_openai_stream(ports(live), "x")
                    _ = [each async for each in pieces]
                took = time.monotonic() - began

        assert "client.silent" == caught.value.code
        assert took < 2

    async def test_tries_are_bounded(self):
        """One more than config_openai_retry."""
        with web.web(web.refusing(503)) as service:
            async with near(service, config_openai_retry=2) as live:
                with pytest.raises(Unavailable):
                    await function.function_openai_prompt(ports(live), "x")

        assert 3 == len(service.asked)


class TestPosthog:
    """`function_posthog_capture`."""

    async def test_all_is_sent_at_the_end(self):
        """What was captured just before the close is there."""
        with web.web(web.posthog) as service:
            async with near(service) as live:
                for number in range(250):
                    done = function.function_posthog_capture(
                        ports(live), "bought", 7, {"number": number}
                    )
                    assert done

        events = [each for one in service.asked for each in one.json["batch"]]
        assert list(range(250)) == sorted(e["properties"]["number"] for e in events)
        assert {"7"} == {event["distinct_id"] for event in events}

    async def test_close_is_bounded_and_counts_what_is_lost(self, caplog):
        """PostHog is away: the server stops nevertheless, and the log says how many."""
        away = SimpleNamespace(url=f"http://127.0.0.1:{free_port()}")
        async with near(away) as live:
            for _ in range(150):
                function.function_posthog_capture(ports(live), "bought", 7)
            began = time.monotonic()
        assert time.monotonic() - began < 5.5
        lines = [one.getMessage() for one in caplog.records if "lost" in one.message]
        assert 150 == sum(int(line.split()[1]) for line in lines)
        assert KEY not in caplog.text

    async def test_full_queue_is_counted(self, caplog):
        """Capture never waits."""
        with web.web(lambda asked: time.sleep(1) or web.posthog(asked)) as service:
            async with near(service) as live:
                live["client_posthog"].raw.queue.maxsize = 10
                taken = [
                    function.function_posthog_capture(ports(live), "x", 1)
                    for _ in range(500)
                ]
                refused = taken.count(None)
                assert 0 < refused == live["client_posthog"].lost.count
        assert "too many wait" in caplog.text


class TestResend:
    """`function_resend_send`."""

    async def test_mail_is_sent(self):
        """Its id comes back."""
        with web.web(web.resend) as service:
            async with near(service) as live:
                found = await function.function_resend_send(
                    ports(live), "a@x.com", "Hi", sender="me@x.com", text="Hello."
                )

        assert 36 == len(found)
        (asked,) = service.asked
        assert ("/emails", ["a@x.com"]) == (asked.path, asked.json["to"])
        assert "html" not in asked.json

    async def test_key_that_is_refused(self):
        """Names the key of config."""
        with web.web(web.resend) as service:
            async with near(service, config_resend_key="wrong-key") as live:
                with pytest.raises(ApiError) as caught:
                    await function.function_resend_send(
                        ports(live), "a@x.com", "Hi", sender="me@x.com", text="Hello."
                    )

        assert ("client.refused", 502) == (caught.value.code, caught.value.status)
        assert "config_resend_key" in caught.value.hint

    async def test_reason_is_passed_on_without_the_key(self):
        """What is lacking is named as Resend names it."""
        with web.web(web.resend) as service:
            async with near(service) as live:
                send = function.function_resend_send
                with pytest.raises(ApiError, match="Missing `html`"):
                    await send(ports(live), "a@x.com", "Hi", sender="me@x.com")
                service.answer = web.refusing(400)
                with pytest.raises(ApiError) as caught:
                    await send(ports(live), "a@x.com", "Hi", sender="me@x.com")

        assert KEY not in caught.value.message

    @pytest.mark.parametrize(("key", "tries"), [("", 1), ("once", 2)])
    async def test_only_what_is_sent_once_is_tried_again(self, key, tries):
        """A mail without an idempotency key is never sent twice."""
        with web.web(web.refusing(503)) as service:
            async with near(service) as live:
                with pytest.raises(Unavailable):
                    await function.function_resend_send(
                        ports(live), "a@x.com", "Hi", sender="a@b.c", text="x", key=key
                    )

        assert tries == len(service.asked)
        assert {key} == {
            one.headers.get("idempotency-key", "") for one in service.asked
        }


class TestFast2sms:
    """`function_fast2sms_send`."""

    async def test_code_is_sent(self):
        """With the number as it takes it, and the key not in the URL."""
        with web.web(web.fast2sms) as service:
            async with near(service) as live:
                send = function.function_fast2sms_send
                found = await send(ports(live), "+91 98765 43210", "123456")

        assert "lwdtp7cjyqxvfe9" == found
        assert KEY not in service.asked[0].path

    async def test_refusal_with_200_is_a_refusal(self):
        """The reason is that of Fast2SMS."""
        with web.web(web.fast2sms) as service:
            async with near(service) as live:
                with pytest.raises(ApiError, match="Invalid Numbers"):
                    await function.function_fast2sms_send(ports(live), "12", "123456")

    async def test_away_is_told_in_time(self):
        """Nothing listens: connected twice, then given up."""
        away = SimpleNamespace(url=f"http://127.0.0.1:{free_port()}")
        async with near(away) as live:
            with pytest.raises(Unavailable) as caught:
                await function.function_fast2sms_send(ports(live), "9876543210", "1")

        assert "client.silent" == caught.value.code
        assert "config_fast2sms_url" in caught.value.hint


async def test_without_keys_the_key_is_named():
    """A function whose service is off names what to set."""
    async with opened((HTTP, FAST2SMS, RESEND, OPENAI, POSTHOG), DEFAULTS) as live:
        calls = {
            "config_openai_key": function.function_openai_prompt(ports(live), "x"),
            "config_resend_url": function.function_resend_send(
                ports(live), "a", "b", sender="c"
            ),
            "config_fast2sms_url": function.function_fast2sms_send(
                ports(live), "1", "2"
            ),
        }
        for key, call in calls.items():
            with pytest.raises(Unavailable) as caught:
                await call
            assert key in caught.value.hint
            assert "client.missing" == caught.value.code


async def test_many_at_once_share_the_pool():
    """Fifty mails on one client."""
    with web.web(web.resend) as service:
        async with near(service) as live:
            send = function.function_resend_send
            found = await asyncio.gather(
                *(
                    send(ports(live), "a@x.com", "Hi", sender="me@x.com", text="x")
                    for _ in range(50)
                )
            )

    assert 50 == len(set(found))
