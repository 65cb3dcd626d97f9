"""Codecs: gzip and zstd, one class each and one table.

zstd is Python's own from 3.14 on, before that the extra `zstd` (backports.zstd); else it is not offered.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import zlib
from typing import Any, Protocol

from retag import errors


class Stream(Protocol):
    """Bytes in, compressed bytes out, in constant memory."""

    def compress(self, part: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


class Codec(Protocol):
    """`name` as in Content-Encoding, `suffix` as in a file's name."""

    name: str
    suffix: str
    media_type: str

    def open(self) -> Stream: ...


class Gzip:
    """RFC 1952, without a name or time: the same bytes give the same bytes."""

    name, suffix, media_type = "gzip", "gz", "application/gzip"

    def open(self) -> Stream:
        return zlib.compressobj(6, wbits=31)


class Zstd:
    """RFC 8878, with a checksum of the content."""

    name, suffix, media_type = "zstd", "zst", "application/zstd"
    module = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"

    def open(self) -> Stream:
        """errors.NotAcceptable without the library."""
        try:
            zstd: Any = importlib.import_module(self.module)
        except ImportError:
            raise errors.NotAcceptable(
                "zstd is not installed here: pip install 'retag[zstd]', or ask for gzip."
            ) from None
        options = zstd.CompressionParameter
        stream: Stream = zstd.ZstdCompressor(options={options.compression_level: 3, options.checksum_flag: 1})
        return stream


_ALL: tuple[Codec, ...] = (Gzip(), Zstd())
CODECS: dict[str, Codec] = {one.name: one for one in _ALL}


def installed() -> tuple[str, ...]:
    """The names of the codecs that work here."""
    package = Zstd.module.partition(".")[0]
    there = (
        importlib.util.find_spec(package) is not None and importlib.util.find_spec(Zstd.module) is not None
    )
    return tuple(name for name in CODECS if there or name != Zstd.name)
