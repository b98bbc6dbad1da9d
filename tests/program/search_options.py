"""vidur-search without a configuration file, and its lists.

    search_options.py VIDUR-SEARCH SOURCE-FOLDER
"""

import os
import re
import subprocess
import sys
import unittest

import search_support
from search_support import Search

PROGRAM, SOURCE = sys.argv[1:3]
Search.program = PROGRAM

# Seconds, with a model with experts beside one without.
OPTIONS = ("--model", "gpt-oss-20b,llama-3.1-8b", "--gpus", "h100,h200", "--price",
           "h200=6", "--num-gpus", "2", "--tp", "1,2", "--ttft-p95", "1", "--tpot-p95",
           "0.05", "--trace", "t.csv")
FEWER = ("--set", "batch_sizes=[64]", "--set", "traces.0.num_requests=500")
TRACE = "num_prefill_tokens,num_decode_tokens\n" + "".join(
    f"{100 + 37 * i % 400},{10 + 13 * i % 90}\n" for i in range(50))

HUGGING_FACE = """{"architectures": ["LlamaForCausalLM"], "model_type": "llama",
 "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 8, "hidden_act": "silu",
 "num_attention_heads": 16, "num_key_value_heads": 8, "vocab_size": 32000,
 "max_position_embeddings": 8192, "tie_word_embeddings": false, "torch_dtype": "bfloat16"}
"""


PRICES = """\
provider: me
source: https://example.org
date: 2026-11-01
prices:
  - {sku: h100, usd_per_gpu_hour: 2}
  - {sku: h100, usd_per_gpu_hour: 1, term: spot}
"""


class Readme(unittest.TestCase):
    """Commands in README.md have the options that the programs have."""

    def test_options_are_there(self):
        with open(os.path.join(SOURCE, "README.md"), encoding="utf-8") as file:
            readme = file.read()
        checked = 0
        for name in ("vidur-search", "vidur-report", "vidur-simulate", "vidur-estimate"):
            program = os.path.join(os.path.dirname(PROGRAM), name)
            if not os.path.exists(program):
                continue
            text = subprocess.run([program, "--help"], capture_output=True, text=True, check=True).stdout
            known = set(re.findall(r"--[a-z0-9-]+", text))
            for command in re.findall(rf"\b{name} [^`\n]*", readme):
                options = re.findall(r"(?<= )--[a-z0-9-]+", command)
                self.assertLessEqual(set(options), known, command)
                checked += len(options)
        self.assertGreater(checked, 20)


