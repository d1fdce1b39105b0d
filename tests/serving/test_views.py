"""Recommendations as JSON and as a table."""

import json
from dataclasses import replace

import numpy as np
import pytest

from sanrec.serving.views import printable, record, to_json, to_table

TABLE = """\
results/demo/runs/crossan/TI/default/seed=0

user 7 of demo

history, oldest first
       item  title  cover          title
         i1   0.25   0.75          Red fish
         i2   1.00      -          Fish & <b>chips</b> "now"

recommended, * held out
place  item  title  cover   score  title
    1    i3      -   1.00   2.500
   *2    i5      -      -  -1.000  青い魚

held out: i5 青い魚, at place 2

someone unknown, by demo

history, oldest first
       item  title  cover         title
         i3      -   1.00

recommended
place  item  title  cover  score  title
    1    i1   0.25   0.75  0.500  Red fish
    2    i4   0.50   0.50  0.250   [2JGone

title, cover: how much each tower weighs in an item's vector
"""


def test_the_table_shows_history_list_truth_and_weights(by_hand):
    assert to_table(by_hand.found) == TABLE


def test_json_holds_original_ids_and_plain_numbers(by_hand):
    values = json.loads(to_json(by_hand.found))
    assert values == record(by_hand.found)
    known, stranger = values["people"]
    assert values["towers"] == ["title", "cover"]
    assert known["user"] == "7"
    assert [item["item"] for item in known["history"]] == ["i1", "i2"]
    held_out = {"item": "i5", "title": "青い魚", "weights": {"title": 0, "cover": 0}}
    assert known["truth"] == [{**held_out, "rank": 2}]
    assert known["recommended"][1] == {"place": 2, **held_out, "score": -1, "truth": True}
    assert known["recommended"][0]["title"] == ""
    assert stranger["user"] is None
    assert stranger["truth"] == []


def test_without_weights_the_reason_stands_in_their_place(by_hand):
    found = replace(by_hand.found, weights=None, towers=(), why_no_weights="nothing is weighed")
    assert "weights" not in record(found)["people"][0]["history"][0]
    lines = to_table(found).splitlines()
    assert lines[-1] == "nothing is weighed"
    assert "place  item   score  title" in lines


def test_a_truth_that_the_history_holds_is_said_to_be_out_of_reach(by_hand):
    one = by_hand.found.people[0]
    found = replace(by_hand.found, people=(replace(one, ranks=np.zeros(1, np.int32)),))
    assert "held out: i5 青い魚, which the history holds, so that it cannot be recommended" in to_table(found)
    assert record(found)["people"][0]["truth"][0]["rank"] is None


@pytest.mark.parametrize(("reads", "said"), [(10, False), (1, True), (None, False)])
def test_how_much_of_a_history_is_read_is_said_where_it_is_not_all(by_hand, reads, said):
    found = replace(by_hand.found, reads=reads)
    assert ("history, oldest first, of which the last 1 are read" in to_table(found)) == said


def test_nothing_that_a_terminal_would_obey_is_printed():
    assert printable("a\x1b[31mb\r\nc\u202ed é魚") == "a [31mb  c d é魚"
