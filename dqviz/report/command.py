"""How a reader trains the same runs again."""

from __future__ import annotations

import shlex

from dqviz.report.source import Source
from dqviz.runs.plain import dumps
from dqviz.runs.presets import preset, presets


def command(source: Source) -> str:
    """A preset by its name; any other study by its file, which the zip holds."""
    name = preset_of(source)
    what = f"--preset {name}" if name else "study.json"
    known = shlex.quote(source.study.study_id)
    where = "" if name else f"; study.json is in the zip: python -m dqviz report {known} --out report.zip"
    return f"python -m dqviz study start {what} --wait  # study {known}{where}"


def study_json(source: Source) -> str:
    """The study run by run, in the format that `dqviz study start` reads."""
    runs = [run.spec.model_dump(mode="json") for run in source.runs]
    return dumps({"name": source.study.name, "runs": runs}, indent=1)


def preset_of(source: Source) -> str | None:
    """The preset whose runs these are, if any."""
    mine = {run.run_id for run in source.runs}
    for name in presets():
        if {spec.digest for spec in preset(name).runs} == mine:
            return name
    return None
