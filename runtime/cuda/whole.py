"""The right to touch the whole device: held by what waits for it, frees its memory or records a CUDA graph.

While one thread records, a wait for the whole device on another thread (freeing memory is one) fails and spoils the recording; and torch records
one graph at a time in a process. Whoever matters to others only for their own stream, as every frame does, needs no right.
"""

import threading

WHOLE_DEVICE = threading.RLock()
