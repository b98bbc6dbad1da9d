"""Attention over a KV cache: several kernels, each checked, the fastest one kept.

A case is (sequences, new tokens of each, cached tokens of each): a decode step is
(batch, 1, kv), a prefill chunk (1, chunk, kv). Every query sees the cache and, lower-right
causal, the new tokens up to itself. The cache is laid out [slot, KV head, lane]; the paged
kernel reaches it through tables of shuffled 16-token pages, the others read it in a row.
Windows of the cache are rotated, so keys and values come from memory.
"""

import math

import torch

from .operators import pad, relative_error, tk

PAGE = 16
TOLERANCE = 1e-2  # bf16 operands: the probabilities are rounded to 8 bits as well


class Cache:
    """One layer's keys and values for all cases, and windows into them."""

    def __init__(self, context, shard, slots):
        self.context = context
        self.shard = shard
        self.slots = slots // PAGE * PAGE
        shape = (self.slots, shard.kv_heads, shard.head_dim)
        size = math.prod(shape)
        self.keys = context.shared_noise("keys", size).view(shape)
        self.values = context.shared_noise("values", size).view(shape)

    def token_bytes(self):
        return 2 * self.keys[0].numel() * self.keys.element_size()

    def windows(self, tokens, most=64):
        """First slots of windows of `tokens`, enough of them to flush the L2 cache."""
        tokens = -(-tokens // PAGE) * PAGE
        wanted = max(math.ceil(self.context.cold_bytes / (tokens * self.token_bytes())), 1)
        count = max(min(wanted, self.slots // tokens, most), 1)
        return [i * tokens for i in range(count)]

    def rows(self, first, sequences, length):
        """Keys and values of a window as [sequence, head, token, lane] views."""
        stop = first + sequences * length
        return [
            t[first:stop].view(sequences, length, *t.shape[1:]).transpose(1, 2)
            for t in (self.keys, self.values)
        ]

    def tables(self, first, sequences, length):
        """Page tables of a window: [sequence, page], shuffled within the window."""
        pages = -(-length // PAGE)
        order = torch.randperm(sequences * pages, device=self.context.device,
                               generator=self.context.generator)
        return (order + first // PAGE).view(sequences, pages).to(torch.int32)


class Case:
    def __init__(self, cache, sequences, new, cached):
        self.cache = cache
        self.sequences = sequences
        self.new = new
        self.length = new + cached
        shard = cache.shard
        self.query = cache.context.randn(sequences, new, shard.q_heads, shard.head_dim)
        self.group = shard.q_heads // shard.kv_heads
        padded = -(-self.length // PAGE) * PAGE
        if sequences * padded > cache.slots:
            raise ValueError(f"{sequences} x {padded} tokens need a larger cache")
        self.firsts = cache.windows(sequences * padded)

    def reference(self, keys, values, dtype=torch.float64):
        """Plain attention over [sequence, head, token, lane] keys and values."""
        query = self.query.to(dtype).transpose(1, 2)
        keys = keys.to(dtype).repeat_interleave(self.group, dim=1)
        values = values.to(dtype).repeat_interleave(self.group, dim=1)
        score = query @ keys.transpose(2, 3) / math.sqrt(self.query.shape[-1])
        token = torch.arange(self.new, device=score.device)[:, None]
        key = torch.arange(self.length, device=score.device)[None, :]
        hidden = key > token + self.length - self.new
        weight = score.masked_fill(hidden, -math.inf).softmax(-1)
        return (weight @ values).transpose(1, 2)


class MathBackend:
    """Plain PyTorch, for the CPU path."""

    name = "torch_math"

    def suits(self, case):
        return case.cache.context.device == "cpu"

    def variants(self, case):
        def make(first):
            keys, values = case.cache.rows(first, case.sequences, case.length)
            return lambda: case.reference(keys, values, case.query.dtype)

        return [[make(first) for first in case.firsts]]

    def error(self, case):
        keys, values = case.cache.rows(0, case.sequences, case.length)
        return relative_error(self.variants(case)[0][0](), case.reference(keys, values))


class DenseBackend:
    """A call of PyTorch's, which _make gives, on rows of keys that lie side by side."""

    def variants(self, case):
        return [[self._make(case, first) for first in case.firsts]]

    def error(self, case):
        keys, values = case.cache.rows(0, case.sequences, case.length)
        out = self._make(case, 0)().transpose(1, 2)
        return relative_error(out, case.reference(keys, values))


class FlashBackend(DenseBackend):
    """PyTorch's FlashAttention-2, which masks lower-right and splits keys by itself."""

    name = "torch_flash_2"

    def suits(self, case):
        return case.cache.context.device == "cuda"

    def _call(self, query, keys, values, causal):
        return torch.ops.aten._scaled_dot_product_flash_attention(
            query, keys, values, 0.0, causal)[0]

    def _make(self, case, first):
        query = case.query.transpose(1, 2)
        keys, values = case.cache.rows(first, case.sequences, case.length)
        causal = case.new > 1
        return lambda: self._call(query, keys, values, causal)


class CudnnBackend(DenseBackend):
    """cuDNN's fused attention; a cached prefix is a second, unmasked call merged in."""

    name = "torch_cudnn"
    MIN_NEW = 64  # below, building its plans costs more time than they could win

    def suits(self, case):
        context = case.cache.context
        return context.device == "cuda" and context.fused and case.new >= self.MIN_NEW

    def _attend(self, query, keys, values, lse, causal):
        return torch.ops.aten._scaled_dot_product_cudnn_attention(
            query, keys, values, None, lse, 0.0, causal)

    def _make(self, case, first):
        query = case.query.transpose(1, 2)
        keys, values = case.cache.rows(first, case.sequences, case.length)
        cached = case.length - case.new
        if cached == 0:
            return lambda: self._attend(query, keys, values, False, True)[0]
        out = torch.empty_like(case.query)

        def call():
            old, old_lse = self._attend(query, keys[:, :, :cached], values[:, :, :cached],
                                        True, False)[:2]
            new, new_lse = self._attend(query, keys[:, :, cached:], values[:, :, cached:],
                                        True, True)[:2]
            self._merge(case, old, old_lse, new, new_lse, out)
            return out.transpose(1, 2)

        return call

    def _merge(self, case, old, old_lse, new, new_lse, out):
        old, new = (t.transpose(1, 2).contiguous() for t in (old, new))
        heads, lanes = out.shape[2:]
        tk.merge_two[(case.new,)](
            old, old_lse.contiguous(), new, new_lse.contiguous(), out, case.new,
            HQ=heads, HQ_PAD=pad(heads), HEAD_DIM=lanes, HEAD_PAD=pad(lanes), num_warps=4)


class PagedBackend:
    """Our Triton kernel over a paged cache, with keys split where tiles are few."""

    name = "triton_paged_split_kv"
    MOST_SPLITS = 64

    def __init__(self, processors):
        self.processors = processors

    def suits(self, case):
        return case.cache.context.fused

    def tiles(self, case):
        """(rows, keys, warps, stages) of a tile worth trying."""
        rows = case.new * case.group
        if rows <= 16:
            return [(16, 64, 2, 3), (16, 128, 4, 3)]
        if rows <= 64:
            return [(pad(rows), 64, 4, 3)]
        return [(64, 64, 4, 3)] if rows <= 512 else [(64, 64, 4, 3), (128, 64, 4, 3)]

    def splits(self, case, tile_rows, tile_keys):
        """Counts of key splits that give about one to eight waves of programs."""
        tiles = -(-case.new * case.group // tile_rows)
        programs = tiles * case.sequences * case.cache.shard.kv_heads
        most = min(max(case.length // tile_keys, 1), self.MOST_SPLITS)
        wanted = {1} if programs >= self.processors // 2 else set()
        for waves in (1, 2, 4, 8):
            wanted.add(min(max(waves * self.processors // programs, 1), most))
        return sorted(wanted)

    def variants(self, case):
        """One list of calls for each tile and split count."""
        tables = [case.cache.tables(f, case.sequences, case.length) for f in case.firsts]
        found = []
        for tile in self.tiles(case):
            for splits in self.splits(case, tile[0], tile[1]):
                buffers = self._buffers(case, splits)
                found.append([
                    lambda t=t, tile=tile, s=splits, b=buffers: self._call(case, t, tile, s, b)
                    for t in tables
                ])
        return found

    def _buffers(self, case, splits):
        out = torch.full_like(case.query, math.nan)
        if splits == 1:
            return out, out, out
        entries = case.query.numel() // case.query.shape[-1]
        parts = torch.empty(entries * splits, case.query.shape[-1], device=out.device)
        return out, parts, torch.empty(entries * splits, device=out.device)

    def _call(self, case, tables, tile, splits, buffers):
        rows, keys, warps, stages = tile
        out, parts, lse = buffers
        lanes = case.query.shape[-1]
        kv_heads = case.cache.shard.kv_heads
        grid = (-(-case.new * case.group // rows), case.sequences * kv_heads, splits)
        tk.paged_attention[grid](
            case.query, case.cache.keys, case.cache.values, tables, out, parts, lse,
            case.new, case.length, splits, tables.stride(0),
            math.log2(math.e) / math.sqrt(lanes), kv_heads, GROUP=case.group, HEAD_DIM=lanes,
            HEAD_PAD=pad(lanes), BLOCK_M=rows, BLOCK_N=keys, PAGE=PAGE, SPLIT=splits > 1,
            num_warps=warps, num_stages=stages)
        if splits > 1:
            entries = case.query.numel() // lanes
            tk.combine_splits[(entries,)](
                parts, lse, out, splits, HEAD_DIM=lanes, HEAD_PAD=pad(lanes),
                SPLITS_PAD=pad(splits), num_warps=4)
        return out

    def error(self, case):
        """The worst over tiles and split counts, one forced."""
        table = case.cache.tables(0, case.sequences, case.length)
        keys, values = self._gathered(case, table)
        reference = case.reference(keys, values)
        worst = 0.0
        for tile in self.tiles(case):
            for splits in {1, 3, *self.splits(case, tile[0], tile[1])}:
                out = self._call(case, table, tile, splits, self._buffers(case, splits))
                worst = max(worst, relative_error(out, reference))
        return worst

    def _gathered(self, case, table):
        lane = torch.arange(PAGE, device=table.device)
        slots = (table.long()[:, :, None] * PAGE + lane).flatten(1)[:, : case.length]
        return [t[slots].transpose(1, 2) for t in (case.cache.keys, case.cache.values)]


class Attention:
    """The checked backends of one shard."""

    CHECKS = ((3, 1, 77), (1, 1, 1000), (1, 40, 0), (1, 272, 0), (1, 272, 333), (2, 1, 15))
    HOPELESS = 1.4  # times the best estimate: not timed any closer
    LAUNCH_MS = 0.6  # an estimate below may be all launch: cuDNN in two parts takes 0.3 ms
    CPU_CHECKS = ((3, 1, 33), (1, 8, 0), (1, 8, 24))

    def __init__(self, context, shard, slots, processors):
        self.cache = Cache(context, shard, slots)
        if context.device == "cpu":
            self.backends = [MathBackend()]
        else:
            self.backends = [PagedBackend(processors), FlashBackend(), CudnnBackend()]
        self.errors = {}
        self.failures = {}
        self.backends = [b for b in self.backends if self._passes(b)]
        if not self.backends:
            raise RuntimeError(f"no attention kernel passed its check: {self.failures}")

    def _passes(self, backend):
        device = self.cache.context.device
        worst = 0.0
        tried = 0
        for shape in self.CPU_CHECKS if device == "cpu" else self.CHECKS:
            case = Case(self.cache, *shape)
            if not backend.suits(case):
                continue
            tried += 1
            try:
                error = backend.error(case)
            except Exception as problem:  # a kernel this PyTorch does not offer
                self.failures[backend.name] = f"{type(problem).__name__}: {problem}"[:300]
                return False
            worst = max(worst, error)
            if not error <= TOLERANCE:
                self.failures[backend.name] = f"relative error {error:.3g} at {shape}"
                return False
        self.errors[backend.name] = worst
        return tried > 0

    def _estimates(self, timer, backend, case, order):
        """(ms, order, calls, name) of each variant; none where the kernel refuses."""
        try:
            return [(timer.estimate_ms(calls), order + i, calls, backend.name)
                    for i, calls in enumerate(backend.variants(case))]
        except RuntimeError as problem:
            if "CUDA error" in str(problem):  # nothing on this device works after that
                raise
            self.failures[backend.name] = f"at {case.sequences} x {case.new} new of " \
                f"{case.length}: {problem}"[:300]
            return []

    def measure(self, timer, sequences, new, cached):
        """(stats, backend name) of the fastest kernel for the case."""
        case = Case(self.cache, sequences, new, cached)
        found = []
        for backend in self.backends:
            if backend.suits(case):
                found += self._estimates(timer, backend, case, len(found))
        best = min(one[0] for one in found)
        limit = max(self.HOPELESS * best, self.LAUNCH_MS)
        found = [one for one in found if one[0] <= limit]
        if len(found) > 1:
            found = [(timer.measure(calls, quick=True).median, order, calls, name)
                     for _, order, calls, name in found]
        _, _, calls, name = min(found, key=lambda one: one[:2])
        return timer.measure(calls), name
