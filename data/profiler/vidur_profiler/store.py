"""Measured points on disk: an append-only log, and the profile folders written from it."""

import csv
import json
import os
import random

from .timing import Stats

MLP_OPERATORS = (
    "emb", "input_layernorm", "attn_pre_proj", "attn_rope", "attn_post_proj",
    "post_attention_layernorm", "mlp_up_proj", "mlp_act", "mlp_down_proj", "add",
)
ATTENTION_OPERATORS = (
    "attn_input_reshape", "attn_kv_cache_save", "attn_prefill", "attn_decode",
    "attn_output_reshape",
)


class Log:
    """key -> {stats: five numbers in ms, kernel}, and facts about the kernels.

    A torn last line is dropped: its point is measured again.
    """

    def __init__(self, path):
        self.path = path
        self.points = {}
        self.facts = {}
        if os.path.exists(path):
            with open(path, encoding="utf-8") as lines:
                for line in lines:
                    try:
                        record = json.loads(line)
                    except ValueError:
                        continue
                    if "fact" in record:
                        self.facts[record["fact"]] = record["value"]
                    else:
                        self.points[record["key"]] = record
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        self.out = open(path, "a+", encoding="utf-8")
        self._end_torn_line()

    def _end_torn_line(self):
        size = self.out.seek(0, os.SEEK_END)
        if size:
            with open(self.path, "rb") as whole:
                whole.seek(-1, os.SEEK_END)
                if whole.read() != b"\n":
                    self.out.write("\n")

    def _append(self, record):
        self.out.write(json.dumps(record) + "\n")
        self.out.flush()

    def note(self, fact, value):
        """Keeps a fact for the provenance, over runs; the last one counts."""
        if self.facts.get(fact) != value:
            self.facts[fact] = value
            self._append({"fact": fact, "value": value})

    def note_largest(self, fact, value):
        self.note(fact, max(value, self.facts.get(fact, value)))

    def facts_under(self, prefix):
        return {f[len(prefix):]: v for f, v in self.facts.items() if f.startswith(prefix)}

    def tails(self, prefix):
        """The numbers that follow a prefix in the keys, sorted."""
        start = prefix + " "
        found = [key[len(start):].split() for key in self.points if key.startswith(start)]
        return sorted(tuple(map(int, tail)) for tail in found)

    def get(self, key, measure):
        """The stored record, or measure() -> (Stats, kernel) stored under the key."""
        if key not in self.points:
            stats, kernel = measure()
            record = {"key": key, "stats": stats.as_list(), "kernel": kernel}
            self._append(record)
            self.points[key] = record
        return self.points[key]


def median(record):
    return record["stats"][Stats.FIELDS.index("median")]


def _columns(operators):
    return [f"time_stats.{op}.{field}" for op in operators for field in Stats.FIELDS]


def _numbers(record):
    """Four significant digits: below what repeats agree on."""
    if record is None:
        return ["0"] * len(Stats.FIELDS)
    return [f"{value:.4g}" for value in record["stats"]]


def _write(path, header, rows):
    """In a fixed shuffled order: folds in file order then test interpolation."""
    rows = sorted(rows, key=str)
    random.Random(1).shuffle(rows)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    scratch = path + ".tmp"
    with open(scratch, "w", encoding="ascii", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
    os.replace(scratch, path)


def write_mlp(path, model, rows):
    """rows: (tp, num_tokens, {operator: record})."""
    header = _columns(MLP_OPERATORS) + [
        "n_head", "n_kv_head", "n_embd", "n_expanded_embd", "vocab_size", "use_gated_mlp",
        "num_tokens", "num_tensor_parallel_workers",
    ]
    lines = []
    for tp, tokens, records in rows:
        numbers = [n for op in MLP_OPERATORS for n in _numbers(records.get(op))]
        lines.append(numbers + [
            model.num_q_heads, model.num_kv_heads, model.embedding_dim,
            model.mlp_hidden_dim, model.vocab_size, model.use_gated_mlp, tokens, tp])
    _write(path, header, lines)


def write_attention(path, model, max_model_len, rows):
    """rows: (tp, batch, chunk, kv, {operator: record}); chunk 0 is a decode."""
    header = _columns(ATTENTION_OPERATORS) + [
        "n_embd", "n_q_head", "n_kv_head", "block_size", "num_tensor_parallel_workers",
        "max_model_len", "batch_size", "prefill_chunk_size", "kv_cache_size", "is_prefill",
        "attention_backend",
    ]
    lines = []
    for tp, batch, chunk, kv, records in rows:
        numbers = [n for op in ATTENTION_OPERATORS for n in _numbers(records.get(op))]
        kernel = records["attn_prefill" if chunk else "attn_decode"]["kernel"]
        lines.append(numbers + [
            model.embedding_dim, model.num_q_heads, model.num_kv_heads, 16, tp,
            max_model_len, batch, chunk, kv, chunk > 0, kernel])
    _write(path, header, lines)


def write_yaml(path, values, comment):
    """A mapping of scalars and of mappings of scalars."""
    def scalar(value):
        return json.dumps(value) if isinstance(value, str) else str(value)

    lines = [f"# {line}" for line in comment]
    for key, value in values.items():
        if isinstance(value, dict):
            lines.append(f"{key}:")
            lines += [f"  {k}: {scalar(v)}" for k, v in value.items()]
        else:
            lines.append(f"{key}: {scalar(value)}")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as out:
        out.write("\n".join(lines) + "\n")
