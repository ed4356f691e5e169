"""Actions and text become nodes, by recursive descent over the pieces that the lexer made.

The grammar is Go's text/template (https://pkg.go.dev/text/template); its errors are worded as Go words them, because
scripts match on them.
"""

from __future__ import annotations

from wherry_cli.output.template import nodes
from wherry_cli.output.template.functions import functions
from wherry_cli.output.template.lexer import TemplateError, Token
from wherry_cli.output.template.values import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from wherry_cli.output.template.nodes import Call, Node, Scope

CONSTANTS = {"true": True, "false": False, "nil": None}
REFUSED = ("define", "template", "block", "break", "continue")


class Parser:
    """Recursive descent over the pieces that the lexer made."""

    def __init__(self, parts: list[str | list[Token]]) -> None:
        self._parts = parts
        self._at = 0
        self._known = functions()

    def body(self, ends: tuple[str, ...]) -> tuple[Callable[[Scope], str], list[Token]]:
        """Everything up to an action that begins with one of `ends` (or the end), and that action's tokens."""
        parts: list[Node] = []
        while self._at < len(self._parts):
            part = self._parts[self._at]
            self._at += 1
            if isinstance(part, str):
                if part:
                    parts.append(nodes.literal(part))
                continue
            word = part[0].text if part and part[0].kind == "word" else ""
            if word in ends:
                return nodes.joined(parts), part
            if word in ("end", "else"):
                raise TemplateError(f":1: unexpected {{{{{word}}}}}", parsing=True)
            if word in REFUSED:
                raise TemplateError(f":1: {{{{{word}}}}} is not supported", parsing=True)
            parts.append(self._action(word, part))
        if ends:
            raise TemplateError(":1: unexpected EOF", parsing=True)
        return nodes.joined(parts), []

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
            return nodes.setting(tokens[0].text, self._pipeline(tokens[2:]), new=tokens[1].text == ":=")
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
            pairs = nodes.pairs(value(scope))
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
        if tokens[0].kind == "word" and tokens[0].text not in CONSTANTS:
            name = tokens[0].text
            if name not in self._known:
                raise TemplateError(f':1: function "{name}" not defined', parsing=True)
            operands = self._operands(tokens[1:])
            return lambda scope, last: nodes.called(
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
        if token.text == "(":
            end = _closing(tokens, start)
            base, at = self._pipeline(tokens[at:end]), end + 1
        else:
            base = self._base(token)
        names = [token.text[1:]] if token.kind == "field" else []
        while at < len(tokens) and tokens[at].kind == "field" and tokens[at].glued:
            names.append(tokens[at].text[1:])
            at += 1
        shown = "".join(part.text for part in tokens[start:at])
        return nodes.chain(base, names, token.at, shown), at

    def _base(self, token: Token) -> Node:
        """What a field chain starts from."""
        if token.kind in ("field", "dot"):
            return nodes.dot
        if token.kind == "variable":
            return nodes.variable(token.text)
        if token.kind in ("string", "number", "char"):
            return nodes.literal(token.value)
        if token.text in CONSTANTS:
            return nodes.literal(CONSTANTS[token.text])
        if token.text in self._known:
            return lambda scope: nodes.called(scope, token.text, [], [token])
        if token.kind == "word":
            raise TemplateError(f':1: function "{token.text}" not defined', parsing=True)
        raise TemplateError(f":1: unexpected {token.text!r} in operand", parsing=True)


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
