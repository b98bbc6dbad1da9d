"""The grids of one model and tensor-parallel degree, and how their points are measured."""

from . import operators as ops
from .attention import Attention
from .fill import INTERPOLATED, Surface, between, fill
from .refine import Axis, Family, steps
from .spec import Shard
from .store import median
from .timing import Stats


class Limits:
    """Extents of the grids and how many rows each table may get per degree."""

    def __init__(self, max_tokens, max_chunk, max_kv, max_batch, max_cache_tokens, rows):
        self.max_tokens = max_tokens
        self.max_chunk = max_chunk
        self.max_kv = max_kv
        self.max_batch = max_batch
        self.max_cache_tokens = max_cache_tokens
        self.rows = rows  # {"mlp", "prefill", "decode"}


def _upto(values, most):
    """The values below `most`, and `most`."""
    return [v for v in values if v < most] + [most]


def token_axis(most):
    base = _upto([1, 8, 16, 32, 64, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072,
                  4096, 6144, 8192, 12288], most)
    return Axis(base, steps((4, 1), (8, 4), (1024, 8), (4096, 32), (None, 128)), True)


def chunk_axis(most):
    base = _upto([8, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192], most)
    return Axis(base, steps((64, 8), (512, 16), (2048, 64), (None, 256)), True)


def cached_axis(most):
    base = _upto([0, 256, 1024, 2048, 4096, 8192], most)
    return Axis(base, steps((None, 64)), False)


def context_axis(most):
    base = _upto([0, 64, 256, 1024, 2048, 4096, 8192], most)
    return Axis(base, steps((None, 64)), True)


def batch_axis(most):
    base = _upto([1, 2, 4, 8, 16, 32, 64, 128, 256], most)
    return Axis(base, steps((32, 1), (128, 4), (None, 16)), True)


def heads_of(shard):
    return f"{shard.q_heads} {shard.kv_heads} {shard.head_dim}"


def _interpolated(ms):
    return {"stats": Stats([ms]).as_list(), "kernel": INTERPOLATED}


