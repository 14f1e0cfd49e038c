"""Go's text/template: results and complaints as Go gives them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxship.lib import templates
from boxship.lib.templates.errors import ExecutionError, ParseError, TemplateError
from boxship.lib.templates.values import Method, Record, Shape

DATA = {
    "Name": "web",
    "Tags": ["a", "b"],
    "Labels": {"k": "v", "j": "u"},
    "Count": 3,
    "Ratio": 1.5,
    "On": True,
    "None": None,
    "Nested": {"Deep": {"Value": "x"}},
    "Empty": "",
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("{{.Name}}", "web"),
        ("{{ .Name }}", "web"),
        ("{{.Nested.Deep.Value}}", "x"),
        ("{{.Missing}}", "<no value>"),
        ("{{.Tags}} {{.Labels}}", "[a b] map[j:u k:v]"),
        ("{{.Count}} {{.Ratio}} {{.On}}", "3 1.5 true"),
        ("{{if .On}}y{{else}}n{{end}}", "y"),
        ("{{if .Empty}}y{{else if .Count}}c{{else}}n{{end}}", "c"),
        ("{{with .Nested}}{{.Deep.Value}}{{end}}", "x"),
        ("{{with .Empty}}a{{else}}b{{end}}", "b"),
        ("{{range .Tags}}<{{.}}>{{end}}", "<a><b>"),
        ("{{range $i, $t := .Tags}}{{$i}}={{$t}};{{end}}", "0=a;1=b;"),
        ("{{range $k, $v := .Labels}}{{$k}}={{$v}};{{end}}", "j=u;k=v;"),
        ('{{range .Tags}}{{if eq . "b"}}{{break}}{{end}}{{.}}{{end}}', "a"),
        ('{{range .Tags}}{{if eq . "a"}}{{continue}}{{end}}{{.}}{{end}}', "b"),
        ("{{range .Empty2}}x{{else}}none{{end}}", "none"),
        ("{{$x := .Name}}{{$x}}", "web"),
        ("{{$x := 1}}{{$x = 2}}{{$x}}", "2"),
        ("a {{- .Name -}} b", "awebb"),
        ("{{/* nothing */}}x", "x"),
        ("a {{- /* c */ -}} b", "ab"),
        ('{{define "t"}}[{{.}}]{{end}}{{template "t" .Name}}', "[web]"),
        ('{{block "b" .Name}}<{{.}}>{{end}}', "<web>"),
        ("{{json .Labels}}", '{"k":"v","j":"u"}'),
        ("{{json .Tags}}", '["a","b"]'),
        ('{{join .Tags ", "}}', "a, b"),
        ('{{split "a-b" "-"}}', "[a b]"),
        ('{{upper .Name}} {{lower "AB"}} {{title "ab cd"}}', "WEB ab Ab Cd"),
        ('{{.Name | printf "%-6s|"}}', "web   |"),
        (
            '{{printf "%q %v %d %x %t %5.2f" .Name .Tags 12 255 true 1.5}}',
            '"web" [a b] 12 ff true  1.50',
        ),
        ("{{pad .Name 1 2}}|", " web  |"),
        ("{{truncate .Name 2}}", "we"),
        ('{{index .Tags 1}} {{index .Labels "k"}}', "b v"),
        ('{{index .Labels "zz"}}|', "|"),
        ("{{len .Tags}} {{len .Name}}", "2 3"),
        ("{{slice .Name 1}} {{slice .Tags 0 1}}", "eb [a]"),
        ('{{eq .Count 3}} {{ne .Name "x"}} {{lt 1 2}} {{ge 2 2}}', "true true true true"),
        ('{{eq .Name "x" "web"}}', "true"),
        ("{{and .On .Name}} {{or .Empty .Name}} {{not .On}}", "web web false"),
        ('{{html "<a>"}} {{urlquery "a b&"}} {{js "\'"}}', "&lt;a&gt; a+b%26 \\'"),
        ('{{print 1 2 "a" "b" 3}}', "1 2ab3"),
        ("{{println .Name}}", "web\n"),
        ("{{(index .Tags 0) | upper}}", "A"),
        ("{{(.Nested).Deep.Value}}", "x"),
        ("{{`raw \\n`}}", "raw \\n"),
        ('{{"a\\tb\\u00e9"}}', "a\tb\u00e9"),
        ("{{'a'}} {{0x10}} {{1e3}}", "97 16 1000"),
        ("{{$}}", None),
        ('{{printf "%d" .Name}}', "%!d(string=web)"),
        ('{{printf "%s"}}', "%!s(MISSING)"),
        ('{{printf "x" 1}}', "x%!(EXTRA int=1)"),
    ],
)
def test_rendering(text: str, expected: str | None) -> None:
    shown = templates.compile(text).render(DATA)
    if expected is not None:
        assert shown == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{", "template: :1: unclosed action"),
        ("{{.ID", "template: :1: unclosed action"),
        ("{{foo}}", 'template: :1: function "foo" not defined'),
        ("{{if}}", "template: :1: missing value for if"),
        ("{{end}}", "template: :1: unexpected {{end}}"),
        ("{{if .ID}}", "template: :1: unexpected EOF"),
        ("{{$x}}", 'template: :1: undefined variable "$x"'),
        ('{{"abc}}', "template: :1: unterminated quoted string"),
        ("\n{{foo}}", 'template: :2: function "foo" not defined'),
    ],
)
def test_a_text_that_is_no_template(text: str, message: str) -> None:
    with pytest.raises(ParseError) as refusal:
        templates.compile(text)
    assert str(refusal.value) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "{{.Name.Foo}}",
            '1:7: executing "" at <.Name.Foo>: can\'t evaluate field Foo in type string',
        ),
        ("{{nil}}", '1:2: executing "" at <nil>: nil is not a command'),
        ("{{1 2}}", '1:2: executing "" at <1>: can\'t give argument to non-function 1'),
        (
            '{{eq 1 "a"}}',
            '1:2: executing "" at <eq 1 "a">: error calling eq: incompatible types for comparison',
        ),
        ("{{len 3}}", '1:2: executing "" at <len 3>: error calling len: len of type int'),
        (
            "{{slice .Name 0 9}}",
            '1:2: executing "" at <slice .Name 0 9>: error calling slice: index out of range: 9',
        ),
        ('{{template "x"}}', '1:11: executing "" at <{{template "x"}}>: template "x" not defined'),
        (
            '{{"abc"|truncate}}',
            '1:8: executing "" at <truncate>: wrong number of args for truncate: want 2 got 1',
        ),
    ],
)
def test_a_template_and_data_that_disagree(text: str, message: str) -> None:
    with pytest.raises(ExecutionError) as refusal:
        templates.compile(text).render(DATA)
    assert str(refusal.value) == "template: :" + message


class Thing(Record):
    go_type = "*thing.Context"

    def go_field(self, name: str) -> object:
        return {"ID": "abc", "Label": Method(1, lambda key: f"<{key}>")}[name]

    def go_json(self) -> object:
        return {"ID": "abc"}


def test_a_record_refuses_fields_it_has_not_and_calls_methods() -> None:
    assert (
        templates.compile('{{.ID}} {{.Label "x"}} {{json .}}').render(Thing())
        == 'abc <x> {"ID":"abc"}'
    )
    with pytest.raises(ExecutionError, match=r"can't evaluate field No in type \*thing.Context"):
        templates.compile("{{.No}}").render(Thing())
    with pytest.raises(ExecutionError, match="wrong number of args for Label: want 1 got 0"):
        templates.compile("{{.Label}}").render(Thing())


def test_a_shape_tells_structs_from_maps() -> None:
    shape = Shape(("Labels",), {"Health": None, "Binds": []})
    data = {"Id": "1", "Labels": {"a": "b"}, "Volumes": None}

    def shown(text: str) -> str:
        return templates.compile(text).render(data, shape=shape)

    assert shown("{{.Labels.a}} {{.Labels.zz}}") == "b <no value>"
    assert shown("{{.ID}} {{.Health}} {{.Binds}}") == "1 <nil> []"
    with pytest.raises(ExecutionError, match='map has no entry for key "Nope"'):
        shown("{{.Nope}}")


def test_a_template_cannot_run_away() -> None:
    loop = '{{define "t"}}{{template "t"}}{{end}}{{template "t"}}'
    with pytest.raises(TemplateError, match="maximum template depth"):
        templates.compile(loop).render(None)
    wide = "{{range .}}{{range $}}{{range $}}{{range $}}x{{end}}{{end}}{{end}}{{end}}"
    with pytest.raises(TemplateError, match=r"too many steps|output exceeds"):
        templates.compile(wide).render(list(range(1000)))
    with pytest.raises(TemplateError):
        templates.compile("{{" + "(" * 5000)
    assert templates.compile('{{printf "%999999999d" 1}}').render(None) == "%!(BADWIDTH)1"


@given(st.text(alphabet="{}.-|$\"'`() \nabcdefIDrangeifwithend:=0123\\/*", max_size=60))
def test_any_text_renders_or_is_refused(text: str) -> None:
    try:
        templates.compile(text).render(DATA)
    except TemplateError:
        pass
