#!/usr/bin/env python3
"""The profiler's grids: what is measured next, and rows between the measured ones."""

import os
import sys
import tempfile
import unittest

SOURCE = os.path.dirname(os.path.abspath(__file__)) + "/../../.."
sys.path.insert(0, os.path.join(SOURCE, "data", "profiler"))
sys.dont_write_bytecode = True

from vidur_profiler import fill, refine, spec  # noqa: E402

LINE = refine.Axis([0, 64, 256, 1024], refine.steps((None, 64)), False)
COUNT = refine.Axis([1, 8, 64], refine.steps((16, 1), (None, 8)), True)


def family(measure, most=1000, axes=(LINE,), allowed=lambda point: True):
    made = refine.Family("f", list(axes), allowed, measure, most)
    refine.measure_base([made], lambda: None)
    return made


class Axes(unittest.TestCase):
    def test_middle_is_permitted_and_inside(self):
        self.assertEqual(LINE.middle(256, 1024), 640)
        self.assertEqual(COUNT.middle(1, 8), 3)
        self.assertEqual(COUNT.middle(16, 64), 32)

    def test_no_middle_in_the_smallest_interval(self):
        self.assertIsNone(LINE.middle(64, 128))
        self.assertIsNone(COUNT.middle(7, 8))


class Refining(unittest.TestCase):
    def test_flat_times_need_nothing_more(self):
        made = family(lambda point: [5.0])
        refine.refine_all([made], lambda: None, 0.01)
        self.assertEqual(sorted(made.times), [(0,), (64,), (256,), (1024,)])

    def test_a_step_is_closed_in_on(self):
        made = family(lambda point: [1.0 if point[0] < 700 else 2.0])
        refine.refine_all([made], lambda: None, 0.05)
        self.assertIn((640,), made.times)
        self.assertIn((704,), made.times)
        self.assertNotIn((128,), made.times)

    def test_the_steepest_family_goes_first(self):
        order = []

        def measured(name, value):
            def measure(point):
                order.append(name)
                return [value(point[0])]

            return measure

        flat = family(measured("flat", lambda x: 100.0 + 0.01 * x))
        steep = family(measured("steep", lambda x: 1.0 + x))
        del order[:]
        refine.refine_all([flat, steep], lambda: None, 0.02)
        self.assertEqual(order[0], "steep")

    def test_most_points_is_kept(self):
        made = family(lambda point: [1.0 + point[0] * point[1]], 40, (COUNT, LINE))
        refine.refine_all([made], lambda: None, 1e-6)
        self.assertLessEqual(len(made.times), 42)

    def test_stored_points_lead_the_same_way(self):
        seen = {}

        def measure(point):
            return [seen.setdefault(point, 1.0 + point[0] ** 1.5)]

        first = family(measure, 12)
        refine.refine_all([first], lambda: None, 1e-6)
        again = family(measure, 12)
        refine.refine_all([again], lambda: None, 1e-6)
        self.assertEqual(list(first.times), list(again.times))

    def test_cells_outside_the_domain_are_left_out(self):
        made = family(lambda point: [1.0 + sum(point)], 500, (COUNT, LINE),
                      lambda point: point[0] * point[1] <= 8 * 1024)
        refine.refine_all([made], lambda: None, 0.001)
        self.assertTrue(all(p[0] * p[1] <= 8 * 1024 for p in made.times))

    def test_no_time_left_stops_at_once(self):
        class Stop(Exception):
            pass

        def stop():
            raise Stop

        with self.assertRaises(Stop):
            refine.refine_all([family(lambda point: [1.0 + point[0]])], stop, 0.001)


def grid(function, axes=(COUNT, LINE)):
    points = [(x, y) for x in axes[0].base for y in axes[1].base]
    return {point: function(*point) for point in points}


