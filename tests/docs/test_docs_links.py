"""Links are valid, and the site loads nothing from other hosts."""

import re
from pathlib import Path

import pytest
import yaml
from docs_harness import DOCS, PAGES, ROOT, name_of


class _Loader(yaml.SafeLoader):
    """Loads the site's configuration, with None for variables (`!ENV`)."""


_Loader.add_multi_constructor("!", lambda *_: None)

CHANGELOG = ROOT / "CHANGELOG.md"
_FENCED = re.compile(r"^```.*?^```$|`[^`\n]*`", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def _links(page: Path) -> list[str]:
    return _LINK.findall(_FENCED.sub(lambda code: "code" * ("](" not in code[0]), _text(page)))


def _text(page: Path) -> str:
    return page.read_text("utf-8")


def _anchors(page: Path) -> set[str]:
    """Return the anchors of headings, which are the same on the site and on GitHub."""
    headings = re.findall(
        r"^#+ (.+)$", re.sub(r"^```.*?^```$", "", _text(page), flags=re.M | re.S), re.M
    )
    plain = (re.sub(r"[^\w\s-]", "", heading.lower()) for heading in headings)
    return {re.sub(r"[\s-]+", "-", heading).strip("-") for heading in plain}


@pytest.mark.parametrize("page", [*PAGES, CHANGELOG], ids=name_of)
def test_links_are_valid(page: Path) -> None:
    """Each link refers to an existing file and to a heading in it."""
    for link in _links(page):
        if "://" in link:
            # No other host is contacted, but plain http is allowed for loopback only.
            assert link.startswith(("https://", "http://127.0.0.1:")), link
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.is_file(), link
        assert not anchor or anchor in _anchors(target), link


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=name_of)
def test_pages_of_the_site_link_within_it(page: Path) -> None:
    """Pages of the site link only to pages of the site."""
    local = [link.partition("#")[0] for link in _links(page) if "://" not in link]
    assert all((page.parent / link).resolve().is_relative_to(DOCS) for link in local if link)


def _entries(nav: object) -> list[str]:
    if isinstance(nav, str):
        return [nav]
    values = nav.values() if isinstance(nav, dict) else nav
    return [entry for value in values for entry in _entries(value)]  # type: ignore[union-attr]


def test_every_page_is_in_the_navigation() -> None:
    """The site's navigation has each page exactly once."""
    config = yaml.load((ROOT / "mkdocs.yml").read_text("utf-8"), _Loader)
    pages = [page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")]
    assert sorted(_entries(config["nav"])) == sorted(pages)


def test_the_site_loads_nothing_from_elsewhere() -> None:
    """The site loads no fonts, scripts or styles from other hosts."""
    config = yaml.load((ROOT / "mkdocs.yml").read_text("utf-8"), _Loader)
    assert config["theme"]["font"] is False
    loaded = [*config.get("extra_css", ()), *config.get("extra_javascript", ())]
    assert all((DOCS / item).is_file() for item in loaded)
    assert not re.search(r"url\(|@import", _text(DOCS / "assets" / "site.css"))


@pytest.mark.parametrize("picture", sorted(DOCS.rglob("*.svg")), ids=name_of)
def test_pictures_load_nothing_from_elsewhere(picture: Path) -> None:
    """Drawings have no scripts and no external URLs."""
    text = _text(picture)
    pairs = re.findall(r"""(?:href|src)=["']([^"']{0,40})|url\(["']?([^)"']{0,40})""", text)
    addresses = [first or second for first, second in pairs]
    assert all(one.startswith(("data:image/png;base64,", "#")) for one in addresses)
    assert "<script" not in text


@pytest.mark.parametrize("page", [*PAGES, CHANGELOG], ids=name_of)
def test_no_page_contains_a_local_path(page: Path) -> None:
    """No page contains a path of the machine that it was written on."""
    assert not re.search(r"(?<![\w.])/(work|tmp|root|home)/", _text(page))
