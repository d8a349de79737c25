"""Makes the studies importable: they are shared with the script that writes the table."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
