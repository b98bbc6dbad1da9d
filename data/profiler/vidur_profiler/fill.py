"""Rows between the measured ones of an attention table, by linear interpolation.

A regression forest is constant between the rows it learns from, and measuring a
two-dimensional grid finely enough for it takes hours of a GPU. Within the cells that the
measured points form, attention times are close to linear in either axis, so only as many
interpolated points are added as a forest needs. Such rows carry INTERPOLATED as their
kernel and have no spread.
"""

import itertools

from .refine import Family

INTERPOLATED = "interpolated"


class Surface:
    """Measured medians of one table, {point: ms}, and the cells they form."""

    def __init__(self, axes, measured):
        self.axes = axes
        self.measured = measured
        self.times = dict(measured)
        self._patch_base()
        self.cells = []
        intervals = [list(zip(axis.base, axis.base[1:])) for axis in axes]
        for box in itertools.product(*intervals):
            low, high = zip(*box)
            if all(corner in self.times for corner in itertools.product(*box)):
                self._split(low, high)

    def _patch_base(self):
        """A base point without a measurement lies between its neighbours on one axis."""
        for point in itertools.product(*(axis.base for axis in self.axes)):
            if point in self.times:
                continue
            line = sorted(p for p in self.measured if p[1:] == point[1:])
            below = [p for p in line if p < point]
            above = [p for p in line if p > point]
            if below and above:
                a, b = below[-1], above[0]
                share = (point[0] - a[0]) / (b[0] - a[0])
                self.times[point] = (1 - share) * self.times[a] + share * self.times[b]

    def _split(self, low, high):
        """Follows the cuts that were measured down to the smallest cells."""
        for axis in range(len(self.axes)):
            value = self.axes[axis].middle(low[axis], high[axis])
            if value is None:
                continue
            sides = [(low[i], high[i]) for i in range(len(low))]
            sides[axis] = (value,)
            if all(point in self.measured for point in itertools.product(*sides)):
                self._split(low, high[:axis] + (value,) + high[axis + 1:])
                self._split(low[:axis] + (value,) + low[axis + 1:], high)
                return
        self.cells.append((low, high))

    def covers(self, point):
        return self._cell(point) is not None

    def _cell(self, point):
        for low, high in self.cells:
            if all(a <= p <= b for a, p, b in zip(low, point, high)):
                return low, high
        return None

    def ms(self, point):
        """Measured, or interpolated from the corners of the cell around the point."""
        if point in self.measured:
            return self.measured[point]
        low, high = self._cell(point)
        total = 0.0
        for corner in itertools.product(*zip(low, high)):
            share = 1.0
            for a, b, c, p in zip(low, high, corner, point):
                share *= (p - a) / (b - a) if c == b else (b - p) / (b - a)
            total += share * self.times[corner]
        return total

    def held_out_errors(self):
        """Relative errors of interpolating points beyond the base, each without itself."""
        errors = []
        for point in self.measured:
            if all(p in axis.base for p, axis in zip(point, self.axes)):
                continue
            rest = {p: ms for p, ms in self.measured.items() if p != point}
            surface = Surface(self.axes, rest)
            if surface.covers(point):
                errors.append(abs(surface.ms(point) / self.measured[point] - 1.0))
        return sorted(errors)


def fill(surface, allowed, most_points, good_enough):
    """Points to add: {point: ms}, at most so many rows in all."""
    family = Family("fill", surface.axes, lambda p: allowed(p) and surface.covers(p),
                    lambda p: [surface.ms(p)], most_points)
    family.times = {point: [ms] for point, ms in surface.measured.items()}
    family.build_cells()
    while not family.full():
        best = family.dearest()
        if not best or best[0] <= good_enough:
            break
        family.refine(*best[1:])
    return {p: t[0] for p, t in family.times.items() if p not in surface.measured}


def between(times, at):
    """Linear interpolation in {number: ms}, constant beyond its ends."""
    below = max((x for x in times if x <= at), default=min(times))
    above = min((x for x in times if x >= at), default=max(times))
    if below >= above:
        return times[below]
    share = (at - below) / (above - below)
    return (1 - share) * times[below] + share * times[above]
