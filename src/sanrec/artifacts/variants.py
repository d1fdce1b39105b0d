"""A run's settings: those of its method and data set, and the variant that says what differs."""

from collections.abc import Mapping
from typing import Any

import yaml

from sanrec.config import Config, Settings, validate
from sanrec.errors import ConfigError, unknown
from sanrec.layers import canonical
from sanrec.methods import METHODS, USER_ENCODERS, Method, own_method
from sanrec.recipes import PAPERS, RECIPES, recipe_of

TUNED = "tuned"


def methods(config: Config) -> list[str]:
    """The names of all methods: the built-in ones, and then the user's own."""
    return [*METHODS, *config.methods]


def method(config: Config, model: str) -> Method:
    """The method of that name. Raises ConfigError, with the nearest valid name, where there is none."""
    if model in config.methods:
        return own_method(config.methods[model])
    if model not in METHODS:
        raise unknown("model", model, methods(config))
    return METHODS[model]


def default_settings(
    config: Config, dataset: str, model: str, recipe: str | None = None, cached: bool | None = None
) -> Settings:
    """The method's defaults under those of the data set (`all` first, then the method's own).

    The values of the data set's recipe lie below both; those of another `recipe` lie above both. `cached` is what a
    variant says of it, for a recipe gives less where hidden states are not kept.
    """
    spec = method(config, model)
    valid = spec.valid_settings
    own = config.find("dataset", dataset).settings
    for key in own:
        if key != "all" and key not in methods(config):
            raise unknown("model", key, ["all", *methods(config)], f"settings of data set '{dataset}'")
    for key in own.get(model, {}):
        if key not in valid:
            raise unknown("setting", key, valid, f"settings of data set '{dataset}' for '{model}'")
    shared = {k: v for k, v in own.get("all", {}).items() if k in valid or k not in Settings.model_fields}
    told = {**shared, **own.get(model, {})}
    if cached is not None and "cached" in valid:
        told["cached"] = cached
    written = {**spec.defaults, **told}
    usual = written.get("recipe", PAPERS)
    given = recipe_of(usual if recipe is None else recipe, valid, kept=written.get("cached", True) is not False)
    merged = {**given, **written} if recipe in (None, usual) else {**written, **given, "recipe": recipe}
    settings = _validated(config, merged, f"settings of data set '{dataset}' for '{model}'")
    return _one_spelling(settings, settings.blocks)


def parse_variant(config: Config, dataset: str, model: str, text: str) -> Settings:
    """The settings of a variant, `default` or `name=value,name=value` in the order of `Settings`.

    Raises ConfigError for a setting the method does not have, a bad value, and for a spelling that is not canonical.
    """
    where = f"variant '{text}' of '{model}' on '{dataset}'"
    values: dict[str, Any] = {}
    for part in [] if text == "default" else text.split(","):
        name, equals, value = part.partition("=")
        if name not in (valid := method(config, model).valid_settings):
            raise unknown("setting", name, valid, where)
        if not equals:
            raise ConfigError(f"{where}: '{part}' is not of the form name=value")
        values[name] = yaml.safe_load(value) if value in ("true", "false") else value
    base = _under(config, dataset, model, values)
    settings = _validated(config, {**base.model_dump(), **values}, where)
    canonical = format_variant(config, dataset, model, settings)
    if canonical != text:
        raise ConfigError(f"{where} is written '{canonical}': one run has one path, a default is never written")
    return settings


def format_variant(config: Config, dataset: str, model: str, settings: Settings | Mapping[str, Any]) -> str:
    """The canonical variant of full `settings`, or of the mapping's values over the defaults."""
    usual = default_settings(config, dataset, model)
    if not isinstance(settings, Settings):
        for name in settings:
            if name not in (valid := method(config, model).valid_settings):
                raise unknown("setting", name, valid, f"a variant of '{model}'")
        base = _under(config, dataset, model, settings)
        settings = _validated(config, {**base.model_dump(), **settings}, f"a variant of '{model}' on '{dataset}'")
    base = default_settings(config, dataset, model, settings.recipe, settings.cached)
    idle, said = _without_effect(settings), _one_spelling(settings, base.blocks)
    changed = [
        f"{name}={spell(getattr(said, name))}"
        for name in Settings.model_fields
        if name not in idle and getattr(said, name) != getattr(usual if name in ("recipe", "cached") else base, name)
    ]
    return ",".join(changed) or "default"


def _under(config: Config, dataset: str, model: str, values: Mapping[str, Any]) -> Settings:
    """The settings that a variant's values stand above; bad values of its own are refused later."""
    recipe, cached = values.get("recipe"), values.get("cached")
    return default_settings(
        config, dataset, model, recipe if recipe in RECIPES else None, cached if isinstance(cached, bool) else None
    )


def _validated(config: Config, values: Mapping[str, Any], where: str) -> Settings:
    """Settings from values, the name of the user encoder among them. Raises ConfigError, saying `where`."""
    settings = validate(Settings, values, where)
    known = [*USER_ENCODERS, *config.user_encoders]
    if settings.user_encoder not in known:
        raise unknown("user encoder", settings.user_encoder, known, where)
    return settings


def given_of(variant: str) -> str:
    """The settings that a variant gives itself: all of it, or what stands behind `tuned`."""
    word, _, rest = variant.partition(",")
    return (rest or "default") if word == TUNED else variant


def tuned_variant(given: str = "default") -> str:
    """The variant with the settings of `given`, and all others as a search finds them."""
    return TUNED if given == "default" else f"{TUNED},{given}"


def given_names(given: str) -> set[str]:
    """The names of the settings that a variant gives."""
    return set() if given == "default" else {part.partition("=")[0] for part in given.split(",")}


def _without_effect(settings: Settings) -> set[str]:
    """The settings that others make idle: experts without MOMEF, attention heads without a transformer."""
    idle = set() if settings.fusion == "momef" else {"top_k"}
    return idle if settings.user_encoder == "transformer" else idle | {"user_heads"}


def _one_spelling(settings: Settings, usual_blocks: int) -> Settings:
    """Settings with `layers` and `blocks`, which together can say one thing in several ways, in the canonical one."""
    layers, blocks = canonical(settings.layers, settings.blocks, usual_blocks)
    return settings.model_copy(update={"layers": layers, "blocks": blocks})


def spell(value: Any) -> str:
    """A setting's value as it stands in a path: booleans as in yaml, floats as short as they read back the same."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)
