#!/usr/bin/env python3
"""Prices: each with provider, term, date and source; data/README.md says which devices have none."""

import datetime
import glob
import os
import re
import sys
import unittest

try:
    import yaml
except ImportError:
    sys.exit(77)

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../data")


def files():
    for path in sorted(glob.glob(os.path.join(DATA, "prices", "*.yaml"))):
        with open(path, encoding="utf-8") as text:
            yield os.path.basename(path), yaml.safe_load(text)


def prices():
    for name, content in files():
        for price in content["prices"]:
            yield name, {**{k: v for k, v in content.items() if k != "prices"}, **price}


def devices():
    return {os.path.basename(path)[:-5]
            for path in glob.glob(os.path.join(DATA, "skus/devices/*.yaml"))}


def readme():
    with open(os.path.join(DATA, "README.md"), encoding="utf-8") as text:
        return text.read()


class Prices(unittest.TestCase):
    def test_each_has_provider_term_date_and_source(self):
        seen = set()
        for name, price in prices():
            self.assertEqual(price["provider"] + ".yaml", name)
            self.assertIn(price["sku"], devices(), name)
            self.assertIn(price["term"], ("on_demand", "spot", "reserved"), name)
            self.assertIsInstance(price["date"], datetime.date, name)
            self.assertGreater(price["usd_per_gpu_hour"], 0, name)
            for link in ("source", "read_in"):
                if link in price:
                    self.assertRegex(price[link], r"^https://[^ ]+$", name)
            self.assertIn("source", price, name)
            seen.add(price["sku"])
        self.assertGreater(len(seen), 15)

    def test_prices_of_instances_are_divided(self):
        divided = 0
        for name, price in prices():
            match = re.search(r"([\d.]+) for (\d+) GPUs", price.get("note", ""))
            if match:
                self.assertAlmostEqual(price["usd_per_gpu_hour"],
                                       float(match[1]) / int(match[2]), 9, (name, price))
                divided += 1
        self.assertGreater(divided, 10)

    def test_the_readme_lists_what_has_no_price(self):
        text = " ".join(readme().split())
        match = re.search(r"\*\*Unpriced\*\*: ([^.]*)\.", text)
        self.assertIsNotNone(match)
        listed = set(re.findall(r"[a-z0-9_]+", match[1].replace(" and ", " ")))
        self.assertEqual(listed, devices() - {price["sku"] for _, price in prices()})

    def test_the_readme_names_where_each_was_read(self):
        text = readme()
        places = {re.sub(r"^https://(raw\.)?github(usercontent)?\.com/", "", price["read_in"]).split("/")[0]
                  for _, price in prices() if "read_in" in price}
        for place in places:
            self.assertIn(place, text)


if __name__ == "__main__":
    unittest.main()
