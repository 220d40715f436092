"""A backend that speaks Emby's contract without a network: it looks, paints, edits and talks.

    from emby_plugins.mock import MockBackend, MockServer

    with MockServer(MockBackend(key="k")) as server:    # for any OpenAI client
        print(server.base_url)

It is a mock and says so in every reply. Nothing recorded from it is evidence about Emby.
These are all the public names. They are resolved when first used: importing costs nothing, and
Pillow is imported by the first request that is answered.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emby_plugins.mock.backend import MockBackend
    from emby_plugins.mock.faults import Fault
    from emby_plugins.mock.plugin import activate
    from emby_plugins.mock.profiles import PROFILES, Profile
    from emby_plugins.mock.script import MockReply, MockRequest
    from emby_plugins.mock.server import MockServer

__all__ = [
    "Fault",
    "MockBackend",
    "MockReply",
    "MockRequest",
    "MockServer",
    "PROFILES",
    "Profile",
    "activate",
]

_HOME = {
    "Fault": "faults",
    "MockBackend": "backend",
    "MockReply": "script",
    "MockRequest": "script",
    "MockServer": "server",
    "PROFILES": "profiles",
    "Profile": "profiles",
    "activate": "plugin",
}


def __getattr__(name: str) -> object:
    room = _HOME.get(name)
    if room is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{room}"), name)
