"""Signatures of webhooks, and where a webhook may go."""

from ipaddress import ip_address

import pytest

from atom.event.signature import key_of, signature
from atom.event.webhook import is_public

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def test_the_signature_is_that_of_the_specification():
    """The example that receivers test their libraries with."""
    body = b'{"test": 2432232314}'
    found = signature(SECRET, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)

    assert "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" == found


@pytest.mark.parametrize(
    "secret", ["", "MfKQ9r8GKYqrTwjU", "whsec_!", "whsec_c2hvcnQ="]
)
def test_a_secret_is_24_bytes_or_more(secret):
    """With its prefix, in base64."""
    with pytest.raises(ValueError, match=r"expected"):
        key_of(secret)


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254"),
        *("0.0.0.0", "100.64.0.1", "224.0.0.1", "255.255.255.255", "198.18.0.1"),
        *("::1", "fc00::1", "fe80::1", "::ffff:127.0.0.1", "64:ff9b::a00:1"),
        *("2002:7f00:1::", "ff02::1", "::", "2001:db8::1"),
    ],
)
def test_private_addresses_are_known(address):
    """However they are written."""
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700::1111", "64:ff9b::101:101"])
def test_public_addresses_are_known(address):
    """Those of the internet."""
    assert is_public(ip_address(address))
