"""The architecture: allowed imports, the cost of importing, and the public names."""

import ast
import inspect
import re
import subprocess
import sys
from functools import cache
from importlib.metadata import entry_points, metadata, requires, version
from itertools import pairwise
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import emby_plugins

PACKAGE = Path(emby_plugins.__file__).parent
HOSTS = ("llm_emby", "langchain_emby")
SOURCES = [
    path
    for package in ("emby_plugins", *HOSTS)
    for path in sorted((PACKAGE.parent / package).rglob("*.py"))
    if "_examples" not in path.parts  # users' code, which a wheel contains
]
CORE = [path for path in SOURCES if path.is_relative_to(PACKAGE)]

LAYERS: dict[str, int] = {
    "_errors": 0,
    "_tracebacks": -1,
    "_files": 0,
    "_media_types": 0,
    "_pixels": 1,
    "_text": 0,
    "_suggestions": 0,
    "_display": 2,
    "_ipython": 5,
    "_endings": 2,
    "_image_sources": 1,
    "_images": 2,
    "_catalog": 2,
    "_messages": 3,
    "_chat": 4,
    "_sinks": 3,
    "_protocol": 5,
    "_hookspecs": 5,
    "_call_record": 6,
    "_telemetry": 7,
    "_preparation": 6,
    "_settings": 6,
    "_model_store": 7,
    "_asyncio_network": 6,
    "_deadlines": 6,
    "_gates": 7,
    "_default_plugin": 6,
    "_call_settings": 6,
    "_environment": 7,
    "_redaction": 7,
    "_http": 7,
    "_call": 8,
    "_in_process": 8,
    "mock": 7,
    "_transport": 9,
    "_streams": 5,
    "_prompts": 5,
    "_plugins": 10,
    "_exchange": 10,
    "_image_orders": 10,
    "_images_endpoint": 11,
    "_base_client": 11,
    "_client": 12,
    "_batch": 13,
    "_sidecars": 6,
    "pytest_plugin": 13,
}
"""The layers, `errors, images, chat -> protocol -> transport, client`: imports go downward only."""


def name_of(path: Path) -> str:
    """Return a module's name, such as `emby_plugins._protocol.sse`."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def parsed(path: Path) -> ast.Module:
    """Return the module's syntax tree."""
    return ast.parse(path.read_text("utf-8"))


@cache
def imports(path: Path, *, late: bool = True) -> frozenset[tuple[str, str]]:
    """Return a module's runtime imports as module and name; `late` includes those in functions."""
    todo: list[ast.AST] = [parsed(path)]
    found: set[tuple[str, str]] = set()
    while todo:
        node = todo.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not late:
            continue
        if isinstance(node, ast.Import):
            found |= {(alias.name, "") for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: imports are absolute"
            found |= {(node.module or "", alias.name) for alias in node.names}
        todo += ast.iter_child_nodes(node)
    return frozenset(found)


def inside(path: Path) -> set[str]:
    """Return the modules of the core that a module imports, such as `protocol.sse`."""
    found = set()
    for module, name in imports(path):
        if module == "emby_plugins":
            is_module = (PACKAGE / f"{name}.py").exists() or (
                PACKAGE / name / "__init__.py"
            ).exists()
            found.add(name if is_module else "the public names")
        elif module.startswith("emby_plugins."):
            found.add(module.removeprefix("emby_plugins."))
    return found


def test_the_walk_sees_imports() -> None:
    """The helper functions of these tests find known imports."""
    assert inside(PACKAGE / "_base_client.py") >= {"_protocol.reader", "_transport", "_errors"}
    assert inside(PACKAGE / "_plugins.py") >= {"mock", "_default_plugin", "_protocol.backend"}
    assert ("PIL.Image", "") in set(imports(PACKAGE / "_images.py"))
    assert {path.parent.name for path in SOURCES} >= {"mock", "_protocol", *HOSTS}


@pytest.mark.parametrize("path", CORE, ids=name_of)
def test_the_core_imports_downwards_only(path: Path) -> None:
    """Modules of the core import from lower layers only."""
    top = name_of(path).split(".")[1:2]
    if not top or name_of(path) == "emby_plugins":
        assert inside(path) == set()
        return
    for module in inside(path):
        other = module.split(".")[0]
        assert other in LAYERS, f"{name_of(path)} imports {module}"
        if other != top[0]:
            assert LAYERS[other] < LAYERS[top[0]], f"{name_of(path)} imports {module}"


@pytest.mark.parametrize("path", CORE, ids=name_of)
def test_the_core_imports_no_host(path: Path) -> None:
    """The core imports neither our hosts nor their frameworks."""
    roots = {module.split(".")[0] for module, _ in imports(path)}
    assert not roots & {*HOSTS, "llm", "langchain", "langchain_core", "openai"}


def test_only_one_module_imports_an_http_library() -> None:
    """Only `_http` imports an HTTP library."""
    roots = {name_of(p): {m.split(".")[0] for m, _ in imports(p)} for p in SOURCES}
    libraries = {"httpx", "httpx2", "httpcore", "httpcore2", "requests"}
    assert [name for name, found in roots.items() if found & libraries] == ["emby_plugins._http"]


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("_protocol/*.py")), ids=name_of)
def test_the_protocol_does_no_io(path: Path) -> None:
    """The protocol layer uses no socket, file, clock or event loop."""
    roots = {module.split(".")[0] for module, _ in imports(path)}
    assert not roots & {"asyncio", "os", "pathlib", "socket", "subprocess", "threading", "time"}
    assert not re.search(r"\.now\(|\bopen\(|\bprint\(", path.read_text("utf-8"))


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("mock/**/*.py")), ids=name_of)
def test_the_mock_imports_no_client(path: Path) -> None:
    """The mock does not import the client, the transport or the plugins."""
    assert not {m.split(".")[0] for m in inside(path)} & {"_client", "_transport", "_plugins"}


