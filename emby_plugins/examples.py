"""`python -m emby_plugins.examples`: copies the examples that the documentation runs.

They are in the wheel, so that whoever installed it can run every line of the documentation.
"""

import argparse
import shutil
import sys
from pathlib import Path

_INSTALLED = Path(__file__).with_name("_examples")
_CHECKOUT = Path(__file__).parents[1] / "examples"


def main() -> None:
    """Copy the examples into a new folder. Exits with 1 if it exists or can't be made."""
    parser = argparse.ArgumentParser(
        prog="python -m emby_plugins.examples",
        description="Copy the examples: notebooks, a web chat, and a pipeline for Ray Data.",
    )
    parser.add_argument("folder", nargs="?", default="examples", help="a new folder (examples)")
    folder = Path(parser.parse_args().folder)
    source = _INSTALLED if _INSTALLED.is_dir() else _CHECKOUT
    try:
        shutil.copytree(source, folder, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    except FileExistsError:
        sys.exit(f"Error: {str(folder)!r} already exists and was not overwritten.")
    except OSError as error:
        sys.exit(f"Error: the examples can't be copied to {str(folder)!r}: {error}.")
    sys.stdout.write("".join(f"{path}\n" for path in sorted(folder.rglob("*")) if path.is_file()))


if __name__ == "__main__":
    main()
