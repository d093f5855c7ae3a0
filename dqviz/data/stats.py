"""What each data set holds with its default settings; a test compares these rows with what was loaded."""

from __future__ import annotations

from typing import NamedTuple


class Stats(NamedTuple):
    """`size` is nodes (node task) or graphs (graph task); edges are directed, over all graphs."""

    size: int
    edges: int
    features: int
    classes: int
    max_in_degree: int


STATS = {
    "digits-knn": Stats(1_797, 14_376, 64, 10, 26),
    "karate": Stats(34, 156, 34, 4, 17),
    "dc-sbm": Stats(2_000, 16_000, 256, 5, 327),
    "digits-grid": Stats(1_797, 754_740, 3, 10, 8),
    "cora": Stats(2_708, 10_556, 1_433, 7, 168),
    "citeseer": Stats(3_327, 9_104, 3_703, 6, 99),
    "pubmed": Stats(19_717, 88_648, 500, 3, 171),
    "computers": Stats(13_752, 491_722, 767, 10, 2_992),
    "photo": Stats(7_650, 238_162, 745, 8, 1_434),
    "reddit-binary": Stats(2_000, 1_991_016, 1, 2, 3_062),
    "proteins": Stats(1_113, 162_088, 3, 2, 25),
    "mutag": Stats(188, 7_442, 7, 2, 4),
    "mnist": Stats(2_500, 1_461_096, 3, 10, 15),
}
