"""What can go wrong, each with the HTTP status and code it deserves, and what to do about it.

API errors answer `{code, message}` in the codes of Pinterest's reference; `outcome` is the door's word for
the same refusal (contract: the closed list of outcomes), None where the door never says it.
"""

from __future__ import annotations


class RetagError(Exception):
    """The root: str(error) is the message, which tells what to do next."""

    status = 500
    code = 0
    outcome: str | None = None
    default = "Something went wrong on this server; its log says what."

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.default)

    def headers(self) -> dict[str, str]:
        """Headers that belong to the answer."""
        return {}


class Invalid(RetagError):
    """A field is wrong: names it and the remedy."""

    status, code, outcome = 400, 4196, "malformed"

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field


class Unauthorized(RetagError):
    """No key, or a wrong one: one constant answer."""

    status, code = 401, 2
    default = "Authentication failed."

    def headers(self) -> dict[str, str]:
        return {"www-authenticate": 'Bearer realm="retag"'}


class Forbidden(RetagError):
    status, code = 403, 29
    default = "You are not permitted to access that resource."


class NotFound(RetagError):
    status, code = 404, 4041
    default = "Not found."


class MethodNotAllowed(RetagError):
    """The address exists, not with this method; `allowed` are the ones it has."""

    status, code = 405, 4051

    def __init__(self, allowed: tuple[str, ...]) -> None:
        super().__init__(f"Method not allowed: use {', '.join(allowed)}.")
        self.allowed = allowed

    def headers(self) -> dict[str, str]:
        return {"allow": ", ".join(self.allowed)}


class NotAcceptable(RetagError):
    """None of the forms that the client takes can be given here: says what to install, or to ask for."""

    status, code = 406, 4061


class Conflict(RetagError):
    status, code = 409, 4091


class Gone(RetagError):
    status, code = 410, 4101
    default = "Gone: take a full export."


class TooLarge(RetagError):
    """The body is larger than `limit` bytes."""

    status, code, outcome = 413, 4131, "too_large"

    def __init__(self, limit: int) -> None:
        super().__init__(f"The body is larger than {limit} bytes: send it in smaller pieces.")
        self.limit = limit


class RateLimited(RetagError):
    """Too many requests; `after` is in seconds."""

    status, code, outcome = 429, 8, "rate_limited"

    def __init__(self, after: int = 60) -> None:
        super().__init__(f"This request exceeded a rate limit. Try again in {after} s.")
        self.after = after

    def headers(self) -> dict[str, str]:
        return {"retry-after": str(self.after)}


class Overloaded(RetagError):
    """The journal is full or failed: nothing of the request was stored. `after` is in seconds."""

    status, code, outcome = 503, 4197, "overloaded"

    def __init__(
        self, message: str = "The server is overloaded: send the request again.", after: int = 1
    ) -> None:
        super().__init__(message)
        self.after = after

    def headers(self) -> dict[str, str]:
        return {"retry-after": str(self.after)}


class Poison(RetagError):
    """A row that the database refuses; the rest of its batch was stored."""

    status, code, outcome = 400, 4196, "malformed"