class Plan:
    """Three families of points. Operators are made on first use."""

    MLP_WEIGHT = 3.0  # these operators are most of nearly every step
    FILL_ENOUGH = 0.01  # expected error of a forest between rows: no row added below
    TOLERANCE = 6e-3  # of a bf16 result against float64

    def __init__(self, model, tp, context, timer, log, limits, processors):
        self.model = model
        self.shard = Shard(model, tp)
        self.context = context
        self.timer = timer
        self.log = log
        self.limits = limits
        self.processors = processors
        self.made = {}
        tag = f"{model.name} tp{tp} "
        self.mlp = Family(tag + "mlp", [token_axis(limits.max_tokens)], lambda point: True,
                          self._mlp_times, limits.rows["mlp"], weight=self.MLP_WEIGHT)
        self.prefill = Family(
            tag + "prefill", [chunk_axis(limits.max_chunk), cached_axis(limits.max_kv)],
            lambda point: True, self._prefill_times,
            limits.rows["prefill"])
        self.decode = Family(
            tag + "decode", [batch_axis(limits.max_batch), context_axis(limits.max_kv)],
            lambda point: point[0] * (point[1] + 16) <= limits.max_cache_tokens,
            self._decode_times, limits.rows["decode"])
        self.families = [self.mlp, self.prefill, self.decode]

    def _operator(self, key, make):
        """The operator of a key, made and checked against float64 once."""
        if key not in self.made:
            made = make()
            error = max(made.error(tokens) for tokens in (1, 40))
            if not error <= self.TOLERANCE:
                raise RuntimeError(f"{key}: relative error {error:.3g} against float64")
            self.log.note_largest("error of " + key.split()[0], error)
            self.made[key] = made
        return self.made[key]

    def _token_record(self, key, tokens, make):
        def measure():
            operator = self._operator(key, make)
            return self.timer.measure(operator.calls(tokens)), type(operator).__name__

        return self.log.get(f"{key} {tokens}", measure)

    def _token_operators(self):
        """{column of mlp.csv: (key in the log, how to make the operator)}."""
        shard, context = self.shard, self.context
        made = {
            "emb": (f"emb {shard.vocabulary} {shard.width}",
                    lambda: ops.Embedding(context, shard.vocabulary, shard.width)),
            "input_layernorm": (f"norm {shard.width}",
                                lambda: ops.RmsNorm(context, shard.width)),
            "attn_rope": (f"rope {heads_of(shard)}", lambda: ops.Rotary(context, shard)),
            "mlp_act": (f"act {shard.hidden} {int(shard.gated)}",
                        lambda: ops.Activation(context, shard.hidden, shard.gated)),
            "add": (f"add {shard.width}", lambda: ops.Add(context, shard.width)),
        }
        if self.model.post_attn_norm:
            made["post_attention_layernorm"] = made["input_layernorm"]
        for name, (outputs, inputs) in shard.gemms().items():
            made[name] = (f"gemm {outputs} {inputs}",
                          lambda o=outputs, i=inputs: ops.Gemm(context, o, i))
        return made

    def mlp_records(self, tokens):
        """{operator: record} of one row of mlp.csv."""
        return {name: self._token_record(key, tokens, make)
                for name, (key, make) in self._token_operators().items()}

    def _mlp_times(self, point):
        records = self.mlp_records(point[0])
        return [median(record) for name, record in records.items() if name != "emb"]

    def _attention(self):
        if "attention" not in self.made:
            made = Attention(self.context, self.shard, self.limits.max_cache_tokens,
                             self.processors)
            for name, error in made.errors.items():
                self.log.note_largest("error of " + name, error)
            self.made["attention"] = made
        return self.made["attention"]

    def attention_record(self, batch, chunk, kv):
        """chunk 0: a decode step of `batch` requests with kv cached tokens each."""
        heads = heads_of(self.shard)

        def measure():
            attention = self._attention()
            found = attention.measure(self.timer, batch, max(chunk, 1), kv)
            for name, text in attention.failures.items():
                self.log.note(f"left out {heads} {name}", text)
            return found

        return self.log.get(f"attention {heads} {batch} {chunk} {kv}", measure)

    def save_record(self, tokens):
        shard = self.shard
        key = f"kvsave {heads_of(shard)}"
        return self._token_record(key, tokens, lambda: ops.KvSave(self.context, shard))

    def _prefill_times(self, point):
        self.save_record(point[0])
        return [median(self.attention_record(1, point[0], point[1]))]

    def _decode_times(self, point):
        self.save_record(point[0])
        return [median(self.attention_record(point[0], 0, point[1]))]

    def mlp_rows(self):
        """Rows for the CSV: every token count that the log has all operators of."""
        keys = {name: key for name, (key, _) in self._token_operators().items()}
        rows = []
        for (tokens,) in self.log.tails(keys["add"]):
            records = {n: self.log.points.get(f"{k} {tokens}") for n, k in keys.items()}
            if all(records.values()):
                rows.append((self.shard.tp, tokens, records))
        return rows

    def attention_rows(self, most_rows):
        """Measured rows, and interpolated ones up to so many in each table."""
        saves = {tokens: median(self.log.points[f"kvsave {heads_of(self.shard)} {tokens}"])
                 for (tokens,) in self.log.tails(f"kvsave {heads_of(self.shard)}")}
        rows = self.measured_rows()
        for surface, allowed, row_of in self._surfaces(rows):
            added = fill(surface, allowed, most_rows, self.FILL_ENOUGH)
            for point, ms in added.items():
                batch, chunk, kv = row_of(point)
                rows.append((self.shard.tp, batch, chunk, kv, {
                    "attn_prefill" if chunk else "attn_decode": _interpolated(ms),
                    "attn_kv_cache_save": _interpolated(between(saves, max(batch, chunk)))}))
        return rows

    def measured_rows(self):
        heads = heads_of(self.shard)
        rows = []
        for batch, chunk, kv in self.log.tails(f"attention {heads}"):
            save = self.log.points.get(f"kvsave {heads} {max(chunk, batch)}")
            if save:
                record = self.log.points[f"attention {heads} {batch} {chunk} {kv}"]
                operator = "attn_prefill" if chunk else "attn_decode"
                rows.append((self.shard.tp, batch, chunk, kv,
                             {operator: record, "attn_kv_cache_save": save}))
        return rows

    def _surfaces(self, rows):
        """(surface, its family's domain, point -> batch, chunk, kv) of both tables."""
        prefill = {(chunk, kv): median(records["attn_prefill"])
                   for _, _, chunk, kv, records in rows if chunk}
        decode = {(batch, kv): median(records["attn_decode"])
                  for _, batch, chunk, kv, records in rows if not chunk}
        found = []
        if prefill:
            found.append((Surface(self.prefill.axes, prefill), self.prefill.allowed,
                          lambda point: (1, *point)))
        if decode:
            found.append((Surface(self.decode.axes, decode), self.decode.allowed,
                          lambda point: (point[0], 0, point[1])))
        return found

    def held_out_errors(self):
        """Sorted relative errors of interpolation over both tables."""
        return [surface.held_out_errors() for surface, _, _ in self._surfaces(
            self.measured_rows())]
