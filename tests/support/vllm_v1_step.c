#include "vllm_v1_step.h"

#include <math.h>

static double chunk_ms(const struct vidur_engine_table *t, int64_t prefix,
                       int64_t tokens)
{
    const double s = (double)(prefix + tokens), p = (double)prefix;
    const double attention =
        t->context_ms[prefix + tokens] * ((s * s - p * p) / (s * s));
    return fmax(fmax(attention, t->context_ms[tokens]), t->decode1_ms[prefix + tokens]);
}

int64_t v1_padded_tokens(const struct vidur_engine_table *t, int max_num_seqs,
                         int64_t tokens)
{
    const int64_t padded = vidur_engine_padded_tokens(tokens, max_num_seqs);
    return padded < t->linear_limit ? padded : t->linear_limit;
}

double v1_step_ms(const struct vidur_engine_table *t, int max_num_seqs,
                  const struct v1_part *parts, int64_t count)
{
    int64_t tokens = 0;
    for (int64_t i = 0; i < count; i++)
        tokens += parts[i].chunk;
    return v1_step_as_ms(t, v1_padded_tokens(t, max_num_seqs, tokens), parts, count);
}

double v1_step_as_ms(const struct vidur_engine_table *t, int64_t as,
                     const struct v1_part *parts, int64_t count)
{
    int64_t sampled = 0, rows = 0, row_tokens = 0, prompts = 0;
    double chunks_ms = 0;
    for (int64_t i = 0; i < count; i++) {
        const struct v1_part *p = &parts[i];
        const int32_t prompt = p->prompt;
        sampled += p->n + p->chunk >= prompt;
        prompts += p->n < prompt;
        if (p->n < prompt && p->chunk > VIDUR_ENGINE_DECODE_LIKE_TOKENS) {
            chunks_ms += chunk_ms(t, p->n, p->chunk);
        } else {
            rows++;
            row_tokens += p->n > prompt ? p->n : p->n + p->chunk;
        }
    }
    double attention_ms = 0;
    if (rows > 0)
        attention_ms =
            t->decode_launch_ms + t->decode_ms_per_token * (double)row_tokens;
    double ms = t->linear_ms[as];
    ms += t->head_ms[sampled] + attention_ms + chunks_ms + t->step_ms +
          t->request_ms * (double)count;
    if (prompts > 0 && prompts < count)
        ms += t->mixed_ms;
    return ms;
}
