"""Emby for LangChain: a chat model whose generated images survive.

    from langchain_emby import ChatEmby, images_of

    chat = ChatEmby()                       # EMBY_API_KEY; ChatEmby(base_url="mock:") needs none
    message = chat.invoke("Generate an image of a puppy in a meadow")
    images_of(message)[0].save("puppy")

The public names are listed in `__init__.pyi`. They are resolved on first use, so importing this
package costs next to nothing.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
