#include "report/report_format.h"

#include "report/report_pools.h"

#include "base/text.h"
#include "results/columns.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Moves exact ties (2.5, 8.125) off the middle, so that every printf and every
 * JavaScript rounds them alike. */
static double nudge(double value)
{
    return value * (1 + 1e-13);
}

/* From here on digits before the point say nothing. */
static const double LARGE = 1e15;

struct vidur_number vidur_number3(double value)
{
    struct vidur_number number;
    double size = fabs(nudge(value));
    if (!isfinite(value))
        snprintf(number.text, sizeof number.text, "-");
    else if (value == 0)
        snprintf(number.text, sizeof number.text, "0");
    else if (size < 0.0001 || size >= LARGE)
        snprintf(number.text, sizeof number.text, "%.2e", nudge(value));
    else
        snprintf(number.text, sizeof number.text, "%.*f",
                 size >= 100     ? 0
                 : size >= 10    ? 1
                 : size >= 1     ? 2
                 : size >= 0.1   ? 3
                 : size >= 0.01  ? 4
                 : size >= 0.001 ? 5
                                 : 6,
                 nudge(value));
    return number;
}

struct vidur_number vidur_number_usd(double value)
{
    struct vidur_number number;
    snprintf(number.text, sizeof number.text,
             !isfinite(value)      ? "-"
             : fabs(value) < LARGE ? "%.2f"
                                   : "%.2e",
             nudge(value));
    return number;
}

struct vidur_number vidur_number_int(int64_t value)
{
    struct vidur_number number;
    snprintf(number.text, sizeof number.text, "%lld", (long long)value);
    return number;
}

struct vidur_number vidur_number_time(double value_s)
{
    bool small = value_s < 1;
    struct vidur_number number = vidur_number3(small ? 1e3 * value_s : value_s);
    if (isfinite(value_s))
        strcat(number.text, small ? " ms" : " s");
    return number;
}

struct vidur_number vidur_number_slo(const struct vidur_ranking_row *row,
                                     const struct vidur_report_slo *slo)
{
    const double value = vidur_row_latency(row, slo);
    return slo->limits ? vidur_number_percent(100 * value) : vidur_number_time(value);
}

struct vidur_number vidur_number_limit(const struct vidur_report_slo *slo)
{
    struct vidur_number number = vidur_number_time(slo->limit_s);
    if (slo->limits)
        snprintf(number.text, sizeof number.text, "%.*s", (int)sizeof number.text - 1,
                 slo->limits);
    return number;
}

struct vidur_number vidur_number_latency(const struct vidur_ranking_row *row,
                                         const struct vidur_report_slo *slo)
{
    const double value = vidur_row_latency(row, slo);
    struct vidur_number number = vidur_number_slo(row, slo);
    if (isnan(value))
        snprintf(number.text, sizeof number.text, "%s",
                 vidur_row_has_no_samples(row, slo) ? "nothing to measure"
                                                    : "not recorded");
    return number;
}

struct vidur_number vidur_number_percent(double value)
{
    struct vidur_number number = vidur_number3(value);
    if (isfinite(value))
        strcat(number.text, " %");
    return number;
}

struct vidur_number vidur_number_qps(const struct vidur_ranking_row *row)
{
    struct vidur_number number;
    char range[48] = "";
    if (isfinite(row->max_qps_low) && isfinite(row->max_qps_high))
        snprintf(range, sizeof range, " (%.20s to %.20s)",
                 vidur_number3(row->max_qps_low).text,
                 vidur_number3(row->max_qps_high).text);
    snprintf(number.text, sizeof number.text, "%s%.20s%s%s",
             row->unbounded ? "\xe2\x89\xa5 " : "", vidur_number3(row->max_qps).text,
             range, vidur_row_is_burst(row) ? "*" : "");
    return number;
}

struct vidur_number vidur_number_change(double factor)
{
    struct vidur_number number;
    double percent = 100 * (factor - 1);
    if (!isfinite(percent))
        snprintf(number.text, sizeof number.text, "-");
    else if (fabs(percent) < 0.05)
        snprintf(number.text, sizeof number.text, "0 %%");
    else
        snprintf(number.text, sizeof number.text, "%+.1f %%", nudge(percent));
    return number;
}

