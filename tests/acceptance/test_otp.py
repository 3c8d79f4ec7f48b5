"""Codes over HTTP: sent by each provider, good once, for one purpose."""

import asyncio
import re
import threading
import urllib.parse
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx2
import pytest

from atom.account.otp import hash_code
from tests.acceptance.conftest import serving
from tests.service import fixture
from tests.service.aws import keys
from tests.service.web import Space

TEMPLATE = {
    "message": "Use {otp} at the shop.",
    "template_id": "1107",
    "entity_id": "1201",
    "sender_id": "ATSHOP",
}
SENDER, SECOND = "shop@example.com", "hello@example.com"
FAULT = (
    "<ErrorResponse><Error><Type>Sender</Type><Code>{}</Code>"
    "<Message>refused</Message></Error></ErrorResponse>"
)


class Amazon:
    """SNS and SES: keeps what was sent, or refuses."""

    def __init__(self):
        self.sent, self.fault = [], None

    def answer(self, form):
        if self.fault:
            return 400, FAULT.format(self.fault)
        self.sent.append(form)
        action = form["Action"]
        result = f"<{action}Result><MessageId>m</MessageId></{action}Result>"
        return 200, f"<{action}Response>{result}</{action}Response>"


@contextmanager
def amazon_served():
    """Serve it; yield it with its URL."""
    amazon = Amazon()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            status, text = amazon.answer(dict(urllib.parse.parse_qsl(body)))
            self.send_response(status)
            self.send_header("content-length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_):
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    amazon.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield amazon
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def amazon():
    with amazon_served() as made:
        yield made


@pytest.fixture(scope="module")
def web():
    return Space(fixture.url("web"))


@pytest.fixture(scope="module")
def api(tmp_path_factory, amazon, web):
    """A server with every provider, whose callers come from any address."""
    config = keys(amazon.url) | {
        "config_fast2sms_url": web.url + "/fast2sms/dev/bulkV2",
        "config_fast2sms_key": "sms-key",
        "config_resend_url": web.url + "/resend/emails",
        "config_resend_key": "mail-key",
        "config_otp_sender_list": f"{SENDER},{SECOND}",
        "config_trusted_proxy_list": "127.0.0.1",
    }
    own = f"config_sns_template_list = [{TEMPLATE!r}]\n"
    folder = tmp_path_factory.mktemp("otp")
    with serving(folder, config=config, config_own=own) as running:
        yield running


@pytest.fixture(autouse=True)
def accepting(amazon):
    amazon.fault = None
    amazon.sent.clear()


NUMBERS = iter(range(10**6))


def new_email():
    return f"p{next(NUMBERS)}@example.com"


def new_mobile():
    return f"+9198{next(NUMBERS):08}"


def far():
    """Return headers of a caller nobody has seen."""
    number = next(NUMBERS)
    return {
        "x-forwarded-for": f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    }


def post(api, path, headers=None, **body):
    return api.call("POST", path, json=body, headers=headers or far())


def code(answer):
    return answer.status_code, answer.json().get("code")


def digits(text):
    (found,) = re.findall(r"\b\d{6}\b", text)
    return found


def mailed(api, amazon, email, **more):
    """Have a code sent by SES; return it."""
    answer = post(api, "/public/otp-send-email-ses", email=email, **more)
    assert (200, "done") == (answer.status_code, answer.json().get("message")), (
        answer.text
    )
    return digits(amazon.sent[-1]["Message.Body.Text.Data"])


def texted(api, amazon, mobile, **more):
    answer = post(api, "/public/otp-send-mobile-sns", mobile=mobile, **more)
    assert 200 == answer.status_code, answer.text
    return digits(amazon.sent[-1]["Message"])


def wrong(right):
    return f"{(int(right) + 1) % 10**6:06}"


def kept(api, **address):
    ((kind, value),) = address.items()
    return api.sql(f"select * from otp where {kind} = $1 order by id", value)


class TestSending:
    """Each provider carries a code; what it refuses leaves nothing behind."""

    def test_by_sns(self, api, amazon):
        mobile = new_mobile()
        made = texted(api, amazon, mobile)
        assert mobile == amazon.sent[-1]["PhoneNumber"]
        (row,) = kept(api, mobile=mobile)
        assert made not in str(dict(row))  # only a hash of it
        verified = post(api, "/public/otp-verify-mobile", otp=made, mobile=mobile)
        assert (200, "done") == (verified.status_code, verified.json()["message"])

    def test_by_a_template_of_sns(self, api, amazon):
        """Only with a template that the operator has listed, word for word."""
        path, mobile = "/public/otp-send-mobile-sns-template", new_mobile()
        assert 200 == post(api, path, mobile=mobile, **TEMPLATE).status_code
        sent = amazon.sent[-1]
        made = digits(sent["Message"])
        assert f"Use {made} at the shop." == sent["Message"]
        assert {"1107", "1201", "ATSHOP"} <= set(sent.values())
        verified = post(api, "/public/otp-verify-mobile", otp=made, mobile=mobile)
        assert 200 == verified.status_code

        for change in (
            {"message": "Buy now: {otp}"},
            {"sender_id": "OTHER"},
            {"template_id": "1"},
            {"entity_id": "1"},
        ):
            answer = post(api, path, mobile=new_mobile(), **TEMPLATE | change)
            assert (403, "otp.not_listed") == code(answer)
            assert "config_sns_template_list" in answer.json()["hint"]
        assert 1 == len(amazon.sent)

    def test_by_fast2sms(self, api, web):
        mobile = new_mobile()
        answer = post(api, "/public/otp-send-mobile-fast2sms", mobile=mobile)
        assert 200 == answer.status_code, answer.text
        sent = web.requests("fast2sms")[-1]["json"]
        assert mobile[3:] == sent["numbers"]
        made = sent["variables_values"]
        assert (
            200
            == post(
                api, "/public/otp-verify-mobile", otp=made, mobile=mobile
            ).status_code
        )

    def test_by_ses(self, api, amazon):
        email = new_email()
        made = mailed(api, amazon, email.upper())  # one normal form both times
        sent = amazon.sent[-1]
        assert SENDER == sent["Source"]  # the first of the list
        assert email == sent["Destination.ToAddresses.member.1"]
        assert made not in sent["Message.Subject.Data"]
        verified = post(api, "/public/otp-verify-email", otp=made, email=f" {email}")
        assert 200 == verified.status_code

    def test_by_resend(self, api, web):
        email = new_email()
        body = {"email": email, "sender_email": SECOND}
        answer = post(api, "/public/otp-send-email-resend", **body)
        assert 200 == answer.status_code, answer.text
        sent = web.requests("resend")[-1]["json"]
        assert ([email], SECOND) == (sent["to"], sent["from"])
        made = digits(sent["text"])
        assert (
            200
            == post(api, "/public/otp-verify-email", otp=made, email=email).status_code
        )

    @pytest.mark.parametrize("provider", ["ses", "resend"])
    def test_sender_must_be_listed(self, api, amazon, web, provider):
        before = len(web.requests("resend"))
        for sender in (
            "boss@example.com",
            f"{SENDER}\nBcc: x@example.com",
            f"x,{SENDER}",
        ):
            path = f"/public/otp-send-email-{provider}"
            answer = post(api, path, email=new_email(), sender_email=sender)
            assert (403, "otp.not_listed") == code(answer), answer.text
        assert [] == amazon.sent and before == len(web.requests("resend"))

    def test_what_a_provider_refuses_leaves_nothing(self, api, amazon, web):
        """The code sent before is still good."""
        mobile, email = new_mobile(), new_email()
        first = texted(api, amazon, mobile)
        amazon.fault = "AuthorizationError"
        answer = post(api, "/public/otp-send-mobile-sns", mobile=mobile)
        assert (502, "client.refused") == code(answer)
        answer = post(api, "/public/otp-send-email-ses", email=email)
        assert (502, "client.refused") == code(answer)
        web.script("fast2sms", {"status": 401, "body": {"return": False}})
        answer = post(api, "/public/otp-send-mobile-fast2sms", mobile=mobile)
        assert (502, "client.refused") == code(answer)
        web.script("resend", {"cut": True})
        answer = post(api, "/public/otp-send-email-resend", email=email)
        assert (503, "client.silent") == code(answer)
        assert 1 == len(kept(api, mobile=mobile)) and not kept(api, email=email)
        verified = post(api, "/public/otp-verify-mobile", otp=first, mobile=mobile)
        assert 200 == verified.status_code

    @pytest.mark.parametrize(
        "bad", ["x", "a@b", "a@b.c\r\nBcc: d@e.fr", "a@b.c,d@e.fr"]
    )
    def test_address_that_is_none(self, api, amazon, bad):
        for path in ("/public/otp-send-email-ses", "/public/otp-send-email-resend"):
            answer = post(api, path, email=bad)
            assert answer.status_code == 400, answer.text
        assert 400 == post(api, "/public/otp-send-mobile-sns", mobile=bad).status_code
        assert [] == amazon.sent

    def test_national_number_has_no_country_for_sns(self, api):
        answer = post(api, "/public/otp-send-mobile-sns", mobile="9876543210")
        assert (400, "identity.unreadable") == code(answer)

    def test_one_address_is_not_sent_many(self, api, amazon):
        """By one caller, nor by many; another address is served."""
        here, email = far(), new_email()
        path = "/public/otp-send-email-ses"
        seen = [post(api, path, here, email=email).status_code for _ in range(6)]
        assert [200] * 5 + [429] == seen
        answer = post(api, path, here, email=email)
        assert (429, "otp.too_often") == code(answer)
        assert int(answer.headers["retry-after"]) > 0
        assert 200 == post(api, path, here, email=new_email()).status_code
        # Its owner, from elsewhere, is not shut out by one stranger.
        assert 200 == post(api, path, email=email.upper()).status_code
        others = [post(api, path, email=email).status_code for _ in range(12)]
        assert 429 in others and len(amazon.sent) <= 17

    def test_one_caller_does_not_write_to_everybody(self, api, amazon):
        here = far()
        paths = ("/public/otp-send-email-ses", "/public/otp-send-email-resend")
        seen = [
            post(api, paths[n % 2], here, email=new_email()).status_code
            for n in range(70)
        ]
        assert 429 in seen and seen.count(200) <= 60


class TestUse:
    """Once, for 10 minutes, 5 tries, for one purpose."""

    def test_as_a_number(self, api, amazon):
        """JSON has no zeros before a number."""
        email = new_email()
        mailed(api, amazon, email)
        stored = hash_code("004217", email, api.config["config_key_jwt"])
        api.sql("update otp set otp = $1 where email = $2", stored, email)
        answer = post(api, "/auth/login-otp-email", otp=4217, email=email)
        assert 200 == answer.status_code, answer.text

    def test_only_the_latest_and_only_once(self, api, amazon):
        email = new_email()
        first, second = (mailed(api, amazon, email) for _ in range(2))
        for one in (first, second, second):
            answer = post(api, "/public/otp-verify-email", otp=one, email=email)
            good = one == second and answer.status_code == 200
            assert good or (401, "otp.invalid") == code(answer)
        (_, row) = kept(api, email=email)
        assert row["used_at"] is not None

    def test_five_tries(self, api, amazon):
        email = new_email()
        made = mailed(api, amazon, email)
        for _ in range(5):
            answer = post(api, "/public/otp-verify-email", otp=wrong(made), email=email)
            assert (401, "otp.invalid") == code(answer)
        answer = post(api, "/public/otp-verify-email", otp=made, email=email)
        assert (401, "otp.invalid") == code(answer)

    def test_ten_minutes(self, api, amazon):
        email = new_email()
        made = mailed(api, amazon, email)
        api.sql(
            "update otp set created_at = now() - interval '601 s' where email = $1",
            email,
        )
        answer = post(api, "/public/otp-verify-email", otp=made, email=email)
        assert (401, "otp.invalid") == code(answer)

    def test_for_another_address(self, api, amazon):
        made = mailed(api, amazon, new_email())
        answer = post(api, "/public/otp-verify-email", otp=made, email=new_email())
        assert (401, "otp.invalid") == code(answer)

    def test_a_purpose_is_kept(self, api, amazon):
        """A code to change an address does not log in, nor the other way round."""
        email = new_email()
        change = mailed(api, amazon, email, purpose="change")
        login = mailed(api, amazon, email, purpose="login")
        assert "log in" in amazon.sent[-1]["Message.Body.Text.Data"]
        answer = post(api, "/auth/login-otp-email", otp=change, email=email)
        assert (401, "otp.invalid") == code(answer)
        answer = post(api, "/public/otp-verify-email", otp=login, email=email)
        assert (401, "otp.invalid") == code(answer)
        assert (
            200
            == post(api, "/auth/login-otp-email", otp=login, email=email).status_code
        )
        person = api.person()
        path = f"/my/object-update?table=users&otp={change}"
        body = {"id": person.id, "email": email}
        answer = api.call("PUT", path, person, json=body)
        assert 409 == answer.status_code  # the code is right, the address now taken
        answer = post(api, "/public/otp-send-email-ses", email=email, purpose="x")
        assert 422 == answer.status_code or 400 == answer.status_code

    def test_twenty_at_once(self, api, amazon):
        """One wins."""
        email = new_email()
        made = mailed(api, amazon, email)

        async def race():
            async with httpx2.AsyncClient(timeout=60) as client:
                path = api.url + "/public/otp-verify-email"
                body = {"otp": made, "email": email}
                each = (client.post(path, json=body, headers=far()) for _ in range(20))
                return [one.status_code for one in await asyncio.gather(*each)]

        assert [200] + [401] * 19 == sorted(asyncio.run(race()))

    def test_guesses_are_bounded_over_many_codes(self, api, amazon):
        """A new code brings no ten new tries for ever."""
        email, here, seen = new_email(), far(), []
        for _ in range(3):
            made = mailed(api, amazon, email)
            seen += [
                post(api, "/auth/login-otp-email", here, otp=wrong(made), email=email)
                for _ in range(5)
            ]
        assert [401] * 10 + [429] * 5 == [one.status_code for one in seen]


class TestLogin:
    """With a code alone."""

    @pytest.mark.parametrize("kind", ["email", "mobile"])
    def test_new_person_and_the_same_again(self, api, amazon, kind):
        address = new_email() if kind == "email" else new_mobile()
        send = mailed if kind == "email" else texted
        ids = set()
        for _ in range(2):
            made = send(api, amazon, address)
            answer = post(api, f"/auth/login-otp-{kind}", otp=made, **{kind: address})
            assert 200 == answer.status_code, answer.text
            assert answer.json()["refresh_token"] and answer.json()["expires_in"]
            bearer = {"Authorization": f"Bearer {answer.json()['message']}"}
            profile = api.message("GET", "/my/profile", headers=bearer)
            assert (address, 1) == (profile[kind], profile["type"])
            ids.add(profile["id"])
        assert 1 == len(ids)

    def test_wrong_code_makes_nobody(self, api, amazon):
        email = new_email()
        made = mailed(api, amazon, email)
        answer = post(api, "/auth/login-otp-email", otp=wrong(made), email=email)
        assert (401, "otp.invalid") == code(answer)
        assert [] == api.sql("select id from users where email = $1", email)

    def test_inactive_and_deleted(self, api, amazon):
        for column, value, expected in (
            ("is_active", 0, (403, "active.inactive")),
            ("is_deleted", 1, (409, "account.exists")),
        ):
            email = new_email()
            api.person(email=email, **{column: value})
            made = mailed(api, amazon, email)
            answer = post(api, "/auth/login-otp-email", otp=made, email=email)
            assert expected == code(answer)

    def test_type_that_may_not_sign_up(self, api, amazon):
        email = new_email()
        made = mailed(api, amazon, email)
        answer = post(api, "/auth/login-otp-email", otp=made, email=email, type=3)
        assert (400, "account.unknown_type") == code(answer)

    def test_own_address_is_changed_with_a_sent_code(self, api, amazon):
        person, email = api.person(), new_email()
        made = mailed(api, amazon, email, purpose="change")
        path = f"/my/object-update?table=users&otp={made}"
        api.message("PUT", path, person, json={"id": person.id, "email": email})
        assert email == api.message("GET", "/my/profile", person)["email"]

    def test_nothing_of_it_is_in_the_log(self, api, amazon):
        email = new_email()
        made = mailed(api, amazon, email)
        post(api, "/auth/login-otp-email", otp=made, email=email)
        assert made not in api.log.read_text()


def test_without_providers(tmp_path):
    """The routes name what is unset; a closed sign-up makes nobody."""
    with amazon_served() as amazon:
        config = {"config_otp_sender_list": SENDER, "config_is_signup": "0"}
        config |= keys(amazon.url) | {"config_sns_region_name": ""}
        with serving(tmp_path, config=config) as api:
            for path, key in (
                ("mobile-sns", "config_sns_region_name"),
                ("mobile-fast2sms", "config_fast2sms_key"),
                ("email-resend", "config_resend_key"),
            ):
                kind = path.partition("-")[0]
                body = {kind: new_email() if kind == "email" else new_mobile()}
                answer = post(api, f"/public/otp-send-{path}", **body)
                assert (503, "client.missing") == code(answer), answer.text
                assert key in answer.text
            email = new_email()
            made = mailed(api, amazon, email)
            answer = post(api, "/auth/login-otp-email", otp=made, email=email)
            assert (403, "account.closed") == code(answer)
            known = api.sql(
                "insert into users (type, email) values (1, 'k@example.com')"
                " returning id"
            )
            assert known
            made = mailed(api, amazon, "k@example.com")
            body = {"otp": made, "email": "k@example.com"}
            assert 200 == post(api, "/auth/login-otp-email", **body).status_code


def test_bad_configuration_is_named(tmp_path):
    """A text without the code, a template with a missing part."""
    own = "config_sns_template_list = [{'message': 'no code', 'template_id': '1'}]\n"
    with (
        pytest.raises(RuntimeError) as caught,
        serving(tmp_path, config={"config_otp_text": "hello"}, config_own=own),
    ):
        raise AssertionError("it started")
    assert "config_otp_text" in str(caught.value)
    assert "config_sns_template_list" in str(caught.value)
