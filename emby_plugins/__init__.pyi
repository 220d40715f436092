from ._batch import (
    BatchItem as BatchItem,
    BatchRecord as BatchRecord,
    batch_record as batch_record,
    run_batch_item as run_batch_item,
)
from ._call_record import (
    CallRecord as CallRecord,
    ImageRecord as ImageRecord,
)
from ._call_settings import (
    CallOptions as CallOptions,
)
from ._catalog import (
    DOCUMENTED_MODELS as DOCUMENTED_MODELS,
    MOCK_MODELS as MOCK_MODELS,
    ModelCard as ModelCard,
    find_model as find_model,
    known_models as known_models,
    load_cards as load_cards,
    save_cards as save_cards,
)
from ._chat import (
    DEFAULT_MODEL as DEFAULT_MODEL,
    ChatOptions as ChatOptions,
    ChatReply as ChatReply,
    ChatRequest as ChatRequest,
    Citation as Citation,
    Finished as Finished,
    ImageConfig as ImageConfig,
    ImageReceived as ImageReceived,
    JSONSchema as JSONSchema,
    ReasoningDelta as ReasoningDelta,
    RefusalDelta as RefusalDelta,
    ServerTool as ServerTool,
    StreamEvent as StreamEvent,
    TextDelta as TextDelta,
    Tool as Tool,
    ToolCallDelta as ToolCallDelta,
    Usage as Usage,
)
from ._client import (
    AsyncEmby as AsyncEmby,
    Emby as Emby,
)
from ._environment import (
    Proxy as Proxy,
    find_proxy as find_proxy,
)
from ._errors import (
    APIError as APIError,
    AuthenticationError as AuthenticationError,
    BadRequestError as BadRequestError,
    BillingError as BillingError,
    ConfigurationError as ConfigurationError,
    DeadlineExceededError as DeadlineExceededError,
    EmbyConnectionError as EmbyConnectionError,
    EmbyError as EmbyError,
    EmbyTimeoutError as EmbyTimeoutError,
    ImageCountError as ImageCountError,
    InvalidImageError as InvalidImageError,
    MalformedReplyError as MalformedReplyError,
    MissingImageError as MissingImageError,
    MissingKeyError as MissingKeyError,
    ModelNotFoundError as ModelNotFoundError,
    NotFoundError as NotFoundError,
    PermissionDeniedError as PermissionDeniedError,
    ProviderAccountError as ProviderAccountError,
    RateLimitError as RateLimitError,
    ReplyError as ReplyError,
    ReplyTooLargeError as ReplyTooLargeError,
    RequestError as RequestError,
    ServerError as ServerError,
    TransportError as TransportError,
    TruncatedReplyError as TruncatedReplyError,
    UnreadableInputImageError as UnreadableInputImageError,
)
from ._files import (
    replace_file as replace_file,
)
from ._hookspecs import (
    hookimpl as hookimpl,
)
from ._http import (
    http_library as http_library,
)
from ._images import (
    Image as Image,
    PreparedImage as PreparedImage,
    Provenance as Provenance,
)
from ._images_endpoint import (
    Images as Images,
)
from ._ipython import (
    load_ipython_extension as load_ipython_extension,
    unload_ipython_extension as unload_ipython_extension,
)
from ._media_types import (
    IMAGE_MEDIA_TYPES as IMAGE_MEDIA_TYPES,
    decode_base64 as decode_base64,
)
from ._messages import (
    Content as Content,
    FilePart as FilePart,
    ImagePart as ImagePart,
    Message as Message,
    Reasoning as Reasoning,
    TextPart as TextPart,
    ToolCall as ToolCall,
)
from ._model_store import (
    store_models as store_models,
    stored_models as stored_models,
    stored_path as stored_path,
)
from ._plugins import (
    plugin_models as plugin_models,
)
from ._preparation import (
    ImageFilter as ImageFilter,
    OutgoingImage as OutgoingImage,
)
from ._protocol.backend import (
    Backend as Backend,
    BackendRequest as BackendRequest,
    BackendResponse as BackendResponse,
)
from ._protocol.images_request import (
    IMAGE_INSTRUCTION as IMAGE_INSTRUCTION,
)
from ._protocol.limits import (
    Limits as Limits,
)
from ._settings import (
    DEFAULT_BASE_URL as DEFAULT_BASE_URL,
    find_base_url as find_base_url,
)
from ._sidecars import (
    ImageSidecars as ImageSidecars,
)
from ._streams import (
    AsyncReplyStream as AsyncReplyStream,
    ReplyStream as ReplyStream,
)
from ._telemetry import (
    EmbyTelemetry as EmbyTelemetry,
)
from ._text import (
    clean_lines as clean_lines,
    clean_text as clean_text,
)

__version__: str