void vidur_format_scheduler(const struct vidur_ranking_row *row, char *text,
                            size_t size)
{
    const char *label = row->scheduler_label[0] ? row->scheduler_label : row->scheduler;
    const bool bf16 = strcmp(vidur_row_precision(row), "bf16") == 0;
    const bool bf16_cache = strcmp(vidur_row_kv_cache_dtype(row), "bf16") == 0;
    const bool in_turn = !row->router[0] || strcmp(row->router, "round_robin") == 0;
    snprintf(text, size, "%s%s%s%s%s%s%s", label, bf16 && bf16_cache ? "" : ", ",
             bf16 && bf16_cache ? "" : row->precision, bf16_cache ? "" : ", KV cache ",
             bf16_cache ? "" : row->kv_cache_dtype,
             in_turn ? "" : ", router=", in_turn ? "" : row->router);
}

/* The end of the last whole word, with its space, that both begin with. */
static size_t common_head(const char *a, const char *b, size_t most)
{
    size_t same = 0, word = 0;
    for (; same < most && a[same] && a[same] == b[same]; same++)
        if (a[same] == ' ')
            word = same + 1;
    return a[same] == b[same] ? most : word;
}

/* The length of the last whole parts (from a comma on) that both end with. */
static size_t common_tail(const char *a, const char *b, size_t most)
{
    const size_t a_size = strlen(a), b_size = strlen(b);
    size_t part = 0;
    for (size_t n = 1; n <= most && n <= b_size && a[a_size - n] == b[b_size - n]; n++)
        if (a[a_size - n] == ',')
            part = n;
    return part;
}

void vidur_share_scheduler(const struct vidur_ranking_row *rows, int64_t count,
                           struct vidur_shared_scheduler *shared)
{
    char first[VIDUR_TABLE_CELL], other[VIDUR_TABLE_CELL];
    *shared = (struct vidur_shared_scheduler){.all = count > 1};
    if (count < 2)
        return;
    vidur_format_scheduler(&rows[0], first, sizeof first);
    const size_t size = strlen(first);
    size_t head = size, tail = size;
    for (int64_t i = 1; i < count; i++) {
        vidur_format_scheduler(&rows[i], other, sizeof other);
        shared->all &= strcmp(first, other) == 0;
        head = common_head(first, other, head);
        tail = common_tail(first, other, tail);
    }
    shared->head = shared->all ? size : head;
    shared->tail = shared->all || head + tail > size ? 0 : tail;
    /* the space, or comma and space, behind the shared words is not shown */
    int words = (int)shared->head;
    while (!shared->all && words > 0 && strchr(", ", first[words - 1]))
        words--;
    snprintf(shared->text, sizeof shared->text, "%.*s%s", words, first,
             first + size - shared->tail +
                 (words          ? 0
                  : shared->tail ? 2
                                 : 0));
}

void vidur_format_own_scheduler(const struct vidur_ranking_row *row,
                                const struct vidur_shared_scheduler *shared, char *text,
                                size_t size)
{
    char whole[VIDUR_TABLE_CELL];
    vidur_format_scheduler(row, whole, sizeof whole);
    const size_t length = strlen(whole);
    snprintf(text, size, "%.*s", (int)(length - shared->head - shared->tail),
             whole + shared->head);
}

struct vidur_number vidur_number_tp(const struct vidur_ranking_row *row)
{
    struct vidur_number number;
    char ranks[24] = "", decode[32] = ""; /* the latter of the second of two pools */
    if (row->data_parallel_size > 1)
        snprintf(ranks, sizeof ranks, " DP %lld", (long long)row->data_parallel_size);
    const struct vidur_row_pool pool = vidur_row_second(row);
    if (vidur_row_has_pools(row))
        snprintf(decode, sizeof decode, "+%lld%s", (long long)pool.tensor_parallel_size,
                 pool.expert_parallel ? " EP" : "");
    snprintf(number.text, sizeof number.text, "%d%s%.16s%.20s",
             (int)row->tensor_parallel_size, row->expert_parallel ? " EP" : "", ranks,
             decode);
    return number;
}

void vidur_format_hardware(const struct vidur_ranking_row *row, char *text, size_t size)
{
    if (row->pools[0]) {
        snprintf(text, size, "%lld GPUs: %s", (long long)row->num_gpus, row->pools);
        return;
    }
    snprintf(text, size, "%lld x %s (%s): %s of TP %s x PP %lld",
             (long long)row->num_gpus, row->device, row->network_device,
             vidur_text_counted(row->num_replicas, "replica").text,
             vidur_number_tp(row).text, (long long)row->num_pipeline_stages);
}

