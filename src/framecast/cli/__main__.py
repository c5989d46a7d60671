"""`python -m framecast.cli` is `framecast`."""

import sys

from framecast.cli.main import main

sys.exit(main())