class Prices(Search):
    """Prices change what candidates cost and how they rank, and nothing else."""

    def setUp(self):
        super().setUp()
        self.need_h5py()
        self.write(TRACE, "t.csv")
        self.write(PRICES, "mine.yaml")

    options = ("--model", "llama-3.1-8b", "--gpus", "h100,h200", "--num-gpus", "2", "--tp",
               "1,2", "--ttft-p95", "1", "--trace", "t.csv", "--set", "batch_sizes=[64]",
               "--set", "traces.0.num_requests=500", "--set", "search.confirm_top=0")

    def rows(self, *args, **kwargs):
        done = self.run_program(*self.options, *args, **kwargs)
        self.assertEqual(done.returncode, 0, done.stderr)
        ranking = search_support.read(self.path("results.h5"))["ranking"]
        os.remove(self.path("results.h5"))
        return list(zip(*(list(ranking[name]) for name in
                          ("device", "candidate_id", "max_qps", "usd_per_hour", "num_gpus"))))

    def test_a_device_without_a_price_is_searched_and_last(self):
        rows = self.rows("-q")
        devices = [device for device, *_ in rows]
        self.assertEqual(devices, [b"h100"] * 4 + [b"h200"] * 4)
        for device, _, qps, usd, gpus in rows:
            self.assertGreater(qps, 0)
            self.assertEqual(usd, 4.25 * gpus) if device == b"h100" else self.assertNotEqual(usd, usd)
        by_gpu = [qps / gpus for device, _, qps, _, gpus in rows if device == b"h200"]
        self.assertEqual(by_gpu, sorted(by_gpu, reverse=True))
        two = self.rows("-q", before=search_support.mpirun(2))
        self.assertEqual([row[:3] for row in two], [row[:3] for row in rows])

    def test_files_and_names(self):
        plain = {row[1]: row for row in self.rows("-q")}
        priced = self.rows("-q", "--prices", "mine.yaml", "--prices", "lambda", "--prices",
                           "nebius")
        for device, name, qps, usd, gpus in priced:
            self.assertEqual(qps, plain[name][2])
            self.assertEqual(usd, gpus * (2 if device == b"h100" else 4.5))
        won = self.rows("-q", "--prices", "mine.yaml", "--price", "h100=3")
        self.assertEqual({usd / gpus for device, _, _, usd, gpus in won if device == b"h100"},
                         {3})

    def test_beside_a_file(self):
        """The configuration's own list makes room, and its selector stays."""
        done = self.run_program(*self.options[:-6], "--print-config", "-")
        self.write(done.stdout.replace("num_gpus: 2}", "num_gpus: 2, price: {term: spot}}", 1)
                   + "prices: [nebius]\n", "c.yaml")
        done = self.run_program("c.yaml", *self.options[-6:], "-q")
        self.assertEqual(done.returncode, 1)
        self.assertIn("no price of h100 for spot", done.stderr)
        done = self.run_program("c.yaml", *self.options[-6:], "-q", "--prices",
                                self.path("mine.yaml"), "--prices", "runpod")
        self.assertEqual(done.returncode, 0, done.stderr)
        ranking = search_support.read(self.path("results.h5"))["ranking"]
        per_gpu = {(device, usd / gpus) for device, usd, gpus in
                   zip(ranking["device"], ranking["usd_per_hour"], ranking["num_gpus"])}
        self.assertEqual(per_gpu, {(b"h100", 1.0), (b"h200", 4.59)})

    def test_two_pools(self):
        """Input costs what the pool that prefills costs, output what the other does."""
        options = [option for option in self.options if option not in ("--trace", "t.csv")]
        done = self.run_program(*options, "--prompt-tokens", "300", "--output-tokens", "60",
                                "-q", "--set", "disaggregated={only: true}", "--set",
                                "tp_dimensions=[1]", "--price", "h200=4")
        self.assertEqual(done.returncode, 0, done.stderr)
        results = search_support.read(self.path("results.h5"))["ranking"]
        ok = [i for i, status in enumerate(results["status"]) if status == b"ok"]
        self.assertTrue(ok)
        usd = {b"h100": 4.25, b"h200": 4}
        for i in ok:
            cost_in = results["usd_per_million_input_tokens"][i] * 300
            cost_out = results["usd_per_million_output_tokens"][i] * 60
            usd_in = usd[results["device"][i]] * results["prefill_replicas"][i]
            usd_out = usd[results["decode_device"][i]] * results["decode_replicas"][i]
            self.assertAlmostEqual(cost_in / cost_out, usd_in / usd_out, delta=1e-6)
            self.assertAlmostEqual(cost_in + cost_out, results["usd_per_million_tokens"][i] * 360,
                                   delta=1e-6)
            self.assertTrue(0.15 * 700 < results["watts_per_gpu"][i] < 700)

    def test_what_is_told(self):
        done = self.run_program(*self.options, "--prices", "mine.yaml", "--api-price", "0.6,2.4")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("  API: $0.600 input, $2.40 output per million tokens: $", done.stdout)
        self.assertIn("price: h100 $2 per GPU-hour: me, on_demand, 2026-11-01, "
                      "https://example.org; prices move\n", done.stdout)
        self.assertRegex(done.stdout, r"  h200_dgx has no price: cheaper than the winner below "
                                      r"\$\d+\.\d\d per GPU-hour \(--price or --prices ")
        done = self.run_program(*self.options, "--api-price", "0.6")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("--api-price: '0.6' is not INPUT,OUTPUT", done.stderr)

    def test_bad_files(self):
        self.write(PRICES.replace("sku: h100", "sku: h1oo", 1), "bad.yaml")
        for name, words in (("bad.yaml", "bad.yaml:5: prices.0.sku: "),
                            ("none.yaml", "none.yaml"), ("lamda", "'lambda'")):
            done = self.run_program(*self.options, "--prices", name)
            self.assertEqual(done.returncode, 1)
            self.assertIn(words, done.stderr)

    def test_list(self):
        done = self.run_program("--list", "prices")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"(?m)^device +provider +term +USD/GPU/h +date +source$")
        self.assertRegex(done.stdout, r"(?m)^h100 +coreweave +spot +2\.46 +2026-09-20 +https://")


