"""What the wrapper executes: `python -I -S launch.py ARGUMENTS`.

With -S Python looks at no site folder, which saves a third of its start; so this says where the
package is. The process leaves by os._exit: there is nothing to tear down that the kernel does not.
"""

import sys

SOURCE = __file__.rpartition("/boxship/cli/")[0]


def run() -> None:
    # An interpreter that was started in a C locale reads arguments as ASCII; they are UTF-8 to us.
    sys.path.insert(0, SOURCE)
    import os

    from boxship.cli.main import main

    os._exit(main())


if __name__ == "__main__":
    run()
