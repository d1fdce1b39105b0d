"""Recommendations as a record of plain values, as JSON, and as a table for the terminal."""

import json
import unicodedata
from collections.abc import Sequence
from typing import Any

from sanrec.serving.recommend import Recommendation, Recommendations

GAP = "  "  # between columns


def record(found: Recommendations) -> dict[str, Any]:
    """All that is known of them, items by their original ids; `gallery` and `to_json` show the same."""
    return {
        "run": found.run.folder,
        "dataset": found.run.dataset,
        "method": found.run.spec.title,
        "fusion": found.run.settings.fusion if found.weights is not None else None,
        "towers": list(found.towers),
        "why_no_weights": found.why_no_weights,
        "reads": found.reads,
        "people": [_person(found, one) for one in found.people],
    }


def _person(found: Recommendations, one: Recommendation) -> dict[str, Any]:
    truth = one.person.truth.tolist()
    scored = zip(one.items.tolist(), one.scores.tolist(), strict=True)
    return {
        "user": one.person.user,
        "history": [_item(found, number) for number in one.person.history.tolist()],
        "truth": [
            {**_item(found, number), "rank": rank or None}
            for number, rank in zip(truth, one.ranks.tolist(), strict=True)
        ],
        "recommended": [
            {"place": place, **_item(found, number), "score": score, "truth": number in truth}
            for place, (number, score) in enumerate(scored, 1)
        ],
    }


def _item(found: Recommendations, number: int) -> dict[str, Any]:
    item = {"item": found.catalogue.ids[number - 1], "title": found.catalogue.titles[number - 1]}
    return item if found.weights is None else {**item, "weights": found.shares(number)}


def to_json(found: Recommendations) -> str:
    """The record as indented JSON."""
    return json.dumps(record(found), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def heading(person: dict[str, Any], dataset: str) -> str:
    """Who is recommended to."""
    who = "someone unknown" if person["user"] is None else f"user {person['user']}"
    return f"{who} of {dataset}" if person["user"] is not None else f"{who}, by {dataset}"


def truth_lines(person: dict[str, Any]) -> list[str]:
    """Where each held-out item stands in the whole ranking, a sentence each."""
    lines = []
    for item in person["truth"]:
        what = f"{item['item']} {item['title']}".strip()
        if item["rank"] is None:
            lines.append(f"held out: {what}, which the history holds, so that it cannot be recommended")
        else:
            lines.append(f"held out: {what}, at place {item['rank']}")
    return lines


def to_table(found: Recommendations) -> str:
    """The record as text: history and recommendations one below the other, the held-out items starred."""
    values = record(found)
    parts = [values["run"]]
    for person in values["people"]:
        weighed = [f"{tower:>5}" for tower in found.towers]
        history = [["", "item", *weighed, "", "title"]]
        history += [["", item["item"], *_shares(item), "", item["title"]] for item in person["history"]]
        listed = [["place", "item", *weighed, "score", "title"]]
        for item in person["recommended"]:
            place = f"{'*' if item['truth'] else ''}{item['place']}"
            listed.append([place, item["item"], *_shares(item), f"{item['score']:.3f}", item["title"]])
        lines = _aligned(history + listed)
        read = values["reads"] or 0
        unread = f", of which the last {read} are read" if 0 < read < len(person["history"]) else ""
        parts += [
            f"\n{heading(person, values['dataset'])}",
            f"\nhistory, oldest first{unread}",
            *lines[: len(history)],
            "\nrecommended" + (", * held out" if any(item["truth"] for item in person["recommended"]) else ""),
            *lines[len(history) :],
            *(f"\n{line}" for line in map(printable, truth_lines(person))),
        ]
    note = values["why_no_weights"] or f"{', '.join(found.towers)}: how much each tower weighs in an item's vector"
    return "\n".join([*parts, f"\n{note}"]) + "\n"


def _shares(item: dict[str, Any]) -> list[str]:
    """Each tower's weight; a dash where it is left out."""
    return [f"{share:.2f}" if share else "-" for share in item.get("weights", {}).values()]


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of cells as lines, all columns but the last right-aligned."""
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(_width, column)) for column in list(zip(*rows, strict=True))[:-1]]
    lines = []
    for row in rows:
        padded = [" " * (wide - _width(cell)) + cell for cell, wide in zip(row[:-1], widths, strict=True)]
        lines.append(GAP.join([*padded, row[-1]]).rstrip())
    return lines


def printable(text: str) -> str:
    """Text without control characters: a title may come from anywhere, and a terminal obeys them."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _width(text: str) -> int:
    """The columns that text takes on a terminal: wide letters take two, combining marks none."""
    marks = sum(bool(unicodedata.combining(letter)) for letter in text)
    return len(text) - marks + sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
