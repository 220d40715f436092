"""How replies and messages show themselves; IPython is played by a few lines."""

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
    """A page that shows what it is given: the latest form of each output."""

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
    """A kernel of IPython runs here."""
    page = Notebook()
    running = SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=object()))
    monkeypatch.setitem(sys.modules, "IPython", running)
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=page.display))
    return page


class Timers:
    """Timers that fire on demand, and a clock that does not move."""

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
    """In place of the real ones."""
    found = Timers()
    monkeypatch.setattr(displays, "Timer", found)
    monkeypatch.setattr(displays.time, "monotonic", lambda: found.now)
    return found


@pytest.fixture
def emby() -> Iterator[Emby]:
    """On the mock."""
    with Emby(base_url="mock:") as client:
        yield client


def html(reply: ChatReply) -> str:
    """What a notebook makes of a reply."""
    bundle: dict[str, str] = reply._repr_mimebundle_()
    return bundle["text/html"]


# ---- a reply


def test_a_reply_is_its_text_and_a_contact_sheet(emby: Emby) -> None:
    """The pictures are there with their own bytes, their sizes, and the prompt."""
    reply = emby.chat("Generate three images of a boat", image_config={"n": 3})
    page = html(reply)
    assert reply.text in page
    assert page.count("<img ") == 3
    assert all(f'src="{image.data_url}"' in page for image in reply.images)
    assert page.count('alt="Generate three images of a boat"') == 3
    assert page.count("256 &times; 256 PNG") == 3
    assert "qwen2.5-vision &middot; " in page


def test_a_reply_as_text_has_no_base64(emby: Emby) -> None:
    """For terminals, and for pages that show no HTML."""
    reply = emby.chat(BOAT)
    plain = reply._repr_mimebundle_()["text/plain"]
    assert plain == f"{reply.text}\n{reply.image!r}"


def test_what_a_model_says_is_text_to_the_page() -> None:
    """In every place of the reply, and links lead to the web alone."""
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
    """Neither those that colour a terminal nor those that turn text around."""
    reply = ChatReply(text="a\x1b[31mb\u202ec\td\n\u05d0")
    assert displays.plain(reply) == "a\ufffd[31mb\ufffdc\td\n\u05d0"
    assert "a\ufffd[31mb\ufffdc\td\n\u05d0" in html(reply)


def test_a_large_picture_is_shown_smaller() -> None:
    """A page of them stays small; the reply keeps the bytes as they came."""
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
    """As they come: with palettes, greys, and sixteen bits."""
    monkeypatch.setattr(displays, "_MAX_INLINE", 0)
    out = io.BytesIO()
    PIL.Image.new(form, (9, 9)).save(out, format="PNG")
    assert "data:image/webp" in html(ChatReply(images=(Image.from_bytes(out.getvalue()),)))


def test_what_is_no_picture_any_more_is_named(tmp_path: Path) -> None:
    """A damaged one, and one whose file is gone, do not keep the others from being shown."""
    damaged = Image(content=picture()[:20])
    gone = Image(path=tmp_path / "gone.png")
    page = html(ChatReply(images=(damaged, gone, Image.from_bytes(picture()))))
    assert page.count("can&#x27;t be shown") + page.count("can't be shown") == 2
    assert page.count("<img ") == 1


def test_dollars_are_no_formula() -> None:
    """JupyterLab leaves alone what has these classes."""
    assert 'class="emby-reply tex2jax_ignore mathjax_ignore"' in html(ChatReply("$1 or $2"))


def test_costs_and_early_ends_are_told() -> None:
    """A reply that was cut off says so."""
    reply = ChatReply("Hel", usage=Used(total_tokens=1234, cost=0.0123), finish_reason="length")
    assert "1,234 tokens &middot; $0.0123 &middot; ended by length" in html(reply)
    assert "ended by" not in html(replace(reply, finish_reason="stop"))


def test_show_prints_where_there_is_no_notebook(
    emby: Emby, capsys: pytest.CaptureFixture[str]
) -> None:
    """A script works as it is."""
    reply = emby.chat("Hello")
    reply.show("First")
    assert capsys.readouterr().out == f"First\n{reply.text}\n"


def test_show_shows_below_the_cell(emby: Emby, notebook: Notebook) -> None:
    """Once, with its title."""
    reply = emby.chat(BOAT)
    reply.show("First")
    assert notebook.outputs == [displays.bundle(reply, "First")]
    assert ">First</div>" in notebook.outputs[0]["text/html"]


# ---- a reply that grows


def test_a_stream_is_shown_in_one_place(emby: Emby, notebook: Notebook) -> None:
    """In the end it looks as the whole reply does."""
    with emby.stream(BOAT) as stream:
        reply = stream.show()
    # The gateway sends metadata in whole replies only (recordings `text`, `text-stream`, 2025-11).
    assert reply == replace(emby.chat(BOAT), metadata={})
    assert len(notebook.outputs) == 1
    assert notebook.outputs[0] == displays.bundle(reply)


