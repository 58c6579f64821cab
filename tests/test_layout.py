"""The rules of the house that a program can check: who may import whom, and what importing costs."""

import ast
import subprocess
import sys
from collections.abc import Mapping, Set
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ALLOWED = {
    "ostensive": set(),
    "verbalizers": {"ostensive"},
    "critics": {"ostensive"},
    "builders": {"ostensive", "verbalizers", "critics"},
    "cards": {"ostensive"},
    "students": {"ostensive", "critics", "cards"},
    "microworld": {"ostensive", "verbalizers", "critics", "builders", "cards"},
}
MODULES = sorted(path for room in ALLOWED for path in (ROOT / room).rglob("*.py"))
HEAVY = {
    "aiohttp",
    "datasets",
    "fastapi",
    "huggingface_hub",
    "open_clip",
    "openai",
    "safetensors",
    "scipy",
    "sentence_transformers",
    "skimage",
    "sklearn",
    "starlette",
    "torch",
    "torchvision",
    "transformers",
    "uvicorn",
    "webdataset",
}


def name_of(path: Path) -> str:
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(tree: ast.AST) -> list[str]:
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide which room is meant"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


def at_import(tree: ast.Module, *, and_in_functions: bool = False) -> list[str]:
    """What importing the module imports: not what its functions do, nor what is for the type checker alone."""
    names: list[str] = []
    pending: list[ast.AST] = list(tree.body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not and_in_functions:
            continue
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            names += imported(node)
        pending += list(ast.iter_child_nodes(node))
    return names


def is_command(path: Path) -> bool:
    return path.relative_to(ROOT).as_posix().startswith("ostensive/commands/")


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_point_towards_the_trunk(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0]
    tree = ast.parse(path.read_text("utf-8"))
    # Commands, and the Python interface that they are, may know the rooms, and only inside their functions.
    may_know_rooms = is_command(path) or path == ROOT / "ostensive" / "__init__.py"
    names = at_import(tree) if may_know_rooms else imported(tree)
    for name in names:
        other = name.split(".")[0]
        assert other not in ALLOWED or other == room or other in ALLOWED[room], f"{name_of(path)} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_heavy_libraries_are_imported_inside_functions(path: Path) -> None:
    found = {name.split(".")[0] for name in at_import(ast.parse(path.read_text("utf-8")))} & HEAVY
    assert not found, f"{name_of(path)} imports {sorted(found)} when it is imported"


def import_graph() -> dict[str, set[str]]:
    """Which module imports which, inside functions too."""
    known = {name_of(path) for path in MODULES}
    graph: dict[str, set[str]] = {}
    for path in MODULES:
        names = at_import(ast.parse(path.read_text("utf-8")), and_in_functions=True)
        targets = {name if name in known else name.rpartition(".")[0] for name in names}
        graph[name_of(path)] = targets & known - {name_of(path)}
    return graph


def cycle_in(graph: Mapping[str, Set[str]]) -> list[str]:
    """A cycle of imports as a trail; empty where there is none."""
    finished: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> list[str]:
        if name in trail:
            return [*trail[trail.index(name) :], name]
        if name in finished:
            return []
        for target in sorted(graph[name]):
            if found := visit(target, (*trail, name)):
                return found
        finished.add(name)
        return []

    return next((found for name in sorted(graph) if (found := visit(name, ()))), [])


def test_there_are_no_import_cycles() -> None:
    assert cycle_in(import_graph()) == []


def test_a_cycle_inside_functions_is_seen() -> None:
    tree = ast.parse("def f():\n    from b import x\n")
    assert at_import(tree, and_in_functions=True) == ["b.x"]
    assert cycle_in({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]


def test_records_import_nothing_of_ours() -> None:
    tree = ast.parse((ROOT / "ostensive" / "records.py").read_text("utf-8"))
    assert not [name for name in imported(tree) if name.split(".")[0] in ALLOWED]


def test_the_checker_sees_a_forbidden_import() -> None:
    tree = ast.parse("from builders.table import load\ndef f():\n    import torch\n")
    assert imported(tree) == ["builders.table.load", "torch"]
    assert at_import(tree) == ["builders.table.load"]


def test_importing_everything_is_silent_and_light() -> None:
    names = [name_of(path) for path in MODULES]
    code = (
        f"import importlib, sys\nfor name in {names!r}: importlib.import_module(name)\n"
        f"heavy = sorted(m for m in {sorted(HEAVY)!r} if m in sys.modules)\nassert not heavy, heavy"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], check=False, capture_output=True, text=True, cwd=ROOT
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("path", [p for p in MODULES if p.name == "__init__.py"], ids=name_of)
def test_package_files_only_re_export(path: Path) -> None:
    for node in ast.parse(path.read_text("utf-8")).body:
        allowed = isinstance(node, ast.Import | ast.ImportFrom | ast.Assign) or (
            isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        )
        assert allowed or is_lazy_export(node), f"{name_of(path)}, line {node.lineno}"


def is_lazy_export(node: ast.stmt) -> bool:
    """`__getattr__` of the trunk, which keeps `import ostensive` light, and what is for the type checker alone."""
    return (isinstance(node, ast.FunctionDef) and node.name in ("__getattr__", "__dir__")) or (
        isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    )
