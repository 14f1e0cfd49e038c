"""The configuration as values. Names and meaning are the reference server's; ours are marked.

An option that is not known is refused, with its path; nothing that is written is silently ignored.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from boxship.errors import InvalidRequest
from boxship.lib import duration

UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
SIZE = re.compile(r"(\d+)\s*([kmgt]?)(?:i?b)?", re.ASCII | re.IGNORECASE)


class BadConfig(InvalidRequest):
    """The configuration cannot be used."""


class Seconds(float):
    """A length of time; written in Go's notation, or as a number of nanoseconds."""

    @classmethod
    def read(cls, value: Any) -> Seconds:
        if isinstance(value, int) and not isinstance(value, bool):
            return cls(value / duration.SECOND)
        text = str(value)
        if days := re.fullmatch(r"(\d{1,6})d", text):
            return cls(int(days[1]) * 86400)
        return cls(duration.parse(text) / duration.SECOND)


class Size(int):
    """A number of bytes, also written as `10GB`."""

    @classmethod
    def read(cls, value: Any) -> Size:
        if not (found := SIZE.fullmatch(str(value).strip())):
            raise ValueError(f"invalid size: {value!r}")
        return cls(int(found[1]) * UNITS[found[2].lower()])


class Section(
    msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True, rename="lower"
):
    """A part of the configuration."""


class AccessLog(Section, frozen=True):
    disabled: bool = False


class Log(Section, frozen=True):
    level: str = "info"
    formatter: str = "json"
    fields: dict[str, Any] = {}
    accesslog: AccessLog = AccessLog()


class FilesystemSection(Section, frozen=True):
    rootdirectory: str = "/var/lib/registry"
    maxthreads: int = 64


class S3Section(Section, frozen=True):
    bucket: str
    region: str = ""
    regionendpoint: str = ""
    accesskey: str = ""
    secretkey: str = ""
    sessiontoken: str = ""
    rootdirectory: str = ""
    encrypt: bool = False
    keyid: str = ""
    secure: bool = True
    skipverify: bool = False
    v4auth: bool = True
    forcepathstyle: bool = False
    accelerate: bool = False
    usedualstack: bool = False
    usefipsendpoint: bool = False
    storageclass: str = ""
    objectacl: str = ""
    chunksize: Size = Size(16 << 20)
    multipartcopychunksize: Size = Size(32 << 20)
    multipartcopymaxconcurrency: int = 4
    multipartcopythresholdsize: Size = Size(32 << 20)
    spool: str = "/var/lib/registry"  # ours: where unfinished blobs lie


class Memory(Section, frozen=True):
    pass


class Enabled(Section, frozen=True):
    enabled: bool = False


class Redirect(Section, frozen=True):
    disable: bool = False


class Cache(Section, frozen=True):
    """Manifests are always cached; what is said here is checked and has no effect."""

    blobdescriptor: str = ""
    layerinfo: str = ""
    blobdescriptorsize: int = 0


class UploadPurging(Section, frozen=True):
    enabled: bool = True
    age: Seconds = Seconds(168 * 3600)
    interval: Seconds = Seconds(24 * 3600)
    dryrun: bool = False


class Maintenance(Section, frozen=True):
    uploadpurging: UploadPurging = UploadPurging()
    readonly: Enabled = Enabled()


class TagSection(Section, frozen=True):
    concurrencylimit: int = 0


class Collection(Section, frozen=True):
    """Ours: collection while the server runs."""

    interval: Seconds = Seconds(0)  # 0: only when it is asked for
    grace: Seconds = Seconds(3600)
    untagged: bool = False


class Storage(Section, frozen=True):
    filesystem: FilesystemSection | None = None
    s3: S3Section | None = None
    inmemory: Memory | None = None
    delete: Enabled = Enabled()
    redirect: Redirect = Redirect()
    cache: Cache = Cache()
    maintenance: Maintenance = Maintenance()
    tag: TagSection = TagSection()
    collection: Collection = Collection()


class HtpasswdSection(Section, frozen=True):
    path: str
    realm: str = "registry"


class TokenSection(Section, frozen=True):
    realm: str
    service: str
    issuer: str
    rootcertbundle: str = ""
    jwks: str = ""
    signingalgorithms: list[str] = []
    autoredirect: bool = False
    autoredirectpath: str = "/auth/token"


class TokenServer(Section, frozen=True):
    """Ours: this server hands out the tokens that it accepts."""

    htpasswd: str
    service: str = "boxship-registry"
    issuer: str = "boxship-registry"
    realm: str = ""  # where clients get tokens; "": /auth/token on this server
    key: str = ""  # "": one is made in the storage's folder
    expiry: Seconds = Seconds(300)
    refreshexpiry: Seconds = Seconds(30 * 86400)


class Auth(Section, frozen=True):
    htpasswd: HtpasswdSection | None = None
    token: TokenSection | None = None
    tokenserver: TokenServer | None = None


class AccessRule(Section, frozen=True):
    """Ours: who may do what with which repositories. `{user}` in a pattern is who asks."""

    repositories: list[str]
    actions: list[str]
    users: list[str] = []  # names, @groups, "*" for anybody who is known, "anonymous" for all


class AccessSection(Section, frozen=True):
    groups: dict[str, list[str]] = {}
    rules: list[AccessRule] = []
    catalog: list[str] = msgspec.field(
        default_factory=lambda: ["*"]
    )  # who may list what they may pull


class Tls(Section, frozen=True):
    certificate: str = ""
    key: str = ""
    clientcas: list[str] = []
    clientauth: str = "require-and-verify-client-cert"
    minimumtls: str = "tls1.2"
    ciphersuites: list[str] = []


class Prometheus(Section, frozen=True):
    enabled: bool = False
    path: str = "/metrics"


