"""The architecture: who may import whom, what importing costs, and what the names outside are."""

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
    if "_examples" not in path.parts  # a wheel has them inside; they are users' code
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
"""`errors, images, chat -> protocol -> transport, client`: a module imports from lower layers."""


def name_of(path: Path) -> str:
    """`emby_plugins._protocol.sse`, from its file."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def parsed(path: Path) -> ast.Module:
    """The module's syntax tree."""
    return ast.parse(path.read_text("utf-8"))


@cache
def imports(path: Path, *, late: bool = True) -> frozenset[tuple[str, str]]:
    """What a module imports when it runs, as module and name; `late` are those of functions."""
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
    """The modules of the core that a module imports, as `protocol.sse`."""
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
    """The tests below are about something."""
    assert inside(PACKAGE / "_base_client.py") >= {"_protocol.reader", "_transport", "_errors"}
    assert inside(PACKAGE / "_plugins.py") >= {"mock", "_default_plugin", "_protocol.backend"}
    assert ("PIL.Image", "") in set(imports(PACKAGE / "_images.py"))
    assert {path.parent.name for path in SOURCES} >= {"mock", "_protocol", *HOSTS}


@pytest.mark.parametrize("path", CORE, ids=name_of)
def test_the_core_imports_downwards_only(path: Path) -> None:
    """errors, images, chat -> protocol -> transport -> client, and nobody the other way."""
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
def test_the_core_knows_no_host(path: Path) -> None:
    """Neither ours nor what ours are for."""
    roots = {module.split(".")[0] for module, _ in imports(path)}
    assert not roots & {*HOSTS, "llm", "langchain", "langchain_core", "openai"}


def test_only_one_module_imports_an_http_library() -> None:
    """Which library sends the requests is decided in one place."""
    roots = {name_of(p): {m.split(".")[0] for m, _ in imports(p)} for p in SOURCES}
    libraries = {"httpx", "httpx2", "httpcore", "httpcore2", "requests"}
    assert [name for name, found in roots.items() if found & libraries] == ["emby_plugins._http"]


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("_protocol/*.py")), ids=name_of)
def test_the_protocol_does_no_io(path: Path) -> None:
    """No socket, no file, no clock, no event loop."""
    roots = {module.split(".")[0] for module, _ in imports(path)}
    assert not roots & {"asyncio", "os", "pathlib", "socket", "subprocess", "threading", "time"}
    assert not re.search(r"\.now\(|\bopen\(|\bprint\(", path.read_text("utf-8"))


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("mock/**/*.py")), ids=name_of)
def test_the_mock_knows_no_client(path: Path) -> None:
    """It answers bytes with bytes; a hook leads to it."""
    assert not {m.split(".")[0] for m in inside(path)} & {"_client", "_transport", "_plugins"}


def test_pillow_is_imported_late() -> None:
    """Never at the top of a module of the core or a host; the inner modules of the mock may."""
    early = {
        name_of(p) for p in SOURCES if any(m.startswith("PIL") for m, _ in imports(p, late=False))
    }
    assert {name for name in early if not name.startswith("emby_plugins.mock.")} == set()


@pytest.mark.parametrize("host", HOSTS)
def test_hosts_take_public_names_only(host: str) -> None:
    """From the core what is in `__all__`, from each other nothing."""
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


def test_all_is_sorted_and_every_name_is_there() -> None:
    """As a dictionary sorts, capitals first; each resolves, and `dir` shows them."""
    assert emby_plugins.__all__ == sorted(emby_plugins.__all__)
    assert len(set(emby_plugins.__all__)) == len(emby_plugins.__all__)
    for name in emby_plugins.__all__:
        assert getattr(emby_plugins, name) is not None
    assert dir(emby_plugins) == emby_plugins.__all__


def test_every_module_is_private_but_those_that_users_name() -> None:
    """What may be imported from outside is the package itself; the rest says so by its name."""
    modules = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir()}
    public = {name for name in modules if not name.startswith("_")}
    assert public <= {"examples", "mock", "pytest_plugin"}


