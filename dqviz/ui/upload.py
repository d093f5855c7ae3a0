"""A data set of one's own: refused with one sentence, or stored under a name the form can use."""

from __future__ import annotations

import streamlit as st

from dqviz.errors import DqvizError
from dqviz.runs.uploads import accept, uploads
from dqviz.ui.names import plain

FORMATS = (
    "One `.npz` or `.safetensors` with `edge_index`, `x`, `y`, `train_mask`, `val_mask`, `test_mask`, or an edge list "
    "`.csv` with a features `.csv`. At most 50 MB; a separate, limited process reads it."
)


def own_uploads() -> dict[str, str]:
    """What a person called each upload on this computer -> its name as a data set."""
    return {f"{found.display_name} ({found.name[-6:]})": found.name for found in uploads()}


def show_upload() -> None:
    """A popover that takes files and says what was understood, or in one sentence what is wrong with them."""
    with st.popover("Upload", icon=":material/upload:"):
        st.markdown(FORMATS)
        files = st.file_uploader("Your graph", accept_multiple_files=True, key="upload", max_upload_size=50,
                                 type=["npz", "safetensors", "csv"])  # fmt: skip
        st.button("Read it", disabled=not files, key="upload-read", icon=":material/check:", on_click=_read)
        if sentence := st.session_state.get("upload-refused"):
            st.error(sentence, icon=":material/error:")
        elif notes := st.session_state.get("upload-notes"):
            st.success(notes, icon=":material/check:")


def _read() -> None:
    """Takes the upload in before the page runs again, so that the form shows it at once."""
    files = {file.name: file.getvalue() for file in st.session_state["upload"] or ()}
    st.session_state["upload-refused"] = st.session_state["upload-notes"] = ""
    try:
        result = accept(files)
    except DqvizError as error:
        st.session_state["upload-refused"] = str(error)
        return
    st.session_state["upload-notes"] = f"Read “{plain(result.display_name)}”. {' '.join(result.notes)}"
    st.session_state["dataset"] = next(label for label, name in own_uploads().items() if name == result.name)
