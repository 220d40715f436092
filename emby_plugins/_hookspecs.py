"""The extension points, and nothing else. `_plugins.py` calls them.

A plugin is a module or an object with functions marked `@emby_plugins.hookimpl`; plugins are found
by their entry point in the group `emby`, or handed to a client as `Emby(plugins=[...])`.
"""

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from collections.abc import Iterable

    from emby_plugins._call_record import CallRecord
    from emby_plugins._catalog import ModelCard
    from emby_plugins._chat import ChatReply, ChatRequest
    from emby_plugins._errors import EmbyError
    from emby_plugins._images import Image
    from emby_plugins._preparation import ImageFilter
    from emby_plugins._protocol.backend import Backend
    from emby_plugins.mock.script import MockReply, MockRequest

PROJECT = "emby"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks a function, or a method of a plugin object, as the implementation of a hook."""


@hookspec(firstresult=True)
def emby_backend(url: str) -> "Backend | None":
    """A backend in this process for a base URL that is not an http address, such as `mock:`.

    Called once, when a client is made. The first that is not None is used; plugins registered
    last are called first. An exception reaches the code that makes the client.

        @hookimpl
        def emby_backend(url):
            return MyGateway() if url == "mine:" else None
    """


@hookspec
def emby_models() -> "Iterable[ModelCard]":
    """Models that are known without asking the gateway, such as private deployments.

    They are added to `Emby().models()`, marked in `ModelCard.plugin`; a card of a model that the
    gateway lists too completes the gateway's own. Called whenever the list is needed. If two
    plugins name the same model, the one registered last wins. An exception costs that plugin's
    models, with a warning in the log.

        @hookimpl
        def emby_models():
            return [ModelCard(id="mycompany/custom-gpt-4", vision=True)]
    """
    return ()


@hookspec
def emby_image_filters(model: "ModelCard") -> "Iterable[ImageFilter]":
    """Steps that prepare an image before it is sent to `model`.

    Called for each request with inline images. The filters of all plugins run together, sorted by
    `order`; one with the name of another replaces it if its plugin was registered later. They run
    outside of the event loop. An exception reaches the caller and nothing is sent: sending an image
    without its filter could be worse.

        @hookimpl
        def emby_image_filters(model):
            def gray(outgoing):
                return outgoing.edit(lambda pixels: pixels.convert("L"), "converted to grayscale")

            return [ImageFilter("gray", order=300, apply=gray)]
    """
    del model
    return ()


@hookspec(firstresult=True)
def emby_error_hint(error: "EmbyError", models: "list[ModelCard]") -> "str | None":
    """A sentence with the solution to an error, for the user.

    Called when an error is about to reach the caller; an answer replaces the hint that the error
    has, `error.hint`. `models` are the known ones. The first result is used; plugins registered
    last are called first. An exception is logged and the next plugin called, so that it never hides
    the error itself.

        @hookimpl
        def emby_error_hint(error, models):
            if isinstance(error, BillingError):
                return "Write to billing@mycompany.example."
    """


@hookspec(firstresult=True)
def emby_mock_reply(request: "MockRequest") -> "MockReply | None":
    """What `base_url="mock:"` answers to a chat request: scripted replies for users' own tests.

    Called for each chat request that `MockBackend.reply` has scripted nothing for, before the
    mock finds an answer of its own, in the thread of the call. The first result that is not
    None is used; plugins registered last are called first. An exception reaches the caller of the
    request unchanged, so that a failed assertion here fails the test.

        @hookimpl
        def emby_mock_reply(request):
            return MockReply("42") if "meaning of life" in request.prompt else None
    """


@hookspec
def emby_call_started(record: "CallRecord", request: "ChatRequest | None") -> None:
    """A call begins: a chat, streamed or not, or the list of models.

    Called once a call, before anything is sent, in the thread or task of the caller, whose
    context variables are set. `record` holds no content; `request` does, for those who name it
    (None for the list of models). An exception is logged and costs the call nothing.

        @hookimpl
        def emby_call_started(record):
            log.info("%s %s", record.operation, record.model)
    """


@hookspec
def emby_call_finished(
    record: "CallRecord", request: "ChatRequest | None", reply: "ChatReply"
) -> None:
    """A call is over: the reply is whole, the call failed or was canceled, or the caller stopped.

    Called once for each `emby_call_started`, with the same `record.id`, before an error reaches
    the caller. `record` holds no content; `request` and `reply`, what had arrived, do, for those
    who name them. An exception is logged and costs the call nothing.

        @hookimpl
        def emby_call_finished(record):
            log.info("%s %.1f s, %d images", record.model, record.seconds, len(record.images_out))
    """


@hookspec
def emby_image_received(image: "Image", reply: "ChatReply") -> None:
    """A generated image is complete: in memory, or in its file if the client has an `image_folder`.

    Called for each image of a reply once the reply has ended, also if it ended with an error, and
    before that error reaches the caller. `image.provenance` has the model and the prompt. It runs
    in the thread or task of the call, so it should be short. An exception is logged as a warning;
    the image and the call are not affected.

        @hookimpl
        def emby_image_received(image, reply):
            log.info("%s by %s", image.path, reply.model)
    """
