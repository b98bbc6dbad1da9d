#include "load/lengths.h"

#include "base/hash.h"
#include "base/policy.h"
#include "base/yaml.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define KEY(name, kind)                                                                \
    .key = #name, .type = VIDUR_YAML_##kind,                                           \
    VIDUR_YAML_AT(struct vidur_lengths_config, name)

/* ---- Fixed ---- */

static const struct vidur_yaml_field fixed_fields[] = {
    {KEY(type, STRING)},
    {KEY(prefill_tokens, INT), .flags = VIDUR_YAML_MIN, .min = 1},
    {KEY(decode_tokens, INT), .flags = VIDUR_YAML_MIN, .min = 1},
    {0},
};

static int fixed_check(const struct vidur_lengths_config *config, int max_tokens,
                       struct vidur_error *err)
{
    if (config->prefill_tokens < 1 || config->decode_tokens < 1)
        return vidur_fail(err, VIDUR_EINVAL,
                          "workload.lengths.%s: missing; fixed lengths need "
                          "prefill_tokens and decode_tokens of 1 or more",
                          config->prefill_tokens < 1 ? "prefill_tokens"
                                                     : "decode_tokens");
    int64_t total = (int64_t)config->prefill_tokens + config->decode_tokens;
    if (total > max_tokens)
        return vidur_fail(err, VIDUR_EINVAL,
                          "workload.lengths.prefill_tokens: %lld tokens together with "
                          "decode_tokens; workload.max_tokens is %d, raise it or ask "
                          "for fewer",
                          (long long)total, max_tokens);
    return 0;
}

static int fixed_draw(struct vidur_lengths *lengths, struct vidur_tokens *tokens,
                      struct vidur_error *err)
{
    (void)err;
    tokens->prefill = lengths->config->prefill_tokens;
    tokens->decode = lengths->config->decode_tokens;
    return 0;
}

/* ---- Uniform total, split at a ratio ---- */

static const struct vidur_yaml_field uniform_fields[] = {
    {KEY(type, STRING)},
    {KEY(min_tokens, INT), .flags = VIDUR_YAML_MIN, .min = 2},
    {KEY(prefill_to_decode_ratio, DOUBLE), .flags = VIDUR_YAML_ABOVE, .min = 0},
    {0},
};

static int range_check(const struct vidur_lengths_config *config, int max_tokens,
                       struct vidur_error *err)
{
    if (config->min_tokens >= 2 && config->min_tokens <= max_tokens)
        return 0;
    return vidur_fail(err, VIDUR_EINVAL,
                      "workload.lengths.min_tokens: %d; 2 up to workload.max_tokens, "
                      "%d, are possible",
                      config->min_tokens, max_tokens);
}

static int32_t at_least_one(double tokens)
{
    return tokens < 1 ? 1 : (int32_t)tokens;
}

static int uniform_draw(struct vidur_lengths *lengths, struct vidur_tokens *tokens,
                        struct vidur_error *err)
{
    const struct vidur_lengths_config *config = lengths->config;
    double u = vidur_draws_uniform(&lengths->draws);
    double total =
        config->min_tokens + (double)(lengths->max_tokens - config->min_tokens) * u;
    double decode = ceil(total / (1 + config->prefill_to_decode_ratio));
    (void)err;
    tokens->decode = at_least_one(decode);
    tokens->prefill = at_least_one(total - decode);
    return 0;
}

/* ---- Zipf: as in Gray et al., "Quickly generating billion-record synthetic
 * databases", SIGMOD 1994, with the reference's sums ---- */

static const struct vidur_yaml_field zipf_fields[] = {
    {KEY(type, STRING)},
    {KEY(min_tokens, INT), .flags = VIDUR_YAML_MIN, .min = 2},
    {KEY(prefill_to_decode_ratio, DOUBLE), .flags = VIDUR_YAML_ABOVE, .min = 0},
    {KEY(theta, DOUBLE), .flags = VIDUR_YAML_MIN | VIDUR_YAML_BELOW, .min = 0,
     .max = 1},
    {KEY(scramble, BOOL)},
    {0},
};

static int zipf_check(const struct vidur_lengths_config *config, int max_tokens,
                      struct vidur_error *err)
{
    if (!(config->theta >= 0 && config->theta < 1))
        return vidur_fail(err, VIDUR_EINVAL,
                          "workload.lengths.theta: %g; 0 up to, without, 1 is possible",
                          config->theta);
    return range_check(config, max_tokens, err);
}

/* Leaves out the last term, as the reference does. */
static double zeta(double count, double theta)
{
    double sum = 0;
    for (int64_t i = 1; (double)i < count; i++)
        sum += 1.0 / pow((double)i, theta);
    return sum;
}

