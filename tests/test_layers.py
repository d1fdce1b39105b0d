"""The language of `layers`: one spelling for what is the same, and what is said about what is no rule."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sanrec import artifacts
from sanrec.config import Settings, validate
from sanrec.errors import ConfigError
from sanrec.layers import canonical
from sanrec.load import load_config
from sanrec.models.layerdrop import tower_layers

CONFIG = load_config()

rule = st.one_of(
    st.sampled_from(["even", "full", "2-4-6", "12"]),
    st.builds("{}{}".format, st.sampled_from(["even", "top", "down"]), st.integers(1, 12)),
    st.builds(
        lambda half, taken, more: f"even{taken}_{half}{taken + more}",
        st.sampled_from(["top", "down"]),
        st.integers(1, 6),
        st.integers(0, 6),
    ),
)


@given(rule, rule, st.integers(1, 12), st.integers(1, 12))
def test_the_canonical_spelling_means_the_same_and_is_its_own(first, second, blocks, usual):
    said = f"{first}+{second}"
    layers, number = canonical(said, blocks, usual)
    assert canonical(layers, number, usual) == (layers, number)
    assert tower_layers([24, 12], layers, number) == tower_layers([24, 12], said, blocks)


@pytest.mark.parametrize(
    ("settings", "variant"),
    [
        ({"layers": "even6"}, "default"),
        ({"layers": "even6+even6"}, "default"),
        ({"layers": "even+even6"}, "default"),
        ({"layers": "even12"}, "blocks=12"),
        ({"layers": "even12+even", "blocks": 12}, "blocks=12"),
        ({"layers": "down6+down6"}, "layers=down6"),
        ({"layers": "even6_top6"}, "layers=top6"),
        ({"layers": "full", "blocks": 3}, "layers=full"),
        ({"layers": "even12+down6"}, "layers=even12+down6"),
        ({"layers": "even+down6", "blocks": 12}, "layers=even12+down6"),
        ({"layers": "even6+down6", "blocks": 3}, "layers=even+down6"),
        ({"layers": "even6_top12+even"}, "layers=even6_top12+even"),
        ({"layers": "2-4+full"}, "layers=2-4+full"),
    ],
)
def test_one_run_has_one_path(settings, variant):
    run = artifacts.run(CONFIG, "demo", "iisan", "TI", settings)
    assert run.variant == variant
    assert artifacts.parse_run(CONFIG, run.metrics) == run
    depths = [12, 12]
    meant = Settings(**settings)
    assert tower_layers(depths, run.settings.layers, run.settings.blocks) == tower_layers(
        depths, meant.layers, meant.blocks
    )


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        ("layers=even6", "written 'default'"),
        ("layers=even12", "written 'blocks=12'"),
        ("layers=full+full", "written 'layers=full'"),
        ("layers=even+down6,blocks=12", r"written 'layers=even12\+down6'"),
        ("layers=full+top2+down2", "has 3 rules for 2 towers: give one for all, or one per input"),
        ("layers=top", "'top' is no rule; valid are even, evenN, topN"),
        ("layers=even6_middle12", "'even6_middle12' is no rule"),
        ("layers=top06", "'top06' is no rule"),
        ("layers=", "'' is no rule"),
        ("layers=even+", "'' is no rule"),
        ("layers=even9_top6", "takes 9 blocks out of 6"),
        ("layers=4-2", "rising order, each once"),
    ],
)
def test_other_spellings_and_mistakes_are_refused(variant, message):
    with pytest.raises(ConfigError, match=message):
        artifacts.run(CONFIG, "demo", "iisan", "TI", variant)


def test_a_data_sets_own_number_of_blocks_is_the_usual_one():
    config = load_config({"datasets": {"demo": {"settings": {"all": {"blocks": 4}}}}})
    assert artifacts.format_variant(config, "demo", "crossan", {"layers": "even4"}) == "default"
    assert artifacts.format_variant(config, "demo", "crossan", {"layers": "even6+even4"}) == "layers=even6+even"
    own = load_config({"datasets": {"demo": {"settings": {"all": {"layers": "even3+even3"}}}}})
    assert artifacts.format_variant(own, "demo", "crossan", {"layers": "even", "blocks": 3}) == "default"
    assert artifacts.format_variant(own, "demo", "crossan", {"layers": "even"}) == "default"
    assert artifacts.parse_variant(own, "demo", "crossan", "default").blocks == 3
    assert artifacts.format_variant(own, "demo", "crossan", {"layers": "even6"}) == "blocks=6"
    assert artifacts.parse_variant(own, "demo", "crossan", "blocks=6").layers == "even"


def test_settings_refuse_what_is_no_rule():
    with pytest.raises(ConfigError, match=r"somewhere: layers: .*'bottom' is no rule"):
        validate(Settings, {"layers": "bottom"}, "somewhere")
