#include "space/flags.h"

#include <vidur/paths.h>
#include <vidur/scheduler.h>
#include <vidur/spec_config.h>
#include <vidur/workload.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MAX_ITEMS = 64, MAX_ITEM = 1024, MAX_NAME = 47, MAX_GPUS = 1000000 };

/* The parts of a list with commas. */
struct items {
    char (*text)[MAX_ITEM];
    int count;
};

/* What the options name, loaded. */
struct named {
    struct items models, gpus, prices;
    struct vidur_model_spec *specs; /* of the models */
    int64_t num_gpus;
    struct vidur_text *out;
};

static void put(struct vidur_text *out, const char *format, ...) VIDUR_PRINTF(2, 3);

static void put(struct vidur_text *out, const char *format, ...)
{
    char text[4096];
    va_list args;
    va_start(args, format);
    const int length = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (length < 0 || length >= (int)sizeof text)
        out->failed = true;
    else
        vidur_text_adds(out, text);
}

/* A text as YAML in double quotes. */
static void put_quoted(struct vidur_text *out, const char *text)
{
    vidur_text_adds(out, "\"");
    for (; *text; text++) {
        const unsigned char c = (unsigned char)*text;
        if (c < 0x20 || c == 0x7f)
            put(out, "\\x%02x", c);
        else
            put(out, c == '"' || c == '\\' ? "\\%c" : "%c", c);
    }
    vidur_text_adds(out, "\"");
}

/* ---- Options ---- */

const char *search_flags_first(const struct search_flags *flags)
{
#define X(member, name, value, help)                                                   \
    if (flags->member)                                                                 \
        return name;
    SEARCH_FLAGS(X)
#undef X
    return NULL;
}

static bool has_joint(const struct search_flags *flags)
{
    return flags->ttft || flags->tpot || flags->e2e;
}

static int check_given(const struct search_flags *flags, struct vidur_error *err)
{
    if (!flags->models && !flags->gpus)
        return vidur_fail(err, VIDUR_EINVAL,
                          "--model and --gpus are missing; a search without a "
                          "configuration file needs them");
    if (!flags->models || !flags->gpus)
        return vidur_fail(err, VIDUR_EINVAL,
                          "--%s is missing; `vidur-search --list %s` has the names",
                          flags->models ? "gpus" : "model",
                          flags->models ? "devices" : "models");
    if (!flags->ttft_p95 && !flags->tpot_p95 && !flags->e2e_p95 && !has_joint(flags))
        return vidur_fail(err, VIDUR_EINVAL,
                          "no limit is given; add --ttft-p95, --tpot-p95 or --e2e-p95 "
                          "SECONDS, or --goodput SHARE with --ttft, --tpot or --e2e");
    if (has_joint(flags) && !flags->goodput)
        return vidur_fail(err, VIDUR_EINVAL,
                          "--goodput is missing; --ttft, --tpot and --e2e are limits "
                          "that this share of the requests must meet at once");
    if (flags->goodput && !has_joint(flags))
        return vidur_fail(err, VIDUR_EINVAL,
                          "--goodput: no limit is given that so many requests must "
                          "meet; add --ttft, --tpot or --e2e SECONDS");
    if (flags->trace && flags->replay)
        return vidur_fail(err, VIDUR_EINVAL,
                          "--trace: given beside --replay; give one of them");
    if ((flags->trace || flags->replay) && (flags->prompt || flags->output))
        return vidur_fail(err, VIDUR_EINVAL,
                          "--%s: given beside --%s; give one of them",
                          flags->trace ? "trace" : "replay",
                          flags->prompt ? "prompt-tokens" : "output-tokens");
    if (!flags->prompt != !flags->output)
        return vidur_fail(err, VIDUR_EINVAL,
                          "--%s is missing; fixed lengths need --prompt-tokens and "
                          "--output-tokens",
                          flags->prompt ? "output-tokens" : "prompt-tokens");
    return 0;
}

static int split(const char *option, const char *list, struct items *items,
                 struct vidur_error *err)
{
    items->text = calloc(MAX_ITEMS, sizeof *items->text);
    if (!items->text)
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory for --%s", option);
    for (;; list++) {
        const size_t length = strcspn(list, ",");
        if (length == 0)
            return vidur_fail(err, VIDUR_EINVAL,
                              "--%s: an empty name; give a list like a,b", option);
        if (length >= MAX_ITEM || items->count == MAX_ITEMS)
            return vidur_fail(err, VIDUR_EINVAL,
                              "--%s: at most %d names of %d bytes are possible", option,
                              MAX_ITEMS, MAX_ITEM - 1);
        memcpy(items->text[items->count++], list, length);
        list += length;
        if (!*list)
            return 0;
    }
}