static int zipf_open(struct vidur_lengths *lengths, struct vidur_error *err)
{
    struct vidur_zipf *zipf = &lengths->zipf;
    zipf->theta = lengths->config->theta;
    zipf->items = lengths->max_tokens - lengths->config->min_tokens + 1;
    zipf->zeta = zeta(zipf->items, zipf->theta);
    zipf->alpha = 1.0 / (1.0 - zipf->theta);
    zipf->eta = (1 - pow(2.0 / zipf->items, 1 - zipf->theta)) /
                (1 - zeta(2, zipf->theta) / (zipf->zeta + 1e-8));
    if (!lengths->draws.reference)
        return 0;
    lengths->zipf_reference = malloc(sizeof *lengths->zipf_reference);
    if (!lengths->zipf_reference)
        return vidur_fail(err, VIDUR_ENOMEM, "workload.lengths: out of memory");
    vidur_mt19937_init_genrand(lengths->zipf_reference, (uint32_t)lengths->seed);
    lengths->draws.reference = lengths->zipf_reference;
    return 0;
}

/* Rank of the value drawn, from 0. */
static double zipf_rank(struct vidur_lengths *lengths)
{
    const struct vidur_zipf *zipf = &lengths->zipf;
    double u = vidur_draws_uniform(&lengths->draws);
    double uz = u * zipf->zeta;
    if (uz < 1)
        return 0;
    if (uz < 1 + pow(0.5, zipf->theta))
        return 1;
    return trunc(zipf->items * pow(zipf->eta * u - zipf->eta + 1, zipf->alpha));
}

