"""What the studio's threads tell a page: events as dicts with a "type", packed pictures as bytes, None at their end."""

from collections.abc import Callable
from typing import Any

Message = dict[str, Any] | bytes | None
Emit = Callable[[Message], None]
