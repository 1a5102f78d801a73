"""The steps of a run, as thin drivers over ports."""
