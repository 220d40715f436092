"""`llm emby gallery`: the page of all images, from none to 2,000, with hostile input."""

import base64
import hashlib
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import click
import pytest
import sqlite_utils
from browser_help import PageErrors, chromium
from gallery_help import Page, huge, made, many, stored
from llm.migrations import migrate
from llm_help import LLM, paths
from support import photo, picture

from emby_plugins import Image

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)> \"'&amp; \u202eexe.gnp ${alert(3)}"


@pytest.fixture
def gallery(run: LLM) -> Callable[..., Page]:
    """Runs the command with these arguments and reads the page it wrote."""

    def make(*words: object) -> Page:
        result = run("emby", "gallery", *words)
        assert result.exit_code == 0, result.output
        (path,) = paths(result.stdout)
        return Page(path)

    return make


@pytest.fixture
def log(user_path: Path) -> Iterator[sqlite3.Connection]:
    """An empty log of llm's, to insert rows into."""
    db = sqlite_utils.Database(user_path / "logs.db")
    migrate(db)
    yield db.conn
    db.close()


def test_without_an_image_the_page_shows_the_command(
    gallery: Callable[..., Page], user_path: Path
) -> None:
    """Without a log the page shows the command for the first image."""
    page = gallery()
    assert page.cards == []
    assert 'llm emby image "a lighthouse at dusk" -m emby-mock' in page.text
    assert not (user_path / "logs.db").exists()


def test_an_older_log_is_an_empty_page(gallery: Callable[..., Page], user_path: Path) -> None:
    """A log of an older version without the needed tables gives an empty page."""
    with closing(sqlite3.connect(user_path / "logs.db")) as db:
        db.execute("create table responses (id text)")
    assert gallery().cards == []


def test_a_card_describes_its_image(
    run: LLM, gallery: Callable[..., Page], user_path: Path
) -> None:
    """A card has the prompt, model, tokens, file and thumbnail of its image."""
    (path,) = paths(run("-m", "emby-mock", "Draw a red boat").output)
    page = gallery()
    (card,) = page.cards
    assert card.href == path.as_uri()
    for known in ("Draw a red boat", "emby-mock", "1,290 out", str(path)):
        assert known in card.text
    small = Image.from_data_url(card.image)
    assert small.media_type == "image/webp"
    assert small.size == (256, 256)
    assert (user_path / "emby" / "gallery.html").read_text(encoding="utf-8") == page.html


def test_edits_link_to_their_sources(
    run: LLM, gallery: Callable[..., Page], tmp_path: Path
) -> None:
    """An edit links to its sources: an earlier turn, an attached image or photograph."""
    (boat,) = paths(run("-m", "emby-mock", "Draw a red boat").output)
    run("-c", "make it grayscale")
    copied = tmp_path / "copy.png"
    copied.write_bytes(boat.read_bytes())
    run("emby", "image", "make it blurry", "-a", copied, "-m", "emby-mock")
    run("emby", "image", "make it sepia", "-a", photo("rocket.jpg"), "-m", "emby-mock")
    sepia, blurry, grey, first = gallery().cards
    assert "Used for" in first.text
    assert first.links[:2] == [f"#{grey.id}", f"#{blurry.id}"]
    assert grey.links[0] == blurry.links[0] == f"#{first.id}"
    assert sepia.links[0] == photo("rocket.jpg").as_uri()
    assert "rocket.jpg" in sepia.text
    assert "Made from" not in first.text


def test_cost_is_that_of_the_turn(
    gallery: Callable[..., Page], log: sqlite3.Connection, tmp_path: Path
) -> None:
    """Two images of one turn share its cost, which is counted once in the total."""
    files = [stored(tmp_path / f"{name}.png", picture(name)) for name in ("red", "blue")]
    made(log, 0, "two", files, {"cost": 0.08})
    made(log, 1, "one", files[:1], {"cost": 1.5})
    one, *two = (page := gallery()).cards
    assert "$1.50" in one.text
    assert ["$0.08 for 2 images" in card.text for card in two] == [True, True]
    assert "3 images · 1 model · $1.58" in page.text


