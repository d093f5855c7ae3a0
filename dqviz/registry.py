"""A named table of variants (methods, architectures, data sets, observers, kernels), each with one line of help."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, model_validator

from dqviz.errors import BadInput, unknown

T = TypeVar("T")


class Settings(BaseModel):
    """Settings of one registered variant: frozen, no unknown names, and pairs that must be in order.

    `ascending` names pairs (low, high) with low <= high; it travels in the JSON schema as `x-ascending`, so that a
    form built from the schema refuses what this class refuses (see `dqviz.runs.catalogue.check`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    ascending: ClassVar[tuple[tuple[str, str], ...]] = ()

    @model_validator(mode="after")
    def _in_order(self) -> Settings:
        for low, high in self.ascending:
            if getattr(self, low) > getattr(self, high):
                raise ValueError(f"{low} must not be above {high} ({getattr(self, low)} > {getattr(self, high)})")
        return self

    @classmethod
    def schema_of(cls) -> dict[str, Any]:
        """JSON schema with `x-ascending`; what the catalogue stores and forms are built from."""
        return cls.model_json_schema() | {"x-ascending": [list(pair) for pair in cls.ascending]}


@dataclass(frozen=True)
class Entry(Generic[T]):
    """One registered variant. `cites`: keys of `assets/references.bib`; `cites_where` those of a setting's value."""

    name: str
    summary: str
    factory: Callable[..., T]
    settings: type[Settings] = Settings
    cites: tuple[str, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)
    cites_where: dict[tuple[str, Any], tuple[str, ...]] = field(default_factory=dict)

    def works(self, values: Mapping[str, Any]) -> set[str]:
        """Citation keys of this variant with these settings."""
        chosen = [keys for (name, value), keys in self.cites_where.items() if values.get(name) == value]
        return {*self.cites, *(key for keys in chosen for key in keys)}

    def make(self, *args: Any, **kwargs: Any) -> T:
        return self.factory(*args, **kwargs)


class Registry(Generic[T]):
    """Names to entries, in order of registration; an unknown name lists the choices."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, Entry[T]] = {}

    def add(self, entry: Entry[T]) -> Entry[T]:
        if entry.name in self._entries:
            raise ValueError(f"{self.kind} {entry.name!r} is registered twice")
        self._entries[entry.name] = entry
        return entry

    def __getitem__(self, name: str) -> Entry[T]:
        if name not in self._entries:
            raise unknown(self.kind, name, self._entries)
        return self._entries[name]

    def __iter__(self) -> Iterator[Entry[T]]:
        return iter(self._entries.values())

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def names(self) -> list[str]:
        return list(self._entries)

    def settings(self, name: str, values: dict[str, Any]) -> Settings:
        """Validated settings of `name`; BadInput in one sentence when a value does not fit."""
        entry = self[name]
        try:
            return entry.settings(**values)
        except ValueError as error:
            raise BadInput(one_sentence(f"Settings of {self.kind} {name!r}", error)) from error


def one_sentence(subject: str, error: ValueError) -> str:
    """A pydantic error as one sentence: which field, what is wrong with it, what was given."""
    problems = getattr(error, "errors", None)
    if problems is None:
        return f"{subject}: {error}."
    parts = []
    for problem in problems():
        where = ".".join(str(step) for step in problem["loc"])
        message = str(problem["msg"]).removeprefix("Value error, ")
        parts.append(f"{where}: {message}" if where else message)
    return f"{subject}: {'; '.join(parts)}."
