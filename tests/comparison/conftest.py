"""The folder that tests write results to."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