static int parse_count(const char *option, const char *text, int64_t *out,
                       struct vidur_error *err)
{
    if (vidur_text_int64(text, out) && *out >= 1 && *out <= MAX_GPUS)
        return 0;
    return vidur_fail(err, VIDUR_EINVAL,
                      "--%s: '%s' is not a whole number from 1 to %d", option, text,
                      MAX_GPUS);
}

static int check_positive(const char *option, const char *text, struct vidur_error *err)
{
    double value;
    if (vidur_text_double(text, &value) && value > 0)
        return 0;
    return vidur_fail(err, VIDUR_EINVAL, "--%s: '%s' is not a number above 0", option,
                      text);
}

/* ---- Names ---- */

static bool is_path(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot && (strcasecmp(dot, ".json") == 0 || strcasecmp(dot, ".yaml") == 0 ||
                   strcasecmp(dot, ".yml") == 0);
}

/* A path that means the same wherever the text lies. */
static void put_path(const struct search_flags *flags, struct vidur_text *out,
                     const char *path)
{
    char whole[2 * MAX_ITEM + 2];
    const bool stays = path[0] == '/' || strncmp(path, "data:", 5) == 0;
    snprintf(whole, sizeof whole, "%s%s%s", stays ? "" : flags->folder,
             stays ? "" : "/", path);
    put_quoted(out, whole);
}

static void put_reference(const struct search_flags *flags, struct vidur_text *out,
                          const char *name)
{
    if (is_path(name))
        put_path(flags, out, name);
    else
        put_quoted(out, name);
}

/* The end of a name without one of these suffixes. */
static size_t without(const char *const suffixes[], const char *name, size_t length)
{
    for (int i = 0; suffixes[i]; i++) {
        const size_t suffix = strlen(suffixes[i]);
        if (length > suffix &&
            strncasecmp(name + length - suffix, suffixes[i], suffix) == 0)
            return length - suffix;
    }
    return length;
}

/* What results call it: the last part of a path without its suffixes, the folder of a
 * config.json. */
static void short_name(const char *path, char *out)
{
    static const char *const packed[] = {".gz", NULL};
    static const char *const kinds[] = {".csv",  ".json", ".jsonl",
                                        ".yaml", ".yml",  NULL};
    size_t end = strlen(path);
    if (end >= 12 && strcmp(path + end - 12, "/config.json") == 0)
        end -= 12;
    size_t begin = end;
    while (begin > 0 && path[begin - 1] != '/')
        begin--;
    if (begin == end) {
        begin = 0;
        end = strlen(path);
    }
    end = begin + without(packed, path + begin, end - begin);
    end = begin + without(kinds, path + begin, end - begin);
    snprintf(out, MAX_NAME + 1, "%.*s", (int)(end - begin), path + begin);
}

/* ---- Models ---- */

static void model_name(const struct search_flags *flags, const char *model, char *out)
{
    char path[2 * MAX_ITEM + 2];
    snprintf(path, sizeof path, "%s/%s", flags->folder, model);
    short_name(is_path(model) ? path : model, out);
}

static bool has_experts(const struct vidur_model_spec *model)
{
    for (int i = 0; i < model->num_kinds; i++)
        if (model->kinds[i].num_experts > 0)
            return true;
    return false;
}

static int put_models(const struct search_flags *flags, struct named *named,
                      struct vidur_error *err)
{
    char name[MAX_NAME + 1];
    named->specs = calloc((size_t)named->models.count, sizeof *named->specs);
    if (!named->specs)
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory for --model");
    vidur_text_adds(named->out, "models:\n");
    for (int i = 0; i < named->models.count; i++) {
        const char *model = named->models.text[i];
        if (vidur_model_load(&named->specs[i], model, err) != 0)
            return vidur_fail_prefix(err, "--model");
        model_name(flags, model, name);
        vidur_text_adds(named->out, "  - {name: ");
        put_quoted(named->out, name);
        vidur_text_adds(named->out, ", identifier: ");
        put_reference(flags, named->out, model);
        vidur_text_adds(named->out, "}\n");
    }
    return 0;
}

