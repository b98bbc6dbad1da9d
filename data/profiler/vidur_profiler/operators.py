"""The operators on tokens: inputs, calls to time, and a float64 check of each.

Every class has `calls(tokens)`, a list of closures that do the same work, and
`error(tokens)`, the relative error of one call against float64. Weights, the embedding
table and the cache are rotated so that they come from memory, as in a model of many
layers; activations stay where the call before left them, as between two kernels.
"""

import math

import torch

try:
    from . import triton_kernels as tk
    import triton
except ImportError:  # no Triton, or no GPU for it: PyTorch's own kernels
    tk = None


class Context:
    """Device, data type and how much must be touched before a buffer is cold again."""

    def __init__(self, device, cold_bytes):
        self.device = device
        self.dtype = torch.bfloat16 if device == "cuda" else torch.float32
        self.cold_bytes = cold_bytes
        self.fused = device == "cuda" and tk is not None
        self.generator = torch.Generator(device=device)
        self.generator.manual_seed(1)
        self.noise = {}

    def randn(self, *shape, scale=1.0):
        values = torch.randn(*shape, device=self.device, generator=self.generator,
                             dtype=torch.float32)
        return (values * scale).to(self.dtype)

    def shared_noise(self, name, count):
        """`count` random numbers; a later, smaller request gets part of the same ones."""
        held = self.noise.get(name)
        if held is None or held.numel() < count:
            held = torch.empty(count, device=self.device, dtype=self.dtype)
            piece = self.randn(min(count, 1 << 26))
            for start in range(0, count, piece.numel()):
                stop = min(start + piece.numel(), count)
                held[start:stop] = piece[: stop - start]
            self.noise[name] = held
        return held[:count]

    def randint(self, high, count):
        return torch.randint(high, (count,), device=self.device, generator=self.generator)

    def copies(self, tensor, most=32):
        """The tensor and as many copies as it takes to flush it from the L2 cache."""
        size = tensor.numel() * tensor.element_size()
        count = min(max(math.ceil(self.cold_bytes / size), 1), most)
        return [tensor] + [tensor.clone() for _ in range(count - 1)]


def relative_error(out, reference):
    difference = (out.double() - reference).norm()
    return float(difference / reference.norm())


def pad(value):
    """The next power of two."""
    return 1 << max(value - 1, 0).bit_length()


class Gemm:
    """Tokens times weights, (tokens, inputs) x (inputs, outputs)."""

    def __init__(self, context, outputs, inputs):
        self.context = context
        weight = context.randn(outputs, inputs, scale=inputs ** -0.5)
        self.weights = context.copies(weight)
        self.inputs = inputs
        self.outputs = outputs

    def calls(self, tokens):
        x = self.context.randn(tokens, self.inputs)
        out = torch.empty(tokens, self.outputs, device=x.device, dtype=x.dtype)
        return [lambda w=w: torch.mm(x, w.t(), out=out) for w in self.weights]

    def error(self, tokens):
        x = self.context.randn(tokens, self.inputs)
        out = torch.mm(x, self.weights[0].t())
        return relative_error(out, x.double() @ self.weights[0].double().t())


class RmsNorm:
    EPS = 1e-5

    def __init__(self, context, width):
        self.context = context
        self.width = width
        self.weight = context.randn(width)

    def _call(self, x, out):
        if self.context.fused:
            tk.rms_norm[(x.shape[0],)](x, self.weight, out, self.width, self.EPS,
                                       BLOCK=pad(self.width), num_warps=8)
        else:
            scale = torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.EPS)
            torch.mul(x * scale, self.weight, out=out)

    def calls(self, tokens):
        x = self.context.randn(tokens, self.width)
        out = torch.empty_like(x)
        return [lambda: self._call(x, out)]

    def error(self, tokens):
        x = self.context.randn(tokens, self.width)
        out = torch.full_like(x, math.nan)
        self._call(x, out)
        wide = x.double()
        scale = torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.EPS)
        return relative_error(out, wide * scale * self.weight.double())


class Add:
    """The residual connection."""

    def __init__(self, context, width):
        self.context = context
        self.width = width

    def calls(self, tokens):
        x, y = self.context.randn(tokens, self.width), self.context.randn(tokens, self.width)
        out = torch.empty_like(x)
        return [lambda: torch.add(x, y, out=out)]

    def error(self, tokens):
        x, y = self.context.randn(tokens, self.width), self.context.randn(tokens, self.width)
        return relative_error(torch.add(x, y), x.double() + y.double())


class Activation:
    """SiLU of the gate times the up projection; plain GELU without a gate."""

    BLOCK = 1024

    def __init__(self, context, hidden, gated):
        self.context = context
        self.hidden = hidden
        self.gated = gated

    def _call(self, x, out):
        if not self.gated:
            out.copy_(torch.nn.functional.gelu(x))
        elif self.context.fused:
            grid = (x.shape[0], triton.cdiv(self.hidden, self.BLOCK))
            tk.silu_mul[grid](x, out, self.hidden, BLOCK=self.BLOCK)
        else:
            gate, up = x.split(self.hidden, dim=-1)
            torch.mul(torch.nn.functional.silu(gate), up, out=out)

    def _buffers(self, tokens):
        x = self.context.randn(tokens, (2 if self.gated else 1) * self.hidden)
        return x, torch.full((tokens, self.hidden), math.nan, device=x.device, dtype=x.dtype)

    def calls(self, tokens):
        x, out = self._buffers(tokens)
        if not self.gated:
            return [lambda: torch.nn.functional.gelu(x)]
        return [lambda: self._call(x, out)]

    def error(self, tokens):
        x, out = self._buffers(tokens)
        self._call(x, out)
        wide = x.double()
        if not self.gated:
            return relative_error(out, torch.nn.functional.gelu(wide))
        gate, up = wide.split(self.hidden, dim=-1)
        return relative_error(out, torch.nn.functional.silu(gate) * up)


