"""Whether measured times can be true: no kernel above the peaks of its device, and how
often a longer job took less time."""

from .spec import find_peaks
from .store import median

BYTES = 2  # of a bfloat16
NOISE = 0.07


def _gemm_shares(plan, tflops):
    for outputs, inputs in set(plan.shard.gemms().values()):
        for (tokens,) in plan.log.tails(f"gemm {outputs} {inputs}"):
            ms = median(plan.log.points[f"gemm {outputs} {inputs} {tokens}"])
            yield 2.0 * outputs * inputs * tokens / (ms * 1e9 * tflops)


def _attention_times(plan):
    """(batch, chunk, kv, ms) of the measured rows."""
    for _, batch, chunk, kv, records in plan.measured_rows():
        yield batch, chunk, kv, median(records["attn_prefill" if chunk else "attn_decode"])


def _attention_shares(plan, tflops, gb_per_s):
    """(share of the FLOP/s of prefills, share of the bandwidth of decodes)."""
    shard = plan.shard
    flops, bandwidth = [0.0], [0.0]
    for batch, chunk, kv, ms in _attention_times(plan):
        if chunk:
            pairs = chunk * kv + chunk * (chunk + 1) / 2
            flops.append(4.0 * shard.q_heads * shard.head_dim * pairs / (ms * 1e9 * tflops))
        else:
            moved = 2 * BYTES * batch * (kv + 1) * shard.kv_heads * shard.head_dim
            bandwidth.append(moved / (ms * 1e6 * gb_per_s))
    return max(flops), max(bandwidth)


def _drops(plan):
    """(neighbours where the longer context took clearly less time, neighbours)."""
    lines = {}
    for batch, chunk, kv, ms in _attention_times(plan):
        lines.setdefault((batch, chunk), []).append((kv, ms))
    drops = pairs = 0
    for line in lines.values():
        line.sort()
        pairs += len(line) - 1
        drops += sum(b[1] < (1 - NOISE) * a[1] for a, b in zip(line, line[1:]))
    return drops, pairs


def check(plans, device_name):
    """Facts for the provenance; shares above 1 cannot be true."""
    drops = [_drops(plan) for plan in plans]
    facts = {"attention_longer_took_less": sum(d for d, _ in drops),
             "attention_neighbours": sum(n for _, n in drops)}
    peaks = find_peaks(device_name)
    if not peaks:
        return facts
    attention = [_attention_shares(plan, *peaks) for plan in plans]
    facts["gemm_largest_share_of_peak"] = round(
        max((s for plan in plans for s in _gemm_shares(plan, peaks[0])), default=0.0), 3)
    facts["prefill_largest_share_of_peak"] = round(max(a for a, _ in attention), 3)
    facts["decode_largest_share_of_bandwidth"] = round(max(b for _, b in attention), 3)
    return facts
