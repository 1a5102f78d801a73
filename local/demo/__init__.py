"""A whole installation on one machine: storage, Microsoft 365 and the functions host, two syncs, and a check of what they did."""
