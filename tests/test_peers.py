"""Who is on the other end: only what a trusted proxy appended counts."""

from __future__ import annotations

import pytest

from retag.settings import networks
from retag.web.peers import Peers, block, read, within

PROXIES = networks("10.0.0.0/8, 2001:db8::/32")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1:4711", "192.0.2.1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        (" 192.0.2.1 ", "192.0.2.1"),
    ],
)
def test_an_address_is_read_in_any_of_its_spellings(text: str, address: str) -> None:
    """Ports, brackets, zones and IPv4 inside IPv6: splitting at the colon is how others went wrong."""
    assert str(read(text)) == address


@pytest.mark.parametrize(
    "text", ["", "unknown", "_hidden", "1.2.3", "1.2.3.4.5", "::1::", "<script>", "٣.1.1.1"]
)
def test_anything_else_is_no_address(text: str) -> None:
    """Forwarding headers may name the client `unknown` or hide it (RFC 7239 §6)."""
    assert read(text) is None


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),  # no proxy of ours: its header is its own invention
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "6.6.6.6, 198.51.100.1", "198.51.100.1"),  # the left is the client's own claim
        ("10.0.0.1", "198.51.100.1, 10.0.0.2", "198.51.100.1"),  # two of our proxies
        ("10.0.0.1", "198.51.100.1, junk, 10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "10.0.0.5", "10.0.0.5"),
        ("2001:db8::1", "::ffff:198.51.100.1", "198.51.100.1"),
    ],
)
def test_the_header_is_walked_from_the_right(peer: str, forwarded: str, client: str) -> None:
    """The client is the first address from the right that is no trusted proxy."""
    assert Peers(PROXIES).client(peer, forwarded).address == client


@pytest.mark.parametrize(
    ("trusted", "peer", "anyone"),
    [
        ("", "127.0.0.1", True),
        ("", "192.168.1.4", True),
        ("", "", True),
        ("", "8.8.8.8", False),
        ("10.0.0.0/8", "10.0.0.1", False),
    ],
)
def test_a_private_peer_speaks_for_all_until_a_proxy_is_trusted(
    trusted: str, peer: str, anyone: bool
) -> None:
    """Behind an unknown proxy a limit by address would lock everybody out at once."""
    assert Peers(networks(trusted)).client(peer, "").anyone is anyone


def test_ipv6_is_limited_by_subscriber() -> None:
    """One subscriber owns a /64, and would otherwise have 2^64 names."""
    one, other = read("2001:db8:1:2::1"), read("2001:db8:1:2:ffff::9")
    assert one is not None
    assert other is not None
    assert block(one) == block(other)


def test_nobody_can_trust_the_whole_internet() -> None:
    """`0.0.0.0/0` would believe whatever the leftmost hop claims."""
    for everything in ("0.0.0.0/0", "::/0"):
        with pytest.raises(ValueError, match="whole Internet"):
            networks(everything)
    assert not within(read("8.8.8.8"), ())


def test_a_flood_of_headers_holds_no_memory() -> None:
    """What is remembered of forwarding headers is bounded, in number and in length."""
    peers = Peers(PROXIES, most=100)
    for number in range(1000):
        peers.client("10.0.0.1", f"junk{number}," * 1000 + "198.51.100.1")
    assert len(peers._known) <= 100
    assert max(len(forwarded) for _, forwarded in peers._known) <= 1000
    assert peers.client("10.0.0.1", "junk," * 1000 + "198.51.100.1").address == "198.51.100.1"
