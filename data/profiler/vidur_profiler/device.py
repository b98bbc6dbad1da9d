"""What the measurements were made on: names, versions, clocks and heat."""

import datetime
import platform
import statistics
import subprocess

import torch

QUERY = ("clocks.sm", "clocks.mem", "temperature.gpu", "power.draw")
FIXED = {"driver_version": "driver", "memory.total": "memory_total_mib",
         "power.limit": "power_limit_watts", "clocks.max.sm": "clocks_max_sm_mhz"}


def _nvidia_smi(fields):
    """Values of the first GPU as text, or None where the tool does not answer."""
    try:
        out = subprocess.run(
            ["nvidia-smi", "--query-gpu=" + ",".join(fields), "--format=csv,noheader,nounits",
             "--id=0"], capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    return [value.strip() for value in out.strip().split(",")]


class Monitor:
    """Samples clocks, temperature and power now and then while the GPU works."""

    def __init__(self, device):
        self.device = device
        self.samples = {field: [] for field in QUERY}

    def sample(self):
        values = _nvidia_smi(QUERY) if self.device == "cuda" else None
        for field, value in zip(QUERY, values or []):
            try:
                self.samples[field].append(float(value))
            except ValueError:
                pass

    def summary(self):
        found = {}
        units = dict(zip(QUERY, ("mhz", "mhz", "celsius", "watts")))
        for field, values in self.samples.items():
            if values:
                name = field.replace(".", "_") + "_" + units[field]
                found[name + "_min"] = min(values)
                found[name + "_median"] = statistics.median(values)
                found[name + "_max"] = max(values)
        return found


def processors(device):
    return torch.cuda.get_device_properties(0).multi_processor_count if device == "cuda" else 1


def provenance(device):
    """Ordered facts for the YAML beside the CSVs."""
    facts = {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d"),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    if device != "cuda":
        facts["device"] = "cpu: a toy run for tests, not a profile of anything"
        return facts
    properties = torch.cuda.get_device_properties(0)
    facts["gpu"] = properties.name
    facts["multiprocessors"] = properties.multi_processor_count
    facts["l2_cache_mib"] = getattr(properties, "L2_cache_size", 0) >> 20
    facts["memory_seen_by_programs_gib"] = round(properties.total_memory / 2 ** 30, 2)
    facts["cuda"] = str(torch.version.cuda)
    facts["cudnn"] = str(torch.backends.cudnn.version())
    for name, value in zip(FIXED.values(), _nvidia_smi(tuple(FIXED)) or []):
        facts[name] = value
    try:
        import triton
        facts["triton"] = triton.__version__
    except ImportError:
        facts["triton"] = "absent"
    return facts