def test_files_without_a_log_are_shown_too(run: LLM, gallery: Callable[..., Page]) -> None:
    """An image that was not logged is found by its file and marked."""
    (path,) = paths(run("-m", "emby-mock", "-n", "Draw a red boat").output)
    (card,) = gallery().cards
    assert card.href == path.as_uri()
    assert "not in the log" in card.text
    assert card.image


@pytest.mark.parametrize("again", [False, True], ids=["first", "seen before"])
def test_a_missing_file_is_marked(
    run: LLM, gallery: Callable[..., Page], user_path: Path, again: bool
) -> None:
    """An image with a missing file keeps its card, and its thumbnail if one was made."""
    (path,) = paths(run("-m", "emby-mock", "Draw a red boat").output)
    if again:
        gallery()
    path.unlink()
    (card,) = gallery().cards
    assert "File not found" in card.text
    assert bool(card.image) is again
    assert card.href == f"#{card.id}"


@pytest.mark.parametrize(
    "data", [b"", b"no image", picture()[:40], huge()], ids=["empty", "foreign", "damaged", "huge"]
)
def test_a_file_that_is_not_an_image_is_marked(
    gallery: Callable[..., Page], log: sqlite3.Connection, tmp_path: Path, data: bytes
) -> None:
    """Empty, damaged, oversized and non-image files get a card without a thumbnail."""
    made(log, 0, "broken", [stored(tmp_path / "broken.png", data)])
    (card,) = gallery().cards
    assert "The file can't be displayed" in card.text
    assert card.image == ""


def test_a_changed_file_is_marked(
    gallery: Callable[..., Page], log: sqlite3.Connection, tmp_path: Path
) -> None:
    """A changed file is marked and not shown, also if it was in an earlier page."""
    path = tmp_path / "picture.png"
    made(log, 0, "red", [stored(path, picture("red"))])
    before = gallery().cards[0].image
    path.write_bytes(picture("blue"))
    os.utime(path, (2**31, 2**31))
    (card,) = gallery().cards
    assert "The file has changed since" in card.text
    assert card.image == before


def test_hostile_text_is_only_text(
    gallery: Callable[..., Page], log: sqlite3.Connection, tmp_path: Path
) -> None:
    """Markup in prompts and file names adds no element, handler or reversed text."""
    clean = gallery().tags
    files = [stored(tmp_path / f'{"x" * n}"><script>.png', picture()) for n in (1, 2)]
    made(log, 0, HOSTILE, files)
    page = gallery()
    assert len(page.cards) == 2
    assert HOSTILE.replace("\u202e", "\ufffd") in page.cards[0].text
    assert HOSTILE.replace("\u202e", "\ufffd") in page.text
    assert [page.tags.count(tag) for tag in ("script", "style")] == [3, 1]
    assert page.tags.count("img") == clean.count("img")
    assert not [name for name, _ in page.attributes if name.startswith("on") or name == "style"]
    assert "\u202e" not in page.html + page.cards[0].text
    assert page.cards[0].href.endswith("%22%3E%3Cscript%3E.png")


def test_the_policy_allows_this_page_and_nothing_else(
    run: LLM, gallery: Callable[..., Page]
) -> None:
    """The page's policy allows only its own style and script, and it loads only data and files."""
    run("-m", "emby-mock", "Draw a red boat")
    page = gallery()
    policy = next(value for name, value in page.attributes if value.startswith("default-src"))
    assert policy.startswith("default-src 'none'; img-src 'self' data: file:; ")
    assert "unsafe" not in policy
    assert len(page.code) == 2
    for code in page.code:
        digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    loaded = [value for name, value in page.attributes if name in {"src", "href"}]
    loaded += [value for card in page.cards for value in (card.image, card.href, *card.links)]
    assert all(re.match(r"data:image/webp;|file:///|#", value) for value in loaded)


