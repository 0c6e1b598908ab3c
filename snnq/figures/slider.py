"""The staircase to play with: a slider and a menu, and a picture that follows them."""

from collections.abc import Iterable
from io import BytesIO

import ipywidgets as widgets
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imsave

from snnq.figures.quantizer import POINTS
from snnq.figures.style import HEIGHT, WIDTH
from snnq.quantization.sigmoid import SigmoidQuantizer

WEIGHTS = torch.linspace(-1, 1, POINTS)


class StaircaseSlider(widgets.VBox):
    """The staircase of a level set, from a menu, at a temperature, from a slider.

    As the slider moves, one line is drawn over a picture of all else: a tenth of the time that the
    whole figure takes.
    """

    def __init__(self, level_sets: Iterable[str]):
        self.levels = widgets.Dropdown(options=list(level_sets), description="level set")
        self.temperature = widgets.FloatLogSlider(
            value=3, min=0, max=3, step=0.02, description="temperature", readout_format=".3g"
        )
        self.picture = widgets.Image(format="png")
        figure = Figure((1.5 * WIDTH, 1.2 * HEIGHT), dpi=100, layout="constrained")
        self.canvas, self.axis = FigureCanvasAgg(figure), figure.subplots()
        self.levels.observe(self._draw, "value")
        self.temperature.observe(self._move, "value")
        self._draw()
        parts = [self.levels, self.temperature, self.picture]
        super().__init__(parts, layout={"align_items": "flex-start"})  # not as wide as the page

    def _draw(self, _=None) -> None:
        """All of the level set."""
        self.quantizer = SigmoidQuantizer(WEIGHTS, self.levels.value)
        hard = self.quantizer.eval()(WEIGHTS).detach()
        self.axis.clear()
        self.axis.plot(WEIGHTS, hard, "k:", lw=1, label="hard")
        (self.soft,) = self.axis.plot(WEIGHTS, hard, animated=True, label="soft")
        self.axis.set(xlabel="weight w", ylabel="quantized weight y")
        self.axis.legend(loc="upper left")
        self.canvas.draw()
        self.rest = self.canvas.copy_from_bbox(self.axis.figure.bbox)
        self._move()

    def _move(self, _=None) -> None:
        """The soft staircase to the temperature."""
        self.quantizer.temperature.fill_(self.temperature.value)
        self.soft.set_ydata(self.quantizer.soft(WEIGHTS).detach())
        self.canvas.restore_region(self.rest)
        self.axis.draw_artist(self.soft)
        content = BytesIO()
        imsave(content, self.canvas.buffer_rgba(), format="png")
        self.picture.value = content.getvalue()
