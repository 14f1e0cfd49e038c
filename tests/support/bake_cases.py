"""Bake definitions and how they are asked for: one table for the recorded answers and live ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.support import compose_cases

HCL = "docker-bake.hcl"
JSON = "docker-bake.json"
COMPOSE = "compose.yaml"


@dataclass(frozen=True)
class Case:
    """Files in an empty folder, the words after `bake --print`, variables of the environment."""

    files: Mapping[str, str]
    words: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    input: str = ""


def hcl(text: str, *words: str, **environment: str) -> Case:
    return Case({HCL: text}, words, environment)


def compose(text: str, *words: str, **environment: str) -> Case:
    return Case({COMPOSE: text}, words, environment)


BASE = """
variable "TAG" {
  default = "latest"
}
group "default" {
  targets = ["app", "tool"]
}
group "all" {
  targets = ["default", "extra"]
}
target "base" {
  args = {
    MODE = "release"
    KEPT = "1"
  }
  labels = {
    "org.example.from" = "base"
  }
}
target "app" {
  inherits   = ["base"]
  context    = "./app/../app"
  dockerfile = "Dockerfile.app"
  tags       = ["example/app:${TAG}", "example/app:${TAG}"]
  args = {
    MODE = "own"
  }
  platforms = ["linux/amd64", "linux/arm64"]
}
target "tool" {
  inherits = ["base"]
  target   = "final"
}
target "extra" {
  inherits  = ["app", "tool"]
  no-cache  = true
  pull      = false
  cache-to  = ["type=local,dest=cache"]
  cache-from = ["type=registry,ref=example/cache", "example/other"]
  output    = ["type=image,name=x"]
}
"""

FUNCTIONS = """
function "increment" {
  params = [number]
  result = number + 1
}
function "join_all" {
  params          = [separator]
  variadic_params = words
  result          = join(separator, words)
}
variable "REPO" {
  default = "user/repo"
}
function "tag" {
  params = [tag]
  result = ["${REPO}:${tag}", "${REPO}:${increment(1)}"]
}
target "default" {
  tags = tag("v1")
  args = {
    a = increment(41)
    b = join_all("-", "x", "y", "z")
    c = "${increment(1)}"
  }
}
"""

STRINGS = """
N = 3
XS = ["a", "b", "c"]
M = { one = 1, two = "zwei" }
target "default" {
  args = {
    plain     = "a\\tb\\\\c\\"d"
    unicode   = "\\u00e4\\U0001F600"
    doubled   = "$${N} %%{if}"
    if_       = "%{ if N > 2 }big%{ else }small%{ endif }"
    for_      = "%{ for x in XS ~} <${x}> %{ endfor ~}"
    strip     = "a  ${~ N ~}  b"
    heredoc   = <<EOT
line ${N}
  "quoted" \\n
EOT
    flush     = <<-EOT
      first
        second ${upper("x")}

      last
      EOT
    number    = 1.50
    negative  = -N
    big       = 12345678901234567890
    tiny      = 0.000001
    fraction  = 1 / 4
    bool      = true
    modulo    = 7 % 3
    precedence = 1 + 2 * 3 == 7 && !(2 > 3) ? "yes" : "no"
    index     = XS[1]
    member    = M.two
    key       = M["one"]
    splat     = join(",", XS[*])
    for_list  = join(",", [for i, x in XS : "${i}${x}" if x != "b"])
    for_map   = jsonencode({ for k, v in M : upper(k) => v })
    grouped   = jsonencode({ for x in ["aa", "ab", "b"] : substr(x, 0, 1) => x... })
    spread    = max([1, 5, 3]...)
    parens    = (
      N +
      1
    )
    newlines  = join(
      "-",
      [
        "x", # comment
        "y", // another
        /* and one */ "z",
      ],
    )
  }
}
"""

LIBRARY = """
NOTHING = {}
target "default" {
  args = {
    absolute = absolute(-3)
    add = add(1, 2.5)
    and = and(true, false)
    base64 = base64encode("hällo")
    unbase64 = base64decode("aGk=")
    can = can(NOTHING.here)
    ceil = ceil(1.2)
    chomp = chomp("a\\n\\n")
    chunklist = jsonencode(chunklist(["a", "b", "c"], 2))
    cidrhost = cidrhost("10.0.0.0/8", 5)
    cidrnetmask = cidrnetmask("10.0.0.0/12")
    cidrsubnet = cidrsubnet("10.0.0.0/8", 8, 3)
    cidrsubnets = join(" ", cidrsubnets("10.0.0.0/8", 4, 4, 8, 4))
    coalesce = coalesce("", "b")
    coalescelist = join(",", coalescelist([], ["x"]))
    compact = join(",", compact(["a", "", "b"]))
    concat = join(",", concat(["a"], ["b", "c"]))
    contains = contains(["a", "b"], "b")
    convert = convert("1", number) + 1
    csvdecode = csvdecode("a,b\\n1,2\\n3,4")[1].b
    distinct = join(",", distinct(["a", "b", "a"]))
    divide = divide(10, 4)
    element = element(["a", "b"], 3)
    equal = equal("a", "a")
    flatten = join(",", flatten([["a"], ["b", ["c"]]]))
    floor = floor(-1.2)
    format = format("%s-%03d-%5.2f-%q-%v-%x-%-4s|", "a", 7, 3.14159, "q\\"", true, 255, "l")
    formatdate = formatdate("EEE, DD MMM YYYY hh:mm:ss ZZZ", "2020-02-03T04:05:06Z")
    formatdate2 = formatdate("D/M/YY h:m 'o''clock' AA", "2020-02-03T14:05:06+02:00")
    formatlist = join(",", formatlist("%s=%d", ["a", "b"], [1, 2]))
    greaterthan = greaterthan(2, 1)
    greaterthanorequalto = greaterthanorequalto(2, 2)
    hasindex = hasindex(["a"], 1)
    indent = indent(2, "a\\nb")
    index = index(["a", "b"], 1)
    int = int(3.7)
    jsondecode = jsondecode("{\\"a\\": [1, 2.5]}").a[1]
    jsonencode = jsonencode({ b = [true, null], a = "<x>" })
    keys = join(",", keys({ b = 1, a = 2 }))
    length = length(["a", "b"])
    lessthan = lessthan(2, 1)
    lessthanorequalto = lessthanorequalto(1, 1)
    log = log(8, 2)
    lookup = lookup({ a = "1" }, "b", "none")
    lower = lower("ÄB")
    max = max(1, 3, 2)
    md5 = md5("x")
    merge = jsonencode(merge({ a = 1, b = 2 }, { b = 3 }))
    min = min(4, 3)
    modulo = modulo(-7, 3)
    multiply = multiply(1.5, 2)
    negate = negate(2)
    not = not(true)
    notequal = notequal(1, 2)
    or = or(false, true)
    parseint = parseint("ff", 16)
    pow = pow(2, 10)
    range = jsonencode(range(1, 8, 3))
    regex = regex("[a-z]+", "12abc34")
    regexgroups = jsonencode(regex("(?P<n>[0-9]+)-(?P<w>[a-z]+)", "12-abc"))
    regexall = jsonencode(regexall("[0-9]", "a1b2"))
    regex_replace = regex_replace("hello world", "(o)", "<$1>")
    replace = replace("a.b.c", ".", "-")
    reverse = reverse("abc")
    reverselist = join(",", reverselist(["a", "b"]))
    sethaselement = sethaselement(["a"], "a")
    setintersection = join(",", setintersection(["a", "b"], ["b", "c"]))
    setproduct = jsonencode(setproduct(["a", "b"], ["1", "2"]))
    setsubtract = join(",", setsubtract(["a", "b"], ["b"]))
    setsymmetricdifference = join(",", setsymmetricdifference(["a", "b"], ["b", "c"]))
    setunion = join(",", setunion(["b"], ["a"]))
    sha1 = sha1("x")
    sha256 = sha256("x")
    sha512 = sha512("x")
    signum = signum(-3)
    slice = join(",", slice(["a", "b", "c"], 1, 3))
    sort = join(",", sort(["b", "a"]))
    split = join("|", split(",", "a,b"))
    strlen = strlen("hä")
    substr = substr("hello", -3, 2)
    subtract = subtract(5, 7)
    timeadd = timeadd("2020-01-01T00:00:00Z", "1h30m")
    title = title("hello world")
    trim = trim("--a--", "-")
    trimprefix = trimprefix("v1.0", "v")
    trimspace = trimspace("  a ")
    trimsuffix = trimsuffix("a.txt", ".txt")
    try = try(NOTHING.here, "fallback")
    upper = upper("ab")
    urlencode = urlencode("a b/c&d")
    uuidv5 = uuidv5("dns", "example.com")
    values = jsonencode(values({ b = 1, a = 2 }))
    zipmap = jsonencode(zipmap(["a", "b"], [1, 2]))
  }
}
"""

MATRIX = """
group "default" {
  targets = ["app"]
}
target "app" {
  name = "app-${tgt}-${replace(version, ".", "-")}"
  matrix = {
    tgt     = ["foo", "bar"]
    version = ["1.0", "2.0"]
  }
  target = tgt
  args = {
    VERSION = version
  }
  tags = ["app:${tgt}-${version}"]
}
"""

MATRIX_OBJECTS = """
target "app" {
  name = item.name
  matrix = {
    item = [
      { name = "one", port = 1 },
      { name = "two", port = 2 },
    ]
  }
  args = { PORT = item.port }
}
target "default" {
  inherits = ["one"]
  contexts = { other = "target:two" }
}
"""

REFERENCES = """
target "foo" {
  dockerfile = "x.Dockerfile"
  context    = target.bar.context
  args       = { NAME = target.foo.name, TAG = target.bar.tags[0] }
}
target "bar" {
  dockerfile = target.foo.dockerfile
  context    = "sub"
  tags       = ["t:1"]
}
CONTEXT = target.bar.context
target "default" {
  context = "${CONTEXT}/deeper"
  labels  = { all = jsonencode(target.foo.args) }
}
"""

TYPES = """
variable "TEXT" {
  default = "abc"
}
variable "NUMBER" {
  default = 3
}
variable "FLAG" {
  default = true
}
variable "NOTHING" {
  default = null
}
variable "UNSET" {
}
variable "DERIVED" {
  default = "${upper(TEXT)}-${NUMBER}"
}
target "default" {
  args = {
    text    = TEXT
    number  = NUMBER > 5 ? "higher" : "lower"
    sum     = NUMBER + 1
    flag    = FLAG ? "yes" : "no"
    nothing = NOTHING
    unset   = "<${UNSET}>"
    derived = DERIVED
  }
}
"""

LINKS = """
group "default" {
  targets = ["app"]
}
target "base" {
  dockerfile = "base.Dockerfile"
  output     = ["type=image"]
}
target "middle" {
  contexts = { base = "target:base", src = "./src/../src" }
}
target "app" {
  contexts = {
    middle = "target:middle"
    alpine = "docker-image://alpine"
    empty  = ""
  }
}
"""

SERVICES = """
name: project
services:
  web:
    image: example/web:${TAG:-dev}
    build:
      context: ./web
      dockerfile: Dockerfile.web
      target: final
      args:
        A: b
        EMPTY: ""
        FROM_ENV:
        NUMBER: 1
        FLAG: true
      labels:
        com.example: "yes"
      cache_from:
        - example/cache
        - type=local,src=cache
      cache_to:
        - type=local,dest=cache
      platforms:
        - linux/amd64
      tags:
        - example/web:extra
      network: host
      no_cache: true
      pull: true
      additional_contexts:
        docs: ./docs
        other: service:tool
      extra_hosts:
        - "somehost:162.242.195.82"
      shm_size: 128m
  tool:
    build: ./tool
  db:
    image: postgres
  my.dotted:
    build:
      context: .
      args:
        - X=1
        - FROM_ENV
        - MISSING
"""

WEB = {
    "contexts": {"docs": "docs", "other": "target:tool"},
    "entitlements": ["network.host"],
    "extra-hosts": {"somehost": "162.242.195.82"},
    "network": "host",
    "no-cache": True,
    "platforms": ["linux/amd64"],
    "pull": True,
}
PUSHED = {"output": ["type=image,push=true"]}
# What 0.13 does not know, or prints so that it would not read back the same: members by target.
NEWER: Mapping[str, Mapping[str, Mapping[str, object]]] = {
    "push": {"app": PUSHED, "tool": PUSHED},
    "strings and expressions": {"default": {"args": {"doubled": "$${N} %%{if}"}}},
    "a Dockerfile within": {
        "default": {
            "dockerfile-inline": 'FROM alpine\nRUN echo $${HOME} 1.0 && echo "<a>&"\n',
        }
    },
    "JSON": {"app": {"args": {"plain": "$${x}"}}, "tool": {"args": {"plain": "$${x}"}}},
    "a network": {"default": {"network": "none"}},
    "services": {"web": WEB},
    "services, set": {"web": WEB, "tool": {"context": "tool", "dockerfile": "Dockerfile"}},
    "x-bake": {"app": {"contexts": {"docs": "docs"}}},
    **compose_cases.NEWER,
}
# Ours are shorter, name another place, or tell of the first problem only.
OTHER_WORDS = frozenset(
    {
        "a number that is none", "a flag that is none", "a cycle of variables",
        "a link to itself", "links in a circle", "an unknown variable", "an unknown function",
        "a list for a text", "a text for a list", "a bad name", "an unclosed block",
        "two on one line", "an attribute twice", "JSON that is none", "a variable that is required",
        *compose_cases.OTHER_WORDS,
    }
)  # fmt: skip

CASES: Mapping[str, Case] = {
    **{name: Case(*said) for name, said in compose_cases.ROWS.items()},
    "groups": hcl(BASE),
    "a group of groups": hcl(BASE, "all"),
    "one target": hcl(BASE, "tool"),
    "two targets": hcl(BASE, "tool", "extra"),
    "a target that inherits twice": hcl(BASE, "extra"),
    "a variable from the environment": hcl(BASE, "app", TAG="v2"),
    "no such target": hcl(BASE, "nope"),
    "no definition": Case({}),
    "set a text": hcl(BASE, "--set", "app.target=x", "--set", "*.context=there", "all"),
    "set arguments": hcl(
        BASE, "--set", "*.args.MODE=m", "--set", "app.args.FROM_ENV", FROM_ENV="v",
    ),
    "set lists": hcl(
        BASE, "--set", "app.tags=one", "--set", "app.tags=two", "--set", "app.platform=linux/arm",
        "--set", "app.output=type=local,dest=out", "--set", "app.cache-from=x/y",
    ),
    "set labels and contexts": hcl(
        BASE, "--set", "a*.labels.x=y", "--set", "app.contexts.docs=../docs",
    ),
    "set flags": hcl(BASE, "--set", "*.no-cache=true", "--set", "app.pull=1"),
    "set a flag to nonsense": hcl(BASE, "--set", "*.pull=perhaps"),
    "set nothing": hcl(BASE, "--set", "app.tags"),
    "set for nobody": hcl(BASE, "--set", "zzz.tags=x"),
    "set what there is not": hcl(BASE, "--set", "app.inherits=x"),
    "set an argument without a name": hcl(BASE, "--set", "app.args=x"),
    "set without a target": hcl(BASE, "--set", "tags=x"),
    "set attestations": hcl(BASE, "--set", "app.attest=type=sbom", "app"),
    "push": hcl(BASE, "--push", "all"),
    "push what has an output": hcl(LINKS, "--push"),
    "load": hcl(BASE, "--load", "app"),
    "no cache and pull": hcl(BASE, "--no-cache", "--pull", "app"),
    "provenance and sbom": hcl(BASE, "--provenance=mode=max", "--sbom=true", "app"),
    "functions": hcl(FUNCTIONS),
    "functions and the environment": hcl(FUNCTIONS, REPO="other/repo"),
    "strings and expressions": hcl(STRINGS),
    "the library": hcl(LIBRARY),
    "matrix": hcl(MATRIX),
    "matrix, one of it": hcl(MATRIX, "app-foo-1-0"),
    "matrix of objects": hcl(MATRIX_OBJECTS),
    "references between targets": hcl(REFERENCES),
    "types of variables": hcl(TYPES),
    "types of variables from the environment": hcl(
        TYPES, TEXT="xyz", NUMBER="7.5", FLAG="0", NOTHING="n", UNSET="set",
    ),
    "a number that is none": hcl(TYPES, NUMBER="many"),
    "a flag that is none": hcl(TYPES, FLAG="maybe"),
    "a cycle of variables": hcl('A = B\nB = A\ntarget "default" {\n}\n'),
    "links": hcl(LINKS),
    "a link to itself": hcl('target "default" {\n  contexts = { x = "target:default" }\n}\n'),
    "links in a circle": hcl(
        'target "a" {\n  contexts = { x = "target:b" }\n}\n'
        'target "b" {\n  contexts = { x = "target:a" }\n}\n', "a",
    ),
    "inherits in a circle": hcl(
        'target "a" {\n  inherits = ["b"]\n  tags = ["a"]\n}\n'
        'target "b" {\n  inherits = ["a"]\n  target = "b"\n}\n', "a",
    ),
    "targets and groups of one name": hcl(
        'group "x" {\n  targets = ["x", "y"]\n}\ntarget "x" {\n}\ntarget "y" {\n}\n', "x",
    ),
    "one target in two blocks": hcl(
        'target "default" {\n  args = { A = "1", B = "2" }\n  tags = ["a"]\n}\n'
        'target "default" {\n  args = { B = "3", C = null }\n  tags = ["b"]\n}\n',
    ),
    "a Dockerfile within": hcl(
        'V = "1.0"\ntarget "default" {\n  dockerfile-inline = <<EOT\nFROM alpine\n'
        'RUN echo $${HOME} ${V} && echo "<a>&"\nEOT\n}\n',
    ),
    "attestations and annotations": hcl(
        'target "base" {\n  attest = ["type=provenance,mode=min", "type=sbom"]\n'
        '  annotations = ["a=b"]\n}\ntarget "default" {\n  inherits = ["base"]\n'
        '  attest = ["type=provenance,mode=max"]\n  annotations = ["index:c=d", "a=b"]\n}\n',
    ),
    "a network": hcl('target "default" {\n  network = "none"\n}\n'),
    "filters": hcl(
        'target "base" {\n  no-cache-filter = ["a", "b"]\n}\n'
        'target "default" {\n  inherits = ["base"]\n  no-cache-filter = ["b", "c"]\n}\n',
    ),
    "built-in variables": hcl(
        'target "default" {\n  context = BAKE_CMD_CONTEXT\n'
        '  args = { P = can(regex("^linux/", BAKE_LOCAL_PLATFORM)) }\n}\n',
    ),
    "an unknown attribute": hcl('target "default" {\n  nonsense = "x"\n}\n'),
    "an unknown variable": hcl('target "default" {\n  tags = ["${NOPE}"]\n}\n'),
    "an unknown function": hcl('target "default" {\n  tags = [nope("x")]\n}\n'),
    "a list for a text": hcl('target "default" {\n  context = ["x"]\n}\n'),
    "a text for a list": hcl('target "default" {\n  tags = "x"\n}\n'),
    "a bad name": hcl('target "a.b" {\n}\n', "a.b"),
    "an unclosed block": hcl('target "default" {\n  tags = ["x"]\n'),
    "two on one line": hcl('target "default" { tags = ["x"]\n  target = "y" }\n'),
    "an attribute twice": hcl('target "default" {\n  target = "x"\n  target = "y"\n}\n'),
    "one line": hcl(
        'target "default" { tags = ["x"] }\ngroup "g" { targets = ["default"] }\n', "g",
    ),
    "an unknown block": hcl('thing "x" {\n  a = 1\n}\ntarget "default" {\n}\n'),
    "attributes with a target's type": hcl(
        'platforms = ["linux/arm64", "linux/amd64"]\ntarget "default" {\n'
        '  platforms = platforms\n  args = { "v1" : platforms[0] }\n}\n',
    ),
    "two files": Case(
        {
            "a.hcl": BASE,
            "b.hcl": 'target "app" {\n  args = { B = "${TAG}" }\n  tags = ["b:${EXTRA}"]\n}\n'
            'variable "EXTRA" {\n  default = "${TAG}-extra"\n}\n',
        },
        ("-f", "a.hcl", "-f", "b.hcl", "app"),
        {"TAG": "9"},
    ),
    "the usual files together": Case(
        {
            HCL: BASE,
            JSON: '{"target": {"app": {"args": {"J": "${TAG}"}}, "only": {"tags": ["j"]}}}',
            "docker-bake.override.hcl": 'target "app" {\n  tags = ["over"]\n}\n',
            COMPOSE: "services:\n  app:\n    build:\n      context: ./compose\n",
        },
        ("app", "only"),
    ),
    "JSON": Case(
        {
            JSON: """{
              "variable": {"TAG": {"default": "1"}, "N": {"default": 2}},
              "function": {"double": {"params": ["x"], "result": "${x * 2}"}},
              "group": {"default": {"targets": ["app", "tool"]}},
              "target": {
                "app": {
                  "//": "a comment",
                  "context": "dir/",
                  "tags": ["a:${TAG}", "b:${double(N)}"],
                  "args": {"N": "${N}", "plain": "$${x}", "flag": true, "null": null},
                  "platforms": ["linux/amd64"], "no-cache": true
                },
                "tool": {"inherits": ["app"], "dockerfile-inline": "FROM x\\n"}
              }
            }"""
        },
    ),
    "JSON that is none": Case({JSON: '{"target": {"default": }}'}),
    "standard input": Case({}, ("-f", "-"), input='target "default" { tags = ["in"] }\n'),
    "standard input as JSON": Case(
        {}, ("-f", "-"), input='{"target": {"default": {"tags": ["in"]}}}',
    ),
    "a file of no telling name": Case({"Bakefile": BASE}, ("-f", "Bakefile", "app")),
    "a missing file": Case({}, ("-f", "nothing.hcl")),
    "services": compose(SERVICES, FROM_ENV="v"),
    "one service": compose(SERVICES, "tool"),
    "a service with a dot": compose(SERVICES, "my.dotted", FROM_ENV="w"),
    "services, set": compose(SERVICES, "--set", "web.args.A=c", "web"),
    "x-bake": compose(
        """
services:
  app:
    build:
      context: .
      args: {A: "1"}
      tags: [a:1]
      x-bake:
        tags: [b:1, a:1]
        platforms: linux/amd64 linux/arm64
        cache-from: type=local,src=c
        output: ["type=local,dest=out"]
        no-cache: true
        pull: true
        no-cache-filter: [x]
        contexts: {docs: ./docs}
""",
    ),
    "several compose files": Case(
        {
            "a.yaml": "services:\n  app:\n    image: a\n    build:\n      context: one\n"
            "      args: {X: 1}\n",
            "b.yaml": "services:\n  app:\n    build:\n      context: two\n      args: {Y: 2}\n"
            "  more:\n    build: .\n",
        },
        ("-f", "a.yaml", "-f", "b.yaml"),
    ),
    "variables of a compose file": compose(
        "services:\n  app:\n    build:\n      context: $DIR/${SUB:-sub}\n      args:\n"
        "        a: ${UNSET-x}\n        b: $$literal\n        c: ${SET:+alt}\n"
        "        d: ${EMPTY:-filled}\n        e: ${EMPTY-kept}\n",
        DIR="d", SET="1", EMPTY="",
    ),
    "a variable that is required": compose(
        "services:\n  app:\n    build: ${NEEDED:?say where}\n"
    ),
    "a compose file with .env": Case(
        {
            COMPOSE: "services:\n  app:\n    image: app:${TAG}\n    build: .\n",
            ".env": "# comment\nTAG='from file'\nOTHER=x # y\n",
        },
    ),
    "secrets of a compose file": Case(
        {
            COMPOSE: "services:\n  app:\n    build:\n      context: .\n"
            "      secrets: [token, file]\n"
            "secrets:\n  token: {environment: TOKEN}\n  file: {file: ./secret.txt}\n",
            "secret.txt": "s",
        },
        (), {"TOKEN": "t"},
    ),
}  # fmt: skip