class Debug(Section, frozen=True):
    addr: str = ""
    prometheus: Prometheus = Prometheus()


class Http2(Section, frozen=True):
    disabled: bool = True


class Http(Section, frozen=True):
    addr: str = ":5000"
    net: str = "tcp"
    prefix: str = ""
    host: str = ""
    secret: str = ""
    relativeurls: bool = True
    draintimeout: Seconds = Seconds(30)
    tls: Tls = Tls()
    debug: Debug = Debug()
    headers: dict[str, list[str] | str] = {}
    http2: Http2 = Http2()
    h2c: Enabled = Enabled()


class Ignore(Section, frozen=True):
    mediatypes: list[str] = []
    actions: list[str] = []


class Endpoint(Section, frozen=True):
    name: str
    url: str
    disabled: bool = False
    headers: dict[str, list[str] | str] = {}
    timeout: Seconds = Seconds(5)
    threshold: int = 3
    backoff: Seconds = Seconds(10)
    ignoredmediatypes: list[str] = []
    ignore: Ignore = Ignore()


class EventOptions(Section, frozen=True):
    includereferences: bool = False


class Notifications(Section, frozen=True):
    endpoints: list[Endpoint] = []
    events: EventOptions = EventOptions()


class StorageHealth(Section, frozen=True):
    enabled: bool = False
    interval: Seconds = Seconds(10)
    threshold: int = 3


class FileHealth(Section, frozen=True):
    file: str
    interval: Seconds = Seconds(10)


class HttpHealth(Section, frozen=True):
    uri: str
    headers: dict[str, list[str] | str] = {}
    statuscode: int = 200
    timeout: Seconds = Seconds(5)
    interval: Seconds = Seconds(10)
    threshold: int = 3


class TcpHealth(Section, frozen=True):
    addr: str
    timeout: Seconds = Seconds(5)
    interval: Seconds = Seconds(10)
    threshold: int = 3


class Health(Section, frozen=True):
    storagedriver: StorageHealth = StorageHealth()
    file: list[FileHealth] = []
    http: list[HttpHealth] = []
    tcp: list[TcpHealth] = []


class Upstream(Section, frozen=True):
    """Ours: one of many registries that are pulled through, below a path of its own."""

    name: str  # the first parts of the path, also what `ns` may name: docker.io
    remoteurl: str
    username: str = ""
    password: str = ""
    ttl: Seconds | None = None
    insecure: bool = False


class Proxy(Section, frozen=True):
    remoteurl: str = ""
    username: str = ""
    password: str = ""
    ttl: Seconds = Seconds(168 * 3600)  # after which what was not asked for is removed
    revalidate: Seconds = Seconds(60)  # ours: after which a tag is asked for again
    maxsize: Size = Size(0)  # ours: bytes that are kept; 0: no bound
    upstreams: list[Upstream] = []


class Urls(Section, frozen=True):
    allow: list[str] = []
    deny: list[str] = []


class PlatformItem(Section, frozen=True):
    architecture: str
    os: str


class Indexes(Section, frozen=True):
    platforms: str = "all"
    platformlist: list[PlatformItem] = []


class ManifestRules(Section, frozen=True):
    urls: Urls = Urls()
    indexes: Indexes = Indexes()


class Validation(Section, frozen=True):
    enabled: bool = True
    disabled: bool = False
    manifests: ManifestRules = ManifestRules()


class Catalog(Section, frozen=True):
    maxentries: int = 1000


class Tags(Section, frozen=True):
    maxtags: int = 0


class Keep(Section, frozen=True):
    """What a rule of retention keeps; each that is given keeps what it names."""

    newest: int | None = None
    younger: Seconds | None = None
    tags: list[str] = []


class RetentionRule(Section, frozen=True):
    repositories: list[str] = msgspec.field(default_factory=lambda: ["**"])
    tags: list[str] = msgspec.field(default_factory=lambda: ["*"])
    keep: Keep = Keep()


class Retention(Section, frozen=True):
    """Ours: tags that go by themselves."""

    interval: Seconds = Seconds(0)
    rules: list[RetentionRule] = []


class Config(Section, frozen=True):
    version: str | float
    log: Log = Log()
    loglevel: str = ""
    storage: Storage = Storage()
    auth: Auth = Auth()
    access: AccessSection = AccessSection()
    http: Http = Http()
    notifications: Notifications = Notifications()
    health: Health = Health()
    proxy: Proxy = Proxy()
    validation: Validation = Validation()
    catalog: Catalog = Catalog()
    tags: Tags = Tags()
    retention: Retention = Retention()


def convert(document: Any) -> Config:
    """Make values of a document; BadConfig with the path of what is wrong."""
    try:
        return msgspec.convert(document, Config, strict=False, dec_hook=_read)
    except msgspec.ValidationError as error:
        raise BadConfig(f"configuration: {_told(str(error))}") from error


def _read(kind: type, value: Any) -> Any:
    if kind is Seconds:
        return Seconds.read(value)
    if kind is Size:
        return Size.read(value)
    raise NotImplementedError(kind)


def _told(message: str) -> str:
    """Say what is wrong with its path as people write it: `http.tls.foo`."""
    what, _, path = message.partition(" - at `")
    where = path.rstrip("`").removeprefix("$").removeprefix(".")
    if unknown := re.fullmatch(r"Object contains unknown field `(.*)`", what):
        return f"unknown option {'.'.join(part for part in (where, unknown[1]) if part)}"
    if missing := re.fullmatch(r"Object missing required field `(.*)`", what):
        return f"{'.'.join(part for part in (where, missing[1]) if part)} is missing"
    return f"{where}: {what[:1].lower()}{what[1:]}"
