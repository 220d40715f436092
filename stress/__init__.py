"""Stress tests of the adapters, run by `make stress`."""

import os

EVERYTHING = bool(os.environ.get("EMBY_STRESS"))
"""Whether to run all rows in all ways, and long runs, as `make stress` does; otherwise a sample."""
