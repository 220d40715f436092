"""A plugin that writes the origin of each generated image into a file beside it."""

import json
from pathlib import Path

from emby_plugins._chat import ChatReply
from emby_plugins._files import replace_file
from emby_plugins._hookspecs import hookimpl
from emby_plugins._images import Image


class ImageSidecars:
    """Writes `fox.png.json` beside each image that a client keeps in its `image_folder`.

        Emby(image_folder="pictures", plugins=[ImageSidecars()])

    The file has the image's digest and media type, the model, the prompt, the request id, the time
    and what the request cost. An image in memory has no file to be beside, and is left out.
    """

    @hookimpl
    def emby_image_received(self, image: Image, reply: ChatReply) -> None:
        """Write the file, whole or not at all."""
        if image.path is None:
            return
        origin = image.provenance
        facts = {
            "file": image.path.name,
            "sha256": image.sha256,
            "media_type": image.media_type,
            "model": origin.model if origin else reply.model,
            "prompt": origin.prompt if origin else None,
            "request_id": reply.request_id,
            "created": origin.created.isoformat() if origin and origin.created else None,
            "cost": reply.usage.cost if reply.usage else None,
            "images_in_reply": len(reply.images),
        }
        text = json.dumps(facts, ensure_ascii=False, indent=1)
        replace_file(Path(f"{image.path}.json"), text.encode("utf-8", "backslashreplace") + b"\n")
