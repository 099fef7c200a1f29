"""Read before any test imports torch."""

import os

# The nets in tests are small: torch's threads gain them nothing, and wait on each other where the cores are shared.
os.environ.setdefault("OMP_NUM_THREADS", "1")
