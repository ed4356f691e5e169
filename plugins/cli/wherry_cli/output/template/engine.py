"""Templates parsed into functions of a scope, and run.

The grammar is Go's text/template (https://pkg.go.dev/text/template); its errors are worded as Go words them, because
scripts match on them.
"""

from __future__ import annotations

from wherry_cli.output.template.functions import functions
from wherry_cli.output.template.lexer import TemplateError, Token, split
from wherry_cli.output.template.values import member, show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    Node = Callable[["Scope"], Any]
    Call = Callable[["Scope", Sequence[Any]], Any]

REFUSED = ("define", "template", "block", "break", "continue")


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


class Template:
    """A parsed template. Raises TemplateError when made or rendered."""

    def __init__(self, source: str) -> None:
        self._body = Parser(split(source)).body(())[0]

    def render(self, data: Any, known: Mapping[str, Callable[..., Any]] | None = None) -> str:
        """The text for `data`."""
        return self._body(Scope(data, {"$": data}, functions() if known is None else known))


class Parser:
    """Recursive descent over the pieces that the lexer made."""

    def __init__(self, parts: list[str | list[Token]]) -> None:
        self._parts = parts
        self._at = 0
        self._known = functions()

    def body(self, ends: tuple[str, ...]) -> tuple[Callable[[Scope], str], list[Token]]:
        """Everything up to an action that begins with one of `ends` (or the end), and that action's tokens."""
        nodes: list[Node] = []
        while self._at < len(self._parts):
            part = self._parts[self._at]
            self._at += 1
            if isinstance(part, str):
                if part:
                    nodes.append(_text(part))
                continue
            word = part[0].text if part and part[0].kind == "word" else ""
            if word in ends:
                return _joined(nodes), part
            if word in ("end", "else"):
                raise TemplateError(f":1: unexpected {{{{{word}}}}}", parsing=True)
            if word in REFUSED:
                raise TemplateError(f":1: {{{{{word}}}}} is not supported", parsing=True)
            nodes.append(self._action(word, part))
        if ends:
            raise TemplateError(":1: unexpected EOF", parsing=True)
        return _joined(nodes), []

    def _action(self, word: str, tokens: list[Token]) -> Node:
        if not tokens:
            raise TemplateError(":1: missing value for command", parsing=True)
        if word == "if":
            return self._if(tokens[1:])
        if word == "with":
            return self._with(tokens[1:])
        if word == "range":
            return self._range(tokens[1:])
        if tokens[0].kind == "variable" and len(tokens) > 1 and tokens[1].kind == "declare":
            return _setting(tokens[0].text, self._pipeline(tokens[2:]), new=tokens[1].text == ":=")
        pipeline = self._pipeline(tokens)
        return lambda scope: show(pipeline(scope))

    def _branches(self) -> tuple[Node, Node]:
        """What follows an if or with: its body and what stands after else."""
        then, end = self.body(("else", "end"))
        if end[0].text == "end":
            return then, lambda scope: ""
        if len(end) > 1 and end[1].text in ("if", "with"):
            return then, self._action(end[1].text, end[1:])
        otherwise, _ = self.body(("end",))
        return then, otherwise

    def _if(self, tokens: list[Token]) -> Node:
        condition = self._pipeline(tokens)
        then, otherwise = self._branches()
        return lambda scope: then(scope.inner(scope.dot)) if condition(scope) else otherwise(scope)

    def _with(self, tokens: list[Token]) -> Node:
        name, tokens = _declared(tokens)
        value = self._pipeline(tokens)
        then, otherwise = self._branches()

        def run(scope: Scope) -> Any:
            dot = value(scope)
            inner = scope.inner(dot)
            if name:
                inner.variables[name[0]] = dot
            return then(inner) if dot else otherwise(scope)

        return run

    def _range(self, tokens: list[Token]) -> Node:
        names, tokens = _declared(tokens)
        value = self._pipeline(tokens)
        then, otherwise = self._branches()

        def run(scope: Scope) -> str:
            pairs = _pairs(value(scope))
            out = []
            for key, item in pairs:
                inner = scope.inner(item)
                for name, bound in zip(names, (key, item) if len(names) == 2 else (item,), strict=False):
                    inner.variables[name] = bound
                out.append(then(inner))
            return "".join(out) if out else otherwise(scope)

        return run

    def _pipeline(self, tokens: list[Token]) -> Node:
        stages = _split(tokens)
        if not all(stages):
            raise TemplateError(":1: missing value for command", parsing=True)
        calls = [self._command(stage) for stage in stages]

        def run(scope: Scope) -> Any:
            value = calls[0](scope, ())
            for call in calls[1:]:
                value = call(scope, (value,))
            return value

        return run

    def _command(self, tokens: list[Token]) -> Call:
        """A function with its arguments, a field with arguments, or one value."""
        if tokens[0].kind == "word" and tokens[0].text not in ("true", "false", "nil"):
            name = tokens[0].text
            if name not in self._known:
                raise TemplateError(f':1: function "{name}" not defined', parsing=True)
            operands = self._operands(tokens[1:])
            return lambda scope, last: _called(
                scope, name, [operand(scope, ()) for operand in operands] + list(last), tokens
            )
        first, *rest = self._operands(tokens)
        return lambda scope, last: first(scope, [operand(scope, ()) for operand in rest] + list(last))

    def _operands(self, tokens: list[Token]) -> list[Call]:
        operands: list[Call] = []
        at = 0
        while at < len(tokens):
            operand, at = self._operand(tokens, at)
            operands.append(operand)
        return operands

    def _operand(self, tokens: list[Token], at: int) -> tuple[Call, int]:
        """One literal, variable, dot, field chain or parenthesis, with the fields glued to it."""
        token, start = tokens[at], at
        at += 1
        base: Node
        chain: list[str] = []
        if token.text == "(":
            end = _closing(tokens, start)
            base, at = self._pipeline(tokens[at:end]), end + 1
        elif token.kind == "field":
            base, chain = (lambda scope: scope.dot), [token.text[1:]]
        elif token.kind == "dot":
            base = lambda scope: scope.dot  # noqa: E731
        elif token.kind == "variable":
            base = _variable(token.text)
        elif token.kind in ("string", "number", "char"):
            base = lambda scope: token.value  # noqa: E731
        elif token.text in ("true", "false", "nil"):
            base = lambda scope: {"true": True, "false": False}.get(token.text)  # noqa: E731
        elif token.text in self._known:
            name = token.text
            base = lambda scope: _called(scope, name, [], [token])  # noqa: E731
        else:
            raise TemplateError(
                f':1: function "{token.text}" not defined'
                if token.kind == "word"
                else f":1: unexpected {token.text!r} in operand",
                parsing=True,
            )
        while at < len(tokens) and tokens[at].kind == "field" and tokens[at].glued:
            chain.append(tokens[at].text[1:])
            at += 1
        shown = "".join(part.text for part in tokens[start:at])
        return _chain(base, chain, token.at, shown), at


