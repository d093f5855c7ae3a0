"""`dqviz search`: hyperparameters by validation accuracy, with the same budget for every method (METHODS section 0)."""

from dqviz.jobs.search.cells import search
from dqviz.jobs.search.plan import Plan, plans, plans_of

__all__ = ["Plan", "plans", "plans_of", "search"]
