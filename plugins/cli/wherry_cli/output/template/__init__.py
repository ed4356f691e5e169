"""The part of Go's template language that --format is used for.

Text, {{fields}}, variables, pipelines, literals, if / else if / else, range, with, parentheses, comments, {{- trimming -}}
and the functions that Docker adds. Not: define, template, block, break and continue, which are refused by name.
"""

from wherry_cli.output.template.engine import Template
from wherry_cli.output.template.functions import header_functions
from wherry_cli.output.template.lexer import TemplateError

__all__ = ["Template", "TemplateError", "header_functions"]
