"""Check that the lowest declared versions are the installed ones, for `make test-lowest`.

A lower bound that a resolver can't reach, because another package needs more, is not tested.

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
    """Yield the requirements of the project, its extras and its groups."""
    settings = tomllib.loads(PYPROJECT.read_text("utf-8"))
    project, groups = settings["project"], settings["dependency-groups"]
    del groups["lowest"]  # the tool that resolves to the lowest versions is itself the newest
    lists = (*project["optional-dependencies"].values(), *groups.values())
    for listed in (project["dependencies"], *lists):
        yield from (Requirement(one) for one in listed if isinstance(one, str))


def untested() -> Iterator[str]:
    """Yield the lower bounds of installed packages that differ from the installed version."""
    for requirement in declared():
        floors = [one.version for one in requirement.specifier if one.operator == ">="]
        try:
            installed = version(requirement.name)
        except PackageNotFoundError:
            continue
        if floors and Version(installed) != Version(floors[0]):
            yield f"{requirement.name}>={floors[0]} is declared, {installed} is the lowest tested."


def main() -> int:
    """Print the lower bounds that are not tested."""
    found = sorted(set(untested()))
    print("\n".join(found) or "Every lowest version declared is installed.")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
