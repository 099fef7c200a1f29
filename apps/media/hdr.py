"""HDR brought into the range of an ordinary screen, because the nets, the backgrounds and 8 bits know no other.

Light comes from the file's code values by the inverse of PQ (SMPTE ST 2084) or HLG (ITU-R BT.2100), is brought from the
primaries of BT.2020 to those of BT.709, and rolls off above KNEE; paper white, 203 cd/m2 (ITU-R BT.2408), becomes 0.9.
"""

from functools import cache

import cv2
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorTrc

WHITE_NITS = 203.0
KNEE = 0.6  # light of 1; below it nothing changes
_HLG_PEAK_NITS, _HLG_GAMMA = 1000.0, 1.2
_SCREEN_GAMMA = 2.4  # ITU-R BT.1886
_CODES = 4096  # as finely as light is told apart
_LIGHTS = 8192
_BRIGHTEST = 10000 / WHITE_NITS
_TO_BT709 = np.array(
    [[1.660491, -0.587641, -0.072850], [-0.124550, 1.132900, -0.008349], [-0.018151, -0.100579, 1.118730]], np.float32
)  # ITU-R BT.2087
_LUMA = np.array([[0.2627, 0.6780, 0.0593]], np.float32)


def to_sdr(codes: np.ndarray, transfer: int, primaries: int) -> np.ndarray:
    """uint8 (H, W, 3) RGB for a BT.709 screen from uint16 (H, W, 3) code values; transfer, primaries: of ITU-T H.273."""
    light = _light_of_codes(transfer)[codes >> 4]
    if transfer == int(ColorTrc.ARIB_STD_B67):  # HLG tells light of the scene: the screen's depends on its brightness
        light *= np.power(cv2.transform(light, _LUMA), _HLG_GAMMA - 1)[..., None] * (_HLG_PEAK_NITS / WHITE_NITS)
    if primaries == int(ColorPrimaries.BT2020):
        light = cv2.transform(light, _TO_BT709)
    np.maximum(light, 0, out=light)
    brightest = np.minimum(cv2.max(cv2.max(light[..., 0], light[..., 1]), light[..., 2]), _BRIGHTEST)
    light *= _dimming()[(brightest * (_LIGHTS - 1) / _BRIGHTEST).astype(np.uint16)][..., None]
    return _codes_of_light()[np.rint(np.minimum(light, 1) * (_LIGHTS - 1)).astype(np.uint16)]


@cache
def _dimming() -> np.ndarray:
    """float32 (_LIGHTS,) by light up to _BRIGHTEST: from KNEE on it comes out ever less bright, at most 1, without a corner."""
    light = np.linspace(0, _BRIGHTEST, _LIGHTS)
    over = np.maximum(light, KNEE)
    return np.where(light > KNEE, (KNEE + (1 - KNEE) * np.tanh((over - KNEE) / (1 - KNEE))) / over, 1).astype(
        np.float32
    )


@cache
def _light_of_codes(transfer: int) -> np.ndarray:
    """float32 (_CODES,): PQ in units of paper white, HLG as light of the scene in [0, 1]."""
    code = np.linspace(0, 1, _CODES)
    if transfer == int(ColorTrc.ARIB_STD_B67):
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        return np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12).astype(np.float32)
    m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
    power = code ** (1 / m2)
    nits = 10000 * (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)
    return (nits / WHITE_NITS).astype(np.float32)


@cache
def _codes_of_light() -> np.ndarray:
    """uint8 (_LIGHTS,): what a BT.1886 screen is to be told."""
    return np.rint(255 * np.linspace(0, 1, _LIGHTS) ** (1 / _SCREEN_GAMMA)).astype(np.uint8)