def test_pillow_is_imported_late() -> None:
    """Pillow is not imported at the top of any module, except in the mock's inner ones."""
    early = {
        name_of(p) for p in SOURCES if any(m.startswith("PIL") for m, _ in imports(p, late=False))
    }
    assert {name for name in early if not name.startswith("emby_plugins.mock.")} == set()


@pytest.mark.parametrize("host", HOSTS)
def test_hosts_import_public_names_only(host: str) -> None:
    """Hosts import only names in the core's `__all__`, and nothing from each other."""
    for path in SOURCES:
        if path.parent.name != host:
            continue
        tree = parsed(path)
        aliases = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    assert not alias.name.startswith("emby_plugins."), path
                    if alias.name == "emby_plugins":
                        aliases.add(alias.asname or alias.name)
            if isinstance(node, ast.ImportFrom) and node.module:
                assert not node.module.startswith("emby_plugins."), path
                if node.module == "emby_plugins":
                    taken = {alias.name for alias in node.names}
                    assert taken <= set(emby_plugins.__all__), path
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and getattr(node.value, "id", None) in aliases:
                assert node.attr in emby_plugins.__all__, (path, node.attr)
        roots = {module.split(".")[0] for module, _ in imports(path)}
        assert not roots & (set(HOSTS) - {host}), path


# ---- the public names


def test_all_is_sorted_and_every_name_resolves() -> None:
    """`__all__` is sorted and without duplicates, and each of its names resolves."""
    assert emby_plugins.__all__ == sorted(emby_plugins.__all__)
    assert len(set(emby_plugins.__all__)) == len(emby_plugins.__all__)
    for name in emby_plugins.__all__:
        assert getattr(emby_plugins, name) is not None
    assert dir(emby_plugins) == emby_plugins.__all__


def test_only_documented_modules_are_public() -> None:
    """All modules but the documented public ones have private names."""
    modules = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir()}
    public = {name for name in modules if not name.startswith("_")}
    assert public <= {"examples", "mock", "pytest_plugin"}


def test_an_unknown_name_is_an_attribute_error() -> None:
    """An unknown name raises an AttributeError with that name."""
    with pytest.raises(AttributeError, match="Embyy"):
        emby_plugins.Embyy  # noqa: B018


def described() -> set[str]:
    """Return the names, in all modules of the core, that are followed by a string."""
    names = set()
    for path in CORE:
        body = parsed(path).body
        for node, after in pairwise(body):
            target = (
                node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
            )
            has_docstring = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            if isinstance(target, ast.Name) and has_docstring:
                names.add(target.id)
    return names


