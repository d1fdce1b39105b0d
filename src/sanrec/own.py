"""Encoders of the user's own: where their code is, what it is known by, and loading it. Light until it is loaded.

It is code of the user's, in the user's folder, named in the user's config: it runs as the user does, like a Snakefile.
What comes with data or checkpoints is never run.
"""

import hashlib
import importlib
import json
import os
import sys
from collections.abc import Callable
from importlib.machinery import PathFinder
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from sanrec.artifacts import Run
from sanrec.config import Config, OwnMethod, OwnUserEncoder
from sanrec.errors import ConfigError, unknown


def own_records(config: Config, run: Run) -> dict[str, OwnMethod | OwnUserEncoder]:
    """What of a run is the user's own, by its config key: `methods.my-tower`, `user_encoders.my-encoder`."""
    found: dict[str, OwnMethod | OwnUserEncoder] = {}
    if run.model in config.methods:
        found[f"methods.{run.model}"] = config.methods[run.model]
    if run.settings.user_encoder in config.user_encoders:
        found[f"user_encoders.{run.settings.user_encoder}"] = config.user_encoders[run.settings.user_encoder]
    return found


def own_fingerprint(config: Config, run: Run) -> str:
    """What a run depends on of the user's own: records and the bytes of their code; nothing where nothing is.

    Raises ConfigError where code is missing.
    """
    parts = {
        key: [
            record.model_dump(mode="json", exclude={"title", "code"}),
            _name(record.code),
            code_digest(record.code, key),
        ]
        for key, record in own_records(config, run).items()
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest() if parts else ""


def code_digest(code: str, key: str) -> str:
    """SHA-256 of a file's bytes, or of all .py files of the package that a module is in, with their names.

    Nothing is imported. Raises ConfigError, naming the config key, where there is no such file or module.
    """
    digest = hashlib.sha256()
    for name, path in _files(code, key):
        content = path.read_bytes()
        digest.update(f"{len(name)}:{name}{len(content)}:".encode() + content)
    return digest.hexdigest()


def load_own(code: str, key: str) -> Callable[..., Any]:
    """The class or function that `code` names. Raises ConfigError where there is none, or its file is no Python."""
    place, name = _place(code), _name(code)
    module = _from_file(Path(place), code_digest(code, key), key) if _is_file(code) else _imported(place, code, key)
    found = getattr(module, name, None)
    if not callable(found):
        having = [n for n, value in vars(module).items() if callable(value) and value.__module__ == module.__name__]
        raise ConfigError(f"{key}.code: {unknown('class or function', name, having, place)}")
    return found


def _place(code: str) -> str:
    return code.rpartition(":")[0]


def _name(code: str) -> str:
    return code.rpartition(":")[2]


def _is_file(code: str) -> bool:
    return _place(code).endswith(".py")


def _files(code: str, key: str) -> list[tuple[str, Path]]:
    """The files whose content counts, each with the name under which it does."""
    place = _place(code)
    if _is_file(code):
        if not Path(place).is_file():
            raise ConfigError(f"{key}.code: there is no file {Path(place).absolute()}: put it there, or name another")
        return [("", Path(place))]
    spec = PathFinder.find_spec(place.partition(".")[0], [os.getcwd(), *sys.path])  # noqa: PTH109 (as sys.path has it)
    if spec is None:
        raise ConfigError(
            f"{key}.code: there is no module '{place}': install it beside sanrec, put it into the working folder, or "
            "name a file (my_encoders.py:MyTower)"
        )
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    if not folders:
        return [("", Path(str(spec.origin)))]
    inside = [(path.relative_to(folder).as_posix(), path) for folder in folders for path in folder.rglob("*.py")]
    return sorted(inside)


def _from_file(path: Path, digest: str, key: str) -> ModuleType:
    name = f"sanrec_own_{path.stem}_{digest[:12]}"  # another content is another module
    if name in sys.modules:
        return sys.modules[name]
    spec = spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, SyntaxError):
            raise ConfigError(f"{key}.code: {path}, line {error.lineno}: {error.msg}") from None
        raise
    return module


def _imported(place: str, code: str, key: str) -> ModuleType:
    _files(code, key)  # says what is missing
    folder = os.getcwd()  # noqa: PTH109 (as sys.path has it)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        return importlib.import_module(place)
    except ModuleNotFoundError as error:
        if error.name and (place == error.name or place.startswith(f"{error.name}.")):
            raise ConfigError(f"{key}.code: there is no module '{error.name}'") from None
        raise
