"""`python -m dqviz.data.parse [--out FOLDER] UPLOAD...`: parse an upload in a process that cannot hurt.

1 GiB of address space, 10 s of processor time, 600 MB of output: set before numpy is imported. Prints one JSON
document: name, facts and notes, or {"error": one sentence} with exit code 2. With --out the canonical file is written
there, as NAME.safetensors.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from dqviz.errors import BadInput

MEMORY_BYTES = 1 << 30
CPU_S = 10
OUTPUT_BYTES = 600_000_000
TOO_LARGE = "The upload needs more than 1 GiB of memory to be read; make it smaller."


def main(arguments: list[str]) -> int:
    limit()
    out = Path(arguments[1]) if arguments[:1] == ["--out"] else None
    paths = [Path(argument) for argument in arguments[2 if out else 0 :]]
    try:
        answer: dict[str, Any] = parse_files(paths, out)
    except BadInput as error:
        answer = {"error": str(error)}
    except MemoryError:
        answer = {"error": TOO_LARGE}
    sys.stdout.write(json.dumps(answer) + "\n")
    return 2 if "error" in answer else 0


def limit() -> None:
    """Set the process's limits; where the system has none (Windows), the caller's timeout remains."""
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # each thread of it reserves address space
    try:
        import resource
    except ImportError:
        return
    for what, most in {
        resource.RLIMIT_AS: MEMORY_BYTES,
        resource.RLIMIT_CPU: CPU_S,
        resource.RLIMIT_FSIZE: OUTPUT_BYTES,
        resource.RLIMIT_CORE: 0,
    }.items():
        try:
            resource.setrlimit(what, (most, most))
        except (ValueError, OSError):
            continue  # a stricter limit already holds, or this system does not know the kind


def parse_files(paths: list[Path], out: Path | None) -> dict[str, Any]:
    from dqviz.data.arrays import write_whole
    from dqviz.data.upload import parse

    parsed = parse({f"{i}{path.suffix}": path.read_bytes() for i, path in enumerate(paths)})
    name, content = parsed.canonical()
    if out is not None:
        write_whole(out / f"{name}.safetensors", content)
    return {"name": name, "notes": list(parsed.notes), "facts": parsed.facts()}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
