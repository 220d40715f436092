"""From Emby's replies to `llm`'s events, streamed or not."""

import logging
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import llm
from llm.parts import StreamEvent

from emby_plugins import (
    ChatReply,
    Citation,
    Finished,
    Image,
    ImageReceived,
    MissingImageError,
    ReasoningDelta,
    RequestError,
    StreamEvent as Event,
    TextDelta,
    ToolCallDelta,
    hookimpl,
)
from llm_emby import _image_files as image_files
from llm_emby._image_files import (
    ImageSaver,
    UnsavedImageError,
    find_obstacle,
    full_path,
)
from llm_emby._options import Options
from llm_emby._status_line import clear_status

# How a reply ended, and that a folder did not take an image, is printed below. Without a handler
# Python would print the core's log line, which has the same text. Other warnings stay visible.
for name in ("_endings", "_sinks"):
    logging.getLogger(f"emby_plugins.{name}").addHandler(logging.NullHandler())

_PROMPT, _CHAT, _IMAGE = "prompt", "chat", "image"
_UNSTREAMED = "with --no-stream or -o output FILE"


class ResponseWriter:
    """Turns the events of one reply into what `llm` prints and logs.

    llm puts events with the same `part_index` into one part of the log, and the next turn sends
    the parts. Every run of text, every image and every tool call gets an index of its own.
    """

    def __init__(self, prompt: llm.Prompt, response: Any, *, stream: bool) -> None:
        assert isinstance(prompt.options, Options)
        self.target = prompt.options.output
        self._overwrites = bool(prompt.options.overwrite)
        self._saver = ImageSaver(self.target, self._say, overwrite=self._overwrites)
        self._prompt = prompt
        self._response = response
        self._stream = stream
        self._received = 0
        self._paths: list[Path] = []
        self.unsaved: list[UnsavedImageError] = []
        self._parts = 0
        self._part_type: type[Event] | None = None
        self._reasoning_part: int | None = None
        self._calls: dict[int, int] = {}
        self._is_mid_line = False
        self._arrived = ChatReply()
        self.is_command = _command() in {_PROMPT, _CHAT}
        """Whether `llm` runs a prompt of the user; the other commands end in their own ways."""
        self.is_chat = _command() == _CHAT
        self._open_image: int | None = None  # the image part with the path at the end of the output

    def events(self, event: Event) -> Iterator[StreamEvent]:
        """Convert an event; the last one also sets the usage and the like of the response.

        Raises `MissingImageError` at the end of a reply without the image that was requested.
        """
        match event:
            case TextDelta(text):
                yield from self._end_image()
                yield StreamEvent("text", text, part_index=self._part(TextDelta))
                self._is_mid_line = not text.endswith("\n")
            case ReasoningDelta(text):
                self._reasoning_part = self._part(ReasoningDelta)
                yield StreamEvent("reasoning", text, part_index=self._reasoning_part)
            case ImageReceived(image, index):
                yield from self._image(image, index)
            case ToolCallDelta(index, call_id, name, arguments):
                yield from self._tool_call(index, call_id, name, arguments)
            case Finished(reply):
                yield from self._thoughts(reply)
                if reply.tool_calls:
                    # llm prints the next reply of the chain right after this one.
                    yield from self._end_image()
                try:
                    self._finish(reply)
                except MissingImageError:
                    if self._is_mid_line:
                        # llm ends the line of a reply, but not before printing an error.
                        yield StreamEvent("text", "\n", part_index=self._parts)
                    raise
                self._raise_unsaved()

    def _thoughts(self, reply: ChatReply) -> Iterator[StreamEvent]:
        """The reasoning to send back to the model, stored with the reasoning part."""
        if reply.thoughts is not None:
            at = self._reasoning_part or self._part(ReasoningDelta)
            stored = {"emby": {"reasoning": reply.thoughts.to_dict()}}
            yield StreamEvent("reasoning", "", part_index=at, provider_metadata=stored)

    def _end_image(self) -> Iterator[StreamEvent]:
        """End the line of an image's path before text follows.

        The line break is part of the image's text, which is never sent back, so that the next turn
        sends exactly the model's text.
        """
        if self._open_image is not None:
            yield StreamEvent("text", "\n", part_index=self._open_image)
            self._open_image, self._is_mid_line = None, False

    def _part(self, kind: type[Event]) -> int:
        """The index of the current part, or of a new one if the last had another type."""
        if kind is not self._part_type or kind is ImageReceived:
            self._parts += 1
            self._part_type = kind
        return self._parts

    def rescue(self, partial: ChatReply) -> list[Path]:
        """Save the images of an incomplete reply, and return the paths that llm did not print."""
        printed = len(self._paths) if self._stream else 0
        for image in partial.images[self._received :]:
            if image.url is None:
                self._save(image)
        return self._paths[printed:]

    @hookimpl
    def emby_call_finished(self, reply: ChatReply) -> None:
        """Note what has arrived of the reply, however the call ends."""
        self._arrived = reply

    def interrupt(self, *, is_silent: bool = False) -> None:
        """Save and name the images that have arrived, since nothing more will.

        `is_silent` if nothing is to be printed without images.
        """
        self.rescue(self._arrived)
        self._response.response_json = {"rescued": self._paths}
        if self.is_command and (self._paths or not is_silent):
            if sys.stderr is not None and sys.stderr.isatty() and not self._is_mid_line:
                click.echo("", err=True)  # the terminal shows ^C
            self._say(image_files.interruption(self._paths))

    def _save(self, image: Image) -> Path | None:
        """Save an image, or remember that it could not be saved: the next may be smaller."""
        try:
            self._paths.append(self._saver.save(image))
        except UnsavedImageError as error:
            self.unsaved.append(error)
            return None
        return self._paths[-1]

    def _raise_unsaved(self) -> None:
        if not self.unsaved:
            return
        first, count = self.unsaved[0], len(self.unsaved) - 1
        more = f" {count} more could not be saved either." if count else ""
        if self._paths and not self._stream:
            # llm prints an unstreamed reply after its end, so not at all in case of an error.
            more += f" Saved: {', '.join(map(str, self._paths))}."
        raise UnsavedImageError(f"{first}{more}", first.image)

    def _image(self, image: Image, index: int) -> Iterator[StreamEvent]:
        self._received = index + 1
        if image.url is not None:
            shown, metadata = image.url, {"emby": {"image": {"url": image.url}}}
        else:
            path = self._save(image)
            if path is None:
                return
            shown = image_files.printable_path(path)
            metadata = image_files.to_metadata(image, path)
        # A line of its own; a reply with one image and no text is just the path.
        text = f"\n{shown}" if self._is_mid_line else shown
        self._is_mid_line = True
        self._open_image = self._part(ImageReceived)
        yield StreamEvent("text", text, part_index=self._open_image, provider_metadata=metadata)

    def _tool_call(
        self, index: int, call_id: str, name: str, arguments: str
    ) -> Iterator[StreamEvent]:
        # Deltas of several calls may alternate, and only the first of a call has its id.
        if index not in self._calls:
            self._parts += 1
            self._calls[index] = self._parts
        self._part_type = ToolCallDelta
        at = self._calls[index]
        if name:
            yield StreamEvent("tool_call_name", name, part_index=at, tool_call_id=call_id or None)
        if arguments:
            yield StreamEvent("tool_call_args", arguments, part_index=at)

    def _finish(self, reply: ChatReply) -> None:
        response = self._response
        for call in reply.tool_calls:
            response.add_tool_call(llm.ToolCall(call.name, call.args, call.id))
        if reply.usage is not None:
            details = {
                "reasoning_tokens": reply.usage.reasoning_tokens,
                "cached_tokens": reply.usage.cached_tokens,
                "cache_write_tokens": reply.usage.cache_write_tokens,
                "image_tokens": reply.usage.image_tokens,
                "audio_tokens": reply.usage.audio_tokens,
                "input_image_tokens": reply.usage.input_image_tokens,
                "input_audio_tokens": reply.usage.input_audio_tokens,
                "cost_details": dict(reply.usage.cost_details),
                "cost": reply.usage.cost,
                "cost_is_estimate": reply.usage.cost_is_estimate,
            }
            response.set_usage(
                input=reply.usage.prompt_tokens,
                output=reply.usage.completion_tokens,
                # A cost of 0 is known to be 0.
                details={n: v for n, v in details.items() if v or (n == "cost" and v == 0)} or None,
            )
        if reply.model and reply.model != response.model.wire_name:
            response.set_resolved_model(reply.model)
        # Everything but the content, which is logged as text and, for images, as paths.
        facts = {
            "id": reply.id,
            "created": reply.created,
            "model": reply.model,
            "finish_reason": reply.finish_reason,
            "notice": reply.notice,
            "refusal": reply.refusal,
            "citations": [_known(citation) for citation in reply.citations],
            "stop_sequence": reply.stop_sequence,
            "cached": reply.cached,
            "request_id": reply.request_id,
            "system_fingerprint": reply.system_fingerprint,
            "metadata": dict(reply.metadata),
        }
        response.response_json = {name: value for name, value in facts.items() if value}
        if self.requires_image() and not reply.tool_calls:
            try:
                reply.require_images()
            except MissingImageError as error:
                if _command() != _IMAGE:
                    raise
                # That command prints it itself, and logs what was paid for.
                response.response_json["missing_image"] = str(error)
                return
        if _command():
            for prepared in reply.prepared_images:
                self._say(str(prepared))
        if reply.notice and _command():
            self._warn(reply.notice)

    def postpone(self) -> None:
        """Send nothing: in `llm chat`, an image without words is sent with the next message.

        Neither is an empty prompt, as of `!multi` and `!end`.

        `!fragment emby-image:PATH` is a turn of its own there, and would be charged.
        """
        image = "The image goes along with your next message. " if self._prompt.attachments else ""
        self._say(f"{image}Nothing has been sent.")
        self._response.response_json = {"not_sent": True}

    def check_output(self) -> None:
        """Raise `RequestError` if the requested file exists, before anything is paid for."""
        if not self.requires_image() or self.target is None or _command() == _IMAGE:
            return
        taken, problem = find_obstacle(full_path(self.target))
        if problem:
            raise RequestError(f"Images can't be saved as {self.target!r}: {problem}.")
        if taken and not self._overwrites:
            msg = f"{self.target!r} already exists."
            raise RequestError(msg, hint="Replace it with -o overwrite true, or choose another.")

    def requires_image(self) -> bool:
        """Whether the reply must have an image: for `llm emby image`, or `-o output`.

        In `llm chat`, or as a default set by `llm models options set`, an output is only the
        target of images, if there are any. After a tool result, the image may be in an earlier
        reply.
        """
        if _command() == _IMAGE:
            return True
        if self.target is None or self._prompt.tool_results or _command() == _CHAT:
            return False
        from llm.cli import get_model_options

        default = get_model_options(self._response.model.model_id)
        return bool(default.get("output") != self.target)

    def _warn(self, notice: str) -> None:
        self._say(f"Warning: {notice.replace('without streaming', _UNSTREAMED)}")

    def _say(self, line: str) -> None:
        clear_status()
        is_printed = self.is_command and self._stream  # llm prints the text as it comes
        if self._is_mid_line and is_printed and _shares_output():
            click.echo("", err=True)
        click.echo(line, err=True)


def _known(citation: Citation) -> dict[str, Any]:
    return {name: value for name, value in asdict(citation).items() if value not in {None, ""}}


def _shares_output() -> bool:
    """Whether standard error and standard output have the same target: a terminal, or `2>&1`."""
    try:
        return os.path.sameopenfile(sys.stdout.fileno(), sys.stderr.fileno())
    except (OSError, ValueError, AttributeError):
        return False


def _command() -> str | None:
    """The running command of llm; None in a program that uses llm as a library."""
    context = click.get_current_context(silent=True)
    return context.command.name if context else None
