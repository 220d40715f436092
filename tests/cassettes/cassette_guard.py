"""Checks for forbidden contents of cassettes, and for unused or missing ones."""

import re
from collections.abc import Collection, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from cassette_help import KEY, REAL, RECEIVED, SENT, load

LARGEST = 256 * 1024
"""Maximum size of a cassette in bytes."""

HOSTS: frozenset[str] = frozenset()
"""Hosts that a cassette may contain besides this machine."""

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_SECRET = re.compile(
    r"authorization|cookie|\b(?:sk|pk|llmgtwy|xox[bp]|gh[pos]|AKIA)[-_][A-Za-z0-9_\-]{12,}"
    r"|\bBearer +(?!\[key\])\S{6,}|api[-_]key['\"]?\s*[:=]",
    re.IGNORECASE,
)
_BASE64 = re.compile(r"base64,[A-Za-z0-9+/=]+")


def cassettes(folder: Path) -> Iterator[Path]:
    """Yield the cassettes that belong to the tests, without those of a real gateway."""
    for path in sorted(folder.rglob("*.yaml")):
        if path.relative_to(folder).parts[0] != REAL:
            yield path


def secrets(folder: Path, key: str = KEY) -> list[str]:
    """Return findings of keys, cookies and similar secrets in any file."""
    found = []
    for path in sorted(file for file in folder.rglob("*") if file.is_file()):
        # Image data may contain anything, and the README names the forbidden contents.
        if path.suffix == ".md":
            continue
        text = _BASE64.sub("base64,", path.read_text("utf-8", "replace"))
        match = _SECRET.search(text)
        if match or key in text:
            what = match[0][:12] if match else "the key"
            found.append(f"{path.relative_to(folder)} holds {what!r}")
    return found


def oddities(folder: Path, hosts: Collection[str] = HOSTS) -> list[str]:
    """Return findings of large files, headers that are not allowed, and hosts that are not
    listed.
    """
    found = []
    for path in cassettes(folder):
        name = path.relative_to(folder)
        if path.stat().st_size > LARGEST:
            found.append(f"{name} has {path.stat().st_size} bytes")
        for exchange in load(path):
            request, response = exchange["request"], exchange["response"]
            extra = {header.lower() for header in request["headers"]} - SENT
            extra |= {header.lower() for header in response["headers"]} - RECEIVED
            if extra:
                found.append(f"{name} has the headers {', '.join(sorted(extra))}")
            host = urlsplit(request["uri"]).hostname or ""
            if host not in _LOOPBACK | set(hosts):
                found.append(f"{name} names the host {host}")
    return found


def mismatches(folder: Path, expected: Collection[str]) -> list[str]:
    """Return the names of unused and missing cassettes."""
    there = {str(path.relative_to(folder)) for path in cassettes(folder)}
    orphans = [f"{name} is used by no test" for name in sorted(there - set(expected))]
    return orphans + [f"{name} is missing" for name in sorted(set(expected) - there)]