void vidur_format_engine(const struct vidur_ranking_row *row, char *text, size_t size)
{
    char scheduler[VIDUR_TABLE_CELL];
    vidur_format_scheduler(row, scheduler, sizeof scheduler);
    snprintf(text, size, "%s, batch size %lld", scheduler, (long long)row->batch_size);
}

void vidur_format_configuration(const struct vidur_ranking_row *row, char *text,
                                size_t size)
{
    char scheduler[VIDUR_TABLE_CELL];
    vidur_format_scheduler(row, scheduler, sizeof scheduler);
    if (row->pools[0]) {
        snprintf(text, size, "%s, %s, batch %lld and %lld", row->pools, scheduler,
                 (long long)row->batch_size,
                 (long long)vidur_row_second(row).batch_size);
        return;
    }
    snprintf(text, size, "%lld x TP%s PP%lld on %s, %s, batch %lld",
             (long long)row->num_replicas, vidur_number_tp(row).text,
             (long long)row->num_pipeline_stages, row->network_device, scheduler,
             (long long)row->batch_size);
}

static bool is_acronym(const char *metric)
{
    static const char *const acronyms[] = {"ttft", "tbt", "tpot", "e2e"};
    for (size_t i = 0; i < sizeof acronyms / sizeof acronyms[0]; i++)
        if (strcmp(metric, acronyms[i]) == 0)
            return true;
    return false;
}

void vidur_format_class(const struct vidur_report_model *model,
                        const struct vidur_ranking_row *row, int class, char *text,
                        size_t size)
{
    const double *values = row->class_s[class];
    const double goodput = values[VIDUR_CLASS_COLUMN_goodput_per_s];
    text[0] = 0;
    if (isnan(values[VIDUR_CLASS_COLUMN_requests]))
        return;
    snprintf(text, size, "%s: %.0f requests, TTFT P95 %s, TPOT P95 %s%s%s%s",
             model->classes.name[class], values[VIDUR_CLASS_COLUMN_requests],
             vidur_number_time(values[VIDUR_CLASS_COLUMN_ttft_p95_s]).text,
             vidur_number_time(values[VIDUR_CLASS_COLUMN_tpot_p95_s]).text,
             isnan(goodput) ? "" : ", goodput ",
             isnan(goodput) ? "" : vidur_number3(goodput).text,
             isnan(goodput) ? "" : "/s");
}

void vidur_format_slo_name(const struct vidur_report_slo *slo, char *text, size_t size)
{
    const bool acronym = is_acronym(slo->metric);
    char percentile[64];
    slo_percentile(slo->quantile, percentile, sizeof percentile);
    const int used =
        snprintf(text, size, "%s%s", slo->class_name ? slo->class_name : "",
                 slo->class_name ? " " : "");
    snprintf(text + used, size - (size_t)used, "%s P%s", slo->metric, percentile);
    for (char *at = text + used; *at && *at != ' '; at++)
        *at = *at == '_' ? ' ' : acronym ? (char)toupper((unsigned char)*at) : *at;
}

void vidur_format_slo_header(const struct vidur_report_slo *slo, char *text,
                             size_t size)
{
    char percentile[64];
    slo_percentile(slo->quantile, percentile, sizeof percentile);
    const char *class = slo->class_name ? slo->class_name : "";
    const char *space = slo->class_name ? " " : "";
    if (strcmp(slo->metric, "scheduling_delay") == 0)
        snprintf(text, size, "%s%sdelay P%s", class, space, percentile);
    else if (strcmp(slo->metric, "e2e_normalized") == 0)
        snprintf(text, size, "%s%sE2E/tok P%s", class, space, percentile);
    else
        vidur_format_slo_name(slo, text, size);
}

void vidur_format_counts(const struct vidur_report_group *group, char *text,
                         size_t size)
{
    size_t used = (size_t)snprintf(
        text, size, "%s", vidur_text_counted(group->num_rows, "candidate").text);
    const char *separator = ": ";
    for (int i = 0; i < VIDUR_NUM_STATUSES && used < size; i++) {
        if (group->counts[i] == 0)
            continue;
        used += (size_t)snprintf(text + used, size - used, "%s%lld %s", separator,
                                 (long long)group->counts[i],
                                 vidur_status_words((enum vidur_status)i));
        separator = ", ";
    }
}