def test_a_digest_in_the_log_is_not_a_path(
    gallery: Callable[..., Page], log: sqlite3.Connection, tmp_path: Path
) -> None:
    """A path as a digest in the log is not used as a file name."""
    path, _ = stored(tmp_path / "picture.png", picture())
    made(log, 0, "climb", [(path, "../../climbed")])
    assert gallery().cards[0].image
    assert not list(tmp_path.rglob("climbed*"))


def test_the_log_is_only_read(run: LLM, gallery: Callable[..., Page], user_path: Path) -> None:
    """The command does not change the log, which may be write-protected."""
    run("-m", "emby-mock", "Draw a red boat")
    path = user_path / "logs.db"
    before = path.read_bytes()
    path.chmod(0o400)
    assert len(gallery().cards) == 1
    assert path.read_bytes() == before
    assert [file.name for file in user_path.iterdir() if "logs.db" in file.name] == ["logs.db"]


def test_a_broken_log_is_one_sentence(run: LLM, user_path: Path) -> None:
    """A log that is not a database causes a one-sentence error."""
    (user_path / "logs.db").write_bytes(b"no database at all" * 100)
    result = run("emby", "gallery")
    assert result.exit_code == 1
    assert result.output.startswith("Error: The log ")


def test_out_takes_a_folder_or_a_file(
    run: LLM, gallery: Callable[..., Page], tmp_path: Path
) -> None:
    """`--out` takes a folder or a file, and replaces nothing but a gallery."""
    assert gallery("--out", tmp_path).html == (tmp_path / "gallery.html").read_text("utf-8")
    gallery("--out", tmp_path / "new" / "page.html")
    gallery("--out", tmp_path / "new" / "page.html")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["page.html"]
    diary = tmp_path / "diary.txt"
    diary.write_text("mine")
    result = run("emby", "gallery", "--out", diary)
    assert result.exit_code == 1
    assert "already exists and is not a gallery" in result.output
    assert diary.read_text() == "mine"
    os.mkfifo(tmp_path / "pipe")  # which would never end
    assert "is not a gallery" in run("emby", "gallery", "--out", tmp_path / "pipe").output


