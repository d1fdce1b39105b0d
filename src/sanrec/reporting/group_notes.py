"""What a table of groups of targets says of its groups: which share users, and which hold too few."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


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
