#include "load/trace_csv.h"
#include "load/trace_format.h"

/* Azure LLM inference traces of 2023 and 2024: dates with seven decimals, those of 2024
 * with a zone. */

static bool recognise(const char *bytes, size_t size)
{
    return vidur_trace_has_column(bytes, size, "ContextTokens") &&
           vidur_trace_has_column(bytes, size, "GeneratedTokens");
}

static int read_rows(struct vidur_trace *trace, struct vidur_error *err)
{
    static const struct vidur_trace_table table = {.arrived_at = "TIMESTAMP",
                                                   .prompt_tokens = "ContextTokens",
                                                   .output_tokens = "GeneratedTokens",
                                                   .time_unit = "s"};
    return vidur_trace_read_table(trace, &table, err);
}

const struct vidur_trace_format vidur_trace_azure = {
    .name = "azure",
    .title = "Azure LLM inference traces 2023 and 2024: CSV with TIMESTAMP, "
             "ContextTokens, GeneratedTokens",
    .gives = "times, lengths",
    .time_column = "TIMESTAMP",
    .prompt_column = "ContextTokens",
    .output_column = "GeneratedTokens",
    .recognise = recognise,
    .read = read_rows};
