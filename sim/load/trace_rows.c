#include "load/trace.h"

#include "load/trace_format.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Adding rows to a trace, and putting them in order. */

static int no_memory(const struct vidur_trace *trace, struct vidur_error *err)
{
    return vidur_fail(err, VIDUR_ENOMEM, "%s: out of memory for %lld requests",
                      trace->path, (long long)trace->num_rows);
}

static bool grow(void *array, size_t size, int64_t count)
{
    void *more = realloc(*(void **)array, size * (size_t)count);
    if (more)
        *(void **)array = more;
    return more != NULL;
}

static int reserve(struct vidur_trace *trace, struct vidur_error *err)
{
    if (trace->num_rows < trace->row_capacity)
        return 0;
    const int64_t count = trace->row_capacity ? 2 * trace->row_capacity : 1024;
    const bool has_lengths = trace->wanted & VIDUR_TRACE_LENGTHS;
    if (trace->num_rows >= INT32_MAX)
        return vidur_fail(err, VIDUR_EINVAL, "%s: more than %d rows", trace->path,
                          INT32_MAX);
    if (!grow(&trace->line, sizeof *trace->line, count) ||
        (trace->has_origin && !grow(&trace->time_s, sizeof *trace->time_s, count)) ||
        (has_lengths &&
         (!grow(&trace->prompt_tokens, sizeof *trace->prompt_tokens, count) ||
          !grow(&trace->output_tokens, sizeof *trace->output_tokens, count))) ||
        (trace->num_sessions > 0 &&
         !grow(&trace->session, sizeof *trace->session, count)) ||
        (trace->end_s && !grow(&trace->end_s, sizeof *trace->end_s, count)) ||
        (trace->priority && !grow(&trace->priority, sizeof *trace->priority, count)) ||
        (trace->blocks &&
         !grow(&trace->first_block, sizeof *trace->first_block, count + 1)))
        return no_memory(trace, err);
    trace->row_capacity = count;
    return 0;
}

double vidur_trace_seconds(struct vidur_trace *trace, int64_t time_ns)
{
    int64_t since;
    if (!trace->has_origin)
        trace->origin_ns = time_ns;
    trace->has_origin = true;
    if (__builtin_sub_overflow(time_ns, trace->origin_ns, &since))
        return (double)time_ns / 1e9 - (double)trace->origin_ns / 1e9;
    return (double)since / 1e9;
}

/* The array of something that the first rows did not have. */
static int32_t *late_array(int64_t capacity, int64_t count, int32_t value)
{
    const int64_t size = count < capacity ? capacity : count + 1;
    int32_t *array = malloc((size_t)size * sizeof *array);
    for (int64_t i = 0; array && i < count; i++)
        array[i] = value;
    return array;
}

int32_t vidur_trace_session(struct vidur_trace *trace, const char *name)
{
    if (!name[0] || !(trace->wanted & VIDUR_TRACE_SESSIONS))
        return -1;
    if (!trace->session && trace->row_capacity > 0 &&
        !(trace->session = late_array(trace->row_capacity, trace->num_rows, -1)))
        return -1;
    const int32_t id = vidur_intern(&trace->session_names, name, strlen(name), NULL);
    if (id >= 0)
        trace->num_sessions = trace->session_names.count;
    return id;
}

static bool begin_blocks(struct vidur_trace *trace)
{
    trace->block_capacity = 1024;
    trace->blocks = malloc((size_t)trace->block_capacity * sizeof *trace->blocks);
    if (trace->row_capacity > 0)
        trace->first_block =
            calloc((size_t)trace->row_capacity + 1, sizeof *trace->first_block);
    return trace->blocks && (trace->first_block || trace->row_capacity == 0);
}

int vidur_trace_add_block(struct vidur_trace *trace, const char *id, size_t length,
                          struct vidur_error *err)
{
    if (!(trace->wanted & VIDUR_TRACE_BLOCKS))
        return 0;
    if (!trace->blocks && !begin_blocks(trace))
        return no_memory(trace, err);
    if (trace->num_blocks == trace->block_capacity) {
        trace->block_capacity *= 2;
        if (!grow(&trace->blocks, sizeof *trace->blocks, trace->block_capacity))
            return no_memory(trace, err);
    }
    const int32_t number = vidur_intern(&trace->block_names, id, length, NULL);
    if (number < 0)
        return no_memory(trace, err);
    trace->blocks[trace->num_blocks++] = number;
    trace->num_distinct_blocks = trace->block_names.count;
    return 0;
}

