"""What a page wants to see."""

from dataclasses import dataclass, field
from pathlib import Path

from vmfm.apps.studio.backdrops import TRANSPARENT
from vmfm.apps.studio.nets import Choice
from vmfm.apps.studio.views import VIEWS


@dataclass(frozen=True)
class Wish:
    """clip: None for none; camera: its frames instead of the clip's. background: as open_backdrop takes it.

    views, width: which pictures, and how many pixels wide. go_to: a time to go to, and steps: frames to go on or back,
    are done once.
    """

    clip: Path | None = None
    camera: bool = False
    playing: bool = False
    background: str = TRANSPARENT
    choice: Choice = field(default_factory=Choice)
    views: tuple[str, ...] = VIEWS
    width: int = 640
    go_to: float | None = None
    steps: int = 0
