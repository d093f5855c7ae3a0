"""The programs a worker process runs: `python -m dqviz.jobs RUN_ID ATTEMPT`.

This is a composition root: training may not know analysis or the integer engine, so their meeting place is here.
"""
