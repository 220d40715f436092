"""Select the HTTP library for the suite: `httpx`, or the one named by EMBY_TEST_HTTP.

The package prefers httpx2 if it is installed, and packages of the test group install it. This
module hides it while the package chooses, then restores it for the packages that need it.
"""

import os
import sys

NAME = os.environ.get("EMBY_TEST_HTTP", "httpx")

if NAME == "httpx":
    sys.modules["httpx2"] = None  # type: ignore[assignment]

from emby_plugins import _http  # noqa: E402

if NAME == "httpx":
    del sys.modules["httpx2"]

assert _http.LIBRARY.__name__ == NAME, f"{NAME} is not installed, or was imported too late"
