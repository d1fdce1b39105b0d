"""Words and columns for terminals."""

from collections.abc import Sequence

SECONDS_A_MINUTE, SECONDS_AN_HOUR = 60, 3600


def columns(rows: Sequence[Sequence[object]], right: Sequence[int] = ()) -> list[str]:
    """Rows as lines whose columns stand below each other; those in `right` end at their right edge."""
    if not rows:
        return []
    texts = [["" if cell is None else str(cell) for cell in row] for row in rows]
    widths = [max(len(row[place]) for row in texts) for place in range(len(texts[0]))]
    lines = []
    for row in texts:
        cells = [
            f"{c:>{w}}" if place in right else f"{c:<{w}}" for place, (c, w) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


def duration(seconds: float) -> str:
    """A time as people say it.

    >>> duration(12.4), duration(200), duration(5400), duration(360000)
    ('12 s', '3 min 20 s', '1 h 30 min', '100 h')
    """
    whole = round(seconds)
    if whole < SECONDS_A_MINUTE:
        return f"{whole} s"
    if whole < SECONDS_AN_HOUR:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    hours, minutes = whole // 3600, whole % 3600 // 60
    return f"{hours} h {minutes} min" if minutes and hours < 24 else f"{hours:,} h"


def numbered(count: int, one: str, more: str | None = None) -> str:
    """A count with its noun.

    >>> numbered(1, "job"), numbered(3, "job"), numbered(2, "search", "searches")
    ('1 job', '3 jobs', '2 searches')
    """
    return f"{count:,} {one if count == 1 else more or one + 's'}"
