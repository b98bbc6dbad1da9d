#include "tell/trace_writer.h"

#include "base/file.h"

#include <inttypes.h>
#include <stdlib.h>

/* What a replica's counters showed last. */
struct counters {
    int64_t blocks;
    int64_t waiting;
    int64_t num_blocks; /* that it has */
};

struct vidur_trace_writer {
    struct vidur_file *file;
    FILE *out;
    bool any;                  /* an element was written */
    struct counters *counters; /* by replica; chrome only */
};

static void release(struct vidur_trace_writer *writer)
{
    free(writer->counters);
    free(writer);
}

static struct vidur_trace_writer *open_writer(const char *path, const char *head,
                                              struct vidur_error *err)
{
    struct vidur_trace_writer *writer = calloc(1, sizeof *writer);
    if (!writer) {
        vidur_fail(err, VIDUR_ENOMEM, "%s: out of memory", path);
        return NULL;
    }
    writer->file = vidur_file_create(path, err);
    if (!writer->file) {
        release(writer);
        return NULL;
    }
    writer->out = vidur_file_stream(writer->file);
    fputs(head, writer->out);
    return writer;
}

/* Ends the element before; the caller writes one. */
static FILE *next_element(struct vidur_trace_writer *writer)
{
    fputs(writer->any ? ",\n" : "\n", writer->out);
    writer->any = true;
    return writer->out;
}

int vidur_trace_writer_commit(struct vidur_trace_writer *writer,
                              struct vidur_error *err)
{
    fputs("\n]}\n", writer->out);
    int status = vidur_file_commit(writer->file, err);
    release(writer);
    return status;
}

void vidur_trace_writer_discard(struct vidur_trace_writer *writer)
{
    if (!writer)
        return;
    vidur_file_discard(writer->file);
    release(writer);
}

/* ---- Chrome ---- */

/* Where there are several pools its name says the role, too, and of ranks in data
 * parallel which one. */
static void name_replica(struct vidur_trace_writer *writer, int replica,
                         const struct vidur_fleet *fleet)
{
    const struct vidur_seat seat = vidur_fleet_seat(fleet, replica);
    const struct vidur_pool *pool = &fleet->pools[seat.pool];
    const bool alone = fleet->num_pools == 1;
    char rank[24] = "";
    if (seat.num_ranks > 1)
        snprintf(rank, sizeof rank, " rank %d", seat.rank);
    fprintf(next_element(writer),
            "{\"name\":\"process_name\",\"ph\":\"M\",\"pid\":%d,\"tid\":0,"
            "\"args\":{\"name\":\"replica %d%s%s%s%s\"}}",
            replica, seat.replica, rank, alone ? "" : " (",
            alone ? "" : vidur_pool_role_names[pool->role], alone ? "" : ")");
    fprintf(next_element(writer),
            "{\"name\":\"process_sort_index\",\"ph\":\"M\",\"pid\":%d,\"tid\":0,"
            "\"args\":{\"sort_index\":%d}}",
            replica, replica);
    for (int s = 0; s < pool->deployment.num_pipeline_stages; s++)
        fprintf(next_element(writer),
                "{\"name\":\"thread_name\",\"ph\":\"M\",\"pid\":%d,\"tid\":%d,"
                "\"args\":{\"name\":\"stage %d\"}}",
                replica, s, s);
}

struct vidur_trace_writer *vidur_chrome_trace_open(const char *path,
                                                   const struct vidur_fleet *fleet,
                                                   const int64_t *num_blocks,
                                                   struct vidur_error *err)
{
    const int num_replicas = vidur_fleet_num_seats(fleet);
    struct vidur_trace_writer *writer =
        open_writer(path, "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[", err);
    if (!writer)
        return NULL;
    writer->counters = malloc((size_t)num_replicas * sizeof *writer->counters);
    if (!writer->counters) {
        vidur_fail(err, VIDUR_ENOMEM, "%s: out of memory", path);
        vidur_trace_writer_discard(writer);
        return NULL;
    }
    for (int r = 0; r < num_replicas; r++) {
        const int pool = vidur_fleet_seat(fleet, r).pool;
        writer->counters[r] = (struct counters){-1, -1, num_blocks[pool]};
        name_replica(writer, r, fleet);
    }
    return writer;
}

static double microseconds(double time_s)
{
    return time_s * 1e6;
}

