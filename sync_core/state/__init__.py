"""Repositories: what the engine keeps, written over the table port."""
