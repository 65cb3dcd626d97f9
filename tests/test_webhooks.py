"""Webhooks without a network: the signature, and where nothing may be sent."""

from __future__ import annotations

import base64
import ipaddress
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retag import errors, webhooks
from retag.settings import networks

INSIDE = networks("127.0.0.0/8,10.0.0.0/8")


def addresses(*texts):
    return [ipaddress.ip_address(text) for text in texts]


def test_signature_is_the_specifications():
    """Its own example: github.com/standard-webhooks, libraries' tests."""
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    found = webhooks.signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert found == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_body_says_what_and_when():
    """Type, time in UTC, and the facts."""
    found = json.loads(webhooks.body(webhooks.ABOVE, 1_795_478_400_123, {"size": 3}))
    assert found == {
        "type": "audience.above", "timestamp": "2026-11-24T00:00:00.123Z", "data": {"size": 3},
    }  # fmt: skip


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0",
        "100.64.0.1", "192.0.2.1", "198.18.0.1", "224.0.1.1", "240.0.0.1", "255.255.255.255",
        "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fec0::1", "ff02::1", "2001:db8::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::",
        "2001:0:4136:e378:8000:63bf:80ff:fffe",
    ],
)  # fmt: skip
def test_address_that_is_not_of_the_open_internet_is_refused(address):
    """Loopback, private, link-local, shared, reserved, and IPv6 that stands for one of them."""
    with pytest.raises(errors.Invalid, match="RETAG_WEBHOOK_NETWORKS"):
        webhooks.allowed(addresses(address), True, ())


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1", "64:ff9b::5db8:d822"])
def test_public_address_is_allowed_with_tls_alone(address):
    """A signature is no secrecy."""
    webhooks.allowed(addresses(address), True, ())
    with pytest.raises(errors.Invalid, match="without TLS"):
        webhooks.allowed(addresses(address), False, INSIDE)


def test_every_address_of_a_name_must_be_allowed():
    """One public one does not excuse a private one."""
    webhooks.allowed(addresses("127.0.0.1", "10.0.0.1"), False, INSIDE)
    for odd in ("192.168.0.1", "::1"):
        with pytest.raises(errors.Invalid):
            webhooks.allowed(addresses("93.184.216.34", odd), True, INSIDE)


@given(st.ip_addresses())
def test_address_and_what_stands_for_it_are_judged_alike(address):
    """No way of writing an IPv4 address gets around the check."""
    if address.version == 4:
        number = int(address)
        for disguise in (
            (0xFFFF << 32) | number,
            (0x64FF9B << 96) | number,
            (0x2002 << 112) | (number << 80),
        ):
            assert webhooks.is_public(ipaddress.IPv6Address(disguise)) is webhooks.is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "http://shop.example/", "ftp://shop.example/", "shop.example/hook", "https://", "https:///hook",
        "https://ann:secret@shop.example/", "https://shop.example/#here", "https://shop.example:99999/",
        "https://shop.example:0/", "https://shop.example/a b", "https://shop.example/\r\nX: y",
        "https://127.0.0.1/", "https://[::1]/", "https://[fe80::1", "https://a..b/",
        "https://.shop.example/", f"https://{'a' * 64}.example/", "https://shop.example/" + "a" * 2_000, "",
    ],
)  # fmt: skip
def test_url_that_cannot_be_sent_to_is_refused_when_it_is_given(url):
    """And the refusal names the field."""
    with pytest.raises(errors.Invalid) as refused:
        webhooks.check_url(url, ())
    assert refused.value.field == "url"


def test_plain_http_needs_a_network_of_ones_own():
    """Then it may be given; where it leads is checked when it is sent."""
    assert webhooks.check_url("http://hooks.internal:8080/a?b", INSIDE).port == 8080
    assert webhooks.check_url("http://127.0.0.1:8080/", INSIDE).hostname == "127.0.0.1"
    with pytest.raises(errors.Invalid):
        webhooks.check_url("http://93.184.216.34/", INSIDE)
