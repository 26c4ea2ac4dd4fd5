"""What the package must be: complete namespaces, budgets by room, true defaults, no code in data.

Which room may import which is a contract of import-linter, and that docstrings name every argument
is checked by pydoclint; both stand in pyproject.toml and run with ``make lint``.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

# Code lines by room: a ceiling, not a target.
MAX_ROOM_LINES = {
    "data": 1450,
    "preprocessing": 600,
    "models": 2350,
    "training": 1550,
    "evaluation": 800,
    "tasks": 1500,
    "serving": 1800,
    "economics": 700,
    "teaching": 1300,
    "cli": 1550,
    "_common": 500,
}
MAX_MODULE_LINES = 300
MAX_FUNCTION_LINES = 40
UNSAFE_MODULES = {"pickle", "marshal", "shelve", "dill", "joblib", "cloudpickle", "_pickle"}
# One packaged table, which is read only after its SHA-256 was compared.
PICKLED = "companion/data/_packaged.py"
# One reader of weights, whose unpickler knows four names and builds nothing but tables.
UNPICKLER = "companion/models/pretrained/torch_files.py"
UNSAFE_CALLS = {"eval", "exec", "torch.load", "__import__"}


@cache
def _parsed(source: str) -> ast.Module:
    return ast.parse(source)  # each rule asks for the same modules again


def modules(root: Path) -> dict[str, ast.Module]:
    """The package's modules, parsed, by their path below the project."""
    return {
        path.relative_to(root).as_posix(): _parsed(path.read_text(encoding="utf-8"))
        for path in sorted((root / "companion").rglob("*.py"))
    }


def _assigned(tree: ast.Module, name: str) -> ast.expr | None:
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == name for target in node.targets
        ):
            return node.value
    return None


def exports(tree: ast.Module) -> list[str] | None:
    """What a module's ``__all__`` lists, or None where it has none."""
    value = _assigned(tree, "__all__")
    return None if value is None else list(ast.literal_eval(value))


def stub_names(root: Path) -> Iterator[tuple[str, str, str]]:
    """(stub, module's path, name) of each public name that a room's stub takes from a module."""
    for stub in sorted((root / "companion").glob("*/__init__.pyi")):
        for node in _parsed(stub.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ImportFrom) and node.module:
                path = stub.parent.joinpath(*node.module.split("."))
                path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
                for alias in node.names:
                    yield (
                        stub.relative_to(root).as_posix(),
                        path.relative_to(root).as_posix(),
                        alias.name,
                    )


def rooms_are_complete(root: Path) -> Iterator[str]:
    """Every room has its typed stub, and a stub names what its modules export."""
    trees = modules(root)
    rooms = {name.split("/")[1] for name in trees if name.count("/") > 1}
    for room in sorted(rooms - set(MAX_ROOM_LINES)):
        yield f"companion/{room}: no known room; give it a budget in tests/project/shape.py"
    for room in sorted(rooms & set(MAX_ROOM_LINES) - {"_common"}):
        if not (root / "companion" / room / "__init__.pyi").exists():
            yield f"companion/{room}: has no typed __init__.pyi beside its __init__.py"
    for name, tree in trees.items():
        if name.endswith(("__init__.py", "__main__.py")):
            continue
        exported = exports(tree)
        if exported is None:
            yield f"{name}: defines no __all__"
            continue
        for missing in sorted(set(exported) - set(_definitions(tree))):
            yield f"{name}: __all__ names {missing!r}, which it does not define"
    for stub, module, public in stub_names(root):
        if module not in trees or public not in (exports(trees[module]) or []):
            yield f"{stub}: names {public!r}, which {module} does not export"


def _definitions(tree: ast.Module) -> dict[str, ast.stmt]:
    found: dict[str, ast.stmt] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node in tree.body:
            found[node.name] = node
        elif isinstance(node, ast.Assign | ast.AnnAssign) and node in tree.body:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [part for t in targets for part in getattr(t, "elts", [t])]
            found |= {t.id: node for t in names if isinstance(t, ast.Name)}
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {alias.asname or alias.name: node for alias in node.names}
    return found


def public_names_have_examples(root: Path) -> Iterator[str]:
    """Each public function and class says what it is, and a function shows it by a doctest."""
    trees = modules(root)
    for _, module, public in stub_names(root):
        node = _definitions(trees[module]).get(public) if module in trees else None
        if not isinstance(node, ast.FunctionDef | ast.ClassDef):
            continue
        text = ast.get_docstring(node) or ""
        if not text:
            yield f"{module}: {public} has no docstring"
        elif isinstance(node, ast.FunctionDef) and ">>>" not in text:
            yield f"{module}: {public}: no example that can be run"


