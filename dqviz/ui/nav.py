"""The pages, once: the router, the links between pages and the smoke test all read this list."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st
from streamlit.navigation.page import StreamlitPage


@dataclass(frozen=True)
class Entry:
    """One page: its address, its name, its Material icon and the question it answers."""

    url: str
    title: str
    icon: str
    question: str

    @property
    def script(self) -> str:
        return f"pages/{self.url}.py"

    @property
    def symbol(self) -> str:
        return f":material/{self.icon}:"


PAGES = (
    Entry("overview", "Overview", "dashboard",
          "Where does this graph network lose accuracy in INT8 and INT4, and what helps?"),
    Entry("train", "Train", "model_training",
          "Which data set, architectures, methods and bit widths shall be trained and compared?"),
    Entry("error_by_degree", "Error by degree", "ssid_chart",
          "How large is the quantization error of a node, and does it grow with its in-degree?"),
    Entry("ranges", "Ranges", "align_horizontal_center",
          "Do the quantizers' ranges fit the values, or do a few hubs stretch them?"),
    Entry("protection", "Protection", "shield",
          "Which nodes does Degree-Quant keep at full precision while training, and how often?"),
    Entry("latency", "Latency", "speed",
          "Is integer inference really faster, against which baseline, and at what accuracy?"),
    Entry("compare", "Compare", "table_chart",
          "Which method and bit width is best once seeds, time and size are counted?"),
    Entry("report", "Report", "description",
          "How do I show these results to someone else, offline and reproducible?"),
)  # fmt: skip


def entry(url: str) -> Entry:
    """The page with this address; KeyError for one that does not exist (a fault of the program)."""
    return {page.url: page for page in PAGES}[url]


def navigate() -> StreamlitPage:
    """The navigation in the sidebar; returns the page that was asked for.

    The first page answers at / and, hidden, under its own address too: Streamlit strips that from a default page.
    """
    first, *others = PAGES
    start = st.Page(first.script, title=first.title, icon=first.symbol, url_path="start", default=True)
    named = st.Page(first.script, title=first.title, icon=first.symbol, url_path=first.url, visibility="hidden")
    rest = [st.Page(page.script, title=page.title, icon=page.symbol, url_path=page.url) for page in others]
    return st.navigation([start, *rest, named], expanded=True)


def link(url: str, label: str = "", study: str = "") -> None:
    """A link to another page, which opens with a study: the form that starts one has no use for it."""
    page = entry(url)
    key = {"train": "", "report": "studies"}.get(url, "study")
    query = {key: study} if key and study else None
    st.page_link(page.script, label=label or page.title, icon=page.symbol, query_params=query)
