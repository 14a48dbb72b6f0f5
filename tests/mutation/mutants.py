"""Mutants: the source of the kernel with one thing changed, as a careless hand might have left it.

- a comparison that takes its boundary in, or leaves it out; `==` against `!=`, `in` against `not in`;
- the limit of a comparison by one, on the side that the first does not reach; a number that something is compared with,
  that a function is given, or that has a name, by one either way; a float by one in its last digit or in its seventh;
- a word of the program (a threshold, a window, a count) by one;
- `and` against `or`, `min` against `max`;
- what is no decision but arithmetic, and is tried when asked for: any other number by one, `+` against `-`.

Annotations, decorators and docstrings are left alone, and so is what lies between brackets: where a number lies in an
array is an address and no decision. A mutant is known by the text of its function's changed line, not by a line number:
what moves stays the same mutant.
"""

import ast
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from alerting.kernel_source import source_files
from tests.syntax import tree_of

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_LARGER = {"max": "min", "min": "max"}
_DIGITS = 7

COMPARISON, LIMIT, WORD, CONSTANT, LOGIC, EXTREME, SIGN = (
    "comparison",
    "limit",
    "word",
    "constant",
    "and/or",
    "min/max",
    "+/-",
)

DECISIONS = frozenset({COMPARISON, LIMIT, WORD, LOGIC, EXTREME})
ARITHMETIC = frozenset({CONSTANT, SIGN})

Change = Callable[[ast.AST], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One change of one module.

    Attributes:
        module: its name below `alerting`, such as "kernel.machine".
        function: that it is in; "" for a constant of the module.
        operator: what kind of change.
        line: of the original statement.
        before: the statement's first line as it was, `after` as it is.
        nth: which of several with the same text, from 0.
        made: the function, or the constant, changed.
    """

    module: str
    function: str
    operator: str
    line: int
    before: str
    after: str
    nth: int
    made: Callable[[], ast.Module]

    @property
    def key(self) -> str:
        """What it is known by."""
        place = f"{self.module}:{self.function}" if self.function else self.module
        return f"{place}: {self.before} -> {self.after}" + (f" #{self.nth + 1}" if self.nth else "")

    @property
    def names(self) -> tuple[str, ...]:
        """The constants that it assigns, when it is in no function."""
        return tuple(
            node.id for node in ast.walk(self.made()) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        )


def modules() -> tuple[str, ...]:
    """Return the modules of the kernel that judge, by their name below `alerting`."""
    names = [name.removesuffix(".py").replace("/", ".") for name in source_files() if name.startswith("kernel/")]
    return tuple(name for name in names if not name.endswith(("__init__", "compiling")))


def source_of(module: str) -> Path:
    """Return a module's file."""
    spec = find_spec(f"alerting.{module}")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(module)
    return Path(spec.origin)


def mutants_of(module: str) -> list[Mutant]:
    """Return the mutants of a module, each different text once."""
    tree = tree_of(source_of(module))
    return [one for part in tree.body for one in _of_part(module, part)]


def _of_part(module: str, part: ast.stmt) -> Iterator[Mutant]:
    """Yield the mutants of a function or a constant."""
    if not isinstance(part, ast.FunctionDef | ast.Assign):
        return
    function = ""
    if isinstance(part, ast.FunctionDef):
        function, part.decorator_list = part.name, []
    seen: set[tuple[Place, str]] = set()
    counts: dict[str, int] = {}
    for statement, place, operator, change in _changes(part):
        whole = _at(part, statement)
        before, after = _header(whole), _header(whole)
        change(_at(after, place))
        texts = ast.unparse(before).splitlines()[0], ast.unparse(after).splitlines()[0]
        if texts[0] == texts[1] or (statement, texts[1]) in seen:
            continue
        seen.add((statement, texts[1]))
        nth = counts.get(f"{texts}", 0)
        counts[f"{texts}"] = nth + 1
        yield Mutant(
            module=module,
            function=function,
            operator=operator,
            line=getattr(whole, "lineno", 0),
            before=texts[0],
            after=texts[1],
            nth=nth,
            made=partial(_made, part, (*statement, *place), change),
        )


def _made(part: ast.stmt, place: "Place", change: Change) -> ast.Module:
    changed = copy.deepcopy(part)
    change(_at(changed, place))
    return ast.fix_missing_locations(ast.Module(body=[changed], type_ignores=[]))


def _header(statement: ast.AST) -> ast.AST:
    """Return a statement of its own without its block."""
    short = copy.copy(statement)
    for block in ("body", "orelse"):
        if isinstance(getattr(short, block, None), list):
            setattr(short, block, [ast.Pass()] if block == "body" else [])
    return copy.deepcopy(short)


Place = tuple[tuple[str, int], ...]
"""Field and index (-1 for a field that is no list) from a function down to a node."""


def _at(tree: ast.AST, place: Place) -> ast.AST:
    node = tree
    for field, index in place:
        value = getattr(node, field)
        node = value if index < 0 else value[index]
    return node


def _changes(part: ast.stmt) -> Iterator[tuple[Place, Place, str, Change]]:
    """Yield in which statement, where in it, what kind of change, and the change."""
    if isinstance(part, ast.FunctionDef):
        for index, _ in enumerate(part.body):
            yield from _within(part, (("body", index),))
    else:
        yield from _within(part, ())


def _within(part: ast.stmt, statement: Place) -> Iterator[tuple[Place, Place, str, Change]]:
    """Yield the changes in a statement, and in those of its block as theirs."""
    node = _at(part, statement)
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return
    for field, index, child in _children(node):
        place = (field, index)
        if isinstance(child, ast.stmt):
            yield from _within(part, (*statement, place))
        elif field not in {"annotation", "returns"}:
            yield from ((statement, one, kind, change) for one, kind, change in _in_expression(child, (place,), node))
    if isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Add | ast.Sub):
        yield statement, (), SIGN, _turn_sign


