"""Runs: the ledger (queue and only truth), the artifacts of a run, the worker that keeps its processes. No torch."""