void vidur_trace_drop(struct vidur_trace *trace)
{
    trace->num_failed++;
    if (trace->blocks)
        trace->num_blocks =
            trace->first_block ? trace->first_block[trace->num_rows] : 0;
}

static int check_tokens(const struct vidur_trace *trace,
                        const struct vidur_trace_row *row, struct vidur_error *err)
{
    for (int i = 0; i < 2; i++) {
        const int64_t tokens = i == 0 ? row->prompt_tokens : row->output_tokens;
        const char *column = i == 0 ? trace->prompt_column : trace->output_column;
        if (tokens > INT32_MAX)
            return vidur_fail(err, VIDUR_EINVAL, "%s:%d: %s: %lld tokens; at most %d",
                              trace->path, row->line, column, (long long)tokens,
                              INT32_MAX);
        if (tokens < 0)
            return vidur_fail(err, VIDUR_EINVAL,
                              "%s:%d: %s: %lld is negative; give 0 or more",
                              trace->path, row->line, column, (long long)tokens);
    }
    return 0;
}

/* The last block may be filled in part, none may lie behind the prompt. */
static int check_blocks(const struct vidur_trace *trace,
                        const struct vidur_trace_row *row, struct vidur_error *err)
{
    const int64_t before = trace->first_block ? trace->first_block[trace->num_rows] : 0;
    const int64_t count = trace->blocks ? trace->num_blocks - before : 0;
    if (count == 0 || (count - 1) * trace->block_tokens < row->prompt_tokens)
        return 0;
    return vidur_fail(err, VIDUR_EINVAL,
                      "%s:%d: %lld blocks of %d tokens are more than the prompt of "
                      "%lld; say how many tokens a block has: block_tokens",
                      trace->path, row->line, (long long)count, trace->block_tokens,
                      (long long)row->prompt_tokens);
}

struct vidur_trace_row vidur_trace_row_of(int line)
{
    return (struct vidur_trace_row){.line = line, .end_s = NAN, .session = -1};
}

bool vidur_trace_is_priority(int64_t value)
{
    return value >= INT32_MIN && value <= INT32_MAX;
}

static int check_end(const struct vidur_trace *trace, const struct vidur_trace_row *row,
                     struct vidur_error *err)
{
    if (!(row->end_s < row->time_s))
        return 0;
    return vidur_fail(err, VIDUR_EINVAL,
                      "%s:%d: the answer ends %.9g s before its request arrives; are "
                      "both times of one clock and unit?",
                      trace->path, row->line, row->time_s - row->end_s);
}

/* Arrays of what the first rows may not have had; they are there once a row has it. */
static bool begin_late(struct vidur_trace *trace, const struct vidur_trace_row *row)
{
    const size_t capacity = (size_t)trace->row_capacity;
    if (!trace->end_s && !isnan(row->end_s) && (trace->wanted & VIDUR_TRACE_ENDS)) {
        trace->end_s = malloc(capacity * sizeof *trace->end_s);
        for (int64_t i = 0; trace->end_s && i < trace->num_rows; i++)
            trace->end_s[i] = NAN;
        if (!trace->end_s)
            return false;
    }
    if (!trace->priority && row->has_priority &&
        (trace->wanted & VIDUR_TRACE_PRIORITIES))
        return (trace->priority = late_array(trace->row_capacity, trace->num_rows, 0));
    return true;
}

int vidur_trace_add(struct vidur_trace *trace, const struct vidur_trace_row *row,
                    struct vidur_error *err)
{
    if (check_tokens(trace, row, err) || check_end(trace, row, err))
        return -1;
    if (row->output_tokens == 0 && !trace->format->keeps_times) {
        vidur_trace_drop(trace);
        return 0;
    }
    if (check_blocks(trace, row, err) || reserve(trace, err))
        return -1;
    if (!begin_late(trace, row))
        return no_memory(trace, err);
    const int64_t at = trace->num_rows++;
    trace->line[at] = row->line;
    if (trace->time_s)
        trace->time_s[at] = row->time_s;
    if (trace->prompt_tokens) {
        trace->prompt_tokens[at] = (int32_t)row->prompt_tokens;
        trace->output_tokens[at] = (int32_t)row->output_tokens;
    }
    if (trace->end_s)
        trace->end_s[at] = row->end_s;
    if (trace->priority)
        trace->priority[at] = row->priority;
    if (trace->session)
        trace->session[at] = row->session;
    if (trace->first_block) {
        if (at == 0)
            trace->first_block[0] = 0;
        trace->first_block[at + 1] = trace->num_blocks;
    }
    return 0;
}

