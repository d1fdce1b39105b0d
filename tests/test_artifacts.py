"""Paths: what they mean, that one run has one path, and what is said about paths that mean nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sanrec import artifacts
from sanrec.artifacts import Input
from sanrec.config import Settings
from sanrec.errors import ConfigError
from sanrec.load import load_config
from sanrec.methods import METHODS
from sanrec.recipes import RECIPES

CONFIG = load_config()


def path(inputs="TIVA", model="crossan", variant="default", dataset="demo", seed="0"):
    return f"results/{dataset}/runs/{model}/{inputs}/{variant}/seed={seed}/metrics.json"


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (path(model="crosan"), "unknown model 'crosan': did you mean 'crossan'"),
        (path(dataset="demmo"), "unknown dataset 'demmo': did you mean 'demo'"),
        (path("TX"), "unknown letter 'X' in inputs 'TX'"),
        (path("titel+cover"), "unknown channel 'titel'.*did you mean 'title'"),
        (path("title@brt+cover"), "unknown backbone 'brt'.*did you mean 'bert'"),
        (path("title@vit"), "backbone 'vit' reads image, but 'title' is text"),
        (path("video", dataset="demo-small"), "no backbone for channel 'video'; write video@NAME"),
        (path("IT"), "written 'TI'"),
        (path("title+cover"), "written 'TI'"),
        (path("title@bert+cover@vit-base"), r"written 'title\+cover@vit-base'"),
        (path("TT"), r"written 'title\+title'"),
        (path(variant="top_k=2"), "written 'default'"),
        (path(variant="top_k=3,fusion=dynamic"), "written 'fusion=dynamic'"),
        (path(variant="fusion=concat,top_k=3"), "written 'fusion=concat'"),
        (path(variant="dropout=0.2,adapter_width=8"), "written 'adapter_width=8,dropout=0.2'"),
        (path(variant="layers=2-4-6,blocks=5"), "written 'layers=2-4-6'"),
        (path(variant="user_heads=3"), "does not divide by user_heads=3"),
        (path(seed="007"), "is no run"),
        (path("cover+title@bert-base"), r"written 'title@bert-base\+cover'"),
        (path(variant="learning_rate=0.010"), "written 'learning_rate=0.01'"),
        (path(variant="top_q=3"), "unknown setting 'top_q'.*did you mean 'top_k'"),
        (path(variant="top_k"), "not of the form name=value"),
        (path(variant="top_k=0"), "top_k: Input should be greater than 0"),
        (path(variant="fusion=cat"), "fusion"),
        (path("TI", model="frozen", variant="gating=false"), "unknown setting 'gating'"),
        (path("TI", model="crossan", variant="inter=false"), "unknown setting 'inter'"),
        (path("TI", model="iisan", variant="inter=false,intra=false"), "leave no tower"),
        (path("TIV", model="iisan"), "IISAN takes exactly 2 inputs"),
        (path("T", model="iisan-e"), "takes at least 2 inputs"),
        (path("V+ID", model="sasrec"), r"written 'ID\+V'"),
        (path("ID+ID", model="sasrec"), "written 'ID'"),
        (path("ID+VT", model="sasrec"), r"written 'ID\+TV'"),
        (path("ID+video", model="sasrec"), r"written 'ID\+V'"),
        (path("ID+V+A", model="sasrec"), "unknown channel 'V'"),
        (path("ID+X", model="sasrec"), r"unknown letter 'X' in inputs 'ID\+X'"),
        (path("ID+video@bert", model="sasrec"), "backbone 'bert' reads text, but 'video' is video"),
        (path("ID"), r"CROSSAN takes at least 1 beside ids \(as ID\+V\), not 'ID'"),
        (path("ID+T", model="iisan"), r"IISAN takes exactly 2 beside ids \(as ID\+TI\), not 'ID\+T'"),
        (path("ID", model="frozen"), "Frozen reads no ids, so not on inputs 'ID'$"),
        (path("ID+TV", model="lora"), r"LoRA reads no ids, so not on inputs 'ID\+TV': write 'TV'"),
        (path("V", model="sasrec"), r"SASRec trains on ids, so not on inputs 'V': write 'ID\+V'"),
        (path("ID+V", model="lightgcn"), r"LightGCN reads ids alone \(ID\), not 'ID\+V'"),
        (path("ID", model="bm3"), r"BM3 takes at least 1 beside ids \(as ID\+V\), not 'ID'"),
        (path("ID", model="sasrec", variant="user_encoder=gru4rec"), "unknown setting 'user_encoder'"),
        (path("ID", model="gru4rec", variant="user_heads=4"), "unknown setting 'user_heads'"),
        (
            path("ID", model="sasrec", variant="feature_layer=3"),
            "feature_layer needs features, and inputs 'ID' have none",
        ),
        (path(variant="user_encoder=gru"), "user_encoder"),
        (path(variant="user_encoder=gru4rec,user_heads=4"), "written 'user_encoder=gru4rec'"),
        (path(variant="weight_decay=0.1"), "unknown setting 'weight_decay'"),
        ("results/demo/crossan", "is no run: expected"),
    ],
)
def test_bad_paths_say_what_is_wrong(bad, message):
    with pytest.raises(ConfigError, match=message):
        artifacts.parse_run(CONFIG, bad)


def test_a_good_path():
    run = artifacts.parse_run(CONFIG, path("TI", variant="adapter_width=64,fusion=concat", seed="7"))
    assert run.inputs == (Input("title", "bert"), Input("cover", "vit"))
    assert (run.settings.adapter_width, run.settings.fusion, run.seed) == (64, "concat", 7)
    assert run.metrics == path("TI", variant="adapter_width=64,fusion=concat", seed="7")


@pytest.mark.parametrize(
    ("text", "features"),
    [
        ("ID", ()),
        ("ID+V", (Input("video", "videomae"),)),
        ("ID+TV", (Input("title", "bert"), Input("video", "videomae"))),
        ("ID+title+cover@vit-base", (Input("title", "bert"), Input("cover", "vit-base"))),
    ],
)
def test_ids_stand_first_and_need_no_store(text, features):
    run = artifacts.parse_run(CONFIG, path(text, model="gru4rec"))
    assert run.inputs == (artifacts.IDS, *features)
    assert run.features == features
    assert artifacts.format_inputs(CONFIG, "demo", [*features, artifacts.IDS]) == text
    stores = [f"results/demo/hidden/{source.channel}/{source.backbone}.json" for source in features]
    assert artifacts.run_needs(CONFIG, run) == ["results/demo/interactions.parquet", *stores]


def test_a_method_called_after_its_user_encoder_has_that_one():
    assert artifacts.parse_run(CONFIG, path("ID", model="nextitnet")).settings.user_encoder == "nextitnet"
    assert artifacts.parse_run(CONFIG, path("ID", model="sasrec")).settings.user_encoder == "transformer"
    changed = load_config({"datasets": {"demo": {"settings": {"all": {"user_encoder": "gru4rec"}}}}})
    assert artifacts.default_settings(changed, "demo", "crossan").user_encoder == "gru4rec"
    assert artifacts.default_settings(changed, "demo", "sasrec").user_encoder == "transformer"


def test_a_setting_that_came_later_is_recorded_where_it_is_set():
    """So that runs made before it are still the same runs."""
    before = artifacts.parse_run(CONFIG, path())
    later = {"user_encoder", "missing", "missing_share", "cosine_temperature", "weight_averaging", "recipe"}
    assert artifacts.recorded_settings(before) == set(METHODS["crossan"].valid_settings) - later
    for variant in ("user_encoder=youtube", "cosine_temperature=0.1", "weight_averaging=0.9", "missing=zeros"):
        changed = artifacts.parse_run(CONFIG, path(variant=variant))
        unset = later - {variant.partition("=")[0]}
        assert artifacts.recorded_settings(changed) == set(METHODS["crossan"].valid_settings) - unset


def test_two_views_of_one_channel_are_kept_in_their_order():
    text = "title@bert-base+title"
    assert artifacts.format_inputs(CONFIG, "demo", artifacts.parse_inputs(CONFIG, "demo", text)) == text


def test_the_data_sets_own_default_is_never_written():
    """top_k = 2 is the default on 100K, 3 on 50K (CROSSAN, Table 7)."""
    assert artifacts.format_variant(CONFIG, "microlens-100k", "crossan", {"top_k": 2}) == "default"
    assert artifacts.format_variant(CONFIG, "microlens-50k", "crossan", {"top_k": 3}) == "default"
    assert artifacts.format_variant(CONFIG, "microlens-50k", "crossan", {"top_k": 2}) == "top_k=2"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"crosan": {"top_k": 1}}, "unknown model 'crosan'.*did you mean 'crossan'"),
        ({"all": {"top_q": 1}}, "unknown key 'top_q': did you mean 'top_k'"),
        ({"frozen": {"gating": False}}, "unknown setting 'gating'.*for 'frozen'"),
        ({"full": {"adapter_width": 7}}, "unknown setting 'adapter_width'.*for 'full'"),
        ({"crossan": {"top_k": 0}}, "top_k"),
    ],
)
def test_bad_default_settings_are_refused_when_the_config_is_read(settings, message):
    with pytest.raises(ConfigError, match=message):
        load_config({"datasets": {"demo": {"settings": settings}}})


numbers = {
    "recipe": st.sampled_from(list(RECIPES)),
    "adapter_width": st.integers(1, 9000),
    "top_k": st.integers(1, 8),
    "dropout": st.floats(0, 0.99),
    "learning_rate": st.floats(1e-7, 1),
    "layers": st.sampled_from(["even", "1-2-3", "12"]),
    "gating": st.booleans(),
    "precision": st.sampled_from(["auto", "float32", "bfloat16"]),
}


def test_a_recipe_in_a_variant_stands_above_the_data_sets_settings():
    """So that it is carried unchanged to other data; what the variant says beside it counts all the same."""
    demo = artifacts.default_settings(CONFIG, "demo", "crossan")
    modern = artifacts.parse_run(CONFIG, path(variant="recipe=modern")).settings
    changed = {name for name in type(demo).model_fields if getattr(demo, name) != getattr(modern, name)}
    assert changed <= {"recipe", *RECIPES["modern"]}
    assert all(getattr(modern, name) == value for name, value in RECIPES["modern"].items())
    both = artifacts.parse_run(CONFIG, path(variant="recipe=modern,dropout=0.5")).settings
    assert both == modern.model_copy(update={"dropout": 0.5})
    assert (
        artifacts.format_variant(CONFIG, "demo", "crossan", {"recipe": "modern", "weight_averaging": 0.99})
        == "recipe=modern"
    )
    with pytest.raises(ConfigError, match="is written 'recipe=modern'"):
        artifacts.parse_run(CONFIG, path(variant="recipe=modern,weight_averaging=0.99"))


def test_a_data_sets_recipe_stands_below_its_settings():
    own = {"recipe": "modern", "dropout": 0.5}
    config = load_config({"datasets": {"microlens-50k": {"settings": {"all": own, "lightgcn": {"graph_layers": 1}}}}})
    settings = artifacts.default_settings(config, "microlens-50k", "crossan")
    assert settings.model_dump() | own == settings.model_dump()
    assert settings.cosine_temperature == RECIPES["modern"]["cosine_temperature"]
    assert artifacts.default_settings(config, "microlens-50k", "lightgcn").recipe == "papers"
    back = artifacts.parse_variant(config, "microlens-50k", "crossan", "recipe=papers")
    assert back.cosine_temperature == 0
    assert back.dropout == 0.5
    with pytest.raises(ConfigError, match="recipe"):
        load_config({"datasets": {"demo": {"settings": {"all": {"recipe": "modem"}}}}})


@pytest.mark.parametrize(
    ("settings", "recipe"),
    [
        (None, "modern"),
        ({"sasrec": {"dropout": 0.5}}, "modern"),
        ({"all": {"dropout": 0.5}}, "modern"),
        ({"all": {"recipe": "papers"}}, "papers"),
    ],
)
def test_ones_own_data_has_the_modern_recipe_unless_it_names_another(settings, recipe):
    mine = {"title": "Mine", "corpus": "demo", "pairs": "pairs.tsv", "backbones": {"title": "bert"}}
    config = load_config({"datasets": {"mine": mine | ({} if settings is None else {"settings": settings})}})
    found = artifacts.default_settings(config, "mine", "crossan")
    assert found.recipe == recipe
    assert found.standardize == (recipe == "modern")
    assert artifacts.default_settings(config, "mine", "lightgcn").recipe == "papers"  # on pairs there is one way
    assert artifacts.default_settings(config, "demo", "crossan").recipe == "papers"
    if settings and "dropout" in settings.get("all", {}):
        assert found.dropout == 0.5
    assert load_config(config.model_dump()) == config


MINE = {"title": "Mine", "corpus": "demo", "pairs": "pairs.tsv", "backbones": {"title": "bert", "cover": "vit"}}


@pytest.mark.parametrize("settings", [{}, {"all": {"cached": False}}, {"crossan": {"cached": False}}])
def test_a_recipe_standardizes_nothing_where_no_hidden_states_are_kept(settings):
    """Nobody wrote `standardize`, so that nobody should be asked to take it back."""
    config = load_config({"datasets": {"mine": MINE | {"settings": settings}}})
    fresh, kept = ("default", "cached=true") if settings else ("cached=false", "default")
    for text, cached in ((fresh, False), (kept, True)):
        found = artifacts.parse_variant(config, "mine", "crossan", text)
        assert (found.cached, found.standardize, found.cosine_temperature) == (cached, cached, 0.07)
        assert artifacts.format_variant(config, "mine", "crossan", found) == text
        assert artifacts.format_variant(config, "mine", "crossan", {"cached": cached}) == text
    papers = artifacts.parse_variant(config, "mine", "crossan", f"recipe=papers{'' if settings else ',cached=false'}")
    assert (papers.cached, papers.standardize, papers.cosine_temperature) == (False, False, 0)
    modern = artifacts.parse_variant(CONFIG, "demo", "crossan", "recipe=modern,cached=false")
    assert (modern.cached, modern.standardize, modern.adapter_width) == (False, False, 256)
    with pytest.raises(ConfigError, match="set standardize=false too"):
        artifacts.parse_variant(CONFIG, "demo", "crossan", "recipe=modern,cached=false,standardize=true")


def test_an_own_methods_defaults_stand_above_a_data_sets_recipe():
    own = {"title": "My", "code": "my.py:My", "reads": "hidden"}
    mine = {"datasets": {"mine": MINE}}
    values = {"learning_rate": 3e-4, "recommender_width": 66, "user_heads": 3, "cached": False}
    config = load_config(mine | {"methods": {"my": own | {"defaults": values}}})
    found = artifacts.default_settings(config, "mine", "my")
    assert found.model_dump() | values == found.model_dump()
    assert (found.recipe, found.batch_size, found.standardize) == ("modern", 256, False)
    assert artifacts.run(config, "mine", "my", "T").variant == "default"
    with pytest.raises(ConfigError, match=r"methods\.my: a method's defaults name no recipe"):
        load_config(mine | {"methods": {"my": own | {"defaults": {"recipe": "papers"}}}})
    settings = {"all": {"dropout": 0.2}, "my": {"recipe": "papers"}}
    config = load_config({"datasets": {"mine": MINE | {"settings": settings}}, "methods": {"my": own}})
    assert artifacts.default_settings(config, "mine", "my").recipe == "papers"
    assert artifacts.default_settings(config, "mine", "crossan").recipe == "modern"


def test_a_recipe_gives_a_method_the_settings_that_it_has():
    settings = artifacts.parse_run(CONFIG, path("ID", "sasrec", "recipe=modern")).settings
    assert settings.recommender_width == RECIPES["modern"]["recommender_width"]
    assert settings.adapter_width == artifacts.default_settings(CONFIG, "demo", "sasrec").adapter_width
    for model, inputs in (("lora", "TI"), ("lightgcn", "ID")):
        with pytest.raises(ConfigError, match="unknown setting 'recipe'"):
            artifacts.parse_run(CONFIG, path(inputs, model, "recipe=modern"))


@given(st.fixed_dictionaries({}, optional=numbers))
def test_variants_read_back_as_they_were_written(values):
    text = artifacts.format_variant(CONFIG, "demo", "crossan", values)
    assert "/" not in text
    settings = artifacts.parse_variant(CONFIG, "demo", "crossan", text)
    base = artifacts.default_settings(CONFIG, "demo", "crossan", values.get("recipe")).model_dump()
    if values.get("layers", "even") != "even":
        values = {**values, "blocks": base["blocks"]}  # idle beside a list of layers
    assert settings == Settings(**{**base, **values})


@given(st.lists(st.sampled_from(["title", "cover", "video", "audio"]), min_size=1, max_size=5))
def test_inputs_read_back_as_they_were_written(channels):
    own = CONFIG.datasets["demo"].backbones
    sources = [Input(channel, own[channel]) for channel in channels]
    text = artifacts.format_inputs(CONFIG, "demo", sources)
    assert sorted(artifacts.parse_inputs(CONFIG, "demo", text), key=str) == sorted(sources, key=str)


@pytest.mark.parametrize(
    ("model", "ids"),
    [
        *((model, method.ids) for model, method in METHODS.items()),
        *((model, True) for model, method in METHODS.items() if method.may_have_ids),
    ],
)
def test_a_run_needs_what_its_method_reads(model, ids):
    inputs = "ID" if METHODS[model].most_channels == 0 else "ID+TI" if ids else "TI"
    needs = artifacts.run_needs(CONFIG, artifacts.run(CONFIG, "demo-half", model, inputs))
    assert needs[0] == "results/demo-half/interactions.parquet"
    if METHODS[model].reads == "inputs":
        assert "results/demo/inputs/title/bert.json" in needs
        assert "results/checkpoints/vit.json" in needs
    elif inputs == "ID":
        assert len(needs) == 1
    else:
        assert needs[1:] == ["results/demo/hidden/title/bert.json", "results/demo/hidden/cover/vit.json"]


def test_stores_lie_beside_their_manifests():
    assert artifacts.store_of("results/demo/hidden/title/bert.json") == "results/demo/hidden/title/bert.zarr"
    assert artifacts.store_of("results/checkpoints/bert.json") == "results/checkpoints/bert"
    assert artifacts.store_of("/tmp/x/results/checkpoints/bert.json") == "/tmp/x/results/checkpoints/bert"
