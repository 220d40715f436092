from ._blocks import (
    block_image as block_image,
    image_block as image_block,
    image_id as image_id,
    images_of as images_of,
    inline_images as inline_images,
)
from ._display import (
    show as show,
)
from ._hand_over import (
    hand_over as hand_over,
)
from ._image_tool import (
    EmbyImageTool as EmbyImageTool,
)
from ._parsers import (
    ImagesOutputParser as ImagesOutputParser,
)
from .chat_models import (
    ChatEmby as ChatEmby,
)
