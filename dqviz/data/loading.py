"""The registry of data sets, and `load`."""

from __future__ import annotations

from typing import Any

from dqviz.data.amazon import CopurchaseSettings, copurchase
from dqviz.data.digits import GridSettings, KnnSettings, digits_grid, digits_knn
from dqviz.data.karate import KarateSettings, karate
from dqviz.data.mnist import SuperpixelSettings, superpixels
from dqviz.data.planetoid import CitationSettings, citation
from dqviz.data.sbm import SbmSettings, dc_sbm
from dqviz.data.stats import STATS
from dqviz.data.task import Kind, Task
from dqviz.data.tudataset import GraphsSettings, graphs
from dqviz.data.uploads import is_upload, load_upload
from dqviz.errors import BadInput
from dqviz.registry import Entry, Registry, Settings

DATASETS: Registry[Task] = Registry("data set")

SUMMARIES = {
    "digits-knn": "Images of digits, each pointing to its nearest neighbours; embedded, directed, skewed in-degree.",
    "karate": "Zachary's karate club: 34 people, small enough to follow by hand; embedded.",
    "dc-sbm": "Random graph with classes, power-law degrees and sparse features, at any size; generated.",
    "digits-grid": "Graph classification: each image of a digit is an 8 x 8 grid; embedded.",
    "cora": "Citations among machine-learning papers, bags of words, public split.",
    "citeseer": "Citations among computer-science papers, bags of words, public split.",
    "pubmed": "Citations among papers on diabetes, TF-IDF of words, public split.",
    "computers": "Amazon computers bought together, with very large hubs.",
    "photo": "Amazon photo articles bought together.",
    "reddit-binary": "Graph classification: discussion threads with extreme hubs, no node features.",
    "proteins": "Graph classification: proteins, enzymes or not.",
    "mutag": "Graph classification: molecules, mutagenic or not.",
    "mnist": "Graph classification: a subset of MNIST, each image of a digit as a graph of superpixels.",
}


def add(name: str, kind: Kind, factory: Any, settings: type[Settings], *cites: str, embedded: bool = False) -> None:
    """Register one data set; its facts are what a form shows before anything is loaded."""
    facts = {"kind": kind, "embedded": embedded, **STATS[name]._asdict()}
    DATASETS.add(Entry(name, SUMMARIES[name], factory, settings, cites, facts))


add("digits-knn", "node", digits_knn, KnnSettings, "alpaydin1998digits", embedded=True)
add("karate", "node", karate, KarateSettings, "zachary1977", embedded=True)
add("dc-sbm", "node", dc_sbm, SbmSettings, "karrer2011dcsbm", embedded=True)
add("digits-grid", "graph", digits_grid, GridSettings, "alpaydin1998digits", embedded=True)
add("cora", "node", citation("cora", "Cora"), CitationSettings, "sen2008collective", "yang2016planetoid")
add("citeseer", "node", citation("citeseer", "CiteSeer"), CitationSettings, "sen2008collective", "yang2016planetoid")
add("pubmed", "node", citation("pubmed", "PubMed"), CitationSettings, "namata2012query", "yang2016planetoid")
add("computers", "node", copurchase("computers", "Computers"), CopurchaseSettings, "shchur2018pitfalls")
add("photo", "node", copurchase("photo", "Photo"), CopurchaseSettings, "shchur2018pitfalls")
add("reddit-binary", "graph", graphs("reddit-binary", "REDDIT-BINARY", ()), GraphsSettings,
    "yanardag2015deep", "morris2020tudataset")  # fmt: skip
add("proteins", "graph", graphs("proteins", "PROTEINS", ("node_labels",)), GraphsSettings,
    "borgwardt2005protein", "morris2020tudataset")  # fmt: skip
add("mutag", "graph", graphs("mutag", "MUTAG", ("node_labels",)), GraphsSettings,
    "debnath1991structure", "morris2020tudataset")  # fmt: skip
add("mnist", "graph", superpixels, SuperpixelSettings, "lecun1998gradient", "dwivedi2020benchmarking")


def load(name: str, settings: dict[str, Any] | None = None, seed: int = 0) -> Task:
    """The task called `name`: a registered data set, or an upload (`upload-` and 12 hex digits).

    `seed` is the run's: it only matters where a split setting is -1. Raises BadInput for an unknown name (listing the
    choices) or a setting that does not fit, Unavailable when the files are neither on disk nor to be had.
    """
    if is_upload(name):
        if settings:
            raise BadInput(f"The upload {name!r} has no settings, but {', '.join(sorted(settings))} was given.")
        return load_upload(name)
    return DATASETS[name].make(DATASETS.settings(name, settings or {}), seed)
