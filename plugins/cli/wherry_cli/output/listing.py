"""Lists of things: fields with a column head each, shown as a table, ids, JSON lines or by a template."""

from __future__ import annotations

from wherry_cli.errors import CliError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

    Field = tuple[str, Callable[[Any, bool], Any]]


class Listing:
    """How one kind of thing is listed. Fields are functions of the item and of whether to shorten.

    `kind` names the thing in a template's errors.
    """

    __slots__ = ("columns", "fields", "key", "kind")

    def __init__(self, kind: str, fields: Mapping[str, Field], columns: Sequence[str], *, key: str = "ID") -> None:
        self.kind = kind
        self.fields = fields
        self.columns = columns
        self.key = key

    def render(
        self,
        items: Iterable[Any],
        *,
        format: str = "",
        quiet: bool = False,
        full: bool = False,
        extra: Sequence[str] = (),
    ) -> str:
        """The whole text. `extra` columns join the default table; with `quiet` a table is the keys alone."""
        if format in ("", "table"):
            if quiet:
                return "".join(f"{self.fields[self.key][1](item, not full)}\n" for item in items)
            return self._table(items, [*self.columns, *extra], full)
        return self._by_template(items, format, full)

    def _table(self, items: Iterable[Any], names: Sequence[str], full: bool) -> str:
        from wherry_cli.output.columns import align

        columns = [self.fields[name] for name in names]
        lines = ["\t".join(head for head, _ in columns)]
        lines += ["\t".join(str(show(item, not full)) for _, show in columns) for item in items]
        return align("\n".join(lines)) + "\n"

    def _by_template(self, items: Iterable[Any], format: str, full: bool) -> str:
        if format == "json":
            return "".join(Row(self, item, full).json() + "\n" for item in items)
        from wherry_cli.output.columns import align
        from wherry_cli.output.template import Template, TemplateError, header_functions

        table, text = format.startswith("table"), format.strip()
        if table:
            text = text.removeprefix("table").strip()
        try:
            template = Template(text.replace("\\t", "\t").replace("\\n", "\n"))
        except TemplateError as error:
            raise CliError(f"failed to parse template: {error}") from None
        try:
            lines = [template.render(Row(self, item, full)) for item in items]
        except TemplateError as error:
            what = (
                "failed to execute template" if self.kind == "*formatter.ContainerContext" else "template parsing error"
            )
            raise CliError(f"{what}: {error}") from None  # docker's client says it in two ways
        if not table:
            return "".join(line + "\n" for line in lines)
        return align("\n".join([template.render(Heads(self), header_functions()), *lines])) + "\n"


class Row:
    """One item as templates see it."""

    __slots__ = ("_full", "_item", "_listing")

    def __init__(self, listing: Listing, item: Any, full: bool) -> None:
        self._listing = listing
        self._item = item
        self._full = full

    def field(self, name: str, arguments: Sequence[Any]) -> Any:
        """The value of `.Name`, or of `.Label "key"`. Raises LookupError."""
        fields = self._listing.fields
        if name == "Label" and "Labels" in fields and len(arguments) == 1:
            return (self._item.get("Labels") or {}).get(str(arguments[0]), "")
        if name not in fields or arguments:
            raise LookupError(f"can't evaluate field {name} in type {self._listing.kind}")
        return fields[name][1](self._item, not self._full)

    def plain(self) -> dict[str, Any]:
        """All fields, for JSON."""
        listing = self._listing
        return {name: show(self._item, not self._full) for name, (_, show) in listing.fields.items()}

    def json(self) -> str:
        """All fields as JSON, in the order of their names."""
        from wherry_cli.output.jsontext import compact

        return compact(self.plain(), escape=True, sort=True)


class Heads:
    """The head of a table as templates see it."""

    __slots__ = ("_listing",)

    def __init__(self, listing: Listing) -> None:
        self._listing = listing

    def field(self, name: str, arguments: Sequence[Any]) -> Any:
        """The head of column `name`; of `.Label "a.b-c"` it is "b c"."""
        if name == "Label" and len(arguments) == 1:
            return str(arguments[0]).rpartition(".")[2].replace("-", " ").replace("_", " ")
        return self._listing.fields[name][0] if name in self._listing.fields else "<no value>"


def labels_text(labels: Mapping[str, str] | None) -> str:
    """Labels as one cell."""
    return ",".join(f"{name}={value}" for name, value in sorted((labels or {}).items()))