class Embedding:
    def __init__(self, context, vocabulary, width):
        self.context = context
        self.table = context.randn(vocabulary, width)

    def calls(self, tokens):
        vocabulary, width = self.table.shape
        out = torch.empty(tokens, width, device=self.table.device, dtype=self.table.dtype)
        size = tokens * width * self.table.element_size()
        count = min(max(math.ceil(self.context.cold_bytes / size), 1), 16)
        ids = [self.context.randint(vocabulary, tokens) for _ in range(count)]
        return [lambda i=i: torch.index_select(self.table, 0, i, out=out) for i in ids]

    def error(self, tokens):
        ids = self.context.randint(self.table.shape[0], tokens)
        out = torch.index_select(self.table, 0, ids)
        return relative_error(out, self.table[ids].double())


class Rotary:
    """Rotary position embedding of queries and keys, in place in the fused QKV rows."""

    BASE = 10000.0

    def __init__(self, context, shard, positions=32768):
        self.context = context
        self.heads = shard.q_heads + shard.kv_heads
        self.head_dim = shard.head_dim
        self.row_width = (shard.q_heads + 2 * shard.kv_heads) * shard.head_dim
        half = self.head_dim // 2
        steps = torch.arange(half, device=context.device, dtype=torch.float64)
        frequency = self.BASE ** (-steps / half)
        at = torch.arange(positions, device=context.device, dtype=torch.float64)
        angle = at[:, None] * frequency[None, :]
        self.cosine, self.sine = angle.cos().float(), angle.sin().float()

    def _call(self, qkv, positions):
        half = self.head_dim // 2
        if self.context.fused:
            tk.rotary[(qkv.shape[0],)](
                qkv, positions, self.cosine, self.sine, self.row_width, self.heads,
                HEAD_DIM=self.head_dim, HALF=half, HALF_PAD=pad(half),
                HEADS_PAD=pad(self.heads))
            return
        rows = qkv[:, : self.heads * self.head_dim]
        rows.copy_(self._turned(rows, positions, self.cosine, self.sine))

    def _turned(self, rows, positions, cosine, sine):
        view = rows.reshape(rows.shape[0], self.heads, self.head_dim)
        first, second = view.chunk(2, dim=-1)
        c, s = cosine[positions][:, None, :], sine[positions][:, None, :]
        return torch.cat((first * c - second * s, second * c + first * s), -1).reshape(
            rows.shape)

    def _buffers(self, tokens):
        qkv = self.context.randn(tokens, self.row_width)
        return qkv, self.context.randint(self.cosine.shape[0], tokens)

    def calls(self, tokens):
        qkv, positions = self._buffers(tokens)
        return [lambda: self._call(qkv, positions)]

    def error(self, tokens):
        qkv, positions = self._buffers(tokens)
        rows = qkv[:, : self.heads * self.head_dim].double()
        reference = self._turned(rows, positions, self.cosine.double(), self.sine.double())
        untouched = qkv[:, self.heads * self.head_dim:].clone()
        self._call(qkv, positions)
        if not torch.equal(untouched, qkv[:, self.heads * self.head_dim:]):
            return math.inf
        return relative_error(qkv[:, : self.heads * self.head_dim], reference)


class KvSave:
    """Scatters the new keys and values of each token to its slot of the paged cache."""

    SLOTS = 1 << 18

    def __init__(self, context, shard):
        self.context = context
        self.entry = shard.kv_heads * shard.head_dim
        self.k_offset = shard.q_heads * shard.head_dim
        self.row_width = self.k_offset + 2 * self.entry
        slots = self.SLOTS if context.device == "cuda" else 4096
        self.caches = [torch.zeros(slots, self.entry, device=context.device,
                                   dtype=context.dtype) for _ in range(2)]

    def _call(self, qkv, slots):
        keys, values = self.caches
        if self.context.fused:
            tk.save_kv[(qkv.shape[0],)](qkv, keys, values, slots, self.row_width,
                                        self.k_offset, self.entry, BLOCK=pad(self.entry))
            return
        middle = self.k_offset + self.entry
        keys.index_copy_(0, slots, qkv[:, self.k_offset: middle])
        values.index_copy_(0, slots, qkv[:, middle:])

    def _slots(self, tokens):
        order = torch.randperm(self.caches[0].shape[0], device=self.context.device,
                               generator=self.context.generator)
        return order[:tokens].contiguous()

    def calls(self, tokens):
        qkv = self.context.randn(tokens, self.row_width)
        sets = [self._slots(tokens) for _ in range(8)]
        return [lambda s=s: self._call(qkv, s) for s in sets]

    def error(self, tokens):
        qkv, slots = self.context.randn(tokens, self.row_width), self._slots(tokens)
        for cache in self.caches:
            cache.zero_()
        self._call(qkv, slots)
        written = torch.cat([cache[slots] for cache in self.caches], dim=1)
        untouched = sum(float(c.double().abs().sum()) for c in self.caches)
        expected = qkv[:, self.k_offset:].double()
        if not math.isclose(untouched, float(expected.abs().sum()), rel_tol=1e-9):
            return math.inf
        return relative_error(written, expected)
