"""Commands that only look: what is installed, what is registered, what a data set holds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import typer

from dqviz.cli.output import AsJson, emit
from dqviz.cli.parse import Setting, settings_of
from dqviz.registry import Entry, Registry


def row(entry: Entry[Any]) -> dict[str, Any]:
    """What the catalogue holds of one registered variant."""
    return {
        "name": entry.name, "summary": entry.summary, "schema": entry.settings.schema_of(),
        "cites": list(entry.cites), "facts": dict(entry.facts),
    }  # fmt: skip


def rows(registry: Registry[Any]) -> list[dict[str, Any]]:
    return [row(entry) for entry in registry]


def doctor(as_json: AsJson = False) -> None:
    """Versions, CPU features, kernel backends, data sets found, database."""
    from dqviz.cli.health import health

    emit(health(), as_json)


def datasets(as_json: AsJson = False) -> None:
    """The data sets: embedded ones first, then those that are read from disk or downloaded."""
    from dqviz.data import DATASETS

    emit(rows(DATASETS), as_json, ("name", "summary"))


def methods(as_json: AsJson = False) -> None:
    """The quantization methods."""
    from dqviz.methods import METHODS

    emit(rows(METHODS), as_json, ("name", "summary"))


def archs(as_json: AsJson = False) -> None:
    """The architectures."""
    from dqviz.nn import ARCHS

    emit(rows(ARCHS), as_json, ("name", "summary"))


def catalog(as_json: AsJson = False) -> None:
    """Everything registered with its settings as JSON schema: what the app builds its forms from."""
    from dqviz.data import DATASETS
    from dqviz.methods import METHODS
    from dqviz.nn import ARCHS

    document = {"datasets": rows(DATASETS), "archs": rows(ARCHS), "methods": rows(METHODS), "observers": observers()}
    emit(document if as_json else {name: names(found) for name, found in document.items()}, as_json)


def facts(
    dataset: Annotated[str, typer.Argument(help="Name of a data set; `dqviz datasets` lists them.")],
    setting: Setting = None,
    as_json: AsJson = False,
) -> None:
    """Counts, degree table and the layout of a sample of one data set."""
    from dqviz.data.facts import facts as facts_of
    from dqviz.data.loading import DATASETS, load

    settings = settings_of(setting)
    if dataset in DATASETS:
        DATASETS.settings(dataset, settings)
    document = facts_of(load(dataset, settings))
    emit(document if as_json else {key: value for key, value in document.items() if not isinstance(value, dict | list)},
         as_json)  # fmt: skip


def observers() -> list[dict[str, Any]]:
    """The range rules a method can name, with the lines of help their classes carry."""
    from dqviz.quant import observers as module

    classes = {"abs": module.RunningMinMax, "mom": module.MomentumMinMax, "per": module.Percentile}
    return [
        {"name": name, "summary": (cls.__doc__ or "").split(": ", 1)[-1].splitlines()[0], "schema": {}, "cites": [],
         "facts": {}}
        for name, cls in classes.items()
    ]  # fmt: skip


def names(found: Iterable[dict[str, Any]]) -> list[str]:
    return [str(one["name"]) for one in found]
