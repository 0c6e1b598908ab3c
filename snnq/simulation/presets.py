"""The camera of each benchmark, and how pictures are put before it."""

from dataclasses import dataclass, replace

from snnq.simulation.camera import Camera, legs

DIAMOND = ((0, 0), (4, 4), (8, 0), (4, -4))


@dataclass(frozen=True)
class Setting:
    """A camera, and how pictures are put before it.

    Attributes
    ----------
    camera : Camera
    size : (int, int)
        Width and height in pixels within which a picture is made as large as it fits.
    cropped : bool
        Whether a recording holds only what the picture always covers, from (0, 0) on.
    """

    camera: Camera
    size: tuple[int, int]
    cropped: bool = False


# The sensor of N-MNIST and N-Caltech101 on its moving mount, calibrated on real recordings and the
# pictures that they were made of (bench/camera.py). Their signs say that N-MNIST's digits were dark
# on a bright screen.
ATIS = Camera(
    path=(
        (0, 0, 0),
        (85_900, 2.70, 5.24),
        (114_300, 3.01, 5.28),
        (183_800, 5.38, 0.12),
        (210_300, 5.83, 0.40),
        (214_800, 5.83, 0.40),
        (297_900, 0, 0),
    ),
    offset=(-0.22, 1.33),
    negative=True,
    blur=0.46,
    floor=0.185,
    latency=3_000,
    threshold=0.25,
    mismatch=0.0,
    drift=0.054,
    leak=0.25,
)
DIGITS = Setting(Camera(), (28, 28))  # the embedded default
SETTINGS = {
    "nmnist": Setting(ATIS, (28, 28)),
    "cifar10dvs": Setting(
        Camera(128, 128, legs(80_000, *DIAMOND * 4, (0, 0)), (-4, 0), step=5_000, leak=0.3),
        (128, 128),
    ),
    "ncaltech101": Setting(
        # Without blur, since the pictures at hand are enlarged; the threshold at which
        # Faces_easy/image_0001 has as many events as the real recording.
        replace(ATIS, width=240, height=180, negative=False, blur=0.0, threshold=0.11),
        (240, 180),
        cropped=True,
    ),
    "dvsgesture": Setting(Camera(128, 128, step=10_000, floor=0.1, leak=0.3), (128, 128)),
}
