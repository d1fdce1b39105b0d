"""Figures as people read them."""


def duration(seconds: float | None) -> str:
    """`0.39 s`, `59 s`, `12 min 5 s`, `3 h 20 min`."""
    if seconds is None:
        return "–"
    if seconds < 10:
        return f"{seconds:.2g} s" if seconds < 1 else f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60} min"


def memory(count: float | None) -> str:
    """`598 MiB`, `1.2 GiB`."""
    if count is None:
        return "–"
    mebibytes = count / 2**20
    return f"{mebibytes / 1024:.1f} GiB" if mebibytes >= 1024 else f"{mebibytes:.0f} MiB"
