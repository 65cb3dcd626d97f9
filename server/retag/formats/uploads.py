"""Upload files, each as its platform's written rules have it.

Digests are SHA-256 in lower-case hexadecimal, of the form that the platform hashes; none has a column that
it wants in the clear (Google's Country and Zip) because none of those is collected. Free of formulas: a cell
is a digest, or a click id that does not begin as one does.
https://help.pinterest.com/en/business/article/audience-targeting
https://support.google.com/google-ads/answer/7659867
https://www.facebook.com/business/help/2082575038703844
https://ads.tiktok.com/help/article/custom-audience-customer-file
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from retag.formats.rows import EMAIL, FORMULA, MAID, MD5, SHA256, Known, Row, Shown, Text, names_of
from retag.people import CLICKS

SHA1 = 20
REMOVED = ("remove",)


class Upload(Text):
    """One line a member, the digests they showed in columns.

    `takes` has, for each column in order, the kind of identifier; a column stands as often as there may be
    values. Only SHA-256: it alone is known to be of the normal form that the platform hashes.
    """

    by_visitor = False

    def __init__(self, name: str, takes: Sequence[tuple[str, int]], most: int = 3) -> None:
        self.name, self.most = name, most
        self.heading = [column for column, _ in takes for _ in range(most)]
        self.kinds = tuple(kind for _, kind in takes)

    def head(self, fields: Sequence[str]) -> bytes:
        return (",".join(self.heading) + "\r\n").encode()

    def rows(self, rows: Sequence[Row], fields: Sequence[str], shown: Shown) -> list[str]:
        found = [self._cells(shown[row[0]]) for row in rows if row[0] in shown]
        return [",".join(cells) + "\r\n" for cells in found if any(cells)]

    def takes(self, shown: Sequence[Known]) -> list[Known]:
        return [one for kind in self.kinds for one in self._of(kind, shown)]

    def _of(self, kind: int, shown: Sequence[Known]) -> list[Known]:
        return [one for one in shown if one[0] == kind and len(one[1]) == SHA256][: self.most]

    def _cells(self, shown: Sequence[Known]) -> list[str]:
        cells: list[str] = []
        for kind in self.kinds:
            values = [one[1].hex() for one in self._of(kind, shown)]
            cells += values + [""] * (self.most - len(values))
        return cells


class Pinterest(Upload):
    """A single column without a heading, one digest a line: e-mails' (SHA-256, MD5) and mobile ad ids'.

    An identifier that came raw is known in every hash and stands in SHA-256 alone; others are as they came.
    """

    lengths: Mapping[int, tuple[int, ...]] = {EMAIL: (SHA256, MD5), MAID: (SHA256, SHA1, MD5)}

    def __init__(self) -> None:
        super().__init__("pinterest", [("", EMAIL), ("", MAID)])

    def head(self, fields: Sequence[str]) -> bytes:
        return b""

    def rows(self, rows: Sequence[Row], fields: Sequence[str], shown: Shown) -> list[str]:
        found = [self.takes(shown[row[0]]) for row in rows if row[0] in shown]
        return ["".join(f"{one[1].hex()}\r\n" for one in mine) for mine in found if mine]

    def _of(self, kind: int, shown: Sequence[Known]) -> list[Known]:
        best, *others = [
            [one for one in shown if one[0] == kind and len(one[1]) == length]
            for length in self.lengths[kind]
        ]
        return best + [one for some in others if len(some) > len(best) for one in some]


class ClickIds(Upload):
    """The latest click id of each platform that a member came with, and when it was last seen, UTC ms.

    An id that a spreadsheet would run as a formula is not one that a platform gives: it is left out. Who is
    removed may have none: they are removed by visitor.
    """

    by_visitor = True

    def __init__(self) -> None:
        super().__init__("click_ids", list(CLICKS.items()))
        self.heading = ["visitor_id", *(cell for name in CLICKS for cell in (name, f"{name}_seen"))]

    def rows(self, rows: Sequence[Row], fields: Sequence[str], shown: Shown) -> list[str]:
        told = [row for row in rows if row[0] in shown or row[4:] == REMOVED]
        found = [self._cells(shown.get(row[0], ())) for row in told]
        names = names_of([row[0] for row in told])
        return [
            f"{name},{','.join(cells)}\r\n"
            for name, cells, row in zip(names, found, told, strict=True)
            if any(cells) or row[4:] == REMOVED
        ]

    def _of(self, kind: int, shown: Sequence[Known]) -> list[Known]:
        usual = [
            (seen, value)
            for k, value, seen in shown
            if k == kind and value.isascii() and not value.decode().startswith(FORMULA)
        ]
        return [(kind, value, seen) for seen, value in [max(usual)]] if usual else []

    def _cells(self, shown: Sequence[Known]) -> list[str]:
        cells: list[str] = []
        for kind in self.kinds:
            (_, value, seen), *_ = *self._of(kind, shown), (0, b"", 0)
            cells += [value.decode(), str(seen) if value else ""]
        return cells
