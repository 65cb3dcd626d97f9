"""The server's signing keys, and a signer for each purpose and ad account."""

from __future__ import annotations

from collections.abc import Sequence

from retag.errors import RetagError
from retag.identity import LEAST_KEY, Signer


class WeakKeys(RetagError):
    """The server must not start: nobody could tell its ids from forged ones."""


class Keyring:
    """`keys` go from oldest to newest: the newest signs, all verify. Raises WeakKeys."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys:
            raise WeakKeys("There is no signing key. Run `retag init` on this database.")
        if any(len(key) < LEAST_KEY or len(set(key)) < 8 for key in keys):
            raise WeakKeys(f"A signing key is weak: each needs {LEAST_KEY} random bytes.")
        self._keys = tuple(keys)
        self._signers: dict[tuple[int, str], Signer] = {}

    def signer(self, account: int, purpose: str) -> Signer:
        found = self._signers.get((account, purpose))
        if found is None:
            found = self._signers[account, purpose] = Signer(self._keys, account, purpose)
        return found

    def visitor(self, account: int) -> Signer:
        """For the cookie, which serves all tags of the account."""
        return self.signer(account, "visitor")

    def tag(self, account: int, tag: int) -> Signer:
        """For `Pin-Unauth`, which is good for one tag."""
        return self.signer(account, f"tag.{tag}")
