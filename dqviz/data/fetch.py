"""Raw files of a published data set: on disk under DQVIZ_DATA, downloaded before, or downloaded now."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

from dqviz.data.arrays import write_whole
from dqviz.data.paths import cache_dir, data_dir
from dqviz.errors import Unavailable

TIMEOUT_S = 5
"""Without a network a name lookup or a dropped packet must not hang the page that asked."""

LARGEST_BYTES = 200_000_000

Download = Callable[[Path], None]


def raw_folder(name: str, folder: str, files: Sequence[str], download: Download) -> Path:
    """Folder that holds all `files`: DQVIZ_DATA/folder/raw, else the download cache, filled by `download` if need be.

    Raises Unavailable in one sentence that names the folder to fill and the variable to set.
    """
    root = data_dir()
    here = root / folder / "raw" if root else None
    downloaded = cache_dir() / "raw" / folder / "raw"
    for place in [here, downloaded]:
        if place and all((place / file).is_file() for file in files):
            return place
    try:
        download(downloaded)
    except OSError as error:
        raise absent(name, folder, files, here, error) from error
    return downloaded


def absent(name: str, folder: str, files: Sequence[str], here: Path | None, error: OSError) -> Unavailable:
    where = str(here) if here else f"a folder {folder}/raw"
    variable = "DQVIZ_DATA points there" if here else f"set DQVIZ_DATA to the folder that holds {folder}"
    listed = ", ".join(files)
    return Unavailable(
        f"Data set {name!r} is not on this machine and could not be downloaded ({str(error) or type(error).__name__}): "
        f"put {listed} into {where} ({variable})."
    )


def fetch(url: str, target: Path) -> None:
    """Download `url` to `target`, whole or not at all. Raises OSError (urllib's errors are kinds of it)."""
    write_whole(target, read_url(url))


def read_url(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
        content: bytes = answer.read(LARGEST_BYTES + 1)
    if len(content) > LARGEST_BYTES:
        raise OSError(f"{url} sends more than {LARGEST_BYTES} bytes")
    return content
