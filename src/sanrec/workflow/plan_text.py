"""A plan in words, for people."""

from collections.abc import Iterable, Sequence

from sanrec.disk import spell_bytes
from sanrec.workflow.jobs import Job
from sanrec.workflow.missing import Media
from sanrec.workflow.plan import Need, Plan
from sanrec.workflow.text import columns, duration, numbered

UNKNOWN = "unknown"
SHOWN, FEW = 15, 4  # needs that are listed, and unknown ones that are named


def as_text(plan: Plan) -> str:
    """The plan for people."""
    if not plan.jobs:
        return f"Nothing is to be done: {numbered(sum(plan.done.values()), 'job')} done already (study {plan.study})."
    parts = [
        _jobs_text(plan),
        _sources_text(plan),
        _downloads_text(plan),
        _needs_text(_disk_title(plan), plan.disk),
        _needs_text("GPU memory", plan.gpu) if plan.gpu else ["GPU memory: none is needed"],
        _licences_text(plan),
        _missing_text(plan),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part)


def _jobs_text(plan: Plan) -> list[str]:
    rows = [[f"jobs (study {plan.study})", "to do", "done", "time", "memory asked for"]]
    for kind in dict.fromkeys([*plan.kinds, *plan.done]):
        jobs = plan.kinds.get(kind, [])
        memory = max((job.mem_mb or 0 for job in jobs), default=0)
        rows.append(
            [
                f"  {kind}",
                len(jobs) or ".",
                plan.done.get(kind, "."),
                _time(plan, jobs),
                spell_bytes(memory * 1e6) if memory else "",
            ]
        )
    rows.append(["  all", len(plan.jobs), sum(plan.done.values()) or ".", _time(plan, plan.jobs), ""])
    note = "  One job after the other; several at a time (--cores, a cluster) take accordingly less."
    return [*columns(rows, right=(1, 2)), note]


def _time(plan: Plan, jobs: Sequence[Job]) -> str:
    """How long jobs take together; what was measured on GPUs and on processors does not add up to anything."""
    if not jobs:
        return ""
    found = [plan.estimates[job.outputs] for job in jobs]
    known = [one for one in found if one]
    if not known:
        return UNKNOWN
    parts = []
    for gpu in sorted({one.gpu for one in known}):
        those = [one for one in known if one.gpu == gpu]
        most = "at most " if any(one.at_most for one in those) else ""
        where = (
            "" if len({one.gpu for one in known}) == 1 else f" for {len(those)} on {'a GPU' if gpu else 'a processor'}"
        )
        parts.append(f"{most}{duration(sum(one.seconds for one in those))}{where}")
    lacking = len(found) - len(known)
    return ", ".join([*parts, *([f"{numbered(lacking, 'job')} unknown"] if lacking else [])])


def _sources_text(plan: Plan) -> list[str]:
    """Who says how long the jobs take."""
    counts: dict[str, int] = {}
    for one in plan.estimates.values():
        if one:
            said = one.source + (" (of like jobs: same data set and method)" if one.alike else "")
            said += " (seconds of an epoch times all epochs allowed)" if one.at_most else ""
            counts[said] = counts.get(said, 0) + 1
    rows = [[f"  {numbered(count, 'job')}", said] for said, count in sorted(counts.items(), key=lambda kv: -kv[1])]
    return ["times are from", *columns(rows)] if rows else ["times: nobody has measured any of these jobs"]


def _downloads_text(plan: Plan) -> list[str]:
    if not plan.downloads and not plan.raw_files:
        return ["downloads: none"]
    rows = [
        [
            f"  {d.name}",
            f"{d.repository} at {d.revision[:7]}",
            _size(d.bytes),
            d.license + (", gated" if d.gated else ""),
        ]
        for d in plan.downloads
    ]
    rows += [[f"  {f.corpus}", f"{f.file} from {' or '.join(f.places)}", _size(f.bytes), ""] for f in plan.raw_files]
    sizes = [one.bytes for one in (*plan.downloads, *plan.raw_files)]
    return [
        f"downloads: {spell_bytes(sum(size or 0 for size in sizes))}{_and_unknown(sizes)}",
        *columns(rows, right=(2,)),
    ]


def _needs_text(title: str, needs: Sequence[Need]) -> list[str]:
    """The largest of needs, and what is not known."""
    known = sorted((need for need in needs if need.bytes is not None), key=lambda need: -(need.bytes or 0))
    lines = columns([[f"  {need.what}", _size(need.bytes), need.source] for need in known[:SHOWN]], right=(1,))
    if len(known) > SHOWN:
        rest = sum(need.bytes or 0 for need in known[SHOWN:])
        lines.append(f"  and {len(known) - SHOWN} smaller ones, {spell_bytes(rest)} together (--format json has all)")
    lacking = [need.what for need in needs if need.bytes is None]
    if lacking:
        more = f" and {len(lacking) - FEW} more (--format json has all)" if len(lacking) > FEW else ""
        lines.append(f"  unknown: {', '.join(lacking[:FEW])}{more}")
    return [title, *lines]


def _disk_title(plan: Plan) -> str:
    known = sum(need.bytes or 0 for need in plan.disk)
    lacking = _and_unknown(need.bytes for need in plan.disk)
    return f"disk: {spell_bytes(known)}{lacking}; free here: {spell_bytes(plan.free)}"


def _licences_text(plan: Plan) -> list[str]:
    gated = [d for d in plan.downloads if d.gated]
    if not gated:
        return ["licences to accept: none"]
    rows = [[f"  {d.license}", f"https://huggingface.co/{d.repository}"] for d in gated]
    return ["licences to accept on the hub before (docs/backbones.md)", *columns(rows)]


def _missing_text(plan: Plan) -> list[str]:
    media = [[f"  {one.corpus}", one.medium, _media_text(one)] for one in plan.media]
    if not plan.missing:
        all_there = all(one.items is not None and one.present == one.items for one in plan.media)
        head = "media and files of one's own: all there" if all_there else "files of one's own: all there; media"
        return [head, *columns(media)]
    rows = [[f"  {one.path}", one.what] for one in plan.missing]
    return ["missing, to be put there by hand", *columns(rows), *(["media", *columns(media)] if media else [])]


def _media_text(media: Media) -> str:
    if media.fetched:
        return "comes with the downloads, so nobody has counted it"
    if media.present is None:
        return "the folder is there; its files were not counted"
    return f"{media.present:,} of {numbered(media.items or 0, 'item')}"


def _size(size: int | None) -> str:
    return UNKNOWN if size is None else spell_bytes(size)


def _and_unknown(sizes: Iterable[int | None]) -> str:
    lacking = sum(size is None for size in sizes)
    return f" and {lacking} of unknown size" if lacking else ""