class Filling(unittest.TestCase):
    def test_bilinear_functions_are_exact(self):
        def function(x, y):
            return 2.0 + 3.0 * x + 0.5 * y + 0.25 * x * y

        surface = fill.Surface([COUNT, LINE], grid(function))
        for point in ((3, 0), (8, 100), (40, 777), (64, 1024)):
            self.assertAlmostEqual(surface.ms(point), function(*point), places=9)

    def test_measured_points_stay_and_cut_their_cell(self):
        measured = grid(lambda x, y: 1.0)
        measured[(8, 640)] = measured[(64, 640)] = 9.0
        surface = fill.Surface([COUNT, LINE], measured)
        self.assertEqual(surface.ms((8, 640)), 9.0)
        self.assertEqual(surface.ms((16, 640)), 9.0)
        self.assertAlmostEqual(surface.ms((16, 448)), 5.0)
        self.assertEqual(surface.ms((3, 640)), 1.0)

    def test_a_hole_in_the_base_grid_is_bridged(self):
        measured = grid(lambda x, y: float(x + y))
        del measured[(8, 256)]
        surface = fill.Surface([COUNT, LINE], measured)
        self.assertAlmostEqual(surface.ms((8, 256)), 8.0 + 256.0)

    def test_added_rows_are_new_and_few_enough(self):
        measured = grid(lambda x, y: 1.0 + x * y)
        surface = fill.Surface([COUNT, LINE], measured)
        added = fill.fill(surface, lambda point: True, 60, 0.001)
        self.assertFalse(set(added) & set(measured))
        self.assertLessEqual(len(added) + len(measured), 62)
        self.assertGreater(len(added), 20)

    def test_held_out_errors_see_a_bump(self):
        measured = grid(lambda x, y: 1.0)
        measured[(8, 640)] = measured[(64, 640)] = 2.0
        surface = fill.Surface([COUNT, LINE], measured)
        self.assertEqual(surface.held_out_errors(), [0.5, 0.5])

    def test_between_is_linear_and_flat_outside(self):
        times = {1: 1.0, 3: 2.0, 9: 5.0}
        self.assertEqual([fill.between(times, x) for x in (0, 1, 2, 6, 99)],
                         [1.0, 1.0, 1.5, 3.5, 5.0])


class Specs(unittest.TestCase):
    def test_every_model_of_data_is_read_or_refused(self):
        read = 0
        for file in sorted(os.listdir(os.path.join(SOURCE, "data", "models"))):
            try:
                model = spec.Model(os.path.join(SOURCE, "data", "models", file))
            except spec.SpecError as error:
                self.assertIn("the profiler measures", str(error))
                continue
            read += 1
            self.assertEqual(file[:-5], model.name.split("/")[-1].lower())
            self.assertIsNone(model.refusal(1))
        self.assertGreaterEqual(read, 15)

    def test_shapes_of_a_shard(self):
        shard = spec.Shard(spec.find_model("meta-llama/Meta-Llama-3-70B"), 4)
        self.assertEqual(shard.gemms(), {
            "attn_pre_proj": (2560, 8192), "attn_post_proj": (8192, 2048),
            "mlp_up_proj": (14336, 8192), "mlp_down_proj": (8192, 7168)})

    def test_more_gpus_than_kv_heads_replicate_them(self):
        shard = spec.Shard(spec.find_model("Qwen/Qwen-2-7B"), 7)
        self.assertEqual((shard.q_heads, shard.kv_heads), (4, 1))

    def test_impossible_degrees_are_refused(self):
        self.assertIn("28", spec.find_model("Qwen/Qwen-2-7B").refusal(8))
        self.assertIn("at most 1", spec.find_model("microsoft/phi-2").refusal(2))

    def test_bad_specs_say_what_is_wrong(self):
        with self.assertRaisesRegex(spec.SpecError, "nowhere.yaml"):
            spec.find_model("nowhere.yaml")
        for text, wrong in (("name: x\n", "num_layers"), ("name x\n", ":1: not a")):
            with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
                file.write(text)
                file.flush()
                with self.assertRaisesRegex(spec.SpecError, wrong):
                    spec.Model(file.name)

    def test_peaks_of_a_device(self):
        self.assertEqual(spec.find_peaks("h100"), (1000, 3350))
        self.assertIsNone(spec.find_peaks("abacus"))


if __name__ == "__main__":
    unittest.main()
