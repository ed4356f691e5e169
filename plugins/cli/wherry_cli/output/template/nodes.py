"""Parts of a parsed template: functions of the scope that they run in."""

from __future__ import annotations

from wherry_cli.output.template.lexer import TemplateError, Token
from wherry_cli.output.template.values import member, show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    Node = Callable[["Scope"], Any]
    Call = Callable[["Scope", Sequence[Any]], Any]


class Scope:
    """Where a part of a template runs: the dot, the variables declared here, the functions."""

    __slots__ = ("dot", "functions", "parent", "variables")

    def __init__(
        self,
        dot: Any,
        variables: dict[str, Any],
        functions: Mapping[str, Callable[..., Any]],
        parent: Scope | None = None,
    ) -> None:
        self.dot = dot
        self.variables = variables
        self.functions = functions
        self.parent = parent

    def inner(self, dot: Any) -> Scope:
        """A block inside with another dot: what it declares does not leave it, what it assigns does."""
        return Scope(dot, {}, self.functions, self)

    def holder(self, name: str) -> Scope | None:
        """The innermost scope that declared a variable."""
        return self if name in self.variables else self.parent and self.parent.holder(name)


def dot(scope: Scope) -> Any:
    """The dot itself."""
    return scope.dot


def chain(base: Node, names: list[str], at: int, shown: str) -> Call:
    """`base.A.B`; arguments go to the last member. `at` and `shown` are for errors."""

    def run(scope: Scope, arguments: Sequence[Any]) -> Any:
        value = base(scope)
        for count, name in enumerate(names):
            try:
                value = member(value, name, arguments if count == len(names) - 1 else ())
            except LookupError as error:
                raise TemplateError(f':1:{at}: executing "" at <{shown}>: {error.args[0]}') from None
        return value

    return run


def called(scope: Scope, name: str, arguments: list[Any], tokens: list[Token]) -> Any:
    """The result of a function."""
    try:
        return scope.functions[name](*arguments)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        shown = " ".join(token.text for token in tokens)
        problem = str(error.args[0]) if error.args else "wrong arguments"
        if not problem.startswith("error calling"):
            problem = f"error calling {name}: {problem}"
        raise TemplateError(f':1:{tokens[0].at}: executing "" at <{shown}>: {problem}') from None


def _holder(scope: Scope, name: str) -> Scope:
    holder = scope.holder(name)
    if holder is None:
        raise TemplateError(f':1: undefined variable "{name}"', parsing=True)
    return holder


def variable(name: str) -> Node:
    """A variable's value."""
    return lambda scope: _holder(scope, name).variables[name]


def setting(name: str, value: Node, *, new: bool) -> Node:
    """Declare a variable here, or give a new value to the one that is known; prints nothing."""

    def run(scope: Scope) -> str:
        (scope if new else _holder(scope, name)).variables[name] = value(scope)
        return ""

    return run


def literal(value: Any) -> Node:
    """A constant."""
    return lambda scope: value


def joined(nodes: list[Node]) -> Callable[[Scope], str]:
    """The texts of all nodes, one after another."""
    return lambda scope: "".join([node(scope) for node in nodes])


def pairs(value: Any) -> list[tuple[Any, Any]]:
    """What range goes over: (key or index, item). Raises TemplateError."""
    if isinstance(value, dict):
        return sorted(value.items())
    if isinstance(value, int) and not isinstance(value, bool):
        return [(number, number) for number in range(value)]
    if not value:
        return []
    if isinstance(value, list):
        return list(enumerate(value))
    raise TemplateError(f":1: range can't iterate over {show(value)}")
