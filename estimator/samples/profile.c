#include <vidur/profile.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    const char *features[VIDUR_MAX_FEATURES];
} operators[VIDUR_NUM_OPERATORS] = {
#define X(name, axis) [VIDUR_OP_##name] = {#name, {#axis, NULL}},
    VIDUR_TOKEN_OPERATORS(X)
#undef X
        [VIDUR_OP_attn_decode] = {"attn_decode", {"batch_size", "kv_cache_size"}},
    [VIDUR_OP_attn_prefill] = {"attn_prefill",
                               {"kv_cache_size", "prefill_chunk_size_squared"}},
};

const char *vidur_operator_name(int op)
{
    return op >= 0 && op < VIDUR_NUM_OPERATORS ? operators[op].name : "?";
}

struct vidur_profile *vidur_profile_create(struct vidur_error *err)
{
    struct vidur_profile *profile = calloc(1, sizeof *profile);
    if (!profile) {
        vidur_fail(err, VIDUR_ENOMEM, "out of memory for a profile");
        return NULL;
    }
    for (int op = 0; op < VIDUR_NUM_OPERATORS; op++) {
        struct vidur_samples *samples = &profile->operators[op];
        snprintf(samples->name, sizeof samples->name, "%s", operators[op].name);
        for (int f = 0; f < VIDUR_MAX_FEATURES && operators[op].features[f]; f++) {
            snprintf(samples->feature_names[f], sizeof samples->feature_names[f], "%s",
                     operators[op].features[f]);
            samples->num_features = f + 1;
        }
    }
    return profile;
}

void vidur_profile_free(struct vidur_profile *profile)
{
    if (!profile)
        return;
    for (int op = 0; op < VIDUR_NUM_OPERATORS; op++)
        vidur_samples_release(&profile->operators[op]);
    free(profile);
}

int vidur_samples_resize(struct vidur_samples *samples, int64_t num_rows,
                         struct vidur_error *err)
{
    vidur_samples_release(samples);
    const size_t n = num_rows > 0 ? (size_t)num_rows : 1;
    bool ok = num_rows >= 0;
    for (int f = 0; ok && f < samples->num_features; f++) {
        samples->features[f] = calloc(n, sizeof *samples->features[f]);
        ok = samples->features[f];
    }
    if (ok)
        samples->target_ms = calloc(n, sizeof *samples->target_ms);
    if (!ok || !samples->target_ms) {
        vidur_samples_release(samples);
        return vidur_fail(err, VIDUR_ENOMEM, "%s: out of memory for %lld samples",
                          samples->name, (long long)num_rows);
    }
    samples->num_rows = num_rows;
    return 0;
}

void vidur_samples_release(struct vidur_samples *samples)
{
    for (int f = 0; f < VIDUR_MAX_FEATURES; f++) {
        free(samples->features[f]);
        samples->features[f] = NULL;
    }
    free(samples->target_ms);
    samples->target_ms = NULL;
    samples->num_rows = 0;
}

void vidur_samples_range(const struct vidur_samples *samples, int feature, double *min,
                         double *max)
{
    *min = INFINITY;
    *max = -INFINITY;
    for (int64_t i = 0; i < samples->num_rows; i++) {
        *min = fmin(*min, samples->features[feature][i]);
        *max = fmax(*max, samples->features[feature][i]);
    }
}