async def test_an_async_stream_is_shown_alike(notebook: Notebook) -> None:
    """The same, awaited."""
    async with AsyncEmby(base_url="mock:") as emby, emby.stream(BOAT) as stream:
        reply = await stream.show()
    assert notebook.outputs == [displays.bundle(reply)]


def test_a_stream_is_printed_elsewhere(emby: Emby, capsys: pytest.CaptureFixture[str]) -> None:
    """The text as it comes, then a line for each picture."""
    with emby.stream(BOAT) as stream:
        reply = stream.show()
    assert capsys.readouterr().out == f"{reply.text}\n{reply.image!r}\n"


def test_it_is_drawn_ten_times_a_second_at_most(notebook: Notebook, timers: Timers) -> None:
    """The first piece at once, all that come too soon together a little later."""
    said = [""]
    with displays.growing(lambda: ChatReply("".join(said))) as more:
        for word in ("one ", "two ", "three "):
            said.append(word)
            more()
        assert [drawn["text/plain"] for drawn in notebook.drawn] == ["one "]
        assert [timer.wait for timer in timers.set] == [pytest.approx(displays.INTERVAL)]
        timers.go_off()
        assert notebook.drawn[-1]["text/plain"] == "one two three "
        timers.now += 1
        said.append("four")
        more()
        assert len(notebook.drawn) == 3
        assert not timers.set
    assert len(notebook.outputs) == 1


def test_a_page_of_pictures_is_drawn_less_often(notebook: Notebook, timers: Timers) -> None:
    """What is sent to the browser in a second is bounded."""
    noise = PIL.Image.effect_noise((450, 450), 90)
    reply = ChatReply("a", images=(Image.from_pil(noise),) * 4)
    with displays.growing(lambda: reply) as more:
        more()
        more()
        assert timers.set[0].wait > 1.5 * displays.INTERVAL


def test_nothing_is_drawn_after_the_end(notebook: Notebook, timers: Timers) -> None:
    """A timer that still runs is stopped, and one that was just going off finds nothing to do."""
    with displays.growing(lambda: ChatReply("Whole.")) as more:
        more()
        more()
        late = timers.set[0]
    assert timers.set == []
    drawn = len(notebook.drawn)
    late.call()
    assert len(notebook.drawn) == drawn


def test_the_cursor_goes_when_it_is_whole(notebook: Notebook, timers: Timers) -> None:
    """And so does what is not known before: tokens."""
    reply = ChatReply("Hi", usage=Used(total_tokens=5))
    with displays.growing(lambda: reply) as more:
        more()
        assert "&#9613;" in notebook.outputs[0]["text/html"]
        assert "tokens" not in notebook.outputs[0]["text/html"]
    assert "&#9613;" not in notebook.outputs[0]["text/html"]
    assert "5 tokens" in notebook.outputs[0]["text/html"]


def test_what_had_come_stays_when_it_breaks_off(notebook: Notebook) -> None:
    """The error is raised, the text before it is there."""
    broken = Emby(base_url="mock:", metadata={"mock_fault": "cut=700"}, max_retries=0)
    with pytest.raises(TruncatedReplyError) as raised, broken.stream("Hello") as stream:
        stream.show()
    assert raised.value.partial is not None
    assert notebook.outputs[0]["text/plain"] == raised.value.partial.text
    assert "&#9613;" not in notebook.outputs[0]["text/html"]


def test_a_terminal_of_ipython_is_no_notebook(
    emby: Emby, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It can't draw over what it showed, so it is printed to."""
    shell = SimpleNamespace(get_ipython=SimpleNamespace)
    monkeypatch.setitem(sys.modules, "IPython", shell)
    with emby.stream("Hello") as stream:
        reply = stream.show()
    assert capsys.readouterr().out == f"{reply.text}\n"


def test_ipython_is_never_imported() -> None:
    """If it does not run, nothing requests it."""
    script = (
        "import sys; from emby_plugins import Emby; r = Emby(base_url='mock:').chat('Hi'); "
        "r.show(); r._repr_mimebundle_(); assert 'IPython' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


# ---- messages of LangChain


def test_a_message_is_shown_as_its_reply(emby: Emby, notebook: Notebook) -> None:
    """Whether it is requested through LangChain or not."""
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
    """And the message that the chunks make comes back."""
    from langchain_emby import ChatEmby, images_of, show

    chat = ChatEmby(base_url="mock:", output_version=version)
    message = show(chat.stream(BOAT))
    assert message.text == "Here is your generated image:"
    assert images_of(message) == images_of(chat.invoke(BOAT))
    show(message)
    assert len(notebook.outputs) == 2
    assert notebook.outputs[0] == notebook.outputs[1]


async def test_an_async_stream_of_chunks_is_awaited(notebook: Notebook) -> None:
    """The same."""
    from langchain_emby import ChatEmby, show

    message = await show(ChatEmby(base_url="mock:").astream("Hello"))
    assert [shown["text/plain"] for shown in notebook.outputs] == [message.text]


def test_a_conversation_says_who_says_what(capsys: pytest.CaptureFixture[str]) -> None:
    """One below the other: the user, the calls of tools, their results and failures."""
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
