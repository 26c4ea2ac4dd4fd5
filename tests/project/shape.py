"""What the package must be: levels, budgets, exports, docstrings, no code in data."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

MAX_PACKAGE_LINES = 5500
MAX_MODULE_LINES = 300
MAX_FUNCTION_LINES = 40
# A module imports modules of lower levels only.
FACADE_LEVELS = {
    "exporting": 7,
    "serving": 7,
    "classifier": 6,
    "language": 6,
    "widgets": 5,
    "lessons": 5,
    "plots": 4,
    "sweep": 4,
    "training": 4,
    "evaluation": 4,
    "models": 3,
    "images": 3,
    "generation": 3,
    "plays": 3,
    "photos": 3,
    "pretrained": 3,
    "autodiff": 2,
    "data": 2,
    "scaling": 2,
    "text": 2,
    "tokenizer": 2,
    "economics": 2,
    "pricing": 2,
    "download": 1,
    "evidence": 1,
    "factsheet": 0,
}
# What the facade does not show: the command line, Keras, and parts of the modules above.
HELPER_LEVELS = {
    "cli": 9,
    "commands": 8,
    "language_commands": 7,
    "description": 2,
    "layers": 2,
    "explorer": 2,
    "files": 3,
    "inputs": 2,
    "backend": 1,
    "charts": 1,
    "controls": 1,
    "progress": 1,
    "wording": 1,
    "checkpoints": 0,
    "duplicates": 0,
    "presentation": 0,
    "reading": 0,
}
LEVELS = FACADE_LEVELS | HELPER_LEVELS
UNSAFE_MODULES = {"pickle", "marshal", "shelve", "dill", "joblib", "cloudpickle"}


@cache
def _parsed(source: str) -> ast.Module:
    return ast.parse(source)  # each rule asks for the same modules again


def modules(root: Path) -> dict[str, ast.Module]:
    """The package's modules by name, parsed; the facade is ``__init__``."""
    return {
        path.stem: _parsed(path.read_text(encoding="utf-8"))
        for path in sorted((root / "companion").glob("*.py"))
    }


