"""The kernels that PyTorch does not have fused, in Triton.

RMSNorm, rotary embedding, gated activation, KV cache write, and one attention kernel over
a paged cache for prefill chunks and decode alike: the rows of a tile are (query token,
query head of the KV head's group), keys are split over programs where there are too few
tiles to fill the GPU (Dao et al., Flash-Decoding, 2023), the mask is lower-right causal.
"""

import triton
import triton.language as tl


@triton.jit
def rms_norm(x, weight, out, width, eps, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, BLOCK)
    inside = column < width
    value = tl.load(x + row * width + column, mask=inside, other=0.0).to(tl.float32)
    scale = 1.0 / tl.sqrt(tl.sum(value * value, axis=0) / width + eps)
    gain = tl.load(weight + column, mask=inside, other=0.0).to(tl.float32)
    result = (value * scale * gain).to(out.dtype.element_ty)
    tl.store(out + row * width + column, result, mask=inside)


@triton.jit
def rotary(qkv, positions, cosines, sines, row_width, heads,
           HEAD_DIM: tl.constexpr, HALF: tl.constexpr, HALF_PAD: tl.constexpr,
           HEADS_PAD: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    position = tl.load(positions + row)
    head = tl.arange(0, HEADS_PAD)[:, None]
    lane = tl.arange(0, HALF_PAD)[None, :]
    inside = (head < heads) & (lane < HALF)
    angle = position * HALF + lane
    cosine = tl.load(cosines + angle, mask=lane < HALF, other=0.0)
    sine = tl.load(sines + angle, mask=lane < HALF, other=0.0)
    at = qkv + row * row_width + head * HEAD_DIM + lane
    first = tl.load(at, mask=inside, other=0.0).to(tl.float32)
    second = tl.load(at + HALF, mask=inside, other=0.0).to(tl.float32)
    tl.store(at, (first * cosine - second * sine).to(qkv.dtype.element_ty), mask=inside)
    turned = second * cosine + first * sine
    tl.store(at + HALF, turned.to(qkv.dtype.element_ty), mask=inside)


@triton.jit
def silu_mul(x, out, width, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = column < width
    gate = tl.load(x + row * 2 * width + column, mask=inside, other=0.0).to(tl.float32)
    up = tl.load(x + row * 2 * width + width + column, mask=inside, other=0.0)
    result = gate / (1.0 + tl.exp(-gate)) * up.to(tl.float32)
    tl.store(out + row * width + column, result.to(out.dtype.element_ty), mask=inside)


@triton.jit
def save_kv(qkv, k_cache, v_cache, slots, row_width, k_offset, entry,
            BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    slot = tl.load(slots + row).to(tl.int64)
    column = tl.arange(0, BLOCK)
    inside = column < entry
    source = qkv + row * row_width + k_offset + column
    tl.store(k_cache + slot * entry + column, tl.load(source, mask=inside), mask=inside)
    value = tl.load(source + entry, mask=inside)
    tl.store(v_cache + slot * entry + column, value, mask=inside)


@triton.jit
def _attend(q, k_cache, v_cache, table, head, visible, low, high, total, peak, acc,
            scale_log2, kv_heads, HEAD_DIM: tl.constexpr, HEAD_PAD: tl.constexpr,
            BLOCK_N: tl.constexpr, PAGE: tl.constexpr, MASKED: tl.constexpr):
    """Online softmax over the keys [low, high); visible: keys that each row may see."""
    lane = tl.arange(0, HEAD_PAD)
    for start in range(low, high, BLOCK_N):
        key = start + tl.arange(0, BLOCK_N)
        there = key < high
        page = tl.load(table + key // PAGE, mask=there, other=0).to(tl.int64)
        row = (page * PAGE + key % PAGE) * (kv_heads * HEAD_DIM) + head * HEAD_DIM
        k_at = k_cache + row[None, :] + lane[:, None]
        v_at = v_cache + row[:, None] + lane[None, :]
        if MASKED:
            k = tl.load(k_at, mask=there[None, :] & (lane < HEAD_DIM)[:, None], other=0.0)
            v = tl.load(v_at, mask=there[:, None] & (lane < HEAD_DIM)[None, :], other=0.0)
        elif HEAD_PAD == HEAD_DIM:
            k = tl.load(k_at)
            v = tl.load(v_at)
        else:
            k = tl.load(k_at, mask=(lane < HEAD_DIM)[:, None], other=0.0)
            v = tl.load(v_at, mask=(lane < HEAD_DIM)[None, :], other=0.0)
        score = tl.dot(q, k) * scale_log2
        if MASKED:
            seen = there[None, :] & (key[None, :] < visible[:, None])
            score = tl.where(seen, score, float("-inf"))
        new_peak = tl.maximum(peak, tl.max(score, axis=1))
        base = tl.where(new_peak == float("-inf"), 0.0, new_peak)
        weight = tl.exp2(score - base[:, None])
        shrink = tl.exp2(peak - base)
        total = total * shrink + tl.sum(weight, axis=1)
        acc = tl.dot(weight.to(v.dtype), v, acc * shrink[:, None])
        peak = new_peak
    return total, peak, acc


@triton.jit(do_not_specialize=["q_len", "kv_len", "num_splits", "table_stride",
                                "kv_heads"])
def paged_attention(query, k_cache, v_cache, tables, out, part_out, part_lse,
                    q_len, kv_len, num_splits, table_stride, scale_log2,
                    kv_heads, GROUP: tl.constexpr, HEAD_DIM: tl.constexpr,
                    HEAD_PAD: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
                    PAGE: tl.constexpr, SPLIT: tl.constexpr):
    first_row = tl.program_id(0) * BLOCK_M
    sequence = (tl.program_id(1) // kv_heads).to(tl.int64)
    head = tl.program_id(1) % kv_heads
    split = tl.program_id(2)
    row = first_row + tl.arange(0, BLOCK_M)
    token = row // GROUP
    lane = tl.arange(0, HEAD_PAD)
    inside = (token < q_len)[:, None] & (lane < HEAD_DIM)[None, :]
    entry = (sequence * q_len + token) * (kv_heads * GROUP) + head * GROUP + row % GROUP
    q = tl.load(query + entry[:, None] * HEAD_DIM + lane[None, :], mask=inside, other=0.0)
    visible = kv_len - q_len + token + 1
    # Keys that the tile's last row sees, cut into splits; keys that its first row sees.
    last = tl.minimum(kv_len, kv_len - q_len + (first_row + BLOCK_M - 1) // GROUP + 1)
    per_split = tl.cdiv(tl.cdiv(last, BLOCK_N), num_splits) * BLOCK_N
    low = split * per_split
    high = tl.minimum(low + per_split, last)
    common = tl.minimum(high, kv_len - q_len + first_row // GROUP + 1)
    unmasked = low + tl.maximum(common - low, 0) // BLOCK_N * BLOCK_N
    peak = tl.full([BLOCK_M], float("-inf"), tl.float32)
    total = tl.zeros([BLOCK_M], tl.float32)
    acc = tl.zeros([BLOCK_M, HEAD_PAD], tl.float32)
    table = tables + sequence * table_stride
    total, peak, acc = _attend(q, k_cache, v_cache, table, head, visible, low, unmasked,
                               total, peak, acc, scale_log2, kv_heads, HEAD_DIM, HEAD_PAD,
                               BLOCK_N, PAGE, False)
    total, peak, acc = _attend(q, k_cache, v_cache, table, head, visible, unmasked, high,
                               total, peak, acc, scale_log2, kv_heads, HEAD_DIM, HEAD_PAD,
                               BLOCK_N, PAGE, True)
    mean = acc / tl.where(total > 0.0, total, 1.0)[:, None]
    if SPLIT:
        part = entry * num_splits + split
        tl.store(part_out + part[:, None] * HEAD_DIM + lane[None, :], mean, mask=inside)
        lse = tl.where(total > 0.0, peak + tl.log2(total), float("-inf"))
        tl.store(part_lse + part, lse, mask=token < q_len)
    else:
        tl.store(out + entry[:, None] * HEAD_DIM + lane[None, :],
                 mean.to(out.dtype.element_ty), mask=inside)


@triton.jit(do_not_specialize=["num_splits"])
def combine_splits(part_out, part_lse, out, num_splits, HEAD_DIM: tl.constexpr,
                   HEAD_PAD: tl.constexpr, SPLITS_PAD: tl.constexpr):
    """Joins the splits of one (token, head) by their log-sum-exp, base 2."""
    entry = tl.program_id(0).to(tl.int64)
    split = tl.arange(0, SPLITS_PAD)
    lane = tl.arange(0, HEAD_PAD)
    there = split < num_splits
    lse = tl.load(part_lse + entry * num_splits + split, mask=there, other=float("-inf"))
    weight = tl.exp2(lse - tl.max(lse, axis=0))
    at = (entry * num_splits + split)[:, None] * HEAD_DIM + lane[None, :]
    inside = there[:, None] & (lane < HEAD_DIM)[None, :]
    part = tl.load(part_out + at, mask=inside, other=0.0)
    result = tl.sum(part * weight[:, None], axis=0) / tl.sum(weight, axis=0)
    tl.store(out + entry * HEAD_DIM + lane, result.to(out.dtype.element_ty),
             mask=lane < HEAD_DIM)


@triton.jit
def merge_two(out_a, lse_a, out_b, lse_b, out, tokens, HQ: tl.constexpr,
              HQ_PAD: tl.constexpr, HEAD_DIM: tl.constexpr, HEAD_PAD: tl.constexpr):
    """Joins two attention results by their natural log-sum-exp, kept as [head, token]."""
    token = tl.program_id(0).to(tl.int64)
    head = tl.arange(0, HQ_PAD)
    lane = tl.arange(0, HEAD_PAD)
    a = tl.load(lse_a + head * tokens + token, mask=head < HQ, other=0.0)
    b = tl.load(lse_b + head * tokens + token, mask=head < HQ, other=0.0)
    share = 1.0 / (1.0 + tl.exp(b - a))[:, None]
    inside = (head < HQ)[:, None] & (lane < HEAD_DIM)[None, :]
    at = (token * HQ + head)[:, None] * HEAD_DIM + lane[None, :]
    first = tl.load(out_a + at, mask=inside, other=0.0).to(tl.float32)
    second = tl.load(out_b + at, mask=inside, other=0.0).to(tl.float32)
    result = first * share + second * (1.0 - share)
    tl.store(out + at, result.to(out.dtype.element_ty), mask=inside)
