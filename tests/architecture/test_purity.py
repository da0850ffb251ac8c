"""Only `io/`, `drivers/`, `monitor/` and `review/` touch the world; every other file is values in, values out."""

import ast

ALLOWED = {
    "__future__", "bisect", "collections", "dataclasses", "enum", "fractions", "functools", "hashlib", "heapq",
    "itertools", "math", "re", "statistics", "struct", "tomllib", "typing", "types", "zlib", "contextlib", "base64",
    "numpy", "scipy", "numba", "msgspec",
    "gating", "scanner_bridge", "scoring", "simulators",
}  # fmt: skip
EXCEPTIONS = {
    # Threads share the slices of one study; no value depends on their order (a test compares 1 and 2).
    ("simulators/study.py", "concurrent"),
    # The morphology comes from a pure function of this library; imported only when a template is made.
    ("simulators/ecg.py", "neurokit2"),
    # The same: its warnings are handled where they arise.
    ("simulators/ecg.py", "warnings"),
}
FORBIDDEN_NAMES = {"open", "print", "input", "exec", "eval", "__import__", "breakpoint"}
FORBIDDEN_ATTRIBUTES = {("np", "random", "seed"), ("np", "random", "rand"), ("np", "random", "normal")}


def _imported(tree: ast.Module) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            assert node.level == 0, "imports are absolute"
            found.add(node.module.split(".")[0])
    return found


def test_pure_files_import_only_what_the_allow_list_names(pure_files: dict[str, ast.Module]) -> None:
    """No clock, no I/O, no logging, no process enters a pure room, in any function of it."""
    strangers = {
        (name, module)
        for name, tree in pure_files.items()
        for module in _imported(tree)
        if module not in ALLOWED and (name, module) not in EXCEPTIONS
    }
    assert set() == strangers


def test_every_exception_is_still_used(product_files: dict[str, ast.Module]) -> None:
    """An exception that nobody needs any more goes."""
    unused = {(name, module) for name, module in EXCEPTIONS if module not in _imported(product_files[name])}
    assert set() == unused


def test_pure_files_call_nothing_that_touches_the_world(pure_files: dict[str, ast.Module]) -> None:
    """`open`, `print` and their like are not used, nor numpy's global random state."""
    found = set()
    for name, tree in pure_files.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Name) and node.id in FORBIDDEN_NAMES:
                found.add((name, node.id))
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute):
                base = node.value.value
                if isinstance(base, ast.Name) and (base.id, node.value.attr, node.attr) in FORBIDDEN_ATTRIBUTES:
                    found.add((name, node.attr))
    assert set() == found


def test_no_queue_is_unbounded(product_files: dict[str, ast.Module]) -> None:
    """`Queue()`, `deque()` and `SimpleQueue()` without a bound are not used: hazards.md I16."""
    unbounded = set()
    for name, tree in product_files.items():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            bound = {keyword.arg for keyword in node.keywords} & {"maxsize", "maxlen"}
            few = (called in {"Queue", "LifoQueue", "PriorityQueue"} and not node.args) or called == "SimpleQueue"
            if (few or (called == "deque" and len(node.args) < 2)) and not bound:
                unbounded.add(f"{name}:{node.lineno}")
    assert set() == unbounded


def test_no_error_is_swallowed(product_files: dict[str, ast.Module]) -> None:
    """No handler consists of `pass` alone, and none is bare."""
    swallowing = {
        f"{name}:{node.lineno}"
        for name, tree in product_files.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or (len(node.body) == 1 and isinstance(node.body[0], ast.Pass)))
    }
    assert set() == swallowing