def test_every_public_name_is_documented() -> None:
    """Public classes and methods have a docstring, and other public names a string below."""
    below = described()
    for name in emby_plugins.__all__:
        value = getattr(emby_plugins, name)
        if not inspect.isclass(value):
            assert inspect.isfunction(value) or name in below, name
            assert name in below or value.__doc__, name
            continue
        assert value.__doc__, name
        assert not value.__doc__.startswith(f"{name}("), name
        for method, function in vars(value).items():
            if inspect.isfunction(function) and not method.startswith("_"):
                assert function.__doc__, f"{name}.{method}"


# ---- the cost of importing

HEAVY = {
    "httpx",
    "httpx2",
    "PIL",
    "openai",
    "langchain",
    "langchain_core",
    "msgspec",
    "stamina",
    "pluggy",
}


def imported(statement: str) -> set[str]:
    """Return the roots of all modules that a new interpreter imports for a statement."""
    command = [sys.executable, "-X", "importtime", "-c", statement]
    run = subprocess.run(command, capture_output=True, text=True, check=True, cwd=PACKAGE.parent)
    return {line.rpartition("|")[2].strip().split(".")[0] for line in run.stderr.splitlines()}


def test_importing_the_core_is_cheap() -> None:
    """Importing the core imports no heavy dependency, and a chat only the needed ones."""
    assert not imported("import emby_plugins") & HEAVY
    needed = imported("from emby_plugins import Emby; Emby(base_url='mock:').chat('Hi')")
    assert "stamina" not in needed, "only retries need it"
    assert "msgspec" in needed
    assert needed & {"httpx", "httpx2"}


@pytest.mark.slow
def test_importing_the_llm_plugin_is_cheap() -> None:
    """Importing the llm plugin imports no heavy dependency beyond llm's own."""
    ours = imported("import llm_emby") - imported("import llm")
    assert not ours & HEAVY - {"pluggy"}
    assert not imported("import llm_emby") & {"httpx", "PIL", "openai", "langchain_core", "msgspec"}


def test_values_need_neither_http_nor_pillow() -> None:
    """Importing values such as Message or Image imports neither an HTTP library nor Pillow."""
    names = "Message, Image, ChatReply, EmbyError, DOCUMENTED_MODELS, ModelCard"
    assert not imported(f"from emby_plugins import {names}") & {"httpx", "httpx2", "PIL", "stamina"}


# ---- the distribution


def needs(extra: str) -> set[str]:
    """Return the names of the distribution's requirements with this extra."""
    all_needed = map(Requirement, requires("emby-plugins") or ())
    return {
        need.name
        for need in all_needed
        if need.marker is None or need.marker.evaluate({"extra": extra})
    }


def test_each_extra_installs_its_own_framework() -> None:
    """Each host's extra installs its own framework only, and the plain package installs neither."""
    assert not {name for name in needs("llm") if "langchain" in name}
    assert "llm" not in needs("langchain")
    assert not needs("") & {"llm", "langchain-core", "openai"}
    assert needs("llm") - needs("") == {"llm"}
    assert needs("langchain") - needs("") == {"langchain-core"}


def test_extras_are_for_users_only() -> None:
    """The extras are those for users; contributors' tools are in dependency groups."""
    extras = metadata("emby-plugins").get_all("Provides-Extra")
    assert extras == ["heic", "httpx2", "langchain", "llm", "notebook", "otel", "preview", "ray"]


def test_the_version_is_that_of_the_distribution() -> None:
    """`emby_plugins.__version__` is the distribution's version."""
    assert emby_plugins.__version__ == version("emby-plugins")


def test_llm_finds_the_plugin() -> None:
    """The llm entry point named `emby` refers to `llm_emby`."""
    (entry,) = (entry for entry in entry_points(group="llm") if entry.name == "emby")
    assert entry.value == "llm_emby"


@pytest.mark.parametrize("package", ["emby_plugins", *HOSTS])
def test_every_package_is_typed(package: str) -> None:
    """Every package has a `py.typed` file."""
    assert (PACKAGE.parent / package / "py.typed").exists()
