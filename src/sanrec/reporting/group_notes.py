"""What tables of groups of targets say below: which groups share users or are thin, what was tested, what not run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from sanrec.evaluation.significance import LEVEL
from sanrec.reporting.specs import TableSpec


class Counts(Protocol):
    """Targets of the test split and the users who have them."""

    @property
    def targets(self) -> int:
        """How many targets the test split has."""

    @property
    def users(self) -> int:
        """How many users have one."""


def shared_users(counted: Mapping[str, Counts]) -> list[str]:
    """A line that names the data sets, by title, where a user has several targets; none where there are none."""
    several = [f"{title} ({its.targets:,} targets)" for title, its in counted.items() if its.targets > its.users]
    if not several:
        return []
    return [
        f"Users have several targets on {', '.join(several)}: a group's figures are of a user's targets in that "
        "group alone, so groups of items share users."
    ]


def thin_groups(users: Mapping[str, Mapping[str, int]]) -> list[str]:
    """A line for each data set, by title, with groups of no user or of one, from the number of users by group."""
    lines = []
    for title, by_group in users.items():
        if empty := [group for group, number in by_group.items() if not number]:
            lines.append(f"{title} has no test target in {' or '.join(empty)}: a dash there, not zero.")
        if single := [group for group, number in by_group.items() if number == 1]:
            lines.append(f"{title} has one user with a test target in {' or '.join(single)}: nothing is tested there.")
    return lines


def tested_by_group(table: TableSpec) -> list[str]:
    """A line that says what a star means in a table that is tested group by group; none where nothing is tested."""
    if not table.significance:
        return []
    return [
        f"* on {', '.join(table.significance.ours)}: better than the best of {', '.join(table.significance.against)} "
        f"in that very column, p < {LEVEL} in a paired two-sided t-test over the group's users (metric averaged over "
        "seeds), before correction. Holm's correction goes over the rows tested in a column."
    ]


def not_run(table: TableSpec) -> list[str]:
    """A line for each reason for which rows of the table are not run."""
    absent: dict[str, list[str]] = {}
    for row in table.rows:
        if row.missing:
            absent.setdefault(row.missing, []).append(row.label)
    return [f"Not run, for {reason}: {'; '.join(labels)}." for reason, labels in absent.items()]
