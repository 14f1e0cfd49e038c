"""What the wrapper executes: `python -I -S launch.py ARGUMENTS`.

With -S Python looks at no site folder, which saves a third of its start; so this says where the
package is. The modules that short commands need come from one file, see `bundle`; others are
imported as ever. The process leaves by os._exit: there is nothing to tear down that the kernel does
not.
"""

import sys

SOURCE = __file__.rpartition("/boxship/cli/")[0]
CACHE = f"{SOURCE}/boxship/cli/__pycache__/bundle.{sys.implementation.cache_tag}"


def run() -> None:
    import gc
    from posix import _exit

    gc.disable()  # a command lives shorter than a collection would pay for
    sys.path.insert(0, SOURCE)
    bundle = use_bundle()
    from boxship.cli.main import main

    status = main()
    if bundle.is_stale:
        renew()
    _exit(status)


def use_bundle() -> "Bundle":
    """Let modules come from the bundle, as far as there is one that fits the sources."""
    import marshal

    modules = {}
    try:
        with open(CACHE, "rb") as file:
            modules = marshal.loads(file.read())
    except (OSError, ValueError, EOFError, TypeError):
        pass
    bundle = Bundle(modules)
    sys.meta_path.insert(0, bundle)
    return bundle


def renew() -> None:
    """Make the bundle anew, where we may: what has been printed is out, nobody waits for this."""
    from posix import W_OK, access

    if access(CACHE.rpartition("/")[0], W_OK):
        from boxship.cli.bundle import build

        try:
            build()
        except (OSError, SyntaxError):
            pass  # the next command is as slow as this one


class Bundle:
    """Finds and loads modules of one file; each only while its source is the one compiled."""

    def __init__(self, modules: dict) -> None:  # type: ignore[type-arg]
        self.modules = modules
        self.is_stale = not modules

    def find_spec(self, name, path=None, target=None):  # type: ignore[no-untyped-def]
        found = self.modules.get(name)
        if found is None:
            return None
        from posix import stat

        source, changed, size, is_package, _ = found
        try:
            status = stat(source)
            if status.st_mtime_ns != changed or status.st_size != size:
                raise OSError
        except OSError:
            self.is_stale = True
            return None
        spec = SPEC(name, self, origin=source, is_package=is_package)  # type: ignore[arg-type]
        spec.has_location = True
        if is_package:
            spec.submodule_search_locations = [source.rpartition("/")[0]]
        return spec

    def create_module(self, spec):  # type: ignore[no-untyped-def]
        return None

    def exec_module(self, module):  # type: ignore[no-untyped-def]
        import marshal

        exec(marshal.loads(self.modules[module.__name__][4]), module.__dict__)


SPEC = type(sys.__spec__)

if __name__ == "__main__":
    run()
