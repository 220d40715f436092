"""Run the example notebooks in new kernels, for `make notebooks`.

    python tests/notebooks/run_notebooks.py             # fail when a cell raises or changes
    python tests/notebooks/run_notebooks.py --write     # and keep the new outputs

Needs Jupyter, unlike the quick test in this folder.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import nbclient
import nbformat
from notebook_help import NOTEBOOKS, kinds


def executed(path: Path) -> Any:
    """Return the notebook after a run in an empty folder, without a key."""
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    with tempfile.TemporaryDirectory() as folder:
        client = nbclient.NotebookClient(
            notebook,
            timeout=120,
            kernel_name="python3",
            resources={"metadata": {"path": folder}},
            record_timing=False,
            coalesce_streams=True,
        )
        client.execute()
    # Fields that vary between machines and runs.
    notebook.metadata.language_info = {"name": "python"}
    return notebook


def differences(path: Path, fresh: Any) -> list[str]:
    """Return the cells with other kinds of outputs than in the file."""
    differing = []
    kept = nbformat.read(path, as_version=4)
    for number, (old, new) in enumerate(zip(kept.cells, fresh.cells, strict=True)):
        if old.cell_type == "code" and kinds(old) != kinds(new):
            differing.append(f"cell {number}: {kinds(old)} in the file, {kinds(new)} now")
    return differing


def main() -> int:
    """Run all notebooks, and report the differences."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="keep the new outputs")
    write = parser.parse_args().write
    for name in ("EMBY_API_KEY", "EMBY_BASE_URL"):
        os.environ.pop(name, None)
    is_bad = False
    for path in NOTEBOOKS:
        began = time.monotonic()
        fresh = executed(path)
        differing = [] if write else differences(path, fresh)
        if write:
            nbformat.write(fresh, path)
        print(f"{path.name}: {'; '.join(differing) or 'fine'}, {time.monotonic() - began:.1f} s")
        is_bad = is_bad or bool(differing)
    return int(is_bad)


if __name__ == "__main__":
    sys.exit(main())
