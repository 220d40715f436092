"""Errors in a notebook are formatted by IPython as the reader's own lines and one sentence."""

import json
import pickle
import socket
import subprocess
import sys

import pytest
from support import Loopback, ReceivedRequest, Wire

from emby_plugins import Emby, EmbyConnectionError

# Each worker starts a process that imports IPython and its dependencies.
pytestmark = pytest.mark.slow

CALLS = {
    "sync": "Emby({0}).chat('Hi')",
    "async": "await AsyncEmby({0}).chat('Hi')",
    "stream": "with Emby({0}).stream('Hi') as stream:\n    list(stream)",
    "image": "Emby({0}).image('Draw a boat')",
    "ChatEmby": "ChatEmby({0}).invoke('Hi')",
    "ChatEmby stream": "list(ChatEmby({0}).stream('Hi'))",
    "async chain": "await (ChatPromptTemplate.from_template('Hi') | ChatEmby({0})).ainvoke({{}})",
    "own function": "def mine():\n    return ChatEmby({0}).invoke('Hi')\n\nmine()",
    "picture": "Image.from_path('missing.png')",
}
SCRIPT = """
import json, sys
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

cells = json.load(sys.stdin)
shell = InteractiveShell.instance(colors="NoColor", history_length=0)
shown = []
for cell in cells:
    with capture_output() as captured:
        shell.run_cell(cell)
    shown.append(captured.stdout)
json.dump(shown, sys.stdout)
"""
LOGGED = """
import traceback
try:
    {}
except Exception:
    print(traceback.format_exc())
"""
IMPORTS = """
from emby_plugins import AsyncEmby, Emby, Image
from langchain_emby import ChatEmby
from langchain_core.prompts import ChatPromptTemplate
"""


def shown_by_ipython(*cells: str) -> list[str]:
    """Return IPython's output of each cell, run in a separate process."""
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT]
    done = subprocess.run(
        command, input=json.dumps([IMPORTS, *cells]), capture_output=True, text=True, check=True
    )
    shown: list[str] = json.loads(done.stdout)
    return shown[1:]


def refuse_key(_: ReceivedRequest, wire: Wire) -> None:
    """Refuse any key."""
    wire.whole(b'{"error":{"message":"Invalid API key"}}', status="401 Unauthorized")


def closed_address() -> str:
    """Return a base URL without a listener."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return f"http://127.0.0.1:{listening.getsockname()[1]}/v1"


@pytest.fixture(scope="module")
def outputs() -> dict[str, str]:
    """Return IPython's output of each call, by name and error."""
    with Loopback(refuse_key) as gateway:
        urls = {"Invalid API key": gateway.url, "The connection to": closed_address()}
        cells = {
            f"{name}: {problem}": call.format(f"api_key='k', base_url={url!r}, max_retries=0")
            for problem, url in urls.items()
            for name, call in CALLS.items()
        }
        call = cells["sync: The connection to"]
        cells["logged"] = LOGGED.format(call)
        cells["mode"] = "%xmode Verbose"
        cells["verbose"] = call
        return dict(zip(cells, shown_by_ipython(*cells.values()), strict=True))


@pytest.mark.parametrize("problem", ["Invalid API key", "The connection to"])
@pytest.mark.parametrize("name", CALLS)
def test_a_traceback_in_a_notebook_is_short(
    outputs: dict[str, str], name: str, problem: str
) -> None:
    """A traceback has the caller's lines and the sentence, but no lines of libraries."""
    shown = outputs[f"{name}: {problem}"]
    assert ("missing.png" if name == "picture" else problem) in shown.splitlines()[-1]
    assert CALLS[name].splitlines()[-1].partition("{")[0] in shown
    assert len(shown.splitlines()) <= 25
    assert "site-packages" not in shown
    assert shown.count("Traceback") == 1


def test_all_frames_are_there_on_request(outputs: dict[str, str]) -> None:
    """After `%xmode Verbose`, and for `logging`, the traceback is complete."""
    assert "_transport.py" in outputs["verbose"]
    assert "_transport.py" in outputs["logged"]


def test_the_cause_is_an_attribute() -> None:
    """The exception of httpx is in `cause`, outside of the traceback and of pickles."""
    with pytest.raises(EmbyConnectionError) as caught:
        Emby("k", closed_address(), max_retries=0).chat("Hi")
    error = caught.value
    assert type(error.cause).__name__ == "ConnectError"
    assert error.__cause__ is None
    assert error.__suppress_context__
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error)
    assert again.cause is None
