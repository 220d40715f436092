"""A backend that speaks Emby's contract without a network: it describes, generates and edits
images, calls tools and chats.

    from emby_plugins.mock import MockBackend, MockServer

    with MockServer(MockBackend(key="k")) as server:    # for any OpenAI client
        print(server.base_url)

Every response identifies itself as the mock's. Nothing recorded from it is evidence about Emby.
The public names are listed in `__init__.pyi` and resolved on first use: importing costs nothing,
and Pillow is imported by the first chat.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
