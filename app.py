"""Router: page configuration, theme, navigation, running jobs. `make app` starts it."""

from __future__ import annotations

from dqviz import ui

ui.configure()
page = ui.navigate()
ui.show_jobs()
page.run()