def _literal(text: str) -> object:
    """The value that a text writes, or the text itself where it is no literal."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _defaults(node: ast.stmt) -> dict[str, ast.expr | None]:
    """The default of each argument of a function, or of a class's `__init__` or fields."""
    if isinstance(node, ast.FunctionDef):
        some = [*node.args.posonlyargs, *node.args.args]
        values = [None] * (len(some) - len(node.args.defaults)) + node.args.defaults
        values += node.args.kw_defaults
        return dict(zip((a.arg for a in [*some, *node.args.kwonlyargs]), values, strict=True))
    found: dict[str, ast.expr | None] = {}
    for part in getattr(node, "body", []):
        if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name):
            found[part.target.id] = part.value
        elif isinstance(part, ast.FunctionDef) and part.name == "__init__":
            found |= _defaults(part)
    return found


def documented_defaults_are_true(root: Path) -> Iterator[str]:
    """What a docstring says after "Defaults to", where it is a literal; words are left alone."""
    for name, tree in modules(root).items():
        for node in ast.walk(tree):
            if not isinstance(node, ast.FunctionDef | ast.ClassDef):
                continue
            text = ast.get_docstring(node) or ""
            for argument, value in _defaults(node).items():
                entry = re.search(rf"^( +){argument}:(.*(?:\n\1 +.*)*)", text, re.M)
                said = re.search(
                    r"Defaults\s+to\s+(?:`([^`]+)`|([-\d._,]*\d(?:e-?\d+)?))",
                    entry[2] if entry else "",
                )
                if said:
                    written = (said[1] or said[2]).replace(",", "_")
                    true = "none" if value is None else ast.unparse(value)
                    if _literal(written) != _literal(true):
                        yield (
                            f"{name}: {node.name}: {argument} defaults to {true}, "
                            f"its docstring says {written}"
                        )


def code_lines(node: ast.AST, source: str) -> int:
    """Lines that hold code: no blank line, no comment, no docstring."""
    lines = set()
    docs: set[int] = set()
    for part in ast.walk(node):
        body = getattr(part, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            value = body[0].value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                docs.update(range(body[0].lineno, (body[0].end_lineno or 0) + 1))
    first, last = getattr(node, "lineno", 1), getattr(node, "end_lineno", None)
    for number, line in enumerate(source.splitlines(), 1):
        if first <= number <= (last or number) and not re.match(r"\s*(#|$)", line):
            lines.add(number)
    return len(lines - docs)


def budgets_are_kept(root: Path) -> Iterator[str]:
    totals = dict.fromkeys(MAX_ROOM_LINES, 0)
    for path in sorted((root / "companion").rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        tree, name = _parsed(source), path.relative_to(root).as_posix()
        count = code_lines(tree, source)
        room = name.split("/")[1]
        totals[room] = totals.get(room, 0) + count
        if count > MAX_MODULE_LINES:
            yield f"{name}: {count} code lines, {MAX_MODULE_LINES} at most; split it"
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                count = code_lines(node, source)
                if count > MAX_FUNCTION_LINES:
                    yield f"{name}:{node.lineno}: {node.name} has {count} lines; split it"
    for room, most in MAX_ROOM_LINES.items():
        if totals[room] > most:
            yield f"companion/{room}: {totals[room]} code lines, {most} at most; drop what can go"


def _unsafe(node: ast.AST, module: str) -> Iterator[str]:
    """Why a piece of code could run what it reads from a file."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        allowed = {"pickle"} if module == UNPICKLER else set()
        for name in sorted({name.split(".")[0] for name in names} & UNSAFE_MODULES - allowed):
            yield f"{name} runs what it loads; use safetensors or .npz"
    elif isinstance(node, ast.keyword) and isinstance(node.value, ast.Constant):
        if (node.arg, node.value.value) in {("allow_pickle", True), ("safe_mode", False)}:
            yield f"{ast.unparse(node)} is unsafe"
    elif isinstance(node, ast.Call) and ast.unparse(node.func) in UNSAFE_CALLS:
        yield f"{ast.unparse(node.func)}(…) runs what it reads"
    elif isinstance(node, ast.Attribute) and node.attr == "read_pickle" and module != PICKLED:
        yield "read_pickle runs what it reads"


def nothing_unsafe_is_loaded(root: Path) -> Iterator[str]:
    for name, tree in modules(root).items():
        for node in ast.walk(tree):
            line = getattr(node, "lineno", getattr(getattr(node, "value", None), "lineno", 0))
            yield from (f"{name}:{line}: {reason}" for reason in _unsafe(node, name))


SHAPE_RULES = [
    rooms_are_complete,
    public_names_have_examples,
    documented_defaults_are_true,
    budgets_are_kept,
    nothing_unsafe_is_loaded,
]