static void put_experts(const struct search_flags *flags, struct named *named)
{
    char name[MAX_NAME + 1];
    int with = 0;
    for (int i = 0; i < named->models.count; i++)
        with += has_experts(&named->specs[i]);
    if (with == 0)
        return;
    vidur_text_adds(named->out, "expert_parallel: [false, true]\n");
    if (with == named->models.count)
        return;
    vidur_text_adds(named->out, "exclude:  # no experts\n");
    for (int i = 0; i < named->models.count; i++)
        if (!has_experts(&named->specs[i])) {
            model_name(flags, named->models.text[i], name);
            vidur_text_adds(named->out, "  - {model: ");
            put_quoted(named->out, name);
            vidur_text_adds(named->out, ", expert_parallel: true}\n");
        }
}

/* ---- Devices ---- */

/* The price given for a device; NULL: none. */
static const char *own_price(const struct items *prices, const char *device)
{
    const size_t length = strlen(device);
    for (int i = 0; i < prices->count; i++)
        if (strncmp(prices->text[i], device, length) == 0 &&
            prices->text[i][length] == '=')
            return prices->text[i] + length + 1;
    return NULL;
}

void search_flags_put_prices(const struct search_flags *flags, struct vidur_text *out)
{
    vidur_text_adds(out, "[");
    for (int i = 0; i < flags->num_price_files; i++) {
        vidur_text_adds(out, i ? ", " : "");
        put_reference(flags, out, flags->price_files[i]);
    }
    vidur_text_adds(out, "]");
}

static int check_prices(const struct named *named, struct vidur_error *err)
{
    for (int i = 0; i < named->prices.count; i++) {
        const char *price = named->prices.text[i], *value = strrchr(price, '=');
        double usd;
        bool known = false;
        if (!value || value == price || !vidur_text_double(value + 1, &usd) ||
            !(usd > 0))
            return vidur_fail(err, VIDUR_EINVAL,
                              "--price: '%s' is not NAME=USD, like h200=6", price);
        for (int j = 0; j < named->gpus.count; j++)
            known |= own_price(&named->prices, named->gpus.text[j]) == value + 1;
        if (!known)
            return vidur_fail(err, VIDUR_EINVAL,
                              "--price: '%s' is of no device of --gpus, or is given "
                              "twice; name each device once, as --gpus does",
                              price);
    }
    return 0;
}

static int put_clusters(const struct search_flags *flags, struct named *named,
                        struct vidur_error *err)
{
    vidur_text_adds(named->out, "clusters:\n");
    for (int i = 0; i < named->gpus.count; i++) {
        struct vidur_device_sku device;
        const char *gpu = named->gpus.text[i];
        const char *price = own_price(&named->prices, gpu);
        if (vidur_device_sku_load(&device, gpu, err) != 0)
            return vidur_fail_prefix(err, "--gpus");
        for (int earlier = 0; earlier < i; earlier++)
            if (strcmp(named->gpus.text[earlier], gpu) == 0)
                return vidur_fail(err, VIDUR_EINVAL,
                                  "--gpus: '%s' is named twice; name it once", gpu);
        vidur_text_adds(named->out, "  - {device: ");
        put_reference(flags, named->out, gpu);
        put(named->out, ", num_gpus: %lld", (long long)named->num_gpus);
        if (price)
            put(named->out, ", usd_per_gpu_hour: %s", price);
        vidur_text_adds(named->out, "}\n");
    }
    return 0;
}

/* Some model can be cut so, with its experts cut or whole. */
static bool suits_a_model(const struct named *named, int tp)
{
    for (int i = 0; i < named->models.count; i++)
        for (int whole = 0; whole < 2; whole++) {
            const struct vidur_cut cut = {.tensor = tp, .pipeline = 1, .expert = whole};
            if (vidur_check_tensor_parallel(&named->specs[i], &cut,
                                            VIDUR_SEMANTICS_CORRECTED, NULL) == 0)
                return true;
        }
    return false;
}

