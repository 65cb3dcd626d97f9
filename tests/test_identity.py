"""Visitor ids: in time order, signed, and taken back in one spelling alone."""

from __future__ import annotations

import base64
import string
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hits import ACCOUNT, ENTROPY, KEYS, NOW
from retag.identity import Signer, cookie_header, cookies_of, is_plain, mint, mints
from retag.keyring import Keyring, WeakKeys

ID = mint(NOW, ENTROPY)


def signer(keys=KEYS, account=ACCOUNT, purpose="visitor"):
    return Signer(keys, account, purpose)


def test_an_id_is_a_uuid_of_version_7_and_sorts_by_time():
    """RFC 9562 §5.7."""
    found = uuid.UUID(bytes=ID)
    assert (found.version, found.variant) == (7, uuid.RFC_4122)
    assert ID[:6] == NOW.to_bytes(6, "big")
    assert mint(NOW, b"\xff" * 10) < mint(NOW + 1, bytes(10))


@given(st.binary(min_size=10, max_size=16), st.integers(0, (1 << 48) - 1))
def test_ids_minted_together_are_ids_and_differ(entropy, now):
    """However many share a time and its random bytes."""
    found = mints(now, entropy, 1000)
    assert len(set(found)) == 1000
    assert found[0] == mint(now, entropy)
    assert all(one[:6] == now.to_bytes(6, "big") and uuid.UUID(bytes=one).version == 7 for one in found[::99])


@given(st.binary(min_size=16, max_size=16))
def test_what_was_signed_is_verified(visitor):
    """For any id."""
    token = signer().sign(visitor)
    assert signer().verify(token) == visitor
    assert len(token) <= 120


def test_one_spelling_is_accepted():
    """base64's last character is malleable, padding and stray characters are ignored by decoders."""
    token = signer().sign(ID)
    alphabet = string.ascii_letters + string.digits + "-_"
    spellings = {token[:-1] + one for one in alphabet} | {token[:21] + one + token[22:] for one in alphabet}
    spellings |= {
        token + "=",
        token + "==",
        token + "é",
        " " + token,
        token + "\n",
        token.upper(),
        "\ud800" + token,
    }
    assert [one for one in spellings if signer().verify(one)] == [token]


@pytest.mark.parametrize(
    "other", [signer(account=1), signer(purpose="tag.1"), signer(keys=(bytes(range(64, 96)),))]
)
def test_a_token_is_good_for_one_purpose_of_one_account(other):
    """And for one server's keys."""
    assert other.verify(signer().sign(ID)) is None


def test_rotation_resets_nobody():
    """The newest key signs, every key verifies; a key that is gone does not."""
    old, both, new = signer(KEYS[:1]), signer(KEYS), signer(KEYS[1:])
    assert both.verify(old.sign(ID)) == ID
    assert new.verify(both.sign(ID)) == ID
    assert new.verify(old.sign(ID)) is None


@given(st.text())
def test_garbage_is_nobody(text):
    """Never an error."""
    assert signer().verify(text) is None


@pytest.mark.parametrize("keys", [[], [b"short"], [bytes(32)], [KEYS[0], b"a" * 64]])
def test_weak_keys_are_refused(keys):
    """No key, a short one, one of a single byte."""
    with pytest.raises(WeakKeys):
        Keyring(keys)


def test_the_cookie_is_read_among_others():
    """The protected name wins; the plain one, which another host of the domain could set, is for loopback."""
    assert cookies_of("a=b; retag=plain; __Host-retag=safe", plain=True) == {"safe"}
    assert cookies_of("xretag=1; retag=plain", plain=True) == {"plain"}
    assert cookies_of("xretag=1; retag=plain", plain=False) == set()
    assert cookies_of("", plain=True) == cookies_of(";;=;retag;retag=", plain=True) == set()


@pytest.mark.parametrize(
    ("host", "secure", "wanted"),
    [
        ("localhost:8000", False, True),
        ("127.0.0.1", False, True),
        ("[::1]:8000", False, True),
        ("127.0.0.1", True, False),
        ("shop.example", False, False),
        ("localhost.shop.example:80", False, False),
        ("", False, False),
    ],
)
def test_the_plain_cookie_is_for_plain_loopback(host, secure, wanted):
    """Everywhere else browsers keep it only with Secure and the prefix."""
    assert is_plain(host, secure) is wanted


def test_of_several_cookies_none_is_taken():
    """Whoever plants a second valid id gains nothing; a stale or forged one beside ours does no harm."""
    own, planted = signer().sign(ID), signer().sign(bytes(16))
    assert signer().only([own, own]) == ID
    assert signer().only([own, own[:-1] + "!", "forged"]) == ID
    assert signer().only([own, planted]) is None
    assert signer().only([]) is None


def test_the_cookie_lives_395_days_and_is_cleared_by_an_empty_value():
    """CNIL's 13 months, below the 400 days that browsers grant."""
    assert "Max-Age=34128000" in cookie_header("x", plain=False)
    assert cookie_header("", plain=False).startswith("__Host-retag=; ")
    assert "Max-Age=0" in cookie_header("", plain=True)


def test_base64_of_the_id_has_no_padding():
    """A cookie's value may not hold `=` on some proxies."""
    assert "=" not in signer().sign(ID)
    assert base64.urlsafe_b64decode(signer().sign(ID)[:22] + "==") == ID
