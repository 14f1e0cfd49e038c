"""`python -m boxship.registry`."""

import sys

from boxship.registry.main import main

sys.exit(main())