class Flags(Search):
    def setUp(self):
        super().setUp()
        self.write(TRACE, "t.csv")

    def refuse(self, *args):
        done = self.run_program(*args)
        self.assertEqual((done.returncode, done.stdout), (1, ""), done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertEqual(self.files(), ["t.csv"])
        return done.stderr

    def succeed(self, *args, **kwargs):
        done = self.run_program(*args, **kwargs)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def test_the_same_as_its_file(self):
        """Results of options are those of the configuration that they print, given as a
        file, wherever it lies; on two ranks, too."""
        self.need_h5py()
        done = self.succeed(*OPTIONS, *FEWER, "-o", "options.h5")
        text, _, ranking = done.stdout.partition("\n\n")
        self.assertIn("models:\n", text)
        self.assertIn("gpt-oss-20b, t: ", ranking)
        os.mkdir(self.path("sub"))
        self.succeed(*OPTIONS, *FEWER, "-o", "named.h5", "--print-config", "sub/c.yaml")
        with open(self.path("sub/c.yaml"), encoding="utf-8") as file:
            self.assertEqual(file.read().strip(), text)
        self.succeed("sub/c.yaml", *FEWER, "-o", "file.h5")
        self.succeed(*OPTIONS, *FEWER, "-o", "ranks.h5",
                     before=search_support.mpirun(2))
        wanted = search_support.read(self.path("file.h5"))
        self.assertTrue((wanted["ranking"]["status"] == b"ok").any())
        for name in ("options.h5", "named.h5", "ranks.h5"):
            found = search_support.read(self.path(name))
            self.assertEqual(search_support.differences(found, wanted), [], name)

    def test_print_and_end(self):
        done = self.succeed(*OPTIONS, "--print-config", "-")
        self.assertTrue(done.stdout.endswith("estimator: {source: roofline}\n"))
        self.assertEqual(self.files(), ["t.csv"])
        self.assertNotIn("target", done.stdout)
        done = self.succeed(*OPTIONS, "--qps", "20", "--print-config", "-")
        self.assertIn("target: {qps: 20}\n", done.stdout)

    def test_a_hugging_face_configuration(self):
        """By a relative path: results call it after its folder."""
        os.mkdir(self.path("mine"))
        self.write(HUGGING_FACE, "mine/config.json")
        limits = ("--gpus", "h100", "--ttft-p95", "1", "--trace", "t.csv")
        for model, folder in (("mine/config.json", self.folder),
                              ("config.json", self.path("mine"))):
            trace = limits[:-1] + (self.path("t.csv"),)
            done = subprocess.run([PROGRAM, "--model", model, *trace, "--print-config",
                                   "-"], cwd=folder, text=True, capture_output=True)
            path = os.path.join(os.path.realpath(folder), model)
            self.assertIn(f'{{name: "mine", identifier: "{path}"}}', done.stdout,
                          done.stderr)
        done = self.succeed("--model", "mine/config.json", *limits, *FEWER)
        self.assertIn("mine, t: ", done.stdout)

    def test_quiet_prints_nothing(self):
        done = self.succeed(*OPTIONS, *FEWER, "-q")
        self.assertEqual((done.stdout, done.stderr), ("", ""))
        self.assertEqual(self.files(), ["results.h5", "t.csv"])

    def test_fixed_lengths_and_a_load(self):
        done = self.succeed("--model", "llama-3.1-8b", "--gpus", "h100", "--ttft-p95", "1",
                            "--prompt", "200", "--output-tokens", "50", "--qps", "30",
                            *FEWER)
        self.assertIn("llama-3.1-8b, 200-in-50-out: ", done.stdout)

    def test_not_beside_a_file(self):
        for option in (("--model", "gpt-oss-20b"), ("--gpus", "h100"), ("--tp", "1"),
                       ("--qps", "50"), ("--print-config", "-"), ("--price", "h100=3")):
            text = self.refuse("a.yaml", *option)
            self.assertIn(f"{option[0]} makes a configuration, and a.yaml is one", text)
        self.assertIn("--target-qps", self.refuse("a.yaml", "--qps", "50"))

    def test_what_is_missing_is_named(self):
        self.assertIn("--gpus is missing", self.refuse("--model", "gpt-oss-20b"))
        self.assertIn("--model is missing", self.refuse("--gpus", "h100"))
        self.assertIn("--model and --gpus are missing", self.refuse("--tp", "1"))
        self.assertIn("--model and --gpus are missing", self.refuse("--print-config", "-"))
        self.assertIn("--gpus NAME", self.refuse())

    def test_errors_of_the_configuration_have_a_line(self):
        done = self.run_program(*OPTIONS, "--model", "gpt-oss-20b,openai/gpt-oss-20b")
        self.assertEqual(done.returncode, 1)
        self.assertIn("(options):", done.stderr)
        self.assertIn("'gpt-oss-20b' is taken by an earlier model", done.stderr)
        done = self.run_program(*OPTIONS, "--print-config", "/no/such/c.yaml")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("/no/such", done.stderr)


class Lists(Search):
    def names(self, kind):
        done = self.run_program("--list", kind)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        header, *lines = done.stdout.splitlines()
        names = [line.split()[0] for line in lines]
        self.assertEqual(names, sorted(names))
        self.assertEqual(header.split()[0], kind.rstrip("s"))
        return names

    def specs(self, folder, suffix=".yaml"):
        return sorted(name.removesuffix(suffix) for name in
                      os.listdir(os.path.join(SOURCE, "data", folder))
                      if name.endswith(suffix))

    def test_all_are_listed(self):
        self.assertEqual(self.names("models"), self.specs("models"))
        self.assertEqual(self.names("devices"), self.specs("skus/devices"))
        self.assertEqual(self.names("nodes"), self.specs("skus/nodes"))
        self.assertEqual(self.names("traces"), [f"data:traces/{name}.csv" for name in
                                                self.specs("traces", ".csv")])
        self.assertEqual(self.names("routers"), ["least_tokens", "lor", "polled",
                                                 "power_of_two", "prefix", "random",
                                                 "round_robin", "session", "session_lor"])
        self.assertIn("vllm_v1", self.names("schedulers"))
        formats = self.names("formats")
        self.assertEqual(len(formats), 11)
        self.assertTrue({"vidur", "azure", "mooncake", "access_log"} < set(formats))

    def test_unknown_kind(self):
        done = self.run_program("--list", "gpus")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("models, devices, nodes, prices, schedulers, routers, traces, formats",
                      done.stderr)

    def test_data_folder(self):
        os.makedirs(self.path("data/models"))
        with open(os.path.join(SOURCE, "data/models/qwen3-8b.yaml"), encoding="utf-8") as f:
            self.write(f.read(), "data/models/mine.yaml")
        done = self.run_program("--list", "models",
                                env={**os.environ, "VIDUR_DATA_DIR": self.path("data")})
        self.assertEqual([line.split()[0] for line in done.stdout.splitlines()],
                         ["model", "mine"])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
