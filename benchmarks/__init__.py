"""Measures what the product costs: requests, storage transactions, processor time, memory. `python -m benchmarks` runs all."""
