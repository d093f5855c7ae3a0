"""What all pages share: configuration, the heading with its question, rows of selectors and figures, empty states."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import streamlit as st
from sqlalchemy.exc import SQLAlchemyError
from streamlit.delta_generator import DeltaGenerator
from streamlit.runtime.pages_manager import PagesManager

from dqviz.errors import DqvizError
from dqviz.ui import nav
from dqviz.ui.pick import pick_short

ASSETS = Path(__file__).parents[2] / "assets"
START = "Start a study"
log = logging.getLogger("dqviz.ui")


class Nothing(DqvizError):
    """There is nothing to show yet: the message says why, `url` is the page that helps ('' for none)."""

    def __init__(self, message: str, url: str = "train", label: str = START) -> None:
        super().__init__(message)
        self.url = url
        self.label = label


@dataclass(frozen=True)
class Figure:
    """One large number: what it is, its value as text, and what it means."""

    label: str
    value: str
    help: str = ""
    note: str = ""


def configure() -> None:
    """Page title, icon and logo: the first Streamlit call of every script run."""
    st.set_page_config(page_title="dqviz", page_icon=str(ASSETS / "icon.svg"), layout="wide",
                       initial_sidebar_state=230)  # fmt: skip
    st.logo(str(ASSETS / "logo.svg"), icon_image=str(ASSETS / "icon.svg"), size="large")


@contextmanager
def page(url: str) -> Iterator[None]:
    """A page's whole content: title, its question, and what the page refuses as one sentence instead of a traceback."""
    _through_the_router()
    here = nav.entry(url)
    st.title(here.title, anchor=False)
    st.markdown(f":gray[{here.question}]")
    with shielded():
        yield


def _through_the_router() -> None:
    """Until app.py has run once in a server, a direct link to a page runs its script alone: begin again with app.py."""
    if PagesManager.uses_pages_directory:
        PagesManager.uses_pages_directory = False
        st.rerun()


@contextmanager
def shielded() -> Iterator[None]:
    """Turns what a person can act on into a sentence on the page; anything else is logged and named."""
    try:
        yield
    except Nothing as nothing:
        empty(str(nothing), nothing.url, nothing.label)
    except DqvizError as error:
        st.error(str(error), icon=":material/error:")
    except SQLAlchemyError as error:
        log.error(traceback.format_exc())
        st.error(f"The ledger cannot be read: {str(error).splitlines()[0]}. Nothing was changed.",
                 icon=":material/error:")  # fmt: skip
    except OSError as error:
        log.error(traceback.format_exc())
        st.error(f"A file cannot be used: {error}. Nothing was changed.", icon=":material/error:")


def selectors() -> DeltaGenerator:
    """The row of selectors below the question."""
    return st.container(horizontal=True, vertical_alignment="bottom", gap="small")


def show_figures(figures: Sequence[Figure]) -> None:
    """Three or four large numbers that answer the page's question."""
    with st.container(horizontal=True, gap="small"):
        for figure in figures:
            st.metric(figure.label, figure.value, help=figure.help or None, border=True, height="stretch",
                      delta=figure.note or None, delta_color="off", delta_arrow="off")  # fmt: skip


def show_tabs(tabs: dict[str, Callable[[], None]], key: str = "tab") -> None:
    """Second-rank charts in tabs; only the open one runs."""
    for tab, body in zip(st.tabs(list(tabs), key=key, bind="query-params"), tabs.values(), strict=True):
        if tab.open:
            with tab, shielded():
                body()


def show_views(views: dict[str, Callable[[], None]]) -> None:
    """The two or three faces of a page, as a switch above everything; only the chosen one runs."""
    views[pick_short("View", "view", {name: name for name in views}, label_visibility="collapsed")]()


def halves() -> Sequence[DeltaGenerator]:
    """A form and what it is about, side by side (one below the other on a narrow screen)."""
    return st.columns([5, 4], gap="large")


def show_text(text: str) -> None:
    """A paragraph written by us; a person's words go through `names.plain` first."""
    st.markdown(text)


def show_starts(*urls: str) -> None:
    """Links to other pages, the main step first."""
    with st.container(horizontal=True, gap="small"):
        for url in urls:
            with st.container(border=True, width="content"):
                onward(url, START if url == "train" else "")


def empty(message: str, url: str = "train", label: str = START) -> None:
    """Nothing to show here yet: says why, and offers the next step."""
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        st.markdown(message)
        if url:
            onward(url, label)


def onward(url: str, label: str = "") -> None:
    """A link that opens a page with the study that was chosen on this one.

    Not a button: Streamlit does not leave a page by `switch_page` while a widget is bound to the URL.
    """
    nav.link(url, label, st.session_state.get("study", ""))