def _chain(base: Node, names: list[str], at: int, shown: str) -> Call:
    def run(scope: Scope, arguments: Sequence[Any]) -> Any:
        value = base(scope)
        for count, name in enumerate(names):
            try:
                value = member(value, name, arguments if count == len(names) - 1 else ())
            except LookupError as error:
                raise TemplateError(f':1:{at}: executing "" at <{shown}>: {error.args[0]}') from None
        return value

    return run


def _called(scope: Scope, name: str, arguments: list[Any], tokens: list[Token]) -> Any:
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


def _variable(name: str) -> Node:
    return lambda scope: _holder(scope, name).variables[name]


def _setting(name: str, value: Node, *, new: bool) -> Node:
    def run(scope: Scope) -> str:
        (scope if new else _holder(scope, name)).variables[name] = value(scope)
        return ""

    return run


def _text(text: str) -> Node:
    return lambda scope: text


def _joined(nodes: list[Node]) -> Callable[[Scope], str]:
    return lambda scope: "".join([node(scope) for node in nodes])


def _pairs(value: Any) -> list[tuple[Any, Any]]:
    if isinstance(value, dict):
        return sorted(value.items())
    if isinstance(value, int) and not isinstance(value, bool):
        return [(number, number) for number in range(value)]
    if not value:
        return []
    if isinstance(value, list):
        return list(enumerate(value))
    raise TemplateError(f":1: range can't iterate over {show(value)}")


def _declared(tokens: list[Token]) -> tuple[list[str], list[Token]]:
    """`$k, $v :=` before a pipeline: the names, and the rest."""
    for at, token in enumerate(tokens[:4]):
        if token.kind == "declare":
            return [token.text for token in tokens[:at] if token.kind == "variable"], tokens[at + 1 :]
    return [], tokens


def _split(tokens: list[Token]) -> list[list[Token]]:
    """The stages of a pipeline, cut at the bars that are in no parenthesis."""
    stages: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        depth += (token.text == "(" and token.kind == "mark") - (token.text == ")" and token.kind == "mark")
        if token.text == "|" and token.kind == "mark" and depth == 0:
            stages.append([])
        else:
            stages[-1].append(token)
    return stages


def _closing(tokens: list[Token], at: int) -> int:
    depth = 0
    for end in range(at, len(tokens)):
        if tokens[end].kind == "mark":
            depth += (tokens[end].text == "(") - (tokens[end].text == ")")
            if depth == 0:
                return end
    raise TemplateError(":1: unclosed left paren", parsing=True)
