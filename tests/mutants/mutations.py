"""One small fault per mutant: a comparison flipped or moved by one, a condition negated or removed,
an answer swapped. Pure: over the syntax tree of a module.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass

SWAPPED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}


@dataclass(frozen=True)
class Mutant:
    """A module with one fault, and where that is."""

    line: int
    what: str
    tree: ast.Module


def mutants(source: str) -> Iterator[Mutant]:
    """Every mutant of a module's functions, in the order of its lines."""
    tree = ast.parse(source)
    docs = {id(node) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    places = [
        (function, place, node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef)
        for place, node in enumerate(ast.walk(function))
        if id(node) not in docs
    ]
    seen: set[tuple[int, int, str]] = set()
    for function, place, node in places:
        for number, what in enumerate(_faults(node)):
            where = node.target if isinstance(node, ast.comprehension) else node
            key = (getattr(where, "lineno", 0), getattr(where, "col_offset", 0), what)
            if key in seen:  # a function in a function is walked twice
                continue
            seen.add(key)
            changed = copy.deepcopy(tree)
            twin = next(
                one
                for one in ast.walk(changed)
                if isinstance(one, ast.FunctionDef)
                and (one.name, one.lineno) == (function.name, function.lineno)
            )
            _apply(list(ast.walk(twin))[place], number)
            yield Mutant(key[0], what, ast.fix_missing_locations(changed))


def _faults(node: ast.AST) -> list[str]:
    """What can be wrong at a node, in words; `_apply` takes the place in this list."""
    match node:
        case ast.Compare(ops=[operator]) if type(operator) in SWAPPED:
            return [f"{type(operator).__name__} becomes {SWAPPED[type(operator)].__name__}"]
        case ast.BoolOp(op=ast.And()):
            return ["and becomes or"]
        case ast.BoolOp(op=ast.Or()):
            return ["or becomes and"]
        case ast.If():
            return ["the condition is negated", "the condition always holds"]
        case ast.IfExp():
            return ["the choice is swapped"]
        case ast.comprehension(ifs=[_, *_]):
            return ["the filter is removed"]
        case ast.Return(value=ast.Constant(value=bool())):
            return ["the answer is the opposite"]
        case ast.BinOp(op=ast.Add() | ast.Sub()):
            return ["plus and minus are swapped"]
        case ast.Call(func=ast.Name(id="any" | "all")):
            return ["any and all are swapped"]
        case ast.Call(func=ast.Name(id="min" | "max")):
            return ["min and max are swapped"]
    return []


def _apply(node: ast.AST, number: int) -> None:
    match node:
        case ast.Compare():
            node.ops = [SWAPPED[type(node.ops[0])]()]
        case ast.BoolOp():
            node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        case ast.If():
            node.test = ast.UnaryOp(ast.Not(), node.test) if number == 0 else ast.Constant(True)
        case ast.IfExp():
            node.body, node.orelse = node.orelse, node.body
        case ast.comprehension():
            node.ifs = []
        case ast.Return(value=ast.Constant() as answer):
            answer.value = not answer.value
        case ast.BinOp():
            node.op = ast.Sub() if isinstance(node.op, ast.Add) else ast.Add()
        case ast.Call(func=ast.Name() as called):
            other = {"any": "all", "all": "any", "min": "max", "max": "min"}
            called.id = other[called.id]
