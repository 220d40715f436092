"""Checks that the lowest versions declared are those that are installed, for `make test-lowest`.

A floor that a resolver can't reach, because something else needs more, is one that nobody tests.

python tests/wheel/check_floors.py
"""

import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

PYPROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"


def declared() -> Iterator[Requirement]:
    """What the project, its extras and its groups require."""
    settings = tomllib.loads(PYPROJECT.read_text("utf-8"))
    project, groups = settings["project"], settings["dependency-groups"]
    del groups["lowest"]  # what resolves to the lowest versions is itself the newest
    lists = (*project["optional-dependencies"].values(), *groups.values())
    for listed in (project["dependencies"], *lists):
        yield from (Requirement(one) for one in listed if isinstance(one, str))


def untested() -> Iterator[str]:
    """The floors that are not what is installed; what is not installed has a target of its own."""
    for requirement in declared():
        floors = [one.version for one in requirement.specifier if one.operator == ">="]
        try:
            installed = version(requirement.name)
        except PackageNotFoundError:
            continue
        if floors and Version(installed) != Version(floors[0]):
            yield f"{requirement.name}>={floors[0]} is declared, {installed} is the lowest tested."


def main() -> int:
    """Print the floors that nothing tests."""
    found = sorted(set(untested()))
    print("\n".join(found) or "Every lowest version declared is installed.")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
