"""The write-ahead log as a file: how far it reaches. https://sqlite.org/fileformat2.html#the_write_ahead_log

Its size does not say. After a checkpoint SQLite begins the log again from its start, over what is there: a
commit that need not make the file longer costs half as much. The frames in use bear the salts of the header.
"""

from __future__ import annotations

HEADER, FRAME = 32, 24
"""Bytes of the file's header, and of the one before each page."""


def reaches(path: str, size: int) -> bool:
    """Whether the log in use is at least `size` bytes long; so it also is when a checkpoint has taken it all
    and nothing has been written since."""
    try:
        with open(path, "rb", buffering=0) as file:
            header = file.read(HEADER)
            frame = FRAME + int.from_bytes(header[8:12], "big")
            file.seek(HEADER + size // frame * frame)
            return len(header) == HEADER and file.read(FRAME)[8:16] == header[16:24]
    except FileNotFoundError:
        return False
