"""Tries the sync on a real tenant: `make live`. Never run by the tests but against the stand-in."""
