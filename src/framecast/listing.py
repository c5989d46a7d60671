"""What there is, by name, with a line on each: models, presets, protocols, datasets.

Lines come from docstrings in source files that are parsed and not run, so that a list costs
milliseconds.
"""

import ast
import importlib.util
from functools import lru_cache
from pathlib import Path
from types import ModuleType

from framecast import registry
from framecast.errors import FolderError
from framecast.registry import shipped


def models() -> dict[str, str]:
    """Names of the models: those that come with the package and `load` takes, then the types.

    A shipped model's name has a slash: `type/what-it-was-trained-on`.
    """
    types = _described("models")
    return {name: _heading(path) for name, path in shipped().items()} | types


def checked(name: str) -> str:
    """A name that may stand for a model: one of `models`, or a path.

    Raises:
        FolderError: if nothing is called so, with the nearest names.
    """
    known = models()
    if name not in known and not Path(name).exists():
        near = registry.suggest(name, known)
        raise FolderError(f"there is no model {name!r}, shipped or as a folder; {near}")
    return name


def presets() -> dict[str, str]:
    """Names of the presets, with a line on each."""
    return _described("presets")


def datasets() -> dict[str, str]:
    """Registered names of the datasets, with a line on each."""
    return _described("data")


def protocols() -> dict[str, str]:
    """Names of the protocols, with a line on each."""
    return _described("protocols")


class Listed(ModuleType):
    """A package that, when called, lists what is in it.

    `framecast.models` is a function until the package of that name is imported, which takes its
    place; then the package answers the same call.
    """

    def __call__(self) -> dict[str, str]:
        """As `models()` or `presets()`, by the package's name."""
        return {"models": models, "presets": presets}[self.__name__.rpartition(".")[2]]()


def first_line(text: str | None) -> str:
    """The first sentence or line of a text, without its full stop."""
    line = (text or "").strip().split("\n\n")[0]
    return " ".join(line.split()).split(". ")[0].removesuffix(".")


def _described(kind: str) -> dict[str, str]:
    return {name: _summary(registry.target(kind, name)) for name in registry.names(kind)}


def _summary(target: str) -> str:
    """The first line of the docstring of `module:attribute`."""
    module, _, attribute = target.partition(":")
    return _docstrings(module).get(attribute, "")


@lru_cache
def _docstrings(module: str) -> dict[str, str]:
    source = _source(module)
    if source is None:
        return {}
    tree = ast.parse(source.read_text(encoding="utf-8"))
    documented = [node for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)]
    return {node.name: first_line(ast.get_docstring(node)) for node in documented}


def _source(module: str) -> Path | None:
    """The file of a module, found without importing the packages that it is in."""
    top, *parts = module.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    if not parts:
        return Path(spec.origin) if spec.origin and spec.origin.endswith(".py") else None
    paths = [Path(root, *parts) for root in spec.submodule_search_locations or []]
    files = [file for path in paths for file in (path.with_suffix(".py"), path / "__init__.py")]
    return next((file for file in files if file.is_file()), None)


def _heading(folder: Path) -> str:
    """The first line of a model's card that is no heading."""
    card = folder / "README.md"
    lines = card.read_text(encoding="utf-8").splitlines() if card.is_file() else []
    return next((first_line(line) for line in lines if line.strip() and line[0] != "#"), "")
