"""Which blocks a tower keeps: the lists that the papers and their code publish, and every rule worked out by hand."""

import pytest

from sanrec.errors import ConfigError
from sanrec.models.layerdrop import kept_layers, tower_layers


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        (12, (0, 2, 4, 6, 8, 10, 12)),
        (24, (0, 4, 8, 12, 16, 20, 24)),
        (28, (0, 3, 8, 13, 18, 23, 28)),
        (32, (0, 2, 8, 14, 20, 26, 32)),
        (80, (0, 5, 20, 35, 50, 65, 80)),
    ],
)
def test_published_lists(blocks, expected):
    assert kept_layers(blocks) == kept_layers(blocks, "even6", kept=3) == expected


@pytest.mark.parametrize(
    ("kept", "expected"),
    [(2, (1, 12)), (3, (2, 7, 12)), (4, (3, 6, 9, 12)), (6, (2, 4, 6, 8, 10, 12)), (12, tuple(range(1, 13)))],
)
def test_other_numbers_take_the_same_step(kept, expected):
    assert kept_layers(12, kept=kept) == kept_layers(12, f"even{kept}") == (0, *expected)


# what Table VIII calls 12(even_all), 12(top), 12(down), 6(even_top12), 6(even_down12), 6(top), 6(down)
@pytest.mark.parametrize(
    ("blocks", "rule", "expected"),
    [
        (24, "even12", (2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24)),
        (24, "top12", (13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24)),
        (24, "down12", (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)),
        (24, "even6_top12", (14, 16, 18, 20, 22, 24)),
        (24, "even6_down12", (2, 4, 6, 8, 10, 12)),
        (12, "top6", (7, 8, 9, 10, 11, 12)),
        (12, "down6", (1, 2, 3, 4, 5, 6)),
        (12, "even3_top6", (8, 10, 12)),
        (12, "even3_down6", (2, 4, 6)),
        (28, "top3", (26, 27, 28)),
        (28, "down3", (1, 2, 3)),
        (28, "even4", (1, 10, 19, 28)),
        (28, "even3_top14", (16, 22, 28)),
        (28, "even3_down14", (2, 8, 14)),
        (32, "top4", (29, 30, 31, 32)),
        (32, "down2", (1, 2)),
        (32, "even3", (2, 17, 32)),
        (32, "even6_top16", (17, 20, 23, 26, 29, 32)),
        (32, "even6_down16", (1, 4, 7, 10, 13, 16)),
        (80, "top2", (79, 80)),
        (80, "down3", (1, 2, 3)),
        (80, "even3", (2, 41, 80)),
        (80, "even6_top40", (45, 52, 59, 66, 73, 80)),
        (80, "even6_down40", (5, 12, 19, 26, 33, 40)),
        (80, "even1", (80,)),
        (80, "even1_down40", (40,)),
        (12, "1-2-12", (1, 2, 12)),
        (80, "5-20-80", (5, 20, 80)),
    ],
)
def test_every_rule_by_hand(blocks, rule, expected):
    assert kept_layers(blocks, rule) == (0, *expected)


@pytest.mark.parametrize("blocks", [12, 24, 28, 32, 80])
def test_rules_that_keep_all(blocks):
    everything = tuple(range(blocks + 1))
    for rule in ("full", f"even{blocks}", f"top{blocks}", f"down{blocks}", f"even{blocks}_top{blocks}"):
        assert kept_layers(blocks, rule) == everything


def test_towers_have_one_rule_or_each_its_own():
    assert tower_layers([24, 12]) == [(0, 4, 8, 12, 16, 20, 24), (0, 2, 4, 6, 8, 10, 12)]
    assert tower_layers([24, 4], "top2") == [(0, 23, 24), (0, 3, 4)]
    assert tower_layers([24, 12], "even+3-5", kept=3) == [(0, 2, 13, 24), (0, 3, 5)]
    assert [len(kept) for kept in tower_layers([24, 12], "full")] == [25, 13]


@pytest.mark.parametrize(
    ("rule", "kept", "message"),
    [
        ("even", 13, "blocks=13: the backbone has only 12 blocks"),
        ("even13", 6, "layers=even13: the backbone has only 12 blocks"),
        ("top13", 6, "only 12 blocks"),
        ("down13", 6, "only 12 blocks"),
        ("even2_top13", 6, "only 12 blocks"),
        ("2-13", 6, "only 12 blocks"),
        ("3-2", 6, "rising order"),
        ("2-2", 6, "rising order"),
        ("0-2", 6, "'0-2' is no rule; valid are even, evenN"),
        ("even7_top6", 6, "takes 7 blocks out of 6"),
        ("evn6", 6, "'evn6' is no rule"),
    ],
)
def test_what_a_backbone_does_not_have_is_refused(rule, kept, message):
    with pytest.raises(ConfigError, match=message):
        kept_layers(12, rule, kept)


def test_refusals_name_the_tower_and_the_number_of_rules():
    with pytest.raises(ConfigError, match=r"^cover@vit: layers=top13: the backbone has only 12 blocks"):
        tower_layers([24, 12], "top13", names=["title@bert-large", "cover@vit"])
    with pytest.raises(ConfigError, match=r"layers=even\+top2\+full has 3 rules for 2 towers"):
        tower_layers([24, 12], "even+top2+full")