/* ---- tables ---- */

void vidur_table_start(struct vidur_text_table *table, const char *const *headers)
{
    *table = (struct vidur_text_table){0};
    while (headers[table->num_columns] && table->num_columns < VIDUR_TABLE_MAX_COLUMNS)
        table->num_columns++;
    for (int i = 0; i < table->num_columns; i++) {
        table->numeric[i] = headers[i][0] == '#';
        vidur_table_cell(table, headers[i] + table->numeric[i]);
    }
}

void vidur_table_cell(struct vidur_text_table *table, const char *text)
{
    if (table->failed)
        return;
    if (table->next == 0 && table->num_rows == table->capacity) {
        int capacity = 2 * table->capacity + 8;
        void *grown = realloc(table->cells, (size_t)(capacity * table->num_columns) *
                                                sizeof *table->cells);
        if (!grown) {
            table->failed = true;
            return;
        }
        table->cells = grown;
        table->capacity = capacity;
    }
    if (table->next == 0)
        table->num_rows++;
    char *cell = table->cells[(table->num_rows - 1) * table->num_columns + table->next];
    const struct vidur_text_shown shown = vidur_text_show(text);
    if (snprintf(cell, VIDUR_TABLE_CELL, "%s", shown.text) >= VIDUR_TABLE_CELL) {
        strcpy(cell + VIDUR_TABLE_CELL - 4, "...");
        vidur_text_cell_clean(cell, VIDUR_TABLE_CELL);
    }
    table->next = (table->next + 1) % table->num_columns;
}

void vidur_table_number(struct vidur_text_table *table, struct vidur_number number)
{
    vidur_table_cell(table, number.text);
}

/* Characters of UTF-8 text. */
static int display_width(const char *text)
{
    int width = 0;
    for (; *text; text++)
        width += ((unsigned char)*text & 0xC0) != 0x80;
    return width;
}

static void pad(FILE *out, int count)
{
    fprintf(out, "%*s", count > 0 ? count : 0, "");
}

static void print_cell(const struct vidur_text_table *table, FILE *out, int column,
                       const char *text, int width)
{
    int room = width - display_width(text);
    if (table->numeric[column])
        pad(out, room);
    fputs(text, out);
    if (!table->numeric[column] && column + 1 < table->num_columns)
        pad(out, room);
}

static void print_aligned(const struct vidur_text_table *table, FILE *out,
                          const char *indent)
{
    int widths[VIDUR_TABLE_MAX_COLUMNS] = {0};
    for (int i = 0; i < table->num_rows * table->num_columns; i++) {
        int width = display_width(table->cells[i]);
        int *widest = &widths[i % table->num_columns];
        *widest = width > *widest ? width : *widest;
    }
    for (int row = 0; row < table->num_rows; row++) {
        fputs(indent, out);
        for (int column = 0; column < table->num_columns; column++) {
            fputs(column ? "  " : "", out);
            print_cell(table, out, column,
                       table->cells[row * table->num_columns + column], widths[column]);
        }
        fputc('\n', out);
    }
}

void vidur_put_markdown(FILE *out, const char *raw)
{
    const struct vidur_text_shown shown = vidur_text_show(raw);
    for (const char *text = shown.text; *text; text++)
        if (*text == '<')
            fputs("&lt;", out);
        else
            fprintf(out, *text == '|' ? "\\%c" : "%c", *text);
}

static void print_markdown(const struct vidur_text_table *table, FILE *out)
{
    for (int row = 0; row < table->num_rows; row++) {
        for (int column = 0; column < table->num_columns; column++) {
            fputs("| ", out);
            const char *text = table->cells[row * table->num_columns + column];
            vidur_put_markdown(out, text);
            fputc(' ', out);
        }
        fputs("|\n", out);
        for (int column = 0; row == 0 && column < table->num_columns; column++)
            fputs(table->numeric[column] ? "| ---: " : "| --- ", out);
        fputs(row == 0 ? "|\n" : "", out);
    }
}

int vidur_table_print(const struct vidur_text_table *table, FILE *out, bool markdown,
                      const char *indent, struct vidur_error *err)
{
    if (table->failed)
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory for a report's table");
    if (markdown)
        print_markdown(table, out);
    else
        print_aligned(table, out, indent);
    return 0;
}

void vidur_table_release(struct vidur_text_table *table)
{
    free(table->cells);
    *table = (struct vidur_text_table){0};
}
