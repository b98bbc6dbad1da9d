#ifndef VIDUR_SEARCH_FLAGS_H
#define VIDUR_SEARCH_FLAGS_H

#include "base/text.h"

#include <vidur/error.h>

/*
 * A search from the command line alone: options in, the text of a configuration out,
 * which is searched as if it had been a file. Specs and a trace that the options name
 * are read, nothing else is touched.
 */

/*
 * The options, in the order of --help. Declared once; the list feeds the struct, the
 * program's table of options and the reading of them.
 * X(member, name, value, help)
 */
#define SEARCH_FLAGS(X)                                                                \
    X(models, "model", "NAME,...",                                                     \
      "Search without a configuration file: models by their names (--list models) or " \
      "paths to a spec or a Hugging Face config.json.")                                \
    X(gpus, "gpus", "NAME,...",                                                        \
      "The devices to compare (--list devices), each on its usual node.")              \
    X(num_gpus, "num-gpus", "N", "GPUs of each device's cluster. Default: 8.")         \
    X(prices, "price", "NAME=USD,...",                                                 \
      "USD per GPU and hour, by device; wins over --prices. Default: the list price "  \
      "in data/skus, which few devices have (--list devices).")                        \
    X(tp, "tp", "N,...",                                                               \
      "Tensor parallel sizes. Default: those of 1,2,4,8 that are possible.")           \
    X(pp, "pp", "N,...",                                                               \
      "Pipeline parallel sizes, for models that need more than a node. Default: 1.")   \
    X(qps, "qps", "QPS",                                                               \
      "Search the cheapest way to carry this load. Default: the most queries per "     \
      "dollar.")                                                                       \
    X(ttft_p95, "ttft-p95", "SECONDS",                                                 \
      "Limit of the 95th percentile of the time to the first token. One limit or "     \
      "more is needed, here or with --goodput.")                                       \
    X(tpot_p95, "tpot-p95", "SECONDS",                                                 \
      "The same for the time of an output token after the first.")                     \
    X(e2e_p95, "e2e-p95", "SECONDS", "The same for the time of a whole request.")      \
    X(goodput, "goodput", "SHARE",                                                     \
      "So many requests, such as 0.95, must meet the limits of --ttft, --tpot and "    \
      "--e2e all at once.")                                                            \
    X(ttft, "ttft", "SECONDS", "Limit of the time to the first token, for --goodput.") \
    X(tpot, "tpot", "SECONDS",                                                         \
      "The same for a request's mean time of an output token after the first.")        \
    X(e2e, "e2e", "SECONDS", "The same for the time of a whole request.")              \
    X(trace, "trace", "FILE",                                                          \
      "Lengths of requests: a CSV file with num_prefill_tokens and "                   \
      "num_decode_tokens, or a log of another format of --list formats. Default: the " \
      "synthetic chat trace.")                                                         \
    X(replay, "replay", "FILE",                                                        \
      "Instead of it: such a log with times, replayed faster or slower, so that its "  \
      "bursts and, where it has them, its shared prefixes stay as they are.")          \
    X(prompt, "prompt-tokens", "N",                                                    \
      "Instead of a trace: prompts of so many tokens, with --output-tokens.")          \
    X(output, "output-tokens", "N", "Output tokens of each request.")

/* Values as given; NULL: not given. */
struct search_flags {
#define X(member, name, value, help) const char *member;
    SEARCH_FLAGS(X)
#undef X
    const char *folder; /* the working directory: relative paths are below it */
    const char *const *price_files; /* of --prices; they go with a file, too */
    int num_price_files;
};

/* The name of the first option that was given, NULL: none. */
const char *search_flags_first(const struct search_flags *flags);

/* Adds the list of price files as YAML, in one line; paths in it are absolute. */
void search_flags_put_prices(const struct search_flags *flags, struct vidur_text *out);

/* Adds the configuration to `out`, which the caller frees, also after a failure. Equal
 * options and specs give equal text. Paths in it are absolute. Errors begin with the
 * option; missing ones are named. */
int search_flags_write(const struct search_flags *flags, struct vidur_text *out,
                       struct vidur_error *err);

#endif
