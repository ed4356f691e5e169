"""The template language of --format."""

from __future__ import annotations

from typing import Any

import pytest

from wherry_cli.output.template import Template, TemplateError

DATA: dict[str, Any] = {
    "Id": "abc",
    "Name": "/box",
    "State": {"Running": True, "Pid": 42, "Status": "running"},
    "Config": {"Cmd": ["sh", "-c"], "Env": [], "Labels": {"a.b": "x", "c": "<d>"}, "Entrypoint": None},
    "Mounts": [{"Source": "/a"}, {"Source": "/b"}],
    "Ports": {"80/tcp": [{"HostPort": "8080"}], "90/tcp": None},
    "Size": 12,
    "Ratio": 1.5,
}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{.Name}}", "/box"),
        ("{{ .Id }}-{{.ID}}", "abc-abc"),
        ("{{.State.Pid}} {{.State.Running}} {{.Ratio}}", "42 true 1.5"),
        ("{{.Config.Cmd}} {{.Config.Labels}}", "[sh -c] map[a.b:x c:<d>]"),
        ("{{json .Config.Labels}} {{json .Config.Entrypoint}}", '{"a.b":"x","c":"<d>"} null'),
        ("{{.Config.Entrypoint}} {{.State.Health}}", "[] <nil>"),
        ('{{index .Config.Labels "a.b"}} {{index .Config.Cmd 1}} {{.Config.Labels.nope}}', "x -c <no value>"),
        ("{{range .Mounts}}{{.Source}},{{end}}", "/a,/b,"),
        ("{{range $i, $m := .Mounts}}{{$i}}{{$m.Source}}{{end}}", "0/a1/b"),
        ("{{range $k, $v := .Config.Labels}}{{$k}}={{$v}};{{end}}", "a.b=x;c=<d>;"),
        ("{{range .Config.Env}}x{{else}}none{{end}}", "none"),
        ("{{range $p, $b := .Ports}}{{if $b}}{{$p}}:{{(index $b 0).HostPort}}{{end}}{{end}}", "80/tcp:8080"),
        ("{{if .State.Running}}up{{else}}down{{end}}", "up"),
        ('{{if eq .State.Status "dead"}}1{{else if eq .State.Status "x" "running"}}2{{else}}3{{end}}', "2"),
        ("{{with .State}}{{.Pid}}{{$.Name}}{{end}}", "42/box"),
        ("{{if and .State.Running (not .Config.Env)}}yes{{end}}", "yes"),
        ('{{or "" .Name}}', "/box"),
        ("{{len .Mounts}} {{len .Name}}", "2 4"),
        ('{{join .Config.Cmd "+"}} {{split .Name "o"}}', "sh+-c [/b x]"),
        ('{{upper .Name}} {{lower "ABC"}} {{title "two words"}}', "/BOX abc Two Words"),
        ('{{pad "x" 1 2}}|{{truncate "abcdef" 3}}', " x  |abc"),
        ('{{println "a" 1}}{{print "a" "b" 1 2}}', "a 1\nab1 2"),
        (
            '{{printf "%s:%d:%05.1f:%q:%v:%x:%t%%" .Name .Size .Ratio "q" .Config.Cmd 255 true}}',
            '/box:12:001.5:"q":[sh -c]:ff:true%',
        ),
        ('{{printf "%-6s|%6s|" "ab" "cd"}}', "ab    |    cd|"),
        ("{{.Name | upper | printf `%s!`}}", "/BOX!"),
        ("{{$x := .Size}}{{$x}}", "12"),
        ("{{$f := true}}{{range .Mounts}}{{if $f}}{{$f = false}}{{else}}, {{end}}{{.Source}}{{end}}", "/a, /b"),
        ("a {{- .Size -}} b", "a12b"),
        ("a {{/* nothing */}} b{{- /* less */ -}} c", "a  bc"),
        ("{{gt .Size 5}} {{le 2 1}} {{ne 1 2}}", "true false true"),
        (r'{{"a\tbä"}}', "a\tbä"),
        ("{{slice .Name 1 3}}", "bo"),
        ("no action", "no action"),
    ],
)
def test_templates_render_as_go_renders_them(template: str, text: str) -> None:
    assert Template(template).render(DATA) == text


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{.Name", "template: :1: unclosed action"),
        ("{{nope .Name}}", 'template: :1: function "nope" not defined'),
        ("{{if .Name}}", "template: :1: unexpected EOF"),
        ("{{end}}", "template: :1: unexpected {{end}}"),
        ("{{(len .Name}}", "template: :1: unclosed left paren"),
        ("{{}}", "template: :1: missing value for command"),
        ('{{template "x"}}', "template: :1: {{template}} is not supported"),
        ('{{"x}}', "template: :1: unterminated quoted string"),
    ],
)
def test_what_cannot_be_parsed_is_refused_before_anything_is_asked(template: str, text: str) -> None:
    with pytest.raises(TemplateError) as caught:
        Template(template)
    assert (str(caught.value), caught.value.parsing) == (text, True)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{.Foo}}", 'template: :1:2: executing "" at <.Foo>: map has no entry for key "Foo"'),
        ("x {{.Name.Foo}}", 'template: :1:4: executing "" at <.Name.Foo>: can\'t evaluate field Foo in type string'),
        ("{{index .Config.Cmd 7}}", "error calling index: reflect: slice index out of range: 7"),
        ("{{upper 5}}", "error calling upper"),
        ("{{$x}}", 'undefined variable "$x"'),
        ("{{range .Size}}{{end}}{{range .Name}}{{end}}", "range can't iterate over /box"),
    ],
)
def test_what_is_not_there_is_named(template: str, text: str) -> None:
    with pytest.raises(TemplateError) as caught:
        Template(template).render(DATA)
    assert text in str(caught.value)