/* ---- Order ---- */

/* Merges runs of doubling length: equal times stay in their order. */
static void sort_by_time(const double *time_s, int32_t *order, int32_t *spare,
                         int64_t count)
{
    for (int64_t run = 1; run < count; run *= 2) {
        for (int64_t begin = 0; begin < count; begin += 2 * run) {
            const int64_t middle = begin + run < count ? begin + run : count;
            const int64_t end = begin + 2 * run < count ? begin + 2 * run : count;
            int64_t left = begin, right = middle;
            for (int64_t i = begin; i < end; i++) {
                const bool take_left =
                    left < middle &&
                    (right == end || time_s[order[left]] <= time_s[order[right]]);
                spare[i] = order[take_left ? left++ : right++];
            }
        }
        memcpy(order, spare, (size_t)count * sizeof *order);
    }
}

static void permute(void *array, size_t size, const int32_t *order, int64_t count,
                    void *spare)
{
    char *sorted = spare;
    if (!array)
        return;
    for (int64_t i = 0; i < count; i++)
        memcpy(sorted + (size_t)i * size, (char *)array + (size_t)order[i] * size,
               size);
    memcpy(array, sorted, (size_t)count * size);
}

static bool permute_blocks(struct vidur_trace *trace, const int32_t *order)
{
    if (!trace->blocks)
        return true;
    int32_t *blocks = malloc((size_t)trace->num_blocks * sizeof *blocks + 1);
    int64_t *first = malloc(((size_t)trace->num_rows + 1) * sizeof *trace->first_block);
    int64_t used = 0;
    for (int64_t i = 0; blocks && first && i < trace->num_rows; i++) {
        const int64_t from = trace->first_block[order[i]];
        const int64_t count = trace->first_block[order[i] + 1] - from;
        first[i] = used;
        memcpy(blocks + used, trace->blocks + from, (size_t)count * sizeof *blocks);
        used += count;
    }
    if (!blocks || !first) {
        free(blocks);
        free(first);
        return false;
    }
    first[trace->num_rows] = used;
    free(trace->blocks);
    free(trace->first_block);
    trace->blocks = blocks;
    trace->first_block = first;
    return true;
}

static int sort_rows(struct vidur_trace *trace, struct vidur_error *err)
{
    const int64_t count = trace->num_rows;
    int32_t *order = malloc((size_t)count * sizeof *order);
    double *spare =
        malloc((size_t)count * sizeof *spare); /* for a column of any type */
    bool done = order && spare;
    if (done) {
        for (int64_t i = 0; i < count; i++)
            order[i] = (int32_t)i;
        sort_by_time(trace->time_s, order, (int32_t *)(void *)spare, count);
        permute(trace->time_s, sizeof *trace->time_s, order, count, spare);
        permute(trace->prompt_tokens, sizeof(int32_t), order, count, spare);
        permute(trace->output_tokens, sizeof(int32_t), order, count, spare);
        permute(trace->line, sizeof *trace->line, order, count, spare);
        permute(trace->session, sizeof *trace->session, order, count, spare);
        permute(trace->end_s, sizeof *trace->end_s, order, count, spare);
        permute(trace->priority, sizeof *trace->priority, order, count, spare);
        done = permute_blocks(trace, order);
    }
    free(order);
    free(spare);
    return done ? 0 : no_memory(trace, err);
}

int vidur_trace_finish(struct vidur_trace *trace, struct vidur_error *err)
{
    vidur_intern_fini(&trace->session_names);
    vidur_intern_fini(&trace->block_names);
    double latest_s = trace->time_s ? trace->time_s[0] : 0;
    for (int64_t i = 0; trace->time_s && i < trace->num_rows; i++) {
        trace->num_unsorted += trace->time_s[i] < latest_s;
        if (trace->time_s[i] > latest_s)
            latest_s = trace->time_s[i];
    }
    if (trace->num_unsorted > 0 && sort_rows(trace, err))
        return -1;
    const double first_s = trace->time_s ? trace->time_s[0] : 0;
    if (!trace->format->keeps_times && first_s != 0)
        for (int64_t i = 0; i < trace->num_rows; i++) {
            trace->time_s[i] -= first_s;
            if (trace->end_s)
                trace->end_s[i] -= first_s;
        }
    return 0;
}