static uint64_t scrambled(uint64_t value, uint64_t items)
{
    unsigned char bytes[8];
    for (int i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(value >> (8 * i));
    return vidur_fnv1a(VIDUR_FNV1A_INIT, bytes, sizeof bytes) % items;
}

static int zipf_draw(struct vidur_lengths *lengths, struct vidur_tokens *tokens,
                     struct vidur_error *err)
{
    const struct vidur_lengths_config *config = lengths->config;
    double total = config->min_tokens + zipf_rank(lengths);
    if (total > lengths->max_tokens)
        total = lengths->max_tokens;
    if (config->scramble)
        total = config->min_tokens +
                (double)scrambled((uint64_t)total, (uint64_t)lengths->zipf.items);
    double decode = total / (1 + config->prefill_to_decode_ratio);
    (void)err;
    tokens->decode = at_least_one(decode);
    tokens->prefill = at_least_one(total - decode);
    return 0;
}

/* ---- Trace ---- */

static const struct vidur_yaml_field trace_fields[] = {
    {KEY(type, STRING)},
    {KEY(file, PATH), .flags = VIDUR_YAML_REQUIRED},
    {VIDUR_YAML_KEYS(struct vidur_lengths_config, trace, vidur_trace_option_fields)},
    {KEY(prefill_scale_factor, DOUBLE), .flags = VIDUR_YAML_ABOVE, .min = 0},
    {KEY(decode_scale_factor, DOUBLE), .flags = VIDUR_YAML_ABOVE, .min = 0},
    {0},
};

static int trace_check(const struct vidur_lengths_config *config, int max_tokens,
                       struct vidur_error *err)
{
    (void)max_tokens;
    if (!config->file[0])
        return vidur_fail(err, VIDUR_EINVAL,
                          "workload.lengths.file: missing; a log of requests, such as "
                          "a CSV file with columns num_prefill_tokens and "
                          "num_decode_tokens");
    return 0;
}

static void shuffle(struct vidur_lengths *lengths)
{
    struct vidur_rng own;
    struct vidur_mt19937 mt;
    bool reference = lengths->draws.reference != NULL;
    if (reference)
        vidur_mt19937_init_genrand(&mt, (uint32_t)lengths->seed);
    else
        vidur_rng_init(&own, lengths->seed,
                       vidur_rng_stream("trace rows", lengths->stream));
    for (int64_t i = 0; i < lengths->trace.num_rows; i++)
        lengths->order[i] = i;
    for (uint32_t i = (uint32_t)lengths->trace.num_rows - 1; i > 0; i--) {
        uint32_t j =
            reference ? vidur_mt19937_masked(&mt, i) : vidur_rng_below(&own, i + 1);
        int64_t swap = lengths->order[i];
        lengths->order[i] = lengths->order[j];
        lengths->order[j] = swap;
    }
}

static int trace_open(struct vidur_lengths *lengths, struct vidur_error *err)
{
    struct vidur_trace *trace = &lengths->trace;
    if (vidur_trace_open(trace, lengths->config->file, &lengths->config->trace,
                         VIDUR_TRACE_LENGTHS | VIDUR_TRACE_PRIORITIES, err))
        return vidur_trace_fail("workload.lengths.file", err);
    lengths->order = malloc((size_t)trace->num_rows * sizeof *lengths->order);
    if (!lengths->order)
        return vidur_fail(err, VIDUR_ENOMEM, "%s: out of memory",
                          lengths->config->file);
    shuffle(lengths);
    return 0;
}

/* Takes what is above the cap from both in proportion; true where something is. */
static bool trim(int64_t tokens[2], int max_tokens)
{
    const int64_t total = tokens[0] + tokens[1];
    const bool is_cut = total > max_tokens;
    if (is_cut) {
        double excess = (double)(total - max_tokens);
        for (int i = 0; i < 2; i++)
            tokens[i] -= (int64_t)ceil(excess * ((double)tokens[i] / (double)total));
    }
    for (int i = 0; i < 2; i++)
        if (tokens[i] < 1)
            tokens[i] = 1;
    int larger = tokens[1] > tokens[0];
    if (tokens[0] + tokens[1] > max_tokens) /* a side was empty */
        tokens[larger] = max_tokens - tokens[1 - larger];
    return is_cut;
}

static int trace_draw(struct vidur_lengths *lengths, struct vidur_tokens *tokens,
                      struct vidur_error *err)
{
    const struct vidur_lengths_config *config = lengths->config;
    const double factors[2] = {config->prefill_scale_factor,
                               config->decode_scale_factor};
    int64_t scaled[2];
    if (lengths->next == lengths->trace.num_rows) {
        if (lengths->draws.reference)
            return vidur_fail(
                err, VIDUR_EINVAL,
                "%s: %lld rows are not enough; seeds: reference uses each "
                "once, ask for fewer requests or for seeds: own",
                config->file, (long long)lengths->trace.num_rows);
        lengths->next = 0;
    }
    int64_t row = lengths->order[lengths->next++];
    if (vidur_trace_scale_tokens(&lengths->trace, row, factors, scaled, err))
        return -1;
    tokens->priority = lengths->trace.priority ? lengths->trace.priority[row] : 0;
    tokens->is_cut = trim(scaled, lengths->max_tokens);
    tokens->prefill = (int32_t)scaled[0];
    tokens->decode = (int32_t)scaled[1];
    return 0;
}

/* ---- The table ---- */

static const struct vidur_lengths_policy policies[] = {
    {.name = "fixed", .fields = fixed_fields, .check = fixed_check, .draw = fixed_draw},
    {.name = "uniform",
     .fields = uniform_fields,
     .check = range_check,
     .draw = uniform_draw},
    {.name = "zipf",
     .fields = zipf_fields,
     .check = zipf_check,
     .open = zipf_open,
     .draw = zipf_draw},
    {.name = "trace",
     .fields = trace_fields,
     .check = trace_check,
     .open = trace_open,
     .draw = trace_draw},
};

enum { NUM_POLICIES = sizeof policies / sizeof policies[0] };

static const char *policy_name(int index)
{
    return index < NUM_POLICIES ? policies[index].name : NULL;
}

static const struct vidur_lengths_policy *find(const char *name)
{
    int index = vidur_policy_find(policy_name, name);
    return index < 0 ? NULL : &policies[index];
}

int vidur_lengths_check(const struct vidur_lengths_config *config, int max_tokens,
                        struct vidur_error *err)
{
    const struct vidur_lengths_policy *policy = find(config->type);
    if (!policy)
        return vidur_policy_unknown(policy_name, "workload.lengths.type", config->type,
                                    err);
    return policy->check(config, max_tokens, err);
}

int vidur_lengths_config_read(const struct vidur_yaml_node *section,
                              struct vidur_lengths_config *lengths,
                              struct vidur_error *err)
{
    if (vidur_policy_read_type(section, policy_name, lengths->type,
                               sizeof lengths->type, err))
        return -1;
    return vidur_yaml_read(section, find(lengths->type)->fields, lengths, err);
}

int vidur_lengths_open(struct vidur_lengths *lengths,
                       const struct vidur_workload_config *workload,
                       struct vidur_mt19937 *reference, struct vidur_error *err)
{
    memset(lengths, 0, sizeof *lengths);
    lengths->policy = find(workload->lengths.type);
    lengths->config = &workload->lengths;
    lengths->max_tokens = workload->max_tokens;
    lengths->seed = workload->seed;
    lengths->draws.reference = reference;
    vidur_rng_init(&lengths->draws.own, workload->seed, vidur_rng_stream("lengths", 0));
    return lengths->policy->open ? lengths->policy->open(lengths, err) : 0;
}

int vidur_lengths_open_class(struct vidur_lengths *lengths,
                             const struct vidur_workload_config *workload, int index,
                             struct vidur_error *err)
{
    const struct vidur_class_config *config = &workload->classes[index];
    memset(lengths, 0, sizeof *lengths);
    lengths->policy = find(config->lengths.type);
    lengths->config = &config->lengths;
    lengths->max_tokens =
        config->max_tokens > 0 ? config->max_tokens : workload->max_tokens;
    lengths->seed = workload->seed;
    lengths->stream = (uint64_t)index;
    vidur_rng_init(&lengths->draws.own, workload->seed,
                   vidur_rng_stream("lengths", lengths->stream));
    return lengths->policy->open ? lengths->policy->open(lengths, err) : 0;
}

void vidur_lengths_close(struct vidur_lengths *lengths)
{
    vidur_trace_close(&lengths->trace);
    free(lengths->order);
    free(lengths->zipf_reference);
    memset(lengths, 0, sizeof *lengths);
}

int vidur_lengths_draw(struct vidur_lengths *lengths, struct vidur_tokens *tokens,
                       struct vidur_error *err)
{
    tokens->is_cut = false;
    tokens->priority = 0;
    return lengths->policy->draw(lengths, tokens, err);
}
