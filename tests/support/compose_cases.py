"""Compose files as bake definitions: what one refers to, and what `build` may say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

COMPOSE = "compose.yaml"
Files = Mapping[str, str]
# By name: files, words, variables of the environment.
Row = tuple[Files, Sequence[str], Mapping[str, str]]


def row(files: Files | str, *words: str, **environment: str) -> Row:
    return {COMPOSE: files} if isinstance(files, str) else files, words, environment


EXTENDS = """
services:
  base:
    image: base:1
    environment: {A: from-service}
    build: {context: ., args: {X: "1"}, tags: [a, b], labels: {l: "1"}, cache_from: [x]}
  web:
    extends: {service: base}
    build: {args: {Y: "2", A: }, tags: [c, a], labels: [l=2], cache_from: [y]}
  short:
    extends: web
    image: short:1
"""
ELSEWHERE = {
    COMPOSE: """
services:
  web:
    extends: {file: sub/common.yaml, service: base}
    build: {args: {Y: "2"}}
""",
    "sub/common.yaml": """
services:
  base:
    image: base:1
    env_file: e.env
    extends: {service: root}
    build:
      context: ctx
      dockerfile: D
      additional_contexts: [o=./other, u=https://example.org/b.git, i=docker-image://x]
      args: {V: "$V", E: }
  root:
    extends: {file: deep/more.yaml, service: lowest}
    build: {context: ./root, target: t}
""",
    "sub/deep/more.yaml": "services: {lowest: {build: {context: ., args: {D: deep}}}}",
    "sub/e.env": "E=from the file\n",
}
INCLUDED = """
services:
  b:
    build: {context: ./x, args: {V: "$V", W: }, secrets: [q]}
secrets: {q: {file: ./secret}}
"""
INCLUDE = {
    COMPOSE: "include: [sub/inc.yaml]\nservices: {a: {build: {context: ., args: {V: $V}}}}",
    "sub/inc.yaml": INCLUDED,
    "sub/secret": "",
    "sub/.env": "V=included\nW=w\n",
}
LONG = """
include:
  - path: [sub/inc.yaml, deep/over.yaml]
    project_directory: other
    env_file: [one.env, two.env]
services: {a: {build: .}}
"""
MERGE = """
x-b: &b {context: dir, args: {A: "1"}}
x-n: &n {args: {B: "2"}, target: n}
services:
  a: {build: {<<: *b, target: k}}
  c: {build: {<<: [*b, *n]}}
  d: {build: {<<: *n, args: {<<: {A: "0"}, C: "3"}}}
"""
SCALARS = """
services:
  a:
    build:
      context: .
      args: {A: True, B: yes, C: off, D: ~, E: "", F: 0o17, G: 0b11, H: .5, I: 1:30, K: 1.0, L: -3,
             M: 1e-7, N: 123456789012, O: 1.5e10, P: !!str 010, Q: 010, R: "010", S: 1_000, T: 1e3,
             U: 1.10, V: 1e6, W: 12345678.5}
"""
ATTRIBUTES = """
services:
  a:
    image: a:1
    profiles: [never]
    build:
      context: .
      isolation: default
      privileged: true
      entitlements: [network.host]
      extra_hosts: ["a=1.2.3.4", "b=::1"]
      ulimits: {nproc: {soft: 1, hard: 2}}
      shm_size: 64m
      network: host
      pull: true
      no_cache: true
      platforms: [linux/amd64]
      secrets: [{source: s, target: t, uid: "1", mode: 0440}]
      cache_from: [u/a, "type=local,src=x"]
      cache_to: [u/b]
      additional_contexts: [d=./z, "r=target:b", "f=docker-image://busybox"]
      labels: {a: 1, b: true}
      args: {a: 1, b: true, c: 1.5}
      x-bake:
        tags: [t1]
        cache-from: c1
        cache-to: [type=inline]
        secret: ["id=x,env=X"]
        platforms: linux/arm64 linux/386
        output: type=docker
        pull: false
        no-cache: false
        no-cache-filter: a b
        contexts: {k: l}
  b: {build: {dockerfile_inline: "FROM scratch\\n"}}
secrets: {s: {environment: E}}
"""
DOTENV = """A="x
y"
B='q $C'
C="a\\n\\"b\\""
D=a # c
E=a#c
F: yaml
G
export H=${D}1
"""

ROWS: Mapping[str, Row] = {
    "extends, in one file": row(EXTENDS),
    "extends, of other files": row(ELSEWHERE, V="7"),
    "extends, in a circle": row("services: {a: {extends: b, build: .}, b: {extends: a}}"),
    "extends itself": row("services: {a: {extends: a, build: .}}"),
    "extends, in a circle of files": row(
        {
            COMPOSE: "services: {a: {extends: {service: a, file: x.yaml}}}",
            "x.yaml": "services: {a: {extends: {service: a, file: compose.yaml}}}",
        }
    ),
    "extends nobody": row("services: {a: {extends: zz, build: .}}"),
    "extends no file": row("services: {a: {extends: {file: zz.yaml, service: x}, build: .}}"),
    "extends nobody of a file": row(
        {
            COMPOSE: "services: {a: {extends: {file: zz.yaml, service: x}, build: .}}",
            "zz.yaml": "services: {b: {build: .}}",
        }
    ),
    "extends without a context": row(
        {
            COMPOSE: "services: {a: {extends: {file: sub/c.yaml, service: z}}}",
            "sub/c.yaml": "services: {z: {build: {target: k}}}",
        }
    ),
    "extends across files": row(
        {
            COMPOSE: "services: {a: {build: {target: k}}}",
            "o.yaml": "services: {b: {extends: a}}",
        },
        "-f", COMPOSE, "-f", "o.yaml",
    ),
    "extends, and a secret is missing": row(
        {
            COMPOSE: "services: {a: {extends: {file: sub/c.yaml, service: z}}}",
            "sub/c.yaml": "services: {z: {build: {context: ., secrets: [s]}}}",
        }
    ),
    "include": row(INCLUDE),
    "include, and the environment": row({**INCLUDE, ".env": "V=top\nW=topw\n"}),
    "include, in full": row(
        {
            COMPOSE: LONG,
            "sub/inc.yaml": 'services: {b: {build: {context: ./x, args: {V: "$V$W"}}}}',
            "deep/over.yaml": "services: {b: {build: {target: t}}}",
            "one.env": "V=1\nW=1\n",
            "two.env": "W=2\n",
            "other/keep": "",
        }
    ),
    "include, and what it extends": row(
        {
            COMPOSE: "include: [sub/inc.yaml]\nservices: {a: {build: .}}",
            "sub/inc.yaml": "services: {b: {extends: {file: c.yaml, service: z}}}",
            "sub/c.yaml": "services: {z: {build: {context: k}}}",
        }
    ),
    "include, overridden": row(
        {
            COMPOSE: "include: [sub/inc.yaml]\nservices: {a: {build: .}}",
            "sub/inc.yaml": "services: {b: {build: {context: ./x}}}",
            "o.yaml": "services: {b: {build: {target: t}}}",
        },
        "-f", COMPOSE, "-f", "o.yaml",
    ),
    "include twice": row(
        {
            COMPOSE: "include: [sub/inc.yaml, sub/inc.yaml]\nservices: {a: {build: .}}",
            "sub/inc.yaml": "services: {b: {build: {context: ./x}}}",
        }
    ),
    "include what conflicts": row(
        {
            COMPOSE: "include: [i.yaml]\nservices: {a: {build: .}}",
            "i.yaml": "services: {a: {build: x}}",
        }
    ),
    "include in a circle": row(
        {
            COMPOSE: "include: [i.yaml]\nservices: {a: {build: .}}",
            "i.yaml": "include: [compose.yaml]\nservices: {b: {build: .}}",
        }
    ),
    "include nothing": row("include: [i.yaml]\nservices: {a: {build: .}}"),
    "paths of a file elsewhere": row(
        {
            "sub/c.yaml": """
include: [i.yaml]
services:
  b: {build: {context: ./x, additional_contexts: {k: ./l}}}
  d: {extends: {file: e.yaml, service: q}}
""",
            "e.yaml": "services: {q: {build: ./w}}",
            "i.yaml": "services: {z: {build: ~/home}}",
        },
        "-f", "sub/c.yaml",
    ),
    "merge keys": row(MERGE),
    "reset and override": row(
        {
            COMPOSE: 'services: {a: {build: {context: ., target: t, args: {A: "1"}, tags: [a]}}}',
            "o.yaml": """
services: {a: {build: {target: !reset null, args: !override {B: "1"}, tags: !override [b]}}}
""",
        },
        "-f", COMPOSE, "-f", "o.yaml",
    ),
    "every attribute": row(ATTRIBUTES, E="e", X="x"),
    "scalars": row(SCALARS),
    "several documents": row(
        "services: {a: {build: {context: .}}}\n---\nservices: {a: {build: {target: b}}}"
    ),
    "a key twice": row("services: {a: {build: {context: ., target: a, target: b}}}"),
    "an attribute that is none": row("services: {a: {build: {context: ., foo: 1}}}"),
    "a build that is nothing": row("services: {a: {build: }}"),
    "a context that is a list": row("services: {a: {build: {context: [1]}}}"),
    "tags that are a text": row("services: {a: {build: {tags: x}}}"),
    "a build that is a number": row("services: {a: {build: 1}}"),
    "a file of a service's variables": row(
        {
            COMPOSE: """
services: {a: {env_file: [e, f], environment: [C=c], build: {args: [A, B, C]}}}
""",
            "e": "A=1\nB=1\nC=1\n",
            "f": "B=${A}2\n",
        }
    ),
    "no file of a service's variables": row("services: {a: {env_file: e, build: {args: [A]}}}"),
    "a file that may be missing": row(
        "services: {a: {env_file: [{path: e, required: false}], build: {args: [A]}}}"
    ),
    "lines of .env": row(
        {COMPOSE: "services: {a: {build: {args: [A, B, C, D, E, F, G, H]}}}", ".env": DOTENV},
        G="g",
    ),
    "the project's name": row(
        'name: "${N}"\nservices: {a: {build: {args: {V: "${COMPOSE_PROJECT_NAME}"}}}}', N="zz"
    ),
    "no name of the project": row(
        'services: {a: {build: {args: {V: "${COMPOSE_PROJECT_NAME}"}}}}'
    ),
    "defaults in defaults": row(
        'services: {a: {build: {args: {V: "${A:-${B:-c}}", W: "${Q-d}", X: "$$A", $Y: z}}}}', Y="y"
    ),
    "an empty file": row(""),
    "only an extension": row("x-a: 1"),
}  # fmt: skip
ALL = {
    "extra-hosts": {"a": "1.2.3.4", "b": "::1"},
    "platforms": ["linux/amd64", "linux/arm64", "linux/386"],
    "network": "host",
    "entitlements": ["network.host", "security.insecure"],
}
# What 0.13 does not know, does not show, or says otherwise.
NEWER: Mapping[str, Mapping[str, Mapping[str, object]]] = {"every attribute": {"a": ALL}}
OTHER_WORDS = frozenset(
    {
        "extends, in a circle", "extends itself", "extends, in a circle of files",
        "extends nobody", "extends nobody of a file", "extends across files",
        "extends, and a secret is missing", "include in a circle", "a key twice",
        "an attribute that is none", "a build that is nothing", "a context that is a list",
        "tags that are a text", "a build that is a number", "an empty file",
        "no file of a service's variables",
    }
)  # fmt: skip
