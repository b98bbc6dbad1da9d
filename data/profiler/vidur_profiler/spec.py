"""Model and device specs of data/, and the shapes that one GPU of a group sees."""

import os

REQUIRED = (
    "name num_layers num_q_heads num_kv_heads head_dim embedding_dim mlp_hidden_dim "
    "vocab_size max_position_embeddings use_gated_mlp post_attn_norm"
).split()


class SpecError(ValueError):
    """A spec that cannot be used; the text names file, line and remedy."""


def _scalar(text):
    text = text.strip().strip("\"'")
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def read_flat_yaml(path):
    """Top-level `key: value` lines as a dict; nested blocks and comments are left out."""
    values = {}
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            bare = line.split(" #")[0].rstrip()
            if not bare or bare[0] in "# -":
                continue
            key, colon, value = bare.partition(":")
            if not colon:
                raise SpecError(f"{path}:{number}: not a `key: value` line: {bare}")
            if value.strip():
                values[key.strip()] = _scalar(value)
    return values


def has_other_layers(path):
    """Whether a spec lists kinds of layers, which read_flat_yaml leaves out."""
    with open(path, encoding="utf-8") as lines:
        return any(line.startswith("layers:") for line in lines)


class Model:
    """One architecture of dense layers that are alike, as data/models states it."""

    def __init__(self, path):
        values = read_flat_yaml(path)
        for key, what in (("variant_of", "another precision; profile the model it is of"),
                          ("num_experts", "experts"), ("kv_lora_rank", "latent attention")):
            if values.get(key):
                raise SpecError(f"{path}: {key}: {what}; the profiler measures dense bf16 "
                                "layers")
        if has_other_layers(path):
            raise SpecError(f"{path}: layers: several kinds; the profiler measures layers "
                            "that are alike")
        values.setdefault("post_attn_norm", True)
        values.setdefault("num_kv_heads", values.get("num_q_heads"))
        if "head_dim" not in values and values.get("num_q_heads"):
            values["head_dim"] = values.get("embedding_dim", 0) // values["num_q_heads"]
        missing = [key for key in REQUIRED if key not in values]
        if missing:
            raise SpecError(f"{path}: {missing[0]}: missing; a model spec needs it")
        self.path = path
        self.max_tensor_parallel_size = values.get("max_tensor_parallel_size")
        for key in REQUIRED:
            setattr(self, key, values[key])

    def refusal(self, tp):
        """Why this tensor-parallel degree is impossible, or None."""
        if self.num_q_heads % tp or self.mlp_hidden_dim % tp:
            return f"{tp} does not divide {self.num_q_heads} query heads"
        if self.max_tensor_parallel_size and tp > self.max_tensor_parallel_size:
            return f"the model allows at most {self.max_tensor_parallel_size}"
        return None


class Shard:
    """What one GPU of a tensor-parallel group of `tp` holds of a layer."""

    def __init__(self, model, tp):
        self.model = model
        self.tp = tp
        self.q_heads = model.num_q_heads // tp
        self.kv_heads = -(-model.num_kv_heads // tp)
        self.head_dim = model.head_dim
        self.width = model.embedding_dim
        self.hidden = model.mlp_hidden_dim // tp
        self.vocabulary = -(-model.vocab_size // tp)
        self.gated = model.use_gated_mlp

    def gemms(self):
        """Operator -> (output features, input features)."""
        attention = self.q_heads * self.head_dim
        fused = (self.q_heads + 2 * self.kv_heads) * self.head_dim
        up = (2 if self.gated else 1) * self.hidden
        return {
            "attn_pre_proj": (fused, self.width),
            "attn_post_proj": (self.width, attention),
            "mlp_up_proj": (up, self.width),
            "mlp_down_proj": (self.width, self.hidden),
        }


def data_folder():
    return os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def find_model(name):
    """A spec by path or by identifier (its last part names a file of data/models)."""
    if name.endswith((".yaml", ".yml")):
        path = name
    else:
        stem = name.split("/")[-1].lower()
        path = os.path.join(data_folder(), "models", stem + ".yaml")
    if not os.path.exists(path):
        raise SpecError(f"{name}: no spec at {path}; write one like its neighbours")
    return Model(path)


def find_peaks(device_name):
    """(TFLOP/s, GB/s) of a device of data/skus, or None where it has no spec."""
    path = os.path.join(data_folder(), "skus", "devices", device_name + ".yaml")
    if not os.path.exists(path):
        return None
    values = read_flat_yaml(path)
    return values["peak_fp16_tflops"], values["memory_bandwidth_gb_per_s"]