static int put_own_sizes(const char *option, const char *list, struct named *named,
                         struct vidur_error *err)
{
    struct items sizes = {0};
    int64_t size;
    int status = split(option, list, &sizes, err);
    for (int i = 0; i < sizes.count && status == 0; i++) {
        status = parse_count(option, sizes.text[i], &size, err);
        if (status == 0 && size > named->num_gpus)
            status = vidur_fail(err, VIDUR_EINVAL,
                                "--%s: %lld is more than the %lld GPUs of a cluster; "
                                "raise --num-gpus",
                                option, (long long)size, (long long)named->num_gpus);
        put(named->out, "%s%s", i ? ", " : "", sizes.text[i]);
    }
    free(sizes.text);
    return status;
}

static int put_tensor_parallel(const struct search_flags *flags, struct named *named,
                               struct vidur_error *err)
{
    vidur_text_adds(named->out, "tp_dimensions: [");
    if (flags->tp && put_own_sizes("tp", flags->tp, named, err) != 0)
        return -1;
    for (int tp = 1; !flags->tp && tp <= 8 && tp <= named->num_gpus; tp *= 2)
        if (tp == 1 || suits_a_model(named, tp))
            put(named->out, "%s%d", tp > 1 ? ", " : "", tp);
    vidur_text_adds(named->out, "]\n");
    return 0;
}

/* ---- Workload, scheduler, objectives ---- */

/* Tokens of the longest request of a trace; 0: it cannot be read. */
static int64_t longest_request(const char *trace, struct vidur_error *err)
{
    const struct vidur_trace_options options = {0};
    struct vidur_path path;
    if (vidur_path_resolve(NULL, trace, &path, err) != 0)
        return 0;
    return vidur_trace_longest(path.text, &options, err);
}

static int put_trace(const struct search_flags *flags, struct vidur_text *out,
                     struct vidur_error *err)
{
    char name[MAX_NAME + 1];
    const char *option = flags->trace ? "--trace" : "--replay";
    const char *file = flags->trace ? flags->trace : flags->replay;
    const int64_t longest = longest_request(file, err);
    if (longest == 0)
        return vidur_fail_prefix(err, "%s", option);
    if (longest > INT32_MAX)
        return vidur_fail(err, VIDUR_EINVAL,
                          "%s: a request has %lld tokens; at most %d are possible",
                          option, (long long)longest, INT32_MAX);
    short_name(file, name);
    vidur_text_adds(out, "traces:\n  - {name: ");
    put_quoted(out, name);
    vidur_text_adds(out, flags->trace ? ", trace_file: " : ", replay: {file: ");
    put_path(flags, out, file);
    put(out, "%s, max_seq_len: %lld}\n", flags->trace ? "" : "}", (long long)longest);
    return 0;
}

static int put_workload(const struct search_flags *flags, struct vidur_text *out,
                        struct vidur_error *err)
{
    int64_t prompt, output;
    if (flags->trace || flags->replay)
        return put_trace(flags, out, err);
    if (!flags->prompt) {
        vidur_text_adds(out, "traces:\n"
                             "  - {name: chat, trace_file: "
                             "data:traces/chat-4k-synthetic.csv, max_seq_len: 4096}\n");
        return 0;
    }
    if (parse_count("prompt-tokens", flags->prompt, &prompt, err) != 0 ||
        parse_count("output-tokens", flags->output, &output, err) != 0)
        return -1;
    put(out,
        "traces:\n  - {name: %lld-in-%lld-out, lengths: {type: fixed, prefill_tokens: "
        "%lld, decode_tokens: %lld}, max_seq_len: %lld}\n",
        (long long)prompt, (long long)output, (long long)prompt, (long long)output,
        (long long)(prompt + output));
    return 0;
}

/* The scheduler of today's engine: the one whose steps are an engine's. */
static int put_scheduler(struct vidur_text *out, struct vidur_error *err)
{
    const struct vidur_scheduler_ops *ops;
    for (int i = 0; (ops = vidur_scheduler_at(i)); i++)
        if (ops->step_model == &vidur_step_engine)
            break;
    if (!ops)
        return vidur_fail(err, VIDUR_EINVAL,
                          "no scheduler of an engine is built in; give a configuration "
                          "file");
    put(out, "schedulers:\n  - {scheduler: %s, %s: [2048, 8192]}\n", ops->name,
        vidur_knob_name(ops->token_budget));
    return 0;
}

