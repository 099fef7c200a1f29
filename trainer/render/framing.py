"""Where the camera goes. Pictures are square; image coordinates run from (0, 0) top left to (1, 1)."""

from dataclasses import dataclass

import numpy as np
from vmfm.trainer.render.kinematics import UP, rotation, unit, vec
from vmfm.trainer.render.scene import Shot

USUAL_HEIGHT = 1.75  # metres; extents of webcam pictures are given for somebody so tall
WANTED = 0.75  # share of the thing in use that should be in the picture
STEPS = 6  # that the camera takes for it
NEAREST = 0.3  # metres between the camera and what is in front


@dataclass(frozen=True)
class Subject:
    """What there is to see of the first person and the things in use."""

    top: np.ndarray  # (3,) of the head with its hair
    eyes: np.ndarray  # (3,)
    knees: float  # z
    floor: float  # z
    seated: bool
    low: np.ndarray  # (3,) corners of the box around person and things
    high: np.ndarray
    things: np.ndarray | None = None  # (N, 3) points on the thing in use that has to be seen
    hands: np.ndarray | None = None  # (N, 3)


@dataclass(frozen=True)
class Camera:
    position: np.ndarray  # (3,)
    axes: np.ndarray  # (3, 3) columns: right, up, back
    fov_deg: float

    def project(self, points: np.ndarray) -> np.ndarray:
        """(N, 3): x, y in the picture and the depth along the axis in metres; x, y mean nothing where depth <= 0."""
        local = (np.asarray(points).reshape(-1, 3) - self.position) @ self.axes
        depth = -local[:, 2]
        focal = 0.5 / np.tan(np.radians(self.fov_deg) / 2)
        safe = np.where(np.abs(depth) < 1e-6, 1e-6, depth)
        return np.stack([0.5 + focal * local[:, 0] / safe, 0.5 - focal * local[:, 1] / safe, depth], 1)

    def sees(self, points: np.ndarray, margin: float = 0.008) -> np.ndarray:
        """(N,) bool: in front of the camera and inside the picture."""
        image = self.project(points)
        inside = ((image[:, :2] > margin) & (image[:, :2] < 1 - margin)).all(1)
        return inside & (image[:, 2] > 0.05)


def vertical_span(shot: Shot, subject: Subject) -> tuple[float, float]:
    """(low, high) z that the picture spans at the subject."""
    top = float(subject.top[2])
    if shot.framing == "webcam":
        tall = USUAL_HEIGHT * 0.97 if subject.seated else top - subject.floor
        height = 0.71 * shot.extent * tall / USUAL_HEIGHT
        high = top + shot.headroom * height
        low = high - height
    elif shot.framing == "three_quarter":
        base = subject.knees - (0.1 if subject.seated else 0)
        height = (top - base) * shot.extent
        high = top + shot.headroom * height
        low = high - height * (1 + shot.headroom)
    else:
        bottom, peak = min(float(subject.low[2]), subject.floor), max(float(subject.high[2]), top)
        height = max((peak - bottom) * shot.extent, float(np.ptp([subject.low[0], subject.high[0]])) * 1.05)
        low, high = (bottom + peak - height) / 2, (bottom + peak + height) / 2
    if shot.framing != "full" and subject.things is not None:
        # The thing in use is to be in the picture: reach down for what is low, up for what is held high.
        middle = (subject.things[:, 2].min() + subject.things[:, 2].max()) / 2
        if middle < low + 0.06:
            low = middle - 0.08
        if subject.things[:, 2].max() > high:
            high = min(float(subject.things[:, 2].max()) + 0.05, high + 0.5)
    return low, high


def place_camera(shot: Shot, subject: Subject) -> Camera:
    """A camera that frames the subject as the shot says, and steps back or aside for a thing that would be cut off."""
    low, high = vertical_span(shot, subject)
    shift = shot.shift
    camera = _camera(shot, subject, low, high, shift)
    for _ in range(STEPS):
        if subject.things is None or camera.sees(subject.things, 0.02).mean() > WANTED:
            break
        x, y, _ = np.median(camera.project(subject.things), axis=0)
        low -= 0.08 * (high - low) * (y > 0.6)
        high += 0.08 * (high - low) * (y < 0.4)
        if abs(x - 0.5) > 0.3:
            shift = shift * 0.5 + 0.08 * np.sign(x - 0.5)
            low -= 0.03 * (high - low)
        camera = _camera(shot, subject, low, high, shift)
    return camera


def _camera(shot: Shot, subject: Subject, low: float, high: float, shift: float) -> Camera:
    height, middle, fov = high - low, (low + high) / 2, shot.fov_deg
    yaw = np.radians(shot.yaw_deg)
    towards, right = vec(np.sin(yaw), -np.cos(yaw), 0), vec(np.cos(yaw), np.sin(yaw), 0)
    center = vec(subject.eyes[0] * 0.5, subject.eyes[1] * 0.6, middle)
    distance = height / 2 / np.tan(np.radians(fov) / 2)
    ahead = [points for points in (subject.things, subject.hands) if points is not None]
    if ahead:
        nearest = float(((np.concatenate(ahead) - center) @ towards).max())
        if distance - nearest < NEAREST:
            distance = nearest + NEAREST
            fov = float(np.degrees(2 * np.arctan(height / 2 / distance)))
    position = center + towards * distance
    if shot.framing == "webcam":
        position[2] = subject.eyes[2] + shot.rise
    else:
        position[2] = middle + shot.rise * height / 1.7
    target = center + right * shift * height
    back = unit(position - target)
    side = unit(np.cross(UP, back))
    roll = rotation(back, shot.roll_deg)
    return Camera(position, roll @ np.stack([side, np.cross(back, side), back], 1), fov)
