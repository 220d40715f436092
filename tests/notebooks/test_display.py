"""The display of replies and messages, in a minimal IPython."""

import base64
import io
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import PIL.Image
import pytest
from support import picture

from emby_plugins import (
    AsyncEmby,
    ChatReply,
    Citation,
    Emby,
    Image,
    ToolCall,
    TruncatedReplyError,
    Usage as Used,
    _display as displays,
)

BOAT = "Generate an image of a boat"
EVIL = "<img src=x onerror=alert(1)>"


class Notebook:
    """A page that shows the latest form of each output."""

    def __init__(self) -> None:
        self.outputs: list[dict[str, str]] = []
        self.drawn: list[dict[str, str]] = []

    def display(self, shown: dict[str, str], *, raw: bool, display_id: bool = False) -> Any:
        assert raw
        place = len(self.outputs)
        self.outputs.append(shown)
        self.drawn.append(shown)

        def update(shown: dict[str, str], *, raw: bool) -> None:
            assert raw
            self.outputs[place] = shown
            self.drawn.append(shown)

        return SimpleNamespace(update=update) if display_id else None


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> Notebook:
    """Simulates a running IPython kernel."""
    page = Notebook()
    running = SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=object()))
    monkeypatch.setitem(sys.modules, "IPython", running)
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=page.display))
    return page


class Timers:
    """Timers that fire on demand, and a clock that stands still."""

    def __init__(self) -> None:
        self.now = 100.0
        self.set: list[SimpleNamespace] = []

    def __call__(self, wait: float, call: Callable[[], None]) -> Any:
        timer = SimpleNamespace(wait=wait, call=call, cancel=lambda: self.set.remove(timer))
        timer.start = lambda: self.set.append(timer)
        return timer

    def go_off(self) -> None:
        timer = self.set.pop()
        self.now += timer.wait
        timer.call()


@pytest.fixture
def timers(monkeypatch: pytest.MonkeyPatch) -> Timers:
    """Replaces the real timers."""
    found = Timers()
    monkeypatch.setattr(displays, "Timer", found)
    monkeypatch.setattr(displays.time, "monotonic", lambda: found.now)
    return found


@pytest.fixture
def emby() -> Iterator[Emby]:
    """A client of the mock."""
    with Emby(base_url="mock:") as client:
        yield client


def html(reply: ChatReply) -> str:
    """Return a notebook's HTML for a reply."""
    bundle: dict[str, str] = reply._repr_mimebundle_()
    return bundle["text/html"]


# ---- a reply


def test_a_reply_is_its_text_and_a_contact_sheet(emby: Emby) -> None:
    """A reply is shown as its text and its images with sizes and prompt."""
    reply = emby.chat("Generate three images of a boat", image_config={"n": 3})
    page = html(reply)
    assert reply.text in page
    assert page.count("<img ") == 3
    assert all(f'src="{image.data_url}"' in page for image in reply.images)
    assert page.count('alt="Generate three images of a boat"') == 3
    assert page.count("256 &times; 256 PNG") == 3
    assert "qwen2.5-vision &middot; " in page


def test_a_reply_as_text_has_no_base64(emby: Emby) -> None:
    """The text form of a reply has no base64."""
    reply = emby.chat(BOAT)
    plain = reply._repr_mimebundle_()["text/plain"]
    assert plain == f"{reply.text}\n{reply.image!r}"


def test_text_of_the_model_is_escaped() -> None:
    """Text of the model is escaped everywhere, and links use http or https."""
    evil = ChatReply(
        text=EVIL,
        reasoning=EVIL,
        model=EVIL,
        tool_calls=(ToolCall("1", EVIL, EVIL),),
        citations=(
            Citation("javascript:alert(1)", EVIL),
            Citation('https://e.x/"onclick="alert(1)', "Good"),
            Citation("http://[", "Broken"),
        ),
        images=(Image.from_url(f"https://e.x/{EVIL}"),),
    )
    page = html(evil)
    assert EVIL not in page
    assert "<img" not in page
    assert "javascript:" not in page
    assert page.count("<a ") == 2
    assert '"onclick' not in page
    assert "<script" not in page
    assert "<style" not in page


def test_control_characters_are_shown_nowhere() -> None:
    """Control and bidi characters are replaced in text and HTML."""
    reply = ChatReply(text="a\x1b[31mb\u202ec\td\n\u05d0")
    assert displays.plain(reply) == "a\ufffd[31mb\ufffdc\td\n\u05d0"
    assert "a\ufffd[31mb\ufffdc\td\n\u05d0" in html(reply)


