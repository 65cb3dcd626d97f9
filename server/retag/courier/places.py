"""Places to deliver to: a folder below RETAG_EXPORT_FOLDER, or a bucket of RETAG_EXPORT_BUCKETS.

Nothing else: a key of the API must write neither where it likes on this machine, nor into every bucket that
the server's credentials open. A file appears whole under its name, or not at all.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import re
import secrets
import shutil
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import msgspec

from retag import errors

CHUNK = 1 << 20
PART = 8 << 20
"""Bytes of a part of a multipart upload; what does not fit in one part goes in several."""
STEP = re.compile(r"[A-Za-z0-9_=][A-Za-z0-9_=. -]{0,99}")
"""One folder of a path, or one file's name: nothing hidden, and no way up."""
DEEPEST = 8
SCHEME = "s3://"
LONGEST = 500


class Allowed(msgspec.Struct, frozen=True):
    """What the settings allow: a root folder ('' for none), buckets as `s3://bucket/prefix`; `least_free` are
    bytes to leave free on the folder's disk."""

    folder: str
    buckets: tuple[str, ...]
    least_free: int = 0


class Undelivered(errors.RetagError):
    """It did not work; it may the next time."""


class Undeliverable(errors.RetagError):
    """It will not work before somebody changes something."""


class Place(Protocol):
    """Where files go."""

    def put(self, file: BinaryIO, size: int, name: str) -> None:
        """The whole file under this name, in place of an older one. Raises Undelivered, or OSError."""
        ...

    def get(self, name: str) -> bytes:
        """A small file that is there, b"" for none."""
        ...


def place(text: str, allowed: Allowed, mark: str = "") -> Place:
    """The place that a destination names; errors.Invalid when there may be no deliveries to it. `mark` is
    whose unfinished files are whose."""
    steps = text.removeprefix(SCHEME).removesuffix("/").split("/")
    if len(text) > LONGEST or len(steps) > DEEPEST or not all(map(STEP.fullmatch, steps)):
        raise errors.Invalid(
            "destination",
            "must be a relative path of letters, digits, spaces, - _ . and =, or s3://bucket/path",
        )
    return _bucket(steps, allowed) if text.startswith(SCHEME) else _folder(steps, allowed, mark)


def _folder(steps: list[str], allowed: Allowed, mark: str) -> Place:
    if not allowed.folder:
        raise errors.Invalid("destination", "folders are off: set RETAG_EXPORT_FOLDER on the server")
    return Folder(Path(allowed.folder), Path(*steps), mark, allowed.least_free)


def _bucket(steps: list[str], allowed: Allowed) -> Place:
    prefix = f"{SCHEME}{'/'.join(steps)}/"
    if not any(prefix.startswith(f"{one}/") for one in allowed.buckets):
        raise errors.Invalid("destination", "is in no bucket of RETAG_EXPORT_BUCKETS: set it on the server")
    if importlib.util.find_spec("boto3") is None:
        raise errors.Invalid("destination", "s3:// needs an extra: pip install 'retag[s3]'")
    return Bucket(steps[0], "".join(f"{step}/" for step in steps[1:]))


class Folder:
    """Written beside, synced, and renamed: a reader sees the old file or the new one."""

    def __init__(self, root: Path, below: Path, mark: str, least_free: int) -> None:
        self.root, self.below, self.mark, self.least_free = root, below, mark, least_free

    def put(self, file: BinaryIO, size: int, name: str) -> None:
        folder = self._folder()
        if shutil.disk_usage(folder).free - size < self.least_free:
            raise Undelivered("The folder's disk is short: free some space.")
        for left in folder.glob(f".retag-{self.mark}-*.part"):  # of a courier that was killed
            left.unlink(missing_ok=True)
        part = folder / f".retag-{self.mark}-{secrets.token_hex(8)}.part"
        try:
            self._write(file, part)
            part.replace(folder / name)
        finally:
            part.unlink(missing_ok=True)
        _sync(folder)

    def get(self, name: str) -> bytes:
        with contextlib.suppress(FileNotFoundError), (self._folder() / name).open("rb") as file:
            return file.read(CHUNK)
        return b""

    def _folder(self) -> Path:
        """The folder, made if need be. The root is not made: it may be a disk that is not there now."""
        if not self.root.is_dir():
            raise Undelivered("RETAG_EXPORT_FOLDER is no folder that exists.")
        root = self.root.resolve()
        found = (root / self.below).resolve()
        if not found.is_relative_to(root):
            raise errors.Invalid("destination", "leads out of RETAG_EXPORT_FOLDER")
        found.mkdir(parents=True, exist_ok=True)
        return found

    @staticmethod
    def _write(file: BinaryIO, part: Path) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
        with os.fdopen(os.open(part, flags, 0o640), "wb") as out:
            shutil.copyfileobj(file, out, CHUNK)
            out.flush()
            os.fsync(out.fileno())


def _sync(folder: Path) -> None:
    """The rename too, where folders can be synced."""
    with contextlib.suppress(OSError):
        found = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(found)
        finally:
            os.close(found)


class Bucket:
    """One put, or a multipart upload: either appears when it is complete.

    Keys and endpoint are those of boto3's own chain (environment, files, roles): nothing of it is kept here.
    """

    def __init__(self, bucket: str, prefix: str) -> None:
        self.bucket, self.prefix = bucket, prefix

    def put(self, file: BinaryIO, size: int, name: str) -> None:
        boto3: Any = importlib.import_module("boto3")
        faults: Any = importlib.import_module("botocore.exceptions")
        failed: Any = importlib.import_module("boto3.exceptions")
        try:
            self._upload(boto3, file, name)
        except (faults.BotoCoreError, faults.ClientError, failed.Boto3Error) as error:
            raise Undelivered(f"{type(error).__name__}: {error}") from error

    def get(self, name: str) -> bytes:
        return b""  # the server's credentials need not be those of a reader

    def _upload(self, boto3: Any, file: BinaryIO, name: str) -> None:
        config: Any = importlib.import_module("botocore.config")
        transfer: Any = importlib.import_module("boto3.s3.transfer")
        # Checksums only where S3 asks for them: other makers' stores refuse what they do not know.
        options = config.Config(
            connect_timeout=10,
            read_timeout=60,
            retries={"total_max_attempts": 3, "mode": "standard"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        parts = transfer.TransferConfig(multipart_threshold=PART, multipart_chunksize=PART, use_threads=False)
        client = boto3.session.Session().client("s3", config=options)
        client.upload_fileobj(file, self.bucket, self.prefix + name, Config=parts)