def _children(node: ast.AST) -> Iterator[tuple[str, int, ast.AST]]:
    for field, value in ast.iter_fields(node):
        if isinstance(value, ast.AST):
            yield field, -1, value
        elif isinstance(value, list):
            yield from ((field, index, one) for index, one in enumerate(value) if isinstance(one, ast.AST))


def _in_expression(node: ast.AST, place: Place, above: ast.AST) -> Iterator[tuple[Place, str, Change]]:
    match node:
        case ast.Compare(ops=ops, comparators=comparators):
            for number, op in enumerate(ops):
                yield place, COMPARISON, _comparing(number)
                if isinstance(op, ast.Lt | ast.LtE | ast.Gt | ast.GtE) and not isinstance(
                    comparators[number], ast.Constant
                ):
                    away = ast.Sub if isinstance(op, ast.Lt | ast.GtE) else ast.Add
                    yield (*place, ("comparators", number)), LIMIT, _by_one(away)
        case ast.Subscript(value=ast.Name(id="program"), ctx=ast.Load(), slice=where) if "_RING" not in ast.unparse(
            where
        ):
            yield place, WORD, _by_one(ast.Add)
            yield place, WORD, _by_one(ast.Sub)
        case ast.Constant(value=bool()):
            yield place, CONSTANT, _negate
        case ast.Constant(value=int() | float()):
            limit = isinstance(above, ast.Compare | ast.Call) or (isinstance(above, ast.Assign) and _is_named(above))
            yield place, LIMIT if limit else CONSTANT, _step(1)
            yield place, LIMIT if limit else CONSTANT, _step(-1)
        case ast.BoolOp():
            yield place, LOGIC, _turn_logic
        case ast.Call(func=ast.Name(id="min" | "max")):
            yield place, EXTREME, _turn_extreme
        case ast.BinOp(op=ast.Add() | ast.Sub()):
            yield place, SIGN, _turn_sign
    for field, index, child in _children(node):
        if field != "slice":
            yield from _in_expression(child, (*place, (field, index)), node)


def _is_named(assigned: ast.Assign) -> bool:
    """Whether a statement gives a constant of the module its name."""
    names = (one for target in assigned.targets for one in ast.walk(target) if isinstance(one, ast.Name))
    return all(name.id.startswith("_") for name in names)


def _comparing(number: int) -> Change:
    def change(node: ast.AST) -> None:
        if isinstance(node, ast.Compare):
            node.ops[number] = COMPARISONS[type(node.ops[number])]()

    return change


def _by_one(way: type[ast.operator]) -> Change:
    """Return a change of an expression into itself plus or minus one."""

    def change(node: ast.AST) -> None:
        # In place: the node becomes the sum, its old self a part of it.
        parts = {"left": copy.copy(node), "op": way(), "right": ast.Constant(value=1)}
        node.__class__ = ast.BinOp
        vars(node).clear()
        vars(node).update(parts)

    return change


def _step(way: int) -> Change:
    def change(node: ast.AST) -> None:
        if isinstance(node, ast.Constant):
            if isinstance(node.value, int):
                node.value += way
            elif isinstance(node.value, float):
                node.value = _neighbour(node.value, way)

    return change


def _neighbour(value: float, way: int) -> float:
    """Return a float by one in the last digit that is written, or in the seventh."""
    mantissa, _, exponent = f"{value:e}".partition("e")
    written = repr(value)
    digits = len(written.partition("e")[0].replace(".", "").replace("-", "").lstrip("0")) or 1
    places = min(digits, _DIGITS) - 1
    step = way * 10.0 ** (int(exponent) - places)
    return float(f"{float(mantissa) * 10.0 ** int(exponent) + step:.{places}e}") if value else float(way)


def _negate(node: ast.AST) -> None:
    if isinstance(node, ast.Constant):
        node.value = not node.value


def _turn_logic(node: ast.AST) -> None:
    if isinstance(node, ast.BoolOp):
        node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()


def _turn_extreme(node: ast.AST) -> None:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        node.func.id = _LARGER[node.func.id]


def _turn_sign(node: ast.AST) -> None:
    if isinstance(node, ast.BinOp | ast.AugAssign):
        node.op = ast.Sub() if isinstance(node.op, ast.Add) else ast.Add()
