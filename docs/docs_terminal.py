"""Draw docs/images/terminal.svg: a real session in tmux, and the pictures it created.

Run it from the root, in an environment with the extra `dev`: `python docs/docs_terminal.py`.
"""

import base64
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from uuid import uuid4
from xml.sax.saxutils import escape, quoteattr

import PIL.Image
from rich.console import Console
from rich.style import Style
from rich.text import Text

SESSION = (
    'llm -m emby-mock "What is shown in this image?" -a photo.png',
    'llm -m emby-mock "Generate an image of a puppy in a meadow" -o output puppy.png',
    'llm -c "make it grayscale" -o output gray.png',
    'llm emby image "a sailing boat at dusk" -m emby-mock --out boat.png',
)
PICTURES = ("photo.png", "puppy.png", "gray.png", "boat.png")
COLUMNS, LINES = 87, 20
_CELL, _LINE, _EDGE, _BAR, _GAP = 8.4, 20, 20, 36, 16
_TMUX = shutil.which("tmux") or "tmux"
_FONT = "font-size='14' font-family='ui-monospace, Menlo, Consolas, DejaVu Sans Mono, monospace'"
_PROMPT = "$ "


def main() -> None:
    """Run the session and draw it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        spec = find_spec("skimage")
        assert spec
        assert spec.origin
        shutil.copy(Path(spec.origin).parent / "data" / "chelsea.png", folder / "photo.png")
        screen = _session(folder)
        pictures = [(file, _thumbnail(folder / file)) for file in PICTURES]
    target = Path(__file__).parent / "images" / "terminal.svg"
    target.write_text(_drawn(screen, pictures), "utf-8")


def _session(folder: Path) -> str:
    """The final content of the screen, with its colours."""
    socket = f"emby-docs-{uuid4().hex[:8]}"

    def tmux(*words: str) -> str:
        command = [_TMUX, "-L", socket, "-f", os.devnull, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    settings = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "LLM_USER_PATH": folder / "llm",
        "LLM_LOAD_PLUGINS": "emby-plugins",
        "PS1": _PROMPT,
    }
    shell = ("env", *(f"{k}={v}" for k, v in settings.items()), "bash", "--norc", "--noprofile")
    size = ("-x", str(COLUMNS), "-y", str(LINES))
    tmux("new-session", "-d", *size, "-c", str(folder), *shell)
    try:
        for command in SESSION:
            _until_it_waits(tmux)
            tmux("send-keys", "-l", command)
            tmux("send-keys", "Enter")
            time.sleep(0.5)
        _until_it_waits(tmux)
        # Hide the name of the temporary folder.
        return tmux("capture-pane", "-p", "-e").rstrip().replace(str(folder), "~/pictures")
    finally:
        tmux("kill-server")


def _until_it_waits(tmux: Callable[..., str]) -> None:
    """Wait until the shell shows its prompt again."""
    for _ in range(300):
        time.sleep(0.1)
        if tmux("capture-pane", "-p").rstrip().splitlines()[-1:] == [_PROMPT.strip()]:
            return
    raise TimeoutError("the command did not end")


def _thumbnail(file: Path) -> str:
    with PIL.Image.open(file) as opened:
        picture = opened.convert("RGB")
    picture.thumbnail((256, 256))
    out = BytesIO()
    picture.quantize(128).save(out, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode()


def _drawn(screen: str, pictures: list[tuple[str, str]]) -> str:
    lines = Text.from_ansi(screen).split(allow_blank=True)
    width = round(COLUMNS * _CELL) + 2 * _EDGE
    side = (width - 2 * _EDGE - (len(pictures) - 1) * _GAP) / len(pictures)
    below = _BAR + len(lines) * _LINE + _GAP
    height = round(below + side * 0.75 + 22 + _EDGE / 2)
    size = f'width="{width}" height="{height}"'
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" {size} {_FONT}>',
        f'<rect width="{width}" height="{height}" rx="9" fill="#1b1f24"/>',
    ]
    for index, colour in enumerate(("#ff5f57", "#febc2e", "#28c840")):
        drawn.append(f'<circle cx="{_EDGE + 6 + 18 * index}" cy="18" r="5.5" fill="{colour}"/>')
    drawn += (_line(line, _BAR + (index + 0.8) * _LINE) for index, line in enumerate(lines))
    for index, (name, url) in enumerate(pictures):
        drawn.append(_picture(name, url, _EDGE + index * (side + _GAP), below, side))
    return "\n".join([*drawn, "</svg>\n"])


def _line(line: Text, y: float) -> str:
    spans, x = [], 0
    is_command = line.plain.startswith(_PROMPT)
    for segment in line.render(Console(color_system="truecolor", width=400)):
        style = segment.style or Style()
        colour = "#e6edf3" if is_command else "#adbac7"
        if style.color:
            colour = style.color.get_truecolor().hex
        if segment.text.strip():
            weight = ' font-weight="bold"' if is_command or style.bold else ""
            length = len(segment.text) * _CELL
            spans.append(
                f'<text x="{_EDGE + x * _CELL:.1f}" y="{y:.0f}" fill="{colour}"{weight} '
                f'textLength="{length:.1f}" xml:space="preserve">{escape(segment.text)}</text>'
            )
        x += len(segment.text)
    return "".join(spans)


def _picture(name: str, url: str, x: float, y: float, side: float) -> str:
    tall = side * 0.75
    return (
        f'<image x="{x:.0f}" y="{y}" width="{side:.0f}" height="{tall:.0f}" '
        f'href={quoteattr(url)} preserveAspectRatio="xMidYMid slice"><title>{name}</title></image>'
        f'<text x="{x:.0f}" y="{y + tall + 16:.0f}" fill="#909dab" font-size="12">{name}</text>'
    )


if __name__ == "__main__":
    main()
