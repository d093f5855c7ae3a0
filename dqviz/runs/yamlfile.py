"""YAML files that people or programs write for dqviz: safe, and in one sentence when one cannot be used."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from dqviz.errors import BadInput


class Loader(yaml.SafeLoader):
    """Safe YAML in which 1e-3 is a number (YAML 1.1 reads it as a word, JSON and people do not)."""


Loader.yaml_implicit_resolvers = {key: list(value) for key, value in yaml.SafeLoader.yaml_implicit_resolvers.items()}
Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def document(path: Path, kind: str) -> dict[str, Any]:
    """The map in the file at `path`. Raises BadInput, naming the `kind` of file, when there is none to read."""
    try:
        found = yaml.load(path.read_text(encoding="utf-8"), Loader)  # a subclass of SafeLoader
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"The {kind} {path.name!r} cannot be read: {error}.") from error
    except yaml.YAMLError as error:
        raise BadInput(f"The {kind} {path.name!r} is not YAML: {' '.join(str(error).split())}.") from error
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise BadInput(f"The {kind} {path.name!r} must hold names with values, such as 'datasets: [cora]'.")
    return found
