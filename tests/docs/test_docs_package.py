"""The package page, the make targets, the workflows and the version."""

import re
import subprocess
import sys
from importlib.metadata import metadata
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from docs_harness import PROJECT, PYPROJECT, ROOT, make_targets

import emby_plugins

REPOSITORY = PYPROJECT["tool"]["hatch"]["metadata"]["hooks"]["custom"]["repository"]
README = (ROOT / "README.md").read_text("utf-8")
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def load(path: Path) -> ModuleType:
    """Load a module that is not in a package."""
    spec = spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def jobs() -> list[dict[str, Any]]:
    """Return the jobs of all workflows."""
    texts = (path.read_text("utf-8") for path in WORKFLOWS)
    return [job for text in texts for job in yaml.safe_load(text)["jobs"].values()]


def commands(job: dict[str, Any]) -> list[str]:
    """Return the commands of a job's steps, one for each value of their variables."""
    rows = job.get("strategy", {}).get("matrix", {}).get("include", [{}])
    steps = [step["run"] for step in job["steps"] if "run" in step]
    return [
        re.sub(r"\$\{\{ matrix\.(\w+) \}\}", lambda name, row=row: str(row.get(name[1])), step)
        for step in steps
        for row in rows
    ]


# ---- the package page


def test_links_of_the_package_page_are_absolute() -> None:
    """The README's relative links are absolute on the package page, for the released version."""
    relative = [link for link in _LINK.findall(README) if "://" not in link]
    assert len(relative) > 20
    assert all((ROOT / link.partition("#")[0]).is_file() for link in relative)
    page = metadata("emby-plugins").get_payload()
    revision = f"v{emby_plugins.__version__}"
    shown = _LINK.findall(page)
    assert all("://" in link for link in shown)
    assert f"{REPOSITORY}/raw/{revision}/docs/images/terminal.svg" in shown
    assert f"{REPOSITORY}/blob/{revision}/CONTRIBUTING.md" in shown


def test_only_relative_links_change_on_the_package_page() -> None:
    """Absolute links, anchors and code are not changed on the package page."""
    absolute = load(ROOT / "hatch_build.py").absolute
    text = "[a](https://a.example) [b](#b) `[0](x)` ```\n[c](c.md)\n```\n![d](d.png) [e](e.md#f)"
    assert absolute(text, "https://r.example", "v1") == (
        "[a](https://a.example) [b](#b) `[0](x)` ```\n[c](c.md)\n```\n"
        "![d](https://r.example/raw/v1/d.png) [e](https://r.example/blob/v1/e.md#f)"
    )


def test_the_package_page_has_the_addresses() -> None:
    """The project's URLs all derive from the one address in pyproject.toml."""
    lines = metadata("emby-plugins").get_all("Project-URL") or []
    urls = dict(line.split(", ") for line in lines)
    assert urls.keys() == {"Repository", "Documentation", "Issues", "Changelog"}
    assert all(url.startswith(REPOSITORY) for url in urls.values())
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    assert text.count(REPOSITORY) == 1


# ---- the examples


def test_the_examples_are_copied_once(tmp_path: Path) -> None:
    """`python -m emby_plugins.examples` copies all examples, and overwrites nothing."""
    command = [sys.executable, "-m", "emby_plugins.examples", str(tmp_path / "mine")]
    first, second = (
        subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        for _ in range(2)
    )
    listed = subprocess.run(
        ["git", "ls-files", "examples"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert first.returncode == 0, first.stderr
    copied = [path for path in (tmp_path / "mine").rglob("*") if path.is_file()]
    assert sorted(first.stdout.split()) == sorted(map(str, copied))
    names = [path.relative_to(tmp_path / "mine").as_posix() for path in copied]
    assert sorted(names) == sorted(line.removeprefix("examples/") for line in listed.stdout.split())
    assert second.returncode == 1
    assert second.stderr.endswith("mine' already exists and was not overwritten.\n")


# ---- the version


def test_the_version_is_the_changelog_s() -> None:
    """The version is that of the changelog's newest release, if any."""
    entries = re.findall(
        r"^## (\S+)(?: - (\d{4}-\d\d-\d\d))?$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.M
    )
    assert entries[0] == ("Unreleased", "")
    released = entries[1:]
    assert all(date for _, date in released), "a release has a date: ## 1.2.3 - 2026-11-22"
    assert [date for _, date in released] == sorted((d for _, d in released), reverse=True)
    versions = [version for version, _ in released]
    assert emby_plugins.__version__ == (versions[0] if versions else "0.1.0")


# ---- make and the workflows


def test_make_help_has_each_target() -> None:
    """`make help` has one line for each public target."""
    shown = subprocess.run(
        ["make", "--no-print-directory", "help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [line.split(maxsplit=1) for line in shown.stdout.splitlines()]
    assert sorted(name for name, _ in lines) == sorted(make_targets())


def test_each_target_is_phony() -> None:
    """Every target is phony, so that a file of its name does not matter."""
    text = (ROOT / "Makefile").read_text("utf-8").replace("\\\n", " ")
    phony = re.search(r"^\.PHONY: (.*)$", text, re.M)
    assert phony is not None
    assert set(phony[1].split()) == make_targets()


def test_the_lowest_and_the_newest_are_of_everything() -> None:
    """`make test-lowest` and `test-newest` install all extras but Ray, and all compatible
    groups.
    """
    shown = subprocess.run(
        ["make", "--no-print-directory", "--dry-run", "test-newest"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    extras = re.search(r"--editable '\.\[(.*?)\]'", shown.stdout)
    assert extras is not None
    assert {*extras[1].split(","), "ray"} == PROJECT["optional-dependencies"].keys()
    groups = {*re.findall(r"--group (\S+)", shown.stdout)}
    # `test` is in `dev`; litellm pins many versions; the others install or upload.
    apart = {"test", "litellm", "lowest", "package"}
    assert groups | apart == PYPROJECT["dependency-groups"].keys()


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_follow_the_schema(path: Path) -> None:
    """The workflows are valid by GitHub's schema."""
    command = ["check_jsonschema", "--builtin-schema", "vendor.github-workflows", str(path)]
    done = subprocess.run(
        [sys.executable, "-m", *command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_workflows_call_all_targets() -> None:
    """The workflows call every make target that can fail, on each supported Python."""
    called = [line.split()[1:] for job in jobs() for line in commands(job) if line[:5] == "make "]
    assert len(called) > 8
    names = {word for words in called for word in words}
    assert names <= make_targets()
    # Parts of `test` and `test-wheel`, targets to inspect by eye, and figures of one machine.
    apart = {"lint", "types", "wheel", "help", "wording", "clean", "record", "bench", "comparison"}
    assert names | apart == make_targets()
    named = [one.rpartition(" ")[2] for one in PROJECT["classifiers"] if " :: 3." in one]
    tried = [job.get("strategy", {}).get("matrix", {}).get("python", []) for job in jobs()]
    assert named in tried


def test_jobs_have_a_time_limit_and_no_permissions() -> None:
    """Each job has a time limit, and only the publishing one has a permission."""
    assert all(0 < job["timeout-minutes"] <= 30 for job in jobs())
    assert [job["permissions"] for job in jobs() if "permissions" in job] == [{"id-token": "write"}]
    for path in WORKFLOWS:
        workflow = yaml.safe_load(path.read_text("utf-8"))
        assert workflow["permissions"] == {"contents": "read"}
        assert "concurrency" in workflow
