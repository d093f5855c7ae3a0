"""One file a chart: its numbers, its sentence, its alternative text and its table."""
