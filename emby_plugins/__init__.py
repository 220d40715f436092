"""Emby, the OpenAI-compatible model gateway, in Python: vision in, generated images out.

    from emby_plugins import Emby, Image

    with Emby() as emby:                        # EMBY_API_KEY; Emby(base_url="mock:") needs none
        reply = emby.chat("What is shown here?", images=[Image.from_path("dog.jpg")])
        print(reply.text)

The public names are listed in `__init__.pyi`. They are resolved on first use, so importing this
package costs next to nothing.
"""

import lazy_loader as _lazy

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
