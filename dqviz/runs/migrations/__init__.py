"""Revisions of the ledger, run by alembic."""
