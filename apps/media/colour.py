"""How the Y'CbCr of a file relates to the RGB that the nets see.

Files that do not say use what players assume: BT.709 for HD, BT.601 for anything smaller.
"""

from dataclasses import dataclass, replace

import av
from av.video.reformatter import ColorPrimaries, Colorspace, ColorTrc

# AVColorSpace numbers (ITU-T H.273) to swscale's names for the matrices.
_UNSPECIFIED = 2
_MATRICES = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
    10: Colorspace.BT2020,
}
_H273 = {Colorspace.ITU709: 1, Colorspace.FCC: 4, Colorspace.ITU601: 6, Colorspace.SMPTE240M: 7, Colorspace.BT2020: 9}
_HDR_TRANSFERS = {int(ColorTrc.SMPTE2084), int(ColorTrc.ARIB_STD_B67)}


@dataclass(frozen=True)
class Colour:
    """Matrix, primaries and transfer of a video, as numbers of ITU-T H.273; always specified."""

    matrix: int
    primaries: int
    transfer: int

    @property
    def swscale_matrix(self) -> Colorspace:
        return _MATRICES.get(self.matrix, Colorspace.ITU709)

    @property
    def is_hdr(self) -> bool:
        return self.transfer in _HDR_TRANSFERS

    @classmethod
    def assumed(cls, width: int, height: int) -> "Colour":
        """What players take an untagged video of this size for."""
        if width >= 1280 or height > 576:
            return cls(_H273[Colorspace.ITU709], int(ColorPrimaries.BT709), int(ColorTrc.BT709))
        return cls(_H273[Colorspace.ITU601], int(ColorPrimaries.SMPTE170M), int(ColorTrc.SMPTE170M))

    @classmethod
    def of(cls, frame: "av.VideoFrame") -> "Colour":
        """The frame's own tags, the gaps filled by `assumed`."""
        colour = cls.assumed(frame.width, frame.height)
        if frame.colorspace in _MATRICES:
            colour = replace(colour, matrix=_H273[_MATRICES[frame.colorspace]])
        if frame.color_primaries not in (0, _UNSPECIFIED):
            colour = replace(colour, primaries=int(frame.color_primaries))
        if frame.color_trc not in (0, _UNSPECIFIED):
            colour = replace(colour, transfer=int(frame.color_trc))
        return colour


SDR = Colour(_H273[Colorspace.ITU709], int(ColorPrimaries.BT709), int(ColorTrc.BT709))  # of an ordinary screen