def imported_modules(tree: ast.Module) -> set[tuple[int, str]]:
    """(line, name) of each companion module imported anywhere in a module, functions included."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ("companion." if node.level else "") + (node.module or "")
            whole = base.rstrip(".") == "companion"
            names = [f"companion.{n.name}" for n in node.names] if whole else [base]
        else:
            continue
        for name in names:
            if name.split(".")[0] == "companion":
                found.add((node.lineno, f"{name}.__init__".split(".")[1]))
    return found


def imports_go_down(root: Path) -> Iterator[str]:
    for name, tree in modules(root).items():
        if name == "__init__":
            continue
        if name not in LEVELS:
            yield f"companion/{name}.py: has no level; give it one in tests/project/shape.py"
            continue
        for line, target in sorted(imported_modules(tree)):
            if target not in LEVELS:
                yield f"companion/{name}.py:{line}: imports {target}; import the module that has it"
            elif LEVELS[target] >= LEVELS[name]:
                yield (
                    f"companion/{name}.py:{line}: level {LEVELS[name]} imports {target}, "
                    f"level {LEVELS[target]}; only lower ones may be imported"
                )


def _assigned(tree: ast.Module, name: str) -> ast.expr | None:
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            return node.value  # type: ignore[attr-defined, no-any-return]
    return None


def exports(tree: ast.Module) -> list[str] | None:
    value = _assigned(tree, "__all__")
    return None if value is None else list(ast.literal_eval(value))


def facade_is_complete(root: Path) -> Iterator[str]:
    trees = modules(root)
    table = _assigned(trees.pop("__init__"), "_MODULES")
    facade: dict[str, list[str]] = ast.literal_eval(table) if table is not None else {}
    for name, tree in trees.items():
        exported = exports(tree)
        if exported is None:
            yield f"companion/{name}.py: defines no __all__"
            continue
        for missing in sorted(set(exported) - set(_definitions(tree))):
            yield f"companion/{name}.py: __all__ names {missing!r}, which it does not define"
        public = set(exported) if name in FACADE_LEVELS else set()
        for export in sorted(public ^ set(facade.get(name, []))):
            yield f"companion/__init__.py: {name}.{export} must be in _MODULES and in __all__"
    for name in sorted(set(facade) - set(trees)):
        yield f"companion/__init__.py: _MODULES names {name}, which does not exist"


def _definitions(tree: ast.Module) -> dict[str, ast.stmt]:
    found: dict[str, ast.stmt] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node in tree.body:
            found[node.name] = node
        elif isinstance(node, ast.Assign | ast.AnnAssign) and node in tree.body:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {t.id: node for t in targets if isinstance(t, ast.Name)}
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {alias.asname or alias.name: node for alias in node.names}
    return found


def names_are_documented(root: Path) -> Iterator[str]:
    """Functions of the facade in full, methods as far as they take arguments, helpers in a line."""
    for name, tree in modules(root).items():
        definitions = _definitions(tree)
        for export in exports(tree) or [] if name != "__init__" else []:
            node, at = definitions.get(export), f"companion/{name}.py: {export}"
            if not isinstance(node, ast.FunctionDef | ast.ClassDef):
                continue
            if not ast.get_docstring(node):
                yield f"{at} has no docstring"
            elif isinstance(node, ast.FunctionDef) and name in FACADE_LEVELS:
                yield from _function_is_documented(at, node)
                if ">>>" not in (ast.get_docstring(node) or ""):
                    yield f"{at}: no example that can be run"
            elif isinstance(node, ast.ClassDef):
                yield from _methods_are_documented(at, node, full=name in FACADE_LEVELS)


def _methods_are_documented(at: str, node: ast.ClassDef, *, full: bool) -> Iterator[str]:
    for method in node.body:
        if isinstance(method, ast.FunctionDef) and not method.name.startswith("_"):
            if not ast.get_docstring(method):
                yield f"{at}.{method.name} has no docstring"
            elif full and len(method.args.args + method.args.kwonlyargs) > 2:
                yield from _function_is_documented(f"{at}.{method.name}", method)


def _function_is_documented(at: str, node: ast.FunctionDef) -> Iterator[str]:
    text = ast.get_docstring(node) or ""
    everything = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    arguments = [arg for arg in everything if arg.arg not in {"self", "cls"}]
    # Before the first colon of a line: "x, y: the arrays".
    listed = re.findall(r"^([^:\n]+):", text, re.M)
    undocumented = [
        arg.arg for arg in arguments if not any(re.search(rf"\b{arg.arg}\b", x) for x in listed)
    ]
    if undocumented or (arguments and "Args:" not in text):
        yield f"{at}: 'Args:' lacks {undocumented or 'its heading'}"
    if any(arg.annotation is None for arg in arguments) or node.returns is None:
        yield f"{at} is not annotated throughout"
    elif ast.unparse(node.returns) != "None" and "Returns:" not in text:
        yield f"{at}: no 'Returns:'"
    if any(isinstance(part, ast.Raise) for part in ast.walk(node)) and "Raises:" not in text:
        yield f"{at}: raises, but has no 'Raises:'"


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
                    r"Defaults\s+to\s+(?:`([^`]+)`|([-\d._]*\d))", entry[2] if entry else ""
                )
                if said:
                    written = said[1] or said[2]
                    true = "none" if value is None else ast.unparse(value)
                    if _literal(written) != _literal(true):
                        yield (
                            f"companion/{name}.py: {node.name}: {argument} defaults to {true}, "
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
    total = 0
    for path in sorted((root / "companion").glob("*.py")):
        source = path.read_text(encoding="utf-8")
        tree, name = _parsed(source), path.relative_to(root).as_posix()
        count = code_lines(tree, source)
        total += count
        if count > MAX_MODULE_LINES:
            yield f"{name}: {count} code lines, {MAX_MODULE_LINES} at most; split it"
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                count = code_lines(node, source)
                if count > MAX_FUNCTION_LINES:
                    yield f"{name}:{node.lineno}: {node.name} has {count} lines; split it"
    if total > MAX_PACKAGE_LINES:
        yield f"companion: {total} code lines, {MAX_PACKAGE_LINES} at most; drop what is not needed"


def nothing_unsafe_is_loaded(root: Path) -> Iterator[str]:
    for name, tree in modules(root).items():
        for node in ast.walk(tree):
            imported: set[str] = set()
            if isinstance(node, ast.Import):
                imported = {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported = {(node.module or "").split(".")[0]}
            elif isinstance(node, ast.keyword) and isinstance(node.value, ast.Constant):
                if (node.arg, node.value.value) in {("allow_pickle", True), ("safe_mode", False)}:
                    yield f"companion/{name}.py:{node.lineno}: {ast.unparse(node)} is unsafe"
            elif isinstance(node, ast.Call) and ast.unparse(node.func) in {"eval", "exec"}:
                yield f"companion/{name}.py:{node.lineno}: {ast.unparse(node.func)}(…) runs text"
            for module in sorted(imported & UNSAFE_MODULES):
                yield f"companion/{name}.py:{node.lineno}: {module} runs what it loads; use .npz"  # type: ignore[attr-defined]


SHAPE_RULES = [
    imports_go_down,
    facade_is_complete,
    names_are_documented,
    documented_defaults_are_true,
    budgets_are_kept,
    nothing_unsafe_is_loaded,
]