def test_open_opens_the_page(run: LLM, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--open` opens the printed path."""
    opened: list[str] = []
    monkeypatch.setattr(click, "launch", opened.append)
    assert opened == [run("emby", "gallery", "--open").stdout.strip()]


@pytest.mark.slow
def test_two_thousand_images(
    gallery: Callable[..., Page],
    log: sqlite3.Connection,
    tmp_path: Path,
    user_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The page lists the latest of 2,000 images first, and reuses thumbnails between runs."""
    decoded: list[str] = []
    thumbnail = Image.thumbnail

    def counted(image: Image, side: int) -> Image:
        decoded.append(image.sha256)
        return thumbnail(image, side)

    monkeypatch.setattr(Image, "thumbnail", counted)
    log.execute("pragma synchronous = off")
    many(log, tmp_path, 2000, 250)
    page = gallery()
    assert len(decoded) == len(set(decoded)) == 250
    assert [card.id for card in page.cards] == [f"p{n}" for n in range(2000, 0, -1)]
    assert "picture 1999" in page.cards[0].text
    kept = {file.name for file in (user_path / "emby" / "thumbnails").iterdir()}
    assert {card.image for card in page.cards} == {f"thumbnails/{name}" for name in kept}
    assert len(page.html) < 2000 * 250
    assert gallery().html == page.html
    assert len(decoded) == 250
    made(log, 2000, "one more", [stored(tmp_path / "new.png", picture("red"))])
    elsewhere = gallery("--out", tmp_path / "page.html")
    assert len(decoded) == 251
    assert (tmp_path / elsewhere.cards[0].image).is_file()


@pytest.mark.slow
def test_the_gallery_is_imported_late() -> None:
    """The commands are loaded without the gallery and Pillow."""
    script = (
        "import sys, llm_emby._commands\n"
        "print(*[n for n in sys.modules if 'gallery' in n or n == 'PIL'])"
    )
    environment = {**os.environ, "LLM_LOAD_PLUGINS": ""}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == ""


@pytest.mark.browser
def test_the_page_in_a_browser(
    run: LLM, gallery: Callable[..., Page], log: sqlite3.Connection, tmp_path: Path, user_path: Path
) -> None:
    """Search, keys, the large view and lineage work in Chromium, and hostile text is shown as
    text.
    """
    made(log, 0, HOSTILE, [stored(tmp_path / '"><script>alert(4)<.png', picture())])
    for number in range(1, 30):
        made(log, number, f"picture {number}", [stored(tmp_path / f"{number}.png", picture())])
    run("-m", "emby-mock", "Draw a red boat")
    run("-c", "make it grayscale")
    gallery()
    errors = PageErrors()
    with chromium() as browser:
        page = errors.watch(browser.new_page(viewport={"width": 1200, "height": 800}))
        page.goto((user_path / "emby" / "gallery.html").as_uri())
        page.keyboard.press("/")
        page.keyboard.type("ALERT(2)")
        assert page.locator("#found").inner_text() == "1 of 32"
        page.keyboard.press("Enter")
        page.keyboard.press("Enter")
        assert page.locator("#box-prompt").inner_text() == HOSTILE.replace("\u202e", "\ufffd")
        page.keyboard.press("Escape")
        page.locator("#box").wait_for(state="hidden")
        page.keyboard.press("Escape")
        assert page.locator("#found").inner_text() == ""
        page.locator("#p32 .tile").focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowUp")
        page.keyboard.press("Enter")
        assert page.locator("#box-prompt").inner_text() == "Draw a red boat"
        page.locator("#box dt", has_text="Size").wait_for()
        assert page.locator("#box-image").get_attribute("src").startswith("file:///")
        page.locator("#box .kin", has_text="make it grayscale").click()
        assert page.locator("#box-place").inner_text() == "1 of 32"
        page.keyboard.press("ArrowRight")
        assert page.locator("#box-place").inner_text() == "2 of 32"
    assert errors == []


@pytest.mark.browser
def test_the_page_fits_a_phone_and_opens_without_script(
    run: LLM, gallery: Callable[..., Page], log: sqlite3.Connection, tmp_path: Path, user_path: Path
) -> None:
    """The page fits a width of 390 pixels, and images are links without JavaScript."""
    made(log, 0, "w" * 3000, [stored(tmp_path / "w.png", picture(size=(300, 2)))])
    gallery()
    with chromium() as browser:
        for scheme in ("light", "dark"):
            page = browser.new_page(
                viewport={"width": 390, "height": 844},
                color_scheme=scheme,
                java_script_enabled=False,
            )
            page.goto((user_path / "emby" / "gallery.html").as_uri())
            box = page.locator("noscript a").bounding_box()
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= 390
            page.locator("noscript a").click()
            assert page.url == (tmp_path / "w.png").as_uri()
        page = browser.new_page(viewport={"width": 390, "height": 844})
        page.goto((user_path / "emby" / "gallery.html").as_uri())
        box = page.locator(".card").bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390


@pytest.mark.browser
def test_a_large_page_draws_cards_on_demand(
    gallery: Callable[..., Page], log: sqlite3.Connection, tmp_path: Path, user_path: Path
) -> None:
    """A page of 600 images draws a part first, the rest on scrolling, and searches all."""
    log.execute("pragma synchronous = off")
    many(log, tmp_path, 600, 5)
    gallery()
    errors = PageErrors()
    with chromium() as browser:
        page = errors.watch(browser.new_page(viewport={"width": 1200, "height": 800}))
        page.goto((user_path / "emby" / "gallery.html").as_uri())
        page.locator(".card").first.wait_for()
        assert page.locator(".card").count() < 600
        assert page.locator("img[loading=lazy]").first.evaluate("i => i.decode().then(() => 1)")
        while page.locator(".card").count() < 600:
            page.locator(".card").last.scroll_into_view_if_needed()
        page.keyboard.press("/")
        page.keyboard.type("picture 599")
        assert page.locator("#found").inner_text() == "1 of 600"
        page.goto((user_path / "emby" / "gallery.html").as_uri() + "#p3")
        page.reload()
        page.locator("#p3 .tile:focus").wait_for()
    assert errors == []