static int put_slo(struct vidur_text *out, const char *metric, const char *limit,
                   struct vidur_error *err)
{
    char option[32];
    if (!limit)
        return 0;
    snprintf(option, sizeof option, "%s-p95", metric);
    put(out, "  - {metric: %s, quantile: 0.95, limit_s: %s}\n", metric, limit);
    return check_positive(option, limit, err);
}

static int put_part(struct vidur_text *out, const char *metric, const char *limit,
                    bool *first, struct vidur_error *err)
{
    if (!limit)
        return 0;
    put(out, "%s%s: %s", *first ? "" : ", ", metric, limit);
    *first = false;
    return check_positive(metric, limit, err);
}

static int put_joint(const struct search_flags *flags, struct vidur_text *out,
                     struct vidur_error *err)
{
    double share;
    bool first = true;
    if (!flags->goodput)
        return 0;
    if (!vidur_text_double(flags->goodput, &share) || !(share > 0 && share <= 1))
        return vidur_fail(err, VIDUR_EINVAL,
                          "--goodput: '%s' is not a share above 0 and up to 1, like "
                          "0.95",
                          flags->goodput);
    vidur_text_adds(out, "  - {all: {");
    if (put_part(out, "ttft", flags->ttft, &first, err) != 0 ||
        put_part(out, "tpot", flags->tpot, &first, err) != 0 ||
        put_part(out, "e2e", flags->e2e, &first, err) != 0)
        return -1;
    put(out, "}, quantile: %s}\n", flags->goodput);
    return 0;
}

static int put_objectives(const struct search_flags *flags, struct vidur_text *out,
                          struct vidur_error *err)
{
    vidur_text_adds(out, "slos:\n");
    if (put_slo(out, "ttft", flags->ttft_p95, err) != 0 ||
        put_slo(out, "tpot", flags->tpot_p95, err) != 0 ||
        put_slo(out, "e2e", flags->e2e_p95, err) != 0 ||
        put_joint(flags, out, err) != 0)
        return -1;
    if (!flags->qps)
        return 0;
    put(out, "target: {qps: %s}\n", flags->qps);
    return check_positive("qps", flags->qps, err);
}

/* ---- The text ---- */

static int read_lists(const struct search_flags *flags, struct named *named,
                      struct vidur_error *err)
{
    if (split("model", flags->models, &named->models, err) != 0 ||
        split("gpus", flags->gpus, &named->gpus, err) != 0 ||
        (flags->prices && split("price", flags->prices, &named->prices, err) != 0))
        return -1;
    named->num_gpus = 8;
    if (flags->num_gpus &&
        parse_count("num-gpus", flags->num_gpus, &named->num_gpus, err) != 0)
        return -1;
    return check_prices(named, err);
}

static int put_all(const struct search_flags *flags, struct named *named,
                   struct vidur_error *err)
{
    struct vidur_text *out = named->out;
    vidur_text_adds(out, "# A search given by options. As a file it is searched the "
                         "same: vidur-search FILE\n");
    if (put_models(flags, named, err) != 0 || put_clusters(flags, named, err) != 0)
        return -1;
    if (flags->num_price_files > 0) {
        vidur_text_adds(out, "prices: ");
        search_flags_put_prices(flags, out);
        vidur_text_adds(out, "\n");
    }
    if (put_scheduler(out, err) != 0 || put_workload(flags, out, err) != 0)
        return -1;
    vidur_text_adds(out, "batch_sizes: [32, 64, 128, 256]\n");
    if (put_tensor_parallel(flags, named, err) != 0)
        return -1;
    vidur_text_adds(out, "pp_dimensions: [");
    if (!flags->pp)
        vidur_text_adds(out, "1");
    else if (put_own_sizes("pp", flags->pp, named, err) != 0)
        return -1;
    vidur_text_adds(out, "]\n");
    put_experts(flags, named);
    if (put_objectives(flags, out, err) != 0)
        return -1;
    vidur_text_adds(out, "estimator: {source: roofline}\n");
    return 0;
}

int search_flags_write(const struct search_flags *flags, struct vidur_text *out,
                       struct vidur_error *err)
{
    struct named named = {.out = out};
    int status = check_given(flags, err);
    if (status == 0)
        status = read_lists(flags, &named, err);
    if (status == 0)
        status = put_all(flags, &named, err);
    free(named.models.text);
    free(named.gpus.text);
    free(named.prices.text);
    free(named.specs);
    if (status == 0 && out->failed)
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory for the configuration");
    return status;
}
