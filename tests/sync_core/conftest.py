"""Hypothesis runs without a deadline per example: on a busy machine it would fail tests for being slow."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