static void put_counters(struct vidur_trace_writer *writer,
                         const struct vidur_batch_record *b)
{
    struct counters *last = &writer->counters[b->seat];
    double ts = microseconds(b->started_at_s);
    if (last->blocks != b->allocated_blocks)
        fprintf(next_element(writer),
                "{\"name\":\"KV blocks\",\"ph\":\"C\",\"pid\":%d,\"tid\":0,\"ts\":%.3f,"
                "\"args\":{\"used\":%" PRId64 ",\"free\":%" PRId64 "}}",
                b->seat, ts, b->allocated_blocks,
                last->num_blocks - b->allocated_blocks);
    if (last->waiting != b->num_waiting)
        fprintf(next_element(writer),
                "{\"name\":\"waiting requests\",\"ph\":\"C\",\"pid\":%d,\"tid\":0,"
                "\"ts\":%.3f,\"args\":{\"waiting\":%" PRId64 "}}",
                b->seat, ts, b->num_waiting);
    last->blocks = b->allocated_blocks;
    last->waiting = b->num_waiting;
}

static void put_list(FILE *out, const char *name, const struct vidur_batch_record *b,
                     bool tokens)
{
    fprintf(out, ",\"%s\":[", name);
    for (int i = 0; i < b->size; i++)
        fprintf(out, "%s%" PRId64, i ? "," : "",
                tokens ? (int64_t)b->request_tokens[i] : b->request_ids[i]);
    putc(']', out);
}

int vidur_chrome_trace_batch(void *context, const struct vidur_batch_record *b)
{
    struct vidur_trace_writer *writer = context;
    if (b->stage == 0)
        put_counters(writer, b);
    FILE *out = next_element(writer);
    fprintf(out,
            "{\"name\":\"batch %" PRId64 "\",\"cat\":\"batch\",\"ph\":\"X\",\"pid\":%d,"
            "\"tid\":%d,\"ts\":%.3f,\"dur\":%.3f,\"args\":{\"batch_id\":%" PRId64
            ",\"size\":%d,\"num_tokens\":%" PRId64 ",\"num_prefill_tokens\":%" PRId64
            ",\"num_decode_tokens\":%" PRId64,
            b->batch_id, b->seat, b->stage, microseconds(b->started_at_s),
            microseconds(b->execution_time_s), b->batch_id, b->size, b->num_tokens,
            b->num_prefill_tokens, b->num_decode_tokens);
    put_list(out, "request_ids", b, false);
    put_list(out, "request_tokens", b, true);
    fputs("}}", out);
    return ferror(out) ? -1 : 0;
}

/* ---- Events ---- */

static const struct {
    const char *type;
    const char *object; /* what object_id is */
} events[VIDUR_NUM_EVENT_TYPES] = {
    [VIDUR_EVENT_REQUEST_ARRIVAL] = {"request_arrival", "request_id"},
    [VIDUR_EVENT_GLOBAL_SCHEDULE] = {"global_schedule", NULL},
    [VIDUR_EVENT_REPLICA_SCHEDULE] = {"replica_schedule", NULL},
    [VIDUR_EVENT_STAGE_ARRIVAL] = {"stage_arrival", "batch_id"},
    [VIDUR_EVENT_STAGE_SCHEDULE] = {"stage_schedule", NULL},
    [VIDUR_EVENT_STAGE_END] = {"stage_end", "batch_id"},
    [VIDUR_EVENT_BATCH_END] = {"batch_end", "batch_id"},
    [VIDUR_EVENT_REQUEST_SEEN] = {"request_seen", "request_id"},
    [VIDUR_EVENT_TRANSFER_END] = {"transfer_end", "request_id"},
    [VIDUR_EVENT_LOAD_END] = {"load_end", "request_id"},
};

struct vidur_trace_writer *vidur_event_trace_open(const char *path,
                                                  struct vidur_error *err)
{
    return open_writer(path, "{\"events\":[", err);
}

int vidur_event_trace_event(void *context, const struct vidur_event_record *event)
{
    struct vidur_trace_writer *writer = context;
    FILE *out = next_element(writer);
    fprintf(out, "{\"time\":%.17g,\"id\":%" PRId64 ",\"type\":\"%s\"", event->time_s,
            event->event_id, events[event->type].type);
    if (event->replica >= 0)
        fprintf(out, ",\"replica\":%d", event->replica);
    if (event->stage >= 0)
        fprintf(out, ",\"stage\":%d", event->stage);
    if (event->object_id >= 0 && events[event->type].object)
        fprintf(out, ",\"%s\":%" PRId64, events[event->type].object, event->object_id);
    putc('}', out);
    return ferror(out) ? -1 : 0;
}
