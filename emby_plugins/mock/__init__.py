"""A backend that speaks Emby's contract without a network: it looks, paints, edits and talks.

It is a mock and says so in every reply. Nothing recorded from it is evidence about Emby.
Importing this package is cheap: Pillow is imported by the first request that has pictures.
"""

from emby_plugins.mock.backend import MockBackend

__all__ = ["MockBackend"]