def test_a_large_picture_is_shown_smaller() -> None:
    """A large image is shown as a smaller preview."""
    noise = PIL.Image.effect_noise((1200, 900), 90).convert("RGB")
    image = Image.from_pil(noise)
    assert len(image.data) > 1_000_000
    page = html(ChatReply(images=(image,)))
    encoded = page.partition('src="data:image/webp;base64,')[2].partition('"')[0]
    with PIL.Image.open(io.BytesIO(base64.b64decode(encoded))) as preview:
        assert preview.size == (768, 576)
    assert "1200 &times; 900 PNG" in page


@pytest.mark.parametrize("form", ["P", "L", "LA", "1", "I;16"])
def test_large_pictures_of_every_mode_are_shown(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Large images of every mode, such as palettes and 16 bits, are shown."""
    monkeypatch.setattr(displays, "_MAX_INLINE", 0)
    out = io.BytesIO()
    PIL.Image.new(form, (9, 9)).save(out, format="PNG")
    assert "data:image/webp" in html(ChatReply(images=(Image.from_bytes(out.getvalue()),)))


def test_damaged_images_are_reported(tmp_path: Path) -> None:
    """Damaged and missing images are reported, and the others shown."""
    damaged = Image(content=picture()[:20])
    gone = Image(path=tmp_path / "gone.png")
    page = html(ChatReply(images=(damaged, gone, Image.from_bytes(picture()))))
    assert page.count("can&#x27;t be shown") + page.count("can't be shown") == 2
    assert page.count("<img ") == 1


def test_dollars_are_not_a_formula() -> None:
    """The HTML has the classes that disable JupyterLab's formulas."""
    assert 'class="emby-reply tex2jax_ignore mathjax_ignore"' in html(ChatReply("$1 or $2"))


def test_costs_and_abnormal_ends_are_shown() -> None:
    """Tokens, cost and an abnormal finish reason are shown."""
    reply = ChatReply("Hel", usage=Used(total_tokens=1234, cost=0.0123), finish_reason="length")
    assert "1,234 tokens &middot; $0.0123 &middot; ended by length" in html(reply)
    assert "ended by" not in html(replace(reply, finish_reason="stop"))


def test_show_prints_without_a_notebook(emby: Emby, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a notebook, `show` prints the reply."""
    reply = emby.chat("Hello")
    reply.show("First")
    assert capsys.readouterr().out == f"First\n{reply.text}\n"


def test_show_displays_in_a_notebook(emby: Emby, notebook: Notebook) -> None:
    """In a notebook, `show` displays a reply once with its title."""
    reply = emby.chat(BOAT)
    reply.show("First")
    assert notebook.outputs == [displays.bundle(reply, "First")]
    assert ">First</div>" in notebook.outputs[0]["text/html"]


# ---- streams


def test_a_stream_is_shown_in_one_place(emby: Emby, notebook: Notebook) -> None:
    """A stream is shown in one output, which finally equals that of the complete reply."""
    with emby.stream(BOAT) as stream:
        reply = stream.show()
    # The gateway sends no metadata in streams (recordings `text`, `text-stream`, 2025-11).
    assert reply == replace(emby.chat(BOAT), metadata={})
    assert len(notebook.outputs) == 1
    assert notebook.outputs[0] == displays.bundle(reply)


async def test_an_async_stream_is_shown_alike(notebook: Notebook) -> None:
    """An async stream is shown like a sync one."""
    async with AsyncEmby(base_url="mock:") as emby, emby.stream(BOAT) as stream:
        reply = await stream.show()
    assert notebook.outputs == [displays.bundle(reply)]


def test_a_stream_is_printed_without_a_notebook(
    emby: Emby, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a notebook, text is printed as it arrives, then a line per image."""
    with emby.stream(BOAT) as stream:
        reply = stream.show()
    assert capsys.readouterr().out == f"{reply.text}\n{reply.image!r}\n"


def test_the_output_is_updated_ten_times_a_second_at_most(
    notebook: Notebook, timers: Timers
) -> None:
    """The output is updated ten times a second at most, with all text until then."""
    words = [""]
    with displays.growing(lambda: ChatReply("".join(words))) as more:
        for word in ("one ", "two ", "three "):
            words.append(word)
            more()
        assert [drawn["text/plain"] for drawn in notebook.drawn] == ["one "]
        assert [timer.wait for timer in timers.set] == [pytest.approx(displays.INTERVAL)]
        timers.go_off()
        assert notebook.drawn[-1]["text/plain"] == "one two three "
        timers.now += 1
        words.append("four")
        more()
        assert len(notebook.drawn) == 3
        assert not timers.set
    assert len(notebook.outputs) == 1


def test_large_outputs_are_updated_less_often(notebook: Notebook, timers: Timers) -> None:
    """Large outputs are updated less often."""
    noise = PIL.Image.effect_noise((450, 450), 90)
    reply = ChatReply("a", images=(Image.from_pil(noise),) * 4)
    with displays.growing(lambda: reply) as more:
        more()
        more()
        assert timers.set[0].wait > 1.5 * displays.INTERVAL


def test_nothing_is_updated_after_the_end(notebook: Notebook, timers: Timers) -> None:
    """No timer updates the output after the end."""
    with displays.growing(lambda: ChatReply("Whole.")) as more:
        more()
        more()
        late = timers.set[0]
    assert timers.set == []
    drawn = len(notebook.drawn)
    late.call()
    assert len(notebook.drawn) == drawn


def test_the_cursor_is_removed_at_the_end(notebook: Notebook, timers: Timers) -> None:
    """The cursor is removed at the end, and the tokens are added."""
    reply = ChatReply("Hi", usage=Used(total_tokens=5))
    with displays.growing(lambda: reply) as more:
        more()
        assert "&#9613;" in notebook.outputs[0]["text/html"]
        assert "tokens" not in notebook.outputs[0]["text/html"]
    assert "&#9613;" not in notebook.outputs[0]["text/html"]
    assert "5 tokens" in notebook.outputs[0]["text/html"]


def test_a_truncated_stream_stays_visible(notebook: Notebook) -> None:
    """A truncated stream raises, and the text stays visible."""
    broken = Emby(base_url="mock:", metadata={"mock_fault": "cut=700"}, max_retries=0)
    with pytest.raises(TruncatedReplyError) as raised, broken.stream("Hello") as stream:
        stream.show()
    assert raised.value.partial is not None
    assert notebook.outputs[0]["text/plain"] == raised.value.partial.text
    assert "&#9613;" not in notebook.outputs[0]["text/html"]


def test_ipythons_terminal_is_not_a_notebook(
    emby: Emby, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In IPython's terminal, which can't update output, a stream is printed."""
    shell = SimpleNamespace(get_ipython=SimpleNamespace)
    monkeypatch.setitem(sys.modules, "IPython", shell)
    with emby.stream("Hello") as stream:
        reply = stream.show()
    assert capsys.readouterr().out == f"{reply.text}\n"


def test_ipython_is_never_imported() -> None:
    """IPython is not imported unless it is running."""
    script = (
        "import sys; from emby_plugins import Emby; r = Emby(base_url='mock:').chat('Hi'); "
        "r.show(); r._repr_mimebundle_(); assert 'IPython' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


# ---- LangChain's messages


def test_a_message_is_shown_as_its_reply(emby: Emby, notebook: Notebook) -> None:
    """A message of ChatEmby is shown like the core's reply."""
    from langchain_emby import ChatEmby, show

    chat = ChatEmby(base_url="mock:", reasoning_effort="high")
    show(chat.invoke(BOAT))
    reply = emby.chat(BOAT, reasoning_effort="high")
    shown, expected = notebook.outputs[0], displays.bundle(reply)
    assert shown["text/plain"] == expected["text/plain"]
    # A message does not know its prompt.
    assert shown["text/html"] == expected["text/html"].replace(f'alt="{BOAT}"', 'alt="image"')
    assert "Reasoning</summary>" in shown["text/html"]


@pytest.mark.parametrize("version", ["v0", "v1"])
def test_a_stream_of_chunks_grows_in_one_place(notebook: Notebook, version: str) -> None:
    """A stream of chunks is shown in one output, and `show` returns its message."""
    from langchain_emby import ChatEmby, images_of, show

    chat = ChatEmby(base_url="mock:", output_version=version)
    message = show(chat.stream(BOAT))
    assert message.text == "Here is your generated image:"
    assert images_of(message) == images_of(chat.invoke(BOAT))
    show(message)
    assert len(notebook.outputs) == 2
    assert notebook.outputs[0] == notebook.outputs[1]


async def test_an_async_stream_of_chunks_is_awaited(notebook: Notebook) -> None:
    """`show` of an async stream of chunks is awaitable."""
    from langchain_emby import ChatEmby, show

    message = await show(ChatEmby(base_url="mock:").astream("Hello"))
    assert [shown["text/plain"] for shown in notebook.outputs] == [message.text]


def test_a_conversation_is_shown_with_roles(capsys: pytest.CaptureFixture[str]) -> None:
    """A conversation is shown with the role of each message, tool calls, results and failures."""
    from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

    from langchain_emby import image_block, show

    image = Image.from_bytes(picture())
    call = {"name": "draw", "args": {"what": "Käse"}, "id": "1", "type": "tool_call"}
    show(
        [
            SystemMessage("Be kind."),
            HumanMessage(["Look!", image_block(image)]),
            AIMessage("", tool_calls=[call]),
            ToolMessage("No paint.", tool_call_id="1", name="draw", status="error"),
            AIMessage("Sorry."),
        ]
    )
    assert capsys.readouterr().out.splitlines() == [
        *("system", "Be kind."),
        *("You", "Look!", repr(image)),
        *("The assistant", 'draw({"what": "Käse"})'),
        *("draw (failed)", "No paint."),
        *("The assistant", "Sorry."),
    ]
