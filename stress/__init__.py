"""How hard the adapters are to break: `make stress`."""

import os

EVERYTHING = bool(os.environ.get("EMBY_STRESS"))
"""Set by `make stress`: every row in every way, and long runs; otherwise a share of both."""