def test_an_unknown_name_is_an_attribute_error() -> None:
    """As of any module."""
    with pytest.raises(AttributeError, match="Embyy"):
        emby_plugins.Embyy  # noqa: B018


def described() -> set[str]:
    """The names that a string is bound to, in all modules of the core."""
    names = set()
    for path in CORE:
        body = parsed(path).body
        for node, after in pairwise(body):
            target = (
                node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
            )
            said = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            if isinstance(target, ast.Name) and said:
                names.add(target.id)
    return names


def test_every_public_name_is_documented() -> None:
    """Classes and their methods by a docstring, all else by a string below it."""
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


# ---- what importing costs

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
    """The roots of all modules that a fresh interpreter imports for a statement."""
    command = [sys.executable, "-X", "importtime", "-c", statement]
    run = subprocess.run(command, capture_output=True, text=True, check=True, cwd=PACKAGE.parent)
    return {line.rpartition("|")[2].strip().split(".")[0] for line in run.stderr.splitlines()}


def test_importing_the_core_costs_nothing() -> None:
    """Names are resolved when they are used."""
    assert not imported("import emby_plugins") & HEAVY
    needed = imported("from emby_plugins import Emby; Emby(base_url='mock:').chat('Hi')")
    assert "stamina" not in needed, "only retries need it"
    assert "msgspec" in needed
    assert needed & {"httpx", "httpx2"}


@pytest.mark.slow
def test_importing_the_llm_plugin_costs_little() -> None:
    """Llm imports every plugin on every command; what llm itself imports is not ours to help."""
    ours = imported("import llm_emby") - imported("import llm")
    assert not ours & HEAVY - {"pluggy"}
    assert not imported("import llm_emby") & {"httpx", "PIL", "openai", "langchain_core", "msgspec"}


def test_values_need_neither_http_nor_pillow() -> None:
    """A host that maps messages imports no network."""
    names = "Message, Image, ChatReply, EmbyError, DOCUMENTED_MODELS, ModelCard"
    assert not imported(f"from emby_plugins import {names}") & {"httpx", "httpx2", "PIL", "stamina"}


# ---- the distribution


def needs(extra: str) -> set[str]:
    """The names of what the distribution needs with that extra."""
    all_needed = map(Requirement, requires("emby-plugins") or ())
    return {
        need.name
        for need in all_needed
        if need.marker is None or need.marker.evaluate({"extra": extra})
    }


def test_no_host_brings_the_other() -> None:
    """`[llm]` installs no LangChain, `[langchain]` no llm, and nothing at all brings either."""
    assert not {name for name in needs("llm") if "langchain" in name}
    assert "llm" not in needs("langchain")
    assert not needs("") & {"llm", "langchain-core", "openai"}
    assert needs("llm") - needs("") == {"llm"}
    assert needs("langchain") - needs("") == {"langchain-core"}


def test_extras_are_for_users_only() -> None:
    """What contributors need is in dependency groups, which an installed package does not offer."""
    extras = metadata("emby-plugins").get_all("Provides-Extra")
    assert extras == ["heic", "httpx2", "langchain", "llm", "notebook", "otel", "preview", "ray"]


def test_the_version_is_that_of_the_distribution() -> None:
    """`emby_plugins.__version__`, at no cost."""
    assert emby_plugins.__version__ == version("emby-plugins")


def test_llm_finds_the_plugin() -> None:
    """By the entry point."""
    (entry,) = (entry for entry in entry_points(group="llm") if entry.name == "emby")
    assert entry.value == "llm_emby"


@pytest.mark.parametrize("package", ["emby_plugins", *HOSTS])
def test_every_package_is_typed(package: str) -> None:
    """Type checkers may trust its annotations."""
    assert (PACKAGE.parent / package / "py.typed").exists()
