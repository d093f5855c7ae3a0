"""BibTeX as data: assets/references.bib, and the works one study used."""

from __future__ import annotations

import re
from functools import lru_cache

from dqviz.report.source import Source
from dqviz.runs.home import assets_dir
from dqviz.runs.rows import RunRow

# Every run stands on these two: the layers and the optimizer.
ALWAYS = ("fey2019", "kingma2015")
_ENTRY = re.compile(r"^@\w+\{([^,\s]+),.*?^\}", re.MULTILINE | re.DOTALL)


@lru_cache(maxsize=1)
def references() -> dict[str, str]:
    """Key -> BibTeX entry, in the order of the file."""
    text = (assets_dir() / "references.bib").read_text(encoding="utf-8")
    return {match.group(1): match.group(0) for match in _ENTRY.finditer(text)}


def used(source: Source) -> dict[str, str]:
    """The entries that the study's finished runs used, sorted by key."""
    keys = set(ALWAYS if source.finished else ())
    for run in source.finished:
        keys.update(cited(source, run))
    return {key: references()[key] for key in sorted(keys) if key in references()}


def cited(source: Source, run: RunRow) -> set[str]:
    """Keys a run recorded when it was trained, and those the catalogue gives for its data set and parts."""
    provenance = source.document(run.run_id, "provenance")
    recorded = provenance.get("citations") if isinstance(provenance, dict) else None
    keys = {str(key) for key in recorded} if isinstance(recorded, list) else set()
    for kind in ("dataset", "arch", "method"):
        keys |= source.registered(kind, getattr(run, kind))
    return keys


def plain(entry: str) -> str:
    """One entry as a line of text: authors, title, year."""
    fields = dict(re.findall(r"^\s*(\w+) = \{(.*)\},?$", entry, re.MULTILINE))
    fields["author"] = fields["author"].replace(" and ", "; ")
    names = ("author", "title", "booktitle", "journal", "howpublished", "year", "note", "doi")
    return " ".join(f"{unbraced(fields[name]).rstrip('.')}." for name in names if name in fields)


_ACCENTS = {r"{\v{c}}": "č", r"{\'c}": "ć", r"{\'e}": "é", r"{\`o}": "ò", r"{\"u}": "ü", r"{\"o}": "ö"}


def unbraced(text: str) -> str:
    for code, letter in _ACCENTS.items():
        text = text.replace(code, letter)
    return text.replace("{", "").replace("}", "").replace("--", "–")
