"""Syntax trees of modules, for the tests that read programs."""

import ast
import gc
from pathlib import Path


def tree_of(path: Path) -> ast.Module:
    """Return a module's syntax tree.

    What is collected meanwhile may print a traceback, which parses too: of one parsing within another Python 3.11 loses
    count ("AST constructor recursion depth mismatch", python/cpython#106905).
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        return ast.parse(path.read_text(encoding="utf-8"))
    finally:
        if enabled:
            gc.enable()
