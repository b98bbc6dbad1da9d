"""Chooses the next point of a grid: where interpolating costs the most.

A family is a box of one or two whole-number axes, cut into cells by a base grid. Each
cell knows the times at its corners. Its cost is what a piecewise constant regressor errs
by inside it (a quarter of the relative jump between opposite edges), plus how far the
last measured midpoint lay from the straight line, halved with every further cut. The
dearest cell of all families is cut at the middle of the axis with the larger jump.
"""

import itertools


class Axis:
    def __init__(self, base, step_of, geometric):
        self.base = base
        self.step_of = step_of
        self.geometric = geometric

    def middle(self, low, high):
        """A permitted value strictly between, or None."""
        if self.geometric and low > 0 and high > 1.5 * low:
            target = (low * high) ** 0.5
        else:
            target = (low + high) / 2
        step = self.step_of(target)
        value = int(round(target / step)) * step
        return value if low < value < high else None


def steps(*bounds):
    """step_of for an axis: ((limit, step), ..., (None, step))."""

    def step_of(value):
        for limit, step in bounds:
            if limit is None or value < limit:
                return step
        raise ValueError("the last bound must have no limit")

    return step_of


class Cell:
    def __init__(self, low, high, inherited):
        self.low = low
        self.high = high
        self.inherited = inherited
        self.best_cut = False  # not looked for yet; its corners never change

    def corners(self):
        return list(itertools.product(*zip(self.low, self.high)))


class Family:
    """One table to fill: `measure(point)` gives the times in ms of its operators.

    weight: how much an error here counts beside the same relative error elsewhere.
    """

    def __init__(self, name, axes, allowed, measure, most_points, weight=1.0):
        self.name = name
        self.axes = axes
        self.allowed = allowed
        self.measure = measure
        self.most_points = most_points
        self.weight = weight
        self.times = {}
        self.cells = []

    def base_points(self):
        for point in itertools.product(*(axis.base for axis in self.axes)):
            if self.allowed(point):
                yield point

    def at(self, point):
        if point not in self.times:
            self.times[point] = self.measure(point)
        return self.times[point]

    def build_cells(self):
        """After the base grid: the cells all of whose corners may be measured."""
        intervals = [list(zip(axis.base, axis.base[1:])) for axis in self.axes]
        for box in itertools.product(*intervals):
            cell = Cell(*zip(*box), inherited=0.0)
            if all(self.allowed(corner) for corner in cell.corners()):
                self.cells.append(cell)

    def _jump(self, cell, axis):
        """Largest relative difference between opposite corners along an axis."""
        worst = 0.0
        for low in cell.corners():
            if low[axis] != cell.low[axis]:
                continue
            high = low[:axis] + (cell.high[axis],) + low[axis + 1:]
            a, b = self.at(low), self.at(high)
            span = sum(abs(x - y) for x, y in zip(a, b))
            worst = max(worst, 2.0 * span / (sum(a) + sum(b)))
        return worst

    def cut(self, cell):
        """(cost, axis, value) of the best cut; None where the cell cannot be cut."""
        choices = []
        for axis in range(len(self.axes)):
            value = self.axes[axis].middle(cell.low[axis], cell.high[axis])
            if value is not None:
                jump = self._jump(cell, axis)
                cost = self.weight * (jump / 4 + cell.inherited)
                choices.append((cost, axis, value))
        return max(choices) if choices else None

    def full(self):
        return len(self.times) >= self.most_points

    def dearest(self):
        """(cost, cell, axis, value) or None."""
        best = None
        for cell in self.cells:
            if cell.best_cut is False:
                cell.best_cut = self.cut(cell)
            found = cell.best_cut
            if found and (best is None or found[0] > best[0]):
                best = (found[0], cell, found[1], found[2])
        return best

    def refine(self, cell, axis, value):
        """Measures the cut's new points and replaces the cell by its halves."""
        surprise = 0.0
        share = (value - cell.low[axis]) / (cell.high[axis] - cell.low[axis])
        for low in cell.corners():
            if low[axis] != cell.low[axis]:
                continue
            high = low[:axis] + (cell.high[axis],) + low[axis + 1:]
            middle = low[:axis] + (value,) + low[axis + 1:]
            a, b, got = self.at(low), self.at(high), self.at(middle)
            line = [x + share * (y - x) for x, y in zip(a, b)]
            off = sum(abs(x - y) for x, y in zip(line, got)) / sum(got)
            surprise = max(surprise, off)
        inherited = max(surprise, cell.inherited) / 2
        self.cells.remove(cell)
        self.cells += [
            Cell(cell.low, cell.high[:axis] + (value,) + cell.high[axis + 1:], inherited),
            Cell(cell.low[:axis] + (value,) + cell.low[axis + 1:], cell.high, inherited)]


def measure_base(families, proceed):
    """The base grids, family by family; proceed() raises when time is up."""
    for family in families:
        for point in family.base_points():
            proceed()
            family.at(point)
        family.build_cells()


def refine_all(families, proceed, good_enough):
    """Cuts the dearest cell of all families until all are good, full or time is up.

    Families take turns by cost, so that a second run over stored points repeats the
    same decisions and goes on where the first one stopped.
    """
    ranked = [family.dearest() for family in families]
    while True:
        choices = [
            (ranked[i][0], i) for i, family in enumerate(families)
            if ranked[i] and not family.full() and ranked[i][0] > good_enough
        ]
        if not choices:
            return
        _, i = max(choices)
        proceed()
        families[i].refine(*ranked[i][1:])
        ranked[i] = families[i].dearest()
